"""What a network can be asked for, and what it says to the rest."""

import math
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from stallscan.errors import OptionError
from stallscan.models import NetworkOptions, create_model, list_models
from stallscan.models._layers import Layers, in_eights
from stallscan.models.convnext import PatchConv3d, patches
from stallscan.models.resnet import squeezed


def narrow(**options: object) -> nn.Module:
    return create_model("resnet18", **{"in_channels": 2, "width": 0.125} | options)


# --- Stride -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stride", "expected"),
    [
        (2, ((2, 2, 2),) * 5),
        ((1, 2, 3), ((1, 2, 3),) * 5),
        ([1, 2, 2], ((1, 2, 2),) * 5),  # as JSON has it
        ([2, 1, 2, 2, 1], ((2,) * 3, (1,) * 3, (2,) * 3, (2,) * 3, (1,) * 3)),
        ([[1, 2, 2], 2, 2, 2, 2], ((1, 2, 2), *((2, 2, 2),) * 4)),
    ],
)
def test_strides(stride: object, expected: object) -> None:
    assert NetworkOptions(stride=stride).strides == expected


def test_strides_of_an_image() -> None:
    assert NetworkOptions(rank=2, stride=(2, 1)).strides == ((2, 1),) * 5
    twin = NetworkOptions(stride=[(1, 2, 2), 2, 2, (2, 1, 2), 1], depth_padding="replicate").twin()
    assert twin.strides == ((2, 2), (2, 2), (2, 2), (1, 2), (1, 1))
    assert (twin.rank, twin.depth_padding) == (2, "zeros")
    assert twin.twin() is twin


@pytest.mark.parametrize(
    "stride", [0, -1, 2.0, True, "2", None, (2, 2), (2, 2, 2, 2), [(2, 2)] * 5, [2, 2, 2, 2, 0]]
)
def test_no_stride(stride: object) -> None:
    with pytest.raises(OptionError, match=re.escape(f"stride is {stride!r}, allowed are")) as error:
        create_model("densenet121", stride=stride)
    assert "model 'densenet121'" in str(error.value)
    assert "a list of 5 of those (one per reduction)" in str(error.value)


def test_a_stem_without_depth_stride_keeps_twice_the_depth() -> None:
    model = narrow(stride=[(1, 2, 2), 2, 2, 2, 2])
    assert model.forward_features(torch.zeros(1, 2, 64, 64, 64)).shape[2:] == (4, 2, 2)


# --- Width, padding, dropout ------------------------------------------------------------------


def test_width_scales_every_stage() -> None:
    weights = narrow(width=0.25).state_dict()
    widths = [len(weights[f"layer{stage}.0.conv1.weight"]) for stage in range(1, 5)]
    assert widths == [16, 32, 64, 128]
    weights = narrow(width=0.3).state_dict()  # 19.2, 38.4, 76.8 and 153.6
    widths = [len(weights[f"layer{stage}.0.conv1.weight"]) for stage in range(1, 5)]
    assert widths == [19, 38, 77, 154]


@pytest.mark.parametrize(
    ("channels", "expected"),
    [(1, 8), (12, 16), (17, 16), (18, 24), (19.2, 24), (20, 24), (27, 32), (86, 88), (1792, 1792)],
)
def test_mobilenets_count_in_eights(channels: float, expected: int) -> None:
    """The nearest multiple, but no more than a tenth below: 16 is too little for 18."""
    assert in_eights(channels) == expected


@pytest.mark.parametrize(("width", "last"), [(0.5, 1280), (1.0, 1280), (1.4, 1792)])
def test_mobilenets_last_layer_never_narrows(width: float, last: int) -> None:
    with torch.device("meta"):
        assert create_model("mobilenetv2_100", width=width).num_features == last


@pytest.mark.parametrize(
    ("channels", "expected"), [(32, 8), (128, 8), (192, 16), (256, 16), (320, 24), (2048, 128)]
)
def test_squeezes_are_a_sixteenth_in_eights(channels: int, expected: int) -> None:
    assert squeezed(channels) == expected


def test_squeezes_of_narrow_networks_in_the_older_layout_keep_four_channels() -> None:
    for name in ("legacy_seresnet18", "legacy_seresnet101"):
        with torch.device("meta"):
            model = create_model(name, width=0.125)
        assert len(model.get_parameter("layer1.0.se_module.fc1.weight")) == 4


