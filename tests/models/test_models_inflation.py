"""2D weights in 3D networks: the kernels, the borders, the report, the refusals."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stallscan.errors import CheckpointError, OptionError
from stallscan.models import Network, create_model, inflate_kernel, load_weights
from stallscan.models.inflation import fit_channels


def narrow(name: str = "resnet18", **options: Any) -> Network:
    return create_model(name, **{"in_channels": 3, "width": 0.125} | options)


# --- Kernels ----------------------------------------------------------------------------------

KERNEL = torch.tensor([[2.0, 3, 4], [-3, 0, 1], [2, 3, 6]])[None, None]
FRAMES = torch.tensor(
    [
        [[3.0, 4, 1], [1, 0, 6], [7, 1, 0]],
        [[4.0, 3, 2], [1, -1, 6], [7, 1, 0]],
        [[5.0, 3, 2], [1, 0, 7], [7, 2, 1]],
    ]
)[None, None]


def test_the_article_s_worked_example() -> None:
    """Section 4. Its sums are misprinted: 46 for 45 and 48.33 for 48.00."""
    assert nn.functional.conv2d(FRAMES[:, :, 1], KERNEL).item() == 45
    assert nn.functional.conv3d(FRAMES, inflate_kernel(KERNEL, 3, "center")).item() == 45
    averaged = inflate_kernel(KERNEL, 3, "average")
    assert nn.functional.conv3d(FRAMES, averaged).item() == pytest.approx(48.0, abs=1e-5)
    assert [nn.functional.conv2d(FRAMES[:, :, z], KERNEL).item() for z in range(3)] == [42, 45, 57]


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("mode", ["center", "average", "gaussian"])
def test_taps_are_symmetric_and_add_up_to_the_kernel(mode: Any, depth: int) -> None:
    kernel = torch.randn(4, 2, 3, 3)
    deep = inflate_kernel(kernel, depth, mode)
    assert deep.shape == (4, 2, depth, 3, 3)
    torch.testing.assert_close(deep.sum(2), kernel)
    torch.testing.assert_close(deep.flip(2), deep)


def test_shares_of_the_taps() -> None:
    one = torch.ones(1, 1, 1, 1)
    shares = {
        mode: inflate_kernel(one, depth, mode).flatten().tolist()
        for mode, depth in (("center", 5), ("average", 5), ("gaussian", 5))
    }
    assert shares["center"] == [0, 0, 1, 0, 0]
    assert shares["average"] == pytest.approx([0.2] * 5)
    bell = [math.exp(-0.5 * (z / 1.25) ** 2) for z in (-2, -1, 0, 1, 2)]
    assert shares["gaussian"] == pytest.approx([share / sum(bell) for share in bell])
    assert inflate_kernel(one, 4, "center").flatten().tolist() == [0, 0.5, 0.5, 0]


def test_unknown_modes() -> None:
    with pytest.raises(OptionError, match="inflate is 'middle', allowed are 'center', 'average'"):
        inflate_kernel(KERNEL, 3, "middle")  # type: ignore[arg-type]


@pytest.mark.parametrize("in_channels", [1, 2, 4])
def test_first_kernels_for_other_channels(in_channels: int) -> None:
    kernel, grey = torch.randn(5, 3, 7, 7), torch.randn(1, 1, 9, 9)
    fitted = fit_channels(kernel, in_channels)
    assert fitted.shape == (5, in_channels, 7, 7)
    torch.testing.assert_close(
        torch.conv2d(grey.repeat(1, in_channels, 1, 1), fitted),
        torch.conv2d(grey.repeat(1, 3, 1, 1), kernel),
        atol=1e-4,
        rtol=1e-4,
    )
    assert fit_channels(kernel, 3) is kernel


# --- Borders ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key", "stride", "factors"),
    [
        # A kernel of 3 sees two slices of three at a border, ...
        ("resnet18", "layer1.0.conv1", 1, [2 / 3, 1, 1, 1, 1, 1, 1, 2 / 3]),
        # ... one of 7 four and, a stride of 2 further, six; 8 slices end one short of a window.
        ("resnet18", "conv1", 2, [4 / 7, 6 / 7, 6 / 7 + 1 / 7, 5 / 7]),
        # ... in groups and channel by channel too.
        ("resnext50_32x4d", "layer1.0.conv2", 1, [2 / 3, 1, 1, 1, 1, 1, 1, 2 / 3]),
        ("mobilenetv2_100", "features.2.conv.1.0", 2, [2 / 3, 1, 1, 1]),
    ],
)
def test_averaged_kernels_lose_the_border_to_zeros(
    name: str, key: str, stride: int, factors: list[float]
) -> None:
    flat = narrow(name, rank=2)
    for padding, expected in (("zeros", factors), ("replicate", [1.0] * len(factors))):
        deep = narrow(name, depth_padding=padding)
        load_weights(deep, flat, mode="average")
        layer, twin = deep.get_submodule(key), flat.get_submodule(key)
        image = torch.randn(1, layer.in_channels, 16, 16)
        found, plain = layer(image.unsqueeze(2).repeat(1, 1, 8, 1, 1)), twin(image)
        assert found.shape[2] == 8 // stride
        for z, factor in enumerate(expected):
            torch.testing.assert_close(found[:, :, z], factor * plain, atol=1e-4, rtol=1e-4)


# --- The report -------------------------------------------------------------------------------


def test_everything_is_accounted_for() -> None:
    flat, deep = narrow(rank=2, num_classes=1000), narrow()
    weights = dict(flat.state_dict())
    report = load_weights(deep, weights)
    kernels = [key for key, value in deep.state_dict().items() if value.ndim == 5]
    assert list(report.inflated) == kernels
    assert list(report.loaded) == [
        key for key in deep.state_dict() if key not in kernels and not key.startswith("fc.")
    ]
    assert report.skipped == report.missing == ("fc.weight", "fc.bias")
    assert report.unexpected == ()
    assert report.counts() == {key: len(value) for key, value in asdict(report).items()}
    for key in report.loaded:
        assert torch.equal(deep.state_dict()[key], weights[key]), key


def test_a_head_that_fits_is_taken_whole_or_not_at_all() -> None:
    flat = narrow(rank=2, num_classes=4)
    deep = narrow(num_classes=4)
    assert {"fc.weight", "fc.bias"} <= set(load_weights(deep, flat).loaded)
    assert torch.equal(deep.fc.weight, flat.fc.weight)
    halved = {key: value for key, value in flat.state_dict().items() if key != "fc.bias"}
    deep = narrow(num_classes=4)
    before = deep.fc.weight.clone()
    report = load_weights(deep, halved)
    assert report.missing == ("fc.weight", "fc.bias")
    assert report.skipped == ("fc.weight",)
    assert torch.equal(deep.fc.weight, before)


@pytest.mark.parametrize("options", [{"head": "paper"}, {"num_classes": 0}])
def test_another_head_is_left_alone(options: dict[str, Any]) -> None:
    report = load_weights(narrow(**options), narrow(rank=2))
    assert report.skipped == ("fc.weight", "fc.bias")
    assert all(key.startswith("fc.") for key in report.missing)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("vgg11_bn", [f"classifier.{n}.{kind}" for n in (0, 3, 6) for kind in ("weight", "bias")]),
        ("inception_v3", ["AuxLogits.conv0.conv.weight", "AuxLogits.fc.weight"]),
    ],
)
def test_heads_that_this_network_has_not_are_skipped(name: str, others: list[str]) -> None:
    """VGG's three layers for pictures of one size; the second head that Inception-v3 had."""
    flat = create_model(name, rank=2, width=0.125)
    mine = [key for key in flat.state_dict() if flat.is_head(key)]
    weights = {k: v for k, v in flat.state_dict().items() if k not in mine}
    deep = create_model(name, width=0.125)
    report = load_weights(deep, weights | {key: torch.zeros(4, 4) for key in others})
    assert report.skipped == tuple(others)
    assert report.missing == tuple(mine)
    assert set(report.loaded) | set(report.inflated) == set(weights)
    assert not report.unexpected


