"""Where each network's published ImageNet weights are: one table, read without torch.

One rule for all: of what a permissive licence covers, the plainest training there is.
That is torchvision's first version (``IMAGENET1K_V1``), which every network there has, and which
all but resnext101_64x4d got by cropping and mirroring alone. The second versions classify ImageNet
better, with label smoothing and mixup among their means, but label smoothing leaves features that
serve other tasks less well (Kornblith et al. 2019, "Do Better ImageNet Models Transfer Better?").
Networks that torchvision lacks come from timm: Gluon's training where there is one, RandAugment
(``ra2``) for seresnet50, and for the ``legacy`` layout the only files there are.

Licences are those that the publishers state for the weights or, torchvision, for the library that
publishes them; the images of ImageNet have terms of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from stallscan.errors import OptionError

TORCHVISION = "https://download.pytorch.org/models/"
TIMM_RELEASES = "https://github.com/rwightman/pytorch-image-models/releases/download/"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Published 2D weights of a network.

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


def _torchvision(name: str, digits: str, theirs: str | None = None) -> Weights:
    return Weights(
        name=name,
        source="torchvision",
        url_or_id=f"{TORCHVISION}{theirs or name}-{digits}.pth",
        tag="IMAGENET1K_V1",
        licence="BSD-3-Clause",
    )


def _hub(name: str, tag: str) -> Weights:
    return Weights(
        name=name, source="timm", url_or_id=f"timm/{name}.{tag}", tag=tag, licence="Apache-2.0"
    )


def _release(name: str, file: str) -> Weights:
    return Weights(
        name=name,
        source="timm",
        url_or_id=f"{TIMM_RELEASES}{file}",
        tag="in1k",
        licence="Apache-2.0",
    )


IMAGENET: dict[str, Weights] = {
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
    )
}


def weights_of(name: str) -> Weights:
    """The published ImageNet weights of a registry name.

    Raises:
        OptionError: there are none.
    """
    if name not in IMAGENET:
        raise OptionError(
            f"{name!r} has no ImageNet weights; choose from {', '.join(IMAGENET)}, or give a file "
            "with pretrained=PATH"
        )
    return IMAGENET[name]