@pytest.mark.parametrize(
    "name",
    ["resnext50_32x4d", "senet154", "legacy_seresnet18", "densenet121", "mobilenetv2_100"],
)
def test_the_narrowest_network_still_computes(name: str) -> None:
    model = create_model(name, rank=2, in_channels=1, width=1e-6).eval()
    with torch.no_grad():
        assert torch.isfinite(model(torch.randn(1, 1, 33, 33))).all()


@pytest.mark.parametrize("name", list_models())
def test_replicated_slices_leave_the_frame_alone(name: str) -> None:
    """Along z the border repeats, in the plane it is zero: against PyTorch's own padding."""
    model = create_model(name, in_channels=1, width=0.125, depth_padding="replicate")
    deep = [m for m in model.modules() if isinstance(m, nn.Conv3d) and m.kernel_size[0] > 1]
    layers = [layer for layer in deep if not isinstance(layer, PatchConv3d)]  # which do not overlap
    assert layers
    for layer in (layers[0], layers[-1]):
        x = torch.randn(2, layer.in_channels, 4, 5, 6)
        _, y, x_ = layer.padding
        torch.testing.assert_close(
            layer(x), padded_conv(layer, x, layer.kernel_size[0] // 2, (x_, x_, y, y))
        )


@pytest.mark.parametrize(
    ("stride", "before", "plane"),
    [((2, 2, 2), 1, (1, 1, 1, 1)), ((2, 1, 3), 1, (0, 1, 1, 2)), ((1, 4, 4), 0, (0, 0, 0, 0))],
)
def test_patches_that_overlap_are_padded(
    stride: tuple[int, int, int], before: int, plane: tuple[int, int, int, int]
) -> None:
    """As many windows as strides fit in; one slice deep where z has none."""
    layer = patches(Layers(3, "replicate"), 2, 5, 4, stride)
    assert layer.kernel_size == (1 if stride[0] == 1 else 4, 4, 4)
    x = torch.randn(2, 2, 8, 12, 12)
    found = layer(x)
    assert found.shape[2:] == tuple(n // step for n, step in zip(x.shape[2:], stride, strict=True))
    torch.testing.assert_close(found, padded_conv(layer, x, before, plane))


def padded_conv(
    layer: nn.Module, x: torch.Tensor, depth: int, plane: tuple[int, ...]
) -> torch.Tensor:
    """Slices repeated at both ends, zeros around the plane (x, then y), and no other padding."""
    stacked = torch.cat([x[:, :, :1]] * depth + [x] + [x[:, :, -1:]] * depth, 2)
    return torch.conv3d(
        nn.functional.pad(stacked, plane),
        layer.weight,
        layer.bias,
        layer.stride,
        groups=layer.groups,
    )


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({}, 0.0),
        ({"dropout": 0.3}, 0.3),
        ({"head": "paper"}, 0.5),
        ({"head": "paper", "dropout": 0.0}, 0.0),
    ],
)
def test_dropout_acts_once_and_in_training_alone(options: dict[str, object], rate: float) -> None:
    model = narrow(**options)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout) and m.p > 0] == [rate] * (
        rate > 0
    )
    features = torch.ones(1, 64, 1, 1, 1)
    random = not torch.equal(model.train().forward_head(features), model.forward_head(features))
    assert random == (rate > 0)
    assert torch.equal(model.eval().forward_head(features), model.forward_head(features))
    model.reset_classifier(3)
    assert model.options == replace(model.options, num_classes=3)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout) and m.p > 0] == [rate] * (
        rate > 0
    )


def test_dropout_moves_with_the_kind_of_head() -> None:
    model = narrow(dropout=0.3)
    for head in ("paper", "linear"):
        model.reset_classifier(2, head=head)
        assert [m.p for m in model.modules() if isinstance(m, nn.Dropout) and m.p > 0] == [0.3]
        assert (model.dropout.p > 0) == (head == "linear")


def test_a_new_head_follows_the_network() -> None:
    model = narrow().double()
    model.reset_classifier(2, head="paper")
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    with pytest.raises(OptionError, match="num_classes is -1"):
        model.reset_classifier(-1)


