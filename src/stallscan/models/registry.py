"""The one table of networks."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from stallscan.errors import OptionError
from stallscan.models._network import Network
from stallscan.models.convnext import ConvNeXt
from stallscan.models.densenet import DenseNet
from stallscan.models.efficientnet import V2_L, V2_M, V2_S, EfficientNet, StageSpec
from stallscan.models.inception_resnet_v2 import InceptionResNetV2
from stallscan.models.inception_v3 import InceptionV3
from stallscan.models.inflation import check_mode, load_weights
from stallscan.models.legacy_senet import LegacyBasicBlock, LegacyBottleneck, LegacySENet
from stallscan.models.memory import require_memory
from stallscan.models.mobilenetv2 import MobileNetV2
from stallscan.models.options import NetworkOptions
from stallscan.models.pretrained import initial_weights
from stallscan.models.published import DATA_SETS, weights_of
from stallscan.models.resnet import BasicBlock, Bottleneck, ResNet
from stallscan.models.vgg import VGG
from stallscan.models.video_resnet import Kind, VideoResNet


@dataclass(frozen=True, slots=True)
class Spec:
    """How a network of the registry is built.

    Attributes:
        family: its class.
        arguments: what tells it from the family's others.
        defaults: options of `create_model` that are not those of other networks.
    """

    family: type[Network]
    arguments: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)

    def build(self, options: NetworkOptions) -> Network:
        """The layers; their weights are not drawn yet."""
        return self.family(options, **self.arguments)


_18, _34 = (2, 2, 2, 2), (3, 4, 6, 3)
_50, _101, _152 = (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)


def _resnet(block: type[BasicBlock] | type[Bottleneck], layers: Any, **options: Any) -> Spec:
    return Spec(ResNet, {"block": block, "layers": layers, **options})


def _legacy(block: type[LegacyBasicBlock] | type[LegacyBottleneck], layers: Any) -> Spec:
    return Spec(LegacySENet, {"block": block, "layers": layers})


def _efficientnet(wider: float, deeper: float, **options: Any) -> Spec:
    return Spec(EfficientNet, {"wider": wider, "deeper": deeper, **options})


def _efficientnetv2(stages: tuple[StageSpec, ...]) -> Spec:
    options = {"stem": stages[0].channels, "last": 1280, "norm_eps": 1e-3}
    return Spec(EfficientNet, {"stages": stages, **options})


def _convnext(layers: Any, first: int) -> Spec:
    channels = tuple(first * 2**stage for stage in range(4))
    return Spec(ConvNeXt, {"layers": layers, "channels": channels})


def _video(first: Kind, others: Kind, strides: Any) -> Spec:
    kinds = (first, others, others, others)
    return Spec(VideoResNet, {"kinds": kinds}, {"stride": [(1, 2, 2), 1, *strides]})


_TENSORFLOW = {"norm_eps": 1e-3, "norm_momentum": 0.01}
"""Batch normalisation of the EfficientNets whose weights came from there."""

MODELS: dict[str, Spec] = {
    "resnet18": _resnet(BasicBlock, _18),
    "resnet34": _resnet(BasicBlock, _34),
    "resnet50": _resnet(Bottleneck, _50),
    "resnet101": _resnet(Bottleneck, _101),
    "resnet152": _resnet(Bottleneck, _152),
    "resnext50_32x4d": _resnet(Bottleneck, _50, groups=32, base_width=4),
    "resnext101_32x4d": _resnet(Bottleneck, _101, groups=32, base_width=4),
    "resnext101_32x8d": _resnet(Bottleneck, _101, groups=32, base_width=8),
    "resnext101_64x4d": _resnet(Bottleneck, _101, groups=64, base_width=4),
    "wide_resnet50_2": _resnet(Bottleneck, _50, base_width=128),
    "wide_resnet101_2": _resnet(Bottleneck, _101, base_width=128),
    "seresnet50": _resnet(Bottleneck, _50, se=True),
    "seresnext50_32x4d": _resnet(Bottleneck, _50, groups=32, base_width=4, se=True),
    "seresnext101_32x4d": _resnet(Bottleneck, _101, groups=32, base_width=4, se=True),
    "senet154": _resnet(
        Bottleneck,
        _152,
        groups=64,
        base_width=4,
        reduce_first=2,
        se=True,
        deep_stem=True,
    ),
    "legacy_seresnet18": _legacy(LegacyBasicBlock, _18),
    "legacy_seresnet34": _legacy(LegacyBasicBlock, _34),
    "legacy_seresnet101": _legacy(LegacyBottleneck, _101),
    "legacy_seresnet152": _legacy(LegacyBottleneck, _152),
    "densenet121": Spec(DenseNet, {"layers": (6, 12, 24, 16)}),
    "densenet161": Spec(DenseNet, {"layers": (6, 12, 36, 24), "growth": 48, "stem": 96}),
    "densenet169": Spec(DenseNet, {"layers": (6, 12, 32, 32)}),
    "densenet201": Spec(DenseNet, {"layers": (6, 12, 48, 32)}),
    "mobilenetv2_100": Spec(MobileNetV2),
    "vgg11_bn": Spec(VGG, {"layers": (1, 1, 2, 2, 2)}),
    "vgg13_bn": Spec(VGG, {"layers": (2, 2, 2, 2, 2)}),
    "vgg16_bn": Spec(VGG, {"layers": (2, 2, 3, 3, 3)}),
    "vgg19_bn": Spec(VGG, {"layers": (2, 2, 4, 4, 4)}),
    "efficientnet_b0": _efficientnet(1.0, 1.0),
    "efficientnet_b1": _efficientnet(1.0, 1.1),
    "efficientnet_b2": _efficientnet(1.1, 1.2),
    "efficientnet_b3": _efficientnet(1.2, 1.4),
    "efficientnet_b4": _efficientnet(1.4, 1.8),
    "efficientnet_b5": _efficientnet(1.6, 2.2, **_TENSORFLOW),
    "efficientnet_b6": _efficientnet(1.8, 2.6, **_TENSORFLOW),
    "efficientnet_b7": _efficientnet(2.0, 3.1, **_TENSORFLOW),
    "efficientnetv2_s": _efficientnetv2(V2_S),
    "efficientnetv2_m": _efficientnetv2(V2_M),
    "efficientnetv2_l": _efficientnetv2(V2_L),
    "convnext_tiny": _convnext((3, 3, 9, 3), 96),
    "convnext_small": _convnext((3, 3, 27, 3), 96),
    "convnext_base": _convnext((3, 3, 27, 3), 128),
    "convnext_large": _convnext((3, 3, 27, 3), 192),
    "inception_v3": Spec(InceptionV3),
    "inception_resnet_v2": Spec(InceptionResNetV2),
    "r3d_18": _video("3d", "3d", (2, 2, 2)),
    "mc3_18": _video("3d", "2d", ((1, 2, 2),) * 3),
    "r2plus1d_18": _video("2+1d", "2+1d", (2, 2, 2)),
}


def list_models() -> list[str]:
    """Names that `create_model` knows."""
    return list(MODELS)


def create_model(
    name: str,
    *,
    pretrained: Literal["imagenet", "kinetics"] | str | Path | None = None,
    inflate: Literal["center", "average", "gaussian"] = "center",
    **options: Any,
) -> Network:
    """Build a network by its registry name (timm's).

    Args:
        name: one of `list_models`.
        pretrained: first weights: None draws them from torch's generator; "imagenet" fetches the
            published 2D ones, "kinetics" those of the networks of videos; a path reads a file of 2D
            or 3D weights (safetensors, or a PyTorch file without code in it) or a checkpoint
            folder.
        inflate: how a 2D kernel becomes a 3D one: all of it on the middle tap ("center"), spread
            evenly ("average") or as a bell ("gaussian") over the depth; see
            `stallscan.models.inflation`.
        **options: fields of `stallscan.models.NetworkOptions`: ``in_channels``, ``num_classes``,
            ``pool``, ``head``, ``dropout``, ``stride``, ``depth_padding``, ``width``,
            ``checkpointing``, ``rank``.

    Returns:
        The network in training mode; logits out. Under ``torch.device("meta")`` shapes alone.

    Raises:
        OptionError: an unknown name or option, or weights that would not fit into memory.
        CheckpointError: weights that cannot be had, read, or do not fit the network.

    Example:
        >>> model = create_model("resnet18", in_channels=2, width=0.25)
        >>> model(torch.zeros(1, 2, 48, 64, 64)).shape
        torch.Size([1, 1])
    """
    network_options = check_options(name, options, inflate=inflate)
    if pretrained is not None:
        _check_pretrained(name, pretrained, network_options)
    with torch.device("meta"):
        model = MODELS[name].build(network_options)
    model.architecture = name
    device = torch.get_default_device()
    if device.type != "meta":
        n_bytes = sum(p.numel() * p.element_size() for p in model.parameters())
        require_memory(n_bytes, f"the weights of {name} of width {network_options.width:g}", device)
        # Not `to_empty`, which imports SymPy: half a second.
        model._apply(  # type: ignore[no-untyped-call]
            lambda t: torch.empty(t.shape, dtype=t.dtype, device=device)
        )
        model.init_weights()
    if pretrained is not None:
        weights, provenance = initial_weights(name, pretrained)
        report = load_weights(model, weights, mode=inflate, source_name=str(provenance["source"]))
        model.pretrained = provenance | {"inflate": inflate, **report.counts()}
    return model


def _check_pretrained(name: str, pretrained: object, options: NetworkOptions) -> None:
    """Refuse before anything is fetched."""
    if not isinstance(pretrained, str | Path) or pretrained == "":
        raise OptionError(
            f"model {name!r}: pretrained is {pretrained!r}, allowed are None, 'imagenet', "
            "'kinetics' and paths"
        )
    if pretrained not in DATA_SETS:
        return
    published = weights_of(name)
    if pretrained != published.word:
        raise OptionError(
            f"model {name!r}: pretrained is {pretrained!r}, its published weights were trained on "
            f"{published.trained_on}; set pretrained={published.word!r}, or give a file"
        )
    if options.width != 1:
        raise OptionError(
            f"model {name!r}: width is {options.width:g}, {published.trained_on}'s weights are of "
            "width 1; leave out one of the two"
        )


def check_options(name: str, options: dict[str, Any], *, inflate: str = "center") -> NetworkOptions:
    """Check the names, and then the values, of what `create_model` is asked for.

    Raises:
        OptionError: an unknown network or option, with the closest match, or a wrong value.
    """
    if name not in MODELS:
        close = difflib.get_close_matches(str(name), MODELS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise OptionError(f"unknown model {name!r}; {hint}choose from {', '.join(MODELS)}")
    known = [field.name for field in dataclasses.fields(NetworkOptions)]
    for option in options:
        if option not in known:
            close = difflib.get_close_matches(option, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise OptionError(
                f"model {name!r} has no option {option!r}; {hint}choose from {', '.join(known)}, "
                "pretrained, inflate"
            )
    if options.get("rank") == 2 and not MODELS[name].family.has_twin:
        raise OptionError(
            f"rank is 2, but {name!r} is a network of videos that has no form for images; leave "
            "rank out, or choose another network"
        )
    try:
        check_mode(inflate)
        return NetworkOptions(**MODELS[name].defaults | options)
    except OptionError as error:
        raise OptionError(f"model {name!r}: {error}") from None