def test_weights_of_the_same_rank_are_copied() -> None:
    source, target = narrow(num_classes=2), narrow(num_classes=2)
    report = load_weights(target, source)
    assert not (report.inflated or report.missing or report.skipped)
    for key, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[key], value)


def test_half_precision_becomes_single() -> None:
    weights = {key: value.half() for key, value in narrow(rank=2).state_dict().items()}
    deep = narrow()
    load_weights(deep, weights)
    assert {p.dtype for p in deep.parameters()} == {torch.float32}
    assert torch.equal(deep.bn1.weight, weights["bn1.weight"].float())


def test_epsilons_come_with_a_network() -> None:
    flat, deep = narrow(rank=2), narrow()
    for index, module in enumerate(m for m in flat.modules() if isinstance(m, nn.BatchNorm2d)):
        module.eps, module.momentum = 1e-3 * (index + 1), 0.01
    load_weights(deep, flat)
    norms = [m for m in deep.modules() if isinstance(m, nn.BatchNorm3d)]
    assert [m.eps for m in norms] == [1e-3 * (index + 1) for index in range(len(norms))]
    assert {m.momentum for m in norms} == {0.01}


def test_counters_of_batches_may_be_missing() -> None:
    weights = narrow(rank=2).state_dict()
    old = {key: value for key, value in weights.items() if "num_batches" not in key}
    report = load_weights(narrow(), old)
    assert set(report.missing) == weights.keys() - old.keys()


