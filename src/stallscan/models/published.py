"""Where each network's published weights are: one table, read without torch.

One rule for all: of what a permissive licence covers, the plainest training there is.
That is torchvision's first version (``IMAGENET1K_V1``), which every network there has, and which
the older ones but resnext101_64x4d got by cropping and mirroring alone. The second versions
classify ImageNet better, with label smoothing and mixup among their means, but label smoothing
leaves features that serve other tasks less well (Kornblith et al. 2019, "Do Better ImageNet Models
Transfer Better?"). EfficientNet, ConvNeXt and Inception are published with what their authors
trained them by. Networks that torchvision lacks come from timm: Gluon's training where there is
one, RandAugment (``ra2``) for seresnet50, for the ``legacy`` layout the only files there are, for
inception_resnet_v2 TensorFlow's. The networks of videos have torchvision's of Kinetics-400.

Licences are those that the publishers state for the weights or, torchvision, for the library that
publishes them; the images of ImageNet and the videos of Kinetics have terms of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from stallscan.errors import OptionError

TORCHVISION = "https://download.pytorch.org/models/"
TIMM_RELEASES = "https://github.com/rwightman/pytorch-image-models/releases/download/"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
KINETICS_MEAN, KINETICS_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
DATA_SETS = {"imagenet": "ImageNet-1k", "kinetics": "Kinetics-400"}
"""What published weights were trained on, by the word that asks for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Published weights of a network.

    Attributes:
        name: registry name.
        source: who publishes them.
        url_or_id: of a file, or of a repository on the Hugging Face hub.
        tag: what the publisher calls this training.
        licence: SPDX identifier.
        trained_on: data set.
        mean: subtracted from RGB images in [0, 1], by channel.
        std: divided by after that.
    """

    name: str
    source: Literal["torchvision", "timm"]
    url_or_id: str
    tag: str
    licence: str
    trained_on: str = "ImageNet-1k"
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD

    @property
    def word(self) -> str:
        """What ``pretrained`` asks for."""
        return next(word for word, name in DATA_SETS.items() if name == self.trained_on)

    @property
    def on_hub(self) -> bool:
        """Whether `url_or_id` names a repository on the Hugging Face hub."""
        return "://" not in self.url_or_id

    @property
    def file(self) -> str:
        """Name of the file."""
        return "model.safetensors" if self.on_hub else self.url_or_id.rpartition("/")[2]

    @property
    def url(self) -> str:
        """Where the file can be fetched by hand."""
        if self.on_hub:
            return f"https://huggingface.co/{self.url_or_id}/resolve/main/{self.file}"
        return self.url_or_id

    @property
    def sha256_prefix(self) -> str:
        """First digits of the file's SHA-256, which its name ends with; empty on the hub, which
        tells the checksum itself."""
        found = re.search(r"-([0-9a-f]{8,})\.pth$", self.url_or_id)
        return found[1] if found else ""

    @property
    def preprocessing(self) -> dict[str, object]:
        """What the weights expect, for model.json."""
        return {
            "channels": "RGB",
            "range": [0, 1],
            "mean": list(self.mean),
            "std": list(self.std),
        }


def _torchvision(name: str, digits: str, theirs: str | None = None, **expects: Any) -> Weights:
    return Weights(
        name=name,
        source="torchvision",
        url_or_id=f"{TORCHVISION}{theirs or name}-{digits}.pth",
        licence="BSD-3-Clause",
        **{"tag": "IMAGENET1K_V1"} | expects,
    )


def _kinetics(name: str, digits: str) -> Weights:
    trained = {"tag": "KINETICS400_V1", "trained_on": DATA_SETS["kinetics"]}
    return _torchvision(name, digits, **trained, mean=KINETICS_MEAN, std=KINETICS_STD)


def _hub(name: str, tag: str, **expects: Any) -> Weights:
    return Weights(
        name=name,
        source="timm",
        url_or_id=f"timm/{name}.{tag}",
        tag=tag,
        licence="Apache-2.0",
        **expects,
    )


def _release(name: str, file: str) -> Weights:
    return Weights(
        name=name,
        source="timm",
        url_or_id=f"{TIMM_RELEASES}{file}",
        tag="in1k",
        licence="Apache-2.0",
    )


PUBLISHED: dict[str, Weights] = {
    weights.name: weights
    for weights in (
        _torchvision("resnet18", "f37072fd"),
        _torchvision("resnet34", "b627a593"),
        _torchvision("resnet50", "0676ba61"),
        _torchvision("resnet101", "63fe2227"),
        _torchvision("resnet152", "394f9c45"),
        _torchvision("resnext50_32x4d", "7cdf4587"),
        _hub("resnext101_32x4d", "gluon_in1k"),
        _torchvision("resnext101_32x8d", "8ba56ff5"),
        _torchvision("resnext101_64x4d", "173b62eb"),
        _torchvision("wide_resnet50_2", "95faca4d"),
        _torchvision("wide_resnet101_2", "32ee1156"),
        _hub("seresnet50", "ra2_in1k"),
        _hub("seresnext50_32x4d", "gluon_in1k"),
        _hub("seresnext101_32x4d", "gluon_in1k"),
        _hub("senet154", "gluon_in1k"),
        _release("legacy_seresnet18", "v0.1-weights/seresnet18-4bb0ce65.pth"),
        _release("legacy_seresnet34", "v0.1-weights/seresnet34-a4004e63.pth"),
        _release("legacy_seresnet101", "v0.1-cadene/se_resnet101-7e38fcc6.pth"),
        _release("legacy_seresnet152", "v0.1-cadene/se_resnet152-d17c99b7.pth"),
        _torchvision("densenet121", "a639ec97"),
        _torchvision("densenet161", "8d451a50"),
        _torchvision("densenet169", "b2777c0a"),
        _torchvision("densenet201", "c1103571"),
        _torchvision("mobilenetv2_100", "b0353104", "mobilenet_v2"),
        _torchvision("vgg11_bn", "6002323d"),
        _torchvision("vgg13_bn", "abd245e5"),
        _torchvision("vgg16_bn", "6c64b313"),
        _torchvision("vgg19_bn", "c79401a0"),
        _torchvision("efficientnet_b0", "7f5810bc", "efficientnet_b0_rwightman"),
        _torchvision("efficientnet_b1", "bac287d4", "efficientnet_b1_rwightman"),
        _torchvision("efficientnet_b2", "c35c1473", "efficientnet_b2_rwightman"),
        _torchvision("efficientnet_b3", "b3899882", "efficientnet_b3_rwightman"),
        _torchvision("efficientnet_b4", "23ab8bcd", "efficientnet_b4_rwightman"),
        _torchvision("efficientnet_b5", "1a07897c", "efficientnet_b5_lukemelas"),
        _torchvision("efficientnet_b6", "24a108a5", "efficientnet_b6_lukemelas"),
        _torchvision("efficientnet_b7", "c5b4e57e", "efficientnet_b7_lukemelas"),
        _torchvision("efficientnetv2_s", "dd5fe13b", "efficientnet_v2_s"),
        _torchvision("efficientnetv2_m", "dc08266a", "efficientnet_v2_m"),
        _torchvision("efficientnetv2_l", "59c71312", "efficientnet_v2_l", mean=HALF, std=HALF),
        _torchvision("convnext_tiny", "983f1562"),
        _torchvision("convnext_small", "0c510722"),
        _torchvision("convnext_base", "6075fbad"),
        _torchvision("convnext_large", "ea097f82"),
        _torchvision("inception_v3", "0cc3c7bd", "inception_v3_google", mean=HALF, std=HALF),
        _hub("inception_resnet_v2", "tf_in1k", mean=HALF, std=HALF),
        _kinetics("r3d_18", "b3b3357e"),
        _kinetics("mc3_18", "a90a0ba3"),
        _kinetics("r2plus1d_18", "91a641e6"),
    )
}


def weights_of(name: str) -> Weights:
    """The published weights of a registry name.

    Raises:
        OptionError: there are none.
    """
    if name not in PUBLISHED:
        raise OptionError(
            f"{name!r} has no published weights; choose from {', '.join(PUBLISHED)}, or give a "
            "file with pretrained=PATH"
        )
    return PUBLISHED[name]