def test_on_the_meta_device_nothing_is_allocated() -> None:
    with torch.device("meta"):
        model = create_model("senet154")
    assert {p.device.type for p in model.parameters()} == {"meta"}


# --- Errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet81", "ResNet18", "transformer", None])
def test_unknown_names(name: str) -> None:
    with pytest.raises(OptionError) as caught:
        create_model(name)
    assert f"unknown model {name!r}" in str(caught.value)
    assert "choose from resnet18, resnet34" in str(caught.value)
    assert ("did you mean 'resnet18'?" in str(caught.value)) == (name in ("resnet81", "ResNet18"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"chanels": 3}, "has no option 'chanels'"),
        ({"stem_stride": 1}, "did you mean 'stride'?"),
        ({"rank": 4}, "rank is 4, allowed are 2 and 3"),
        ({"pool": "median"}, "pool is 'median', allowed are 'avg' and 'max'"),
        ({"head": "big"}, "head is 'big', allowed are 'linear' and 'paper'"),
        ({"depth_padding": "reflect"}, "depth_padding is 'reflect'"),
        ({"depth_padding": "replicate", "rank": 2}, "has no depth"),
        ({"width": 0}, "width is 0"),
        ({"width": -1.0}, "width is -1.0"),
        ({"width": float("nan")}, "width is nan"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"in_channels": 0}, "in_channels is 0, allowed are whole numbers from 1"),
        ({"in_channels": 1.5}, "in_channels is 1.5"),
        ({"in_channels": True}, "in_channels is True"),
        ({"num_classes": -1}, "num_classes is -1"),
        ({"num_classes": 0, "head": "paper"}, "num_classes=0 leaves no head"),
        ({"rank": 2.0}, "rank is 2.0"),
        ({"width": "1"}, "width is '1', allowed are factors above 0, up to 64"),
        ({"width": None}, "width is None"),
        ({"width": True}, "width is True"),
        ({"width": math.inf}, "width is inf"),
        ({"width": math.nan}, "width is nan"),
        ({"dropout": "0.5"}, "dropout is '0.5'"),
        ({"checkpointing": "no"}, "checkpointing is 'no', allowed are False and True"),
        ({"checkpointing": 1}, "checkpointing is 1"),
        (
            {"pretrained": ""},
            "pretrained is '', allowed are None, 'imagenet', 'kinetics' and paths",
        ),
        ({"pretrained": True}, "pretrained is True"),
        (
            {"pretrained": "imagenet", "width": 0.5},
            "width is 0.5, ImageNet-1k's weights are of width",
        ),
        ({"pretrained": "kinetics"}, "its published weights were trained on ImageNet-1k; set"),
        ({"inflate": "sideways", "pretrained": "imagenet"}, "inflate is 'sideways'"),
        ({"inflate": "sideways"}, "inflate is 'sideways', allowed are 'center'"),
    ],
)
def test_bad_options(options: dict[str, object], named: str) -> None:
    with pytest.raises(OptionError, match=re.escape(named)) as caught:
        create_model("resnet18", **options)
    assert "model 'resnet18'" in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ((1, 2, 40, 40), "input has the shape (1, 2, 40, 40), needed are 5 axes"),
        ((1, 3, 40, 40, 40), "the second with 2 channels"),
        ((2, 40, 40, 40), "give a batch (n, c, z, y, x), or set in_channels"),
    ],
)
def test_inputs_of_another_kind(shape: tuple[int, ...], named: str) -> None:
    with pytest.raises(OptionError, match=re.escape(named)):
        narrow()(torch.zeros(shape))


def test_too_thin_volumes() -> None:
    model = create_model("densenet121", in_channels=1, width=0.125, stride=[(1, 2, 2), 2, 2, 2, 2])
    with pytest.raises(OptionError) as caught:
        model(torch.zeros(1, 1, 12, 64, 64))
    message = str(caught.value)
    assert "input is 12×64×64, allowed are 3 axes (z, y, x) of at least 15×29×29" in message
    assert "DenseNet with strides 1×2×2, 2×2×2" in message
    assert "resize the input, or lower the stride of the thin axis" in message
    thin = create_model("densenet121", in_channels=1, width=0.125, stride=(1, 2, 2))
    assert thin(torch.zeros(1, 1, 1, 64, 64)).shape == (1, 1)