def test_mobilenet_files_of_the_port_before_torchvision_s() -> None:
    flat = narrow("mobilenetv2_100", rank=2)
    old: dict[str, Tensor] = {}
    for name, block in flat.features.named_children():
        layers = [
            layer for layer in block.modules() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)
        ]
        counted = [0, 1, 3, 4, 6, 7] if len(layers) == 6 else [0, 1, 3, 4]
        middle = "conv." if name not in ("0", "18") else ""
        for index, layer in zip(counted, layers, strict=False):
            for key, value in layer.state_dict().items():
                old[f"features.{name}.{middle}{index}.{key}"] = value
    assert len(old) == 312
    deep = narrow("mobilenetv2_100")
    report = load_weights(deep, old)
    assert len(report.loaded) + len(report.inflated) == 312
    same = narrow("mobilenetv2_100", rank=2)
    load_weights(same, old)
    for key, value in flat.features.state_dict().items():
        assert torch.equal(same.features.state_dict()[key], value), key


# --- Refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "named"),
    [
        ("resnet34", "resnet18", "layer1.2.conv1.weight has no place"),
        ("resnet18", "resnet34", "layer1.2.conv1.weight is missing"),
        ("seresnet50", "resnet50", "layer1.0.se.fc1.weight has no place"),
        ("resnet50", "seresnet50", "layer1.0.se.fc1.weight is missing"),
        ("resnet50", "resnext50_32x4d", "layer1.0.conv1.weight has the shape (8, 8, 1, 1), needs"),
    ],
)
def test_weights_of_another_network(source: str, target: str, named: str) -> None:
    model = narrow(target)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_weights(model, narrow(source, rank=2), source_name="weights.pth")
    assert "weights.pth: " in str(caught.value)
    assert "of its weights do not fit ResNet" in str(caught.value)
    assert named in str(caught.value)
    assert "give weights of the same network" in str(caught.value)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key  # nothing was half loaded


def test_what_does_not_fit_may_be_reported_instead() -> None:
    model, source = narrow("resnet34"), narrow("resnet18", rank=2)
    report = load_weights(model, source, strict=False)
    assert "layer1.2.conv1.weight" in report.missing
    assert report.unexpected == ()
    assert load_weights(source, narrow("resnet34", rank=2), strict=False).unexpected


def test_what_has_another_shape_is_missing_but_has_its_place() -> None:
    source = narrow(rank=2).state_dict()
    source["layer1.0.bn1.weight"] = torch.ones(3)
    report = load_weights(narrow(), source, strict=False)
    assert report.missing == ("layer1.0.bn1.weight",)
    assert report.unexpected == report.skipped == ()


@pytest.mark.parametrize("mode", ["center", "average", "gaussian"])
def test_a_file_is_inflated_as_told(mode: str, tmp_path: Path) -> None:
    flat = narrow(rank=2)
    torch.save(flat.state_dict(), tmp_path / "flat.pth")
    deep = narrow(pretrained=tmp_path / "flat.pth", inflate=mode)
    expected = inflate_kernel(flat.layer2[0].conv1.weight, 3, mode)  # type: ignore[arg-type]
    assert torch.equal(deep.layer2[0].conv1.weight, expected)


def test_channels_are_fitted_in_the_first_layer_alone() -> None:
    source = narrow(rank=2).state_dict()
    key = "layer1.0.conv1.weight"
    source[key] = source[key][:, :3]
    with pytest.raises(CheckpointError, match=r"conv1.weight has the shape \(8, 3, 3, 3\)"):
        load_weights(narrow(), source)


def test_volumes_are_not_pressed_into_images() -> None:
    with pytest.raises(CheckpointError, match=r"conv1.weight has the shape \(8, 3, 7, 7, 7\)"):
        load_weights(narrow(rank=2), narrow())
