"""2D modules that are not ours as 3D ones: the same on a still clip, or refused by name."""

from __future__ import annotations

import copy
import io
import json
import pickle
import random
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from module_examples import (
    CLASSIFIERS,
    NETWORKS,
    ChannelsLast,
    DropPath,
    Functional,
    Inception,
    Mobile,
    Residual,
    Standardised,
    Trunk,
    UNet,
    network,
)
from torch import Tensor, nn
from torch.nn import functional

from stallscan.errors import OptionError
from stallscan.models import create_model, inflate_module
from stallscan.models.inflation import inflate_kernel

SAME = 1e-12
"""Of the largest value, in double precision."""


def pictures(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def still(picture: Tensor, depth: int) -> Tensor:
    """``(n, c, y, x)`` → ``(n, c, depth, y, x)``, the same in every slice."""
    return picture.unsqueeze(2).repeat(1, 1, depth, 1, 1)


def require_same(found: Tensor, expected: Tensor) -> None:
    """Equal to rounding, for values that are worth comparing."""
    assert found.shape == expected.shape
    assert expected.std() > 1e-3
    assert float((found - expected).abs().max() / expected.abs().max()) < SAME


@torch.no_grad()
def require_same_on_still(
    flat: nn.Module, depth: int = 40, size: tuple[int, int] = (40, 43), **options: Any
) -> nn.Module:
    """Inflate a module and compare; the 3D one."""
    x = pictures(2, 3, *size)
    deep, _ = inflate_module(flat, **options)
    found, expected = deep(still(x, depth)), flat(x)
    if expected.ndim == 4:
        assert found.ndim == 5
        expected = still(expected, found.shape[2])
    require_same(found, expected)
    return deep


# --- Networks of timm -----------------------------------------------------------------------------


def test_networks_that_this_project_did_not_write() -> None:
    """What `reference/inflate_timm.py` found where timm is."""
    file = Path(__file__).parent / "reference" / "inflate_timm.json"
    networks = json.loads(file.read_text())["networks"]
    converted = {name: each for name, each in networks.items() if "refused" not in each}
    families = {each["family"] for each in converted.values()}
    assert len(converted) >= 60
    assert len(families) >= 35
    for name, each in converted.items():
        assert max(each["difference"], each["difference_kept"]) < 1e-9, name
        assert each["spread"] > 0.01, name  # or any network would give the same
    where = re.compile(r"^(\S+ in the forward of )?(the module itself|[\w.]+) \(\w+\): .*; .*$")
    for name in networks.keys() - converted.keys():
        assert where.match(networks[name]["refused"]), name
    page = (Path(__file__).parents[2] / "docs/models.md").read_text()
    assert f"Of {len(networks)} networks of timm" in page
    assert f"{len(converted)} from {len(families)} files are converted" in page
    for name in ("vit_tiny_patch16_224", "deit_tiny_patch16_224", "mixer_s32_224"):
        assert "take a convolutional network" in networks[name]["refused"]


# --- On a still clip ------------------------------------------------------------------------------


@pytest.mark.parametrize("keep_depth", [False, True])
@pytest.mark.parametrize(("mode", "padding"), [("center", "zeros"), ("average", "replicate")])
@pytest.mark.parametrize("kind", NETWORKS)
def test_on_a_still_clip_it_is_the_2d_module(
    kind: type[nn.Module], mode: str, padding: str, keep_depth: bool
) -> None:
    options = {"mode": mode, "depth_padding": padding, "keep_depth": keep_depth}
    require_same_on_still(network(kind), **options)


@torch.no_grad()
def test_averaged_kernels_see_less_where_zeros_are_beyond_the_clip() -> None:
    flat = network(Trunk)
    deep, _ = inflate_module(flat, mode="average", keep_depth=True)
    x = pictures(1, 3, 40, 43)
    found, expected = deep(still(x, 40)), flat(x)
    require_same(found[:, :, 20], expected)  # far from the ends
    assert (found[:, :, 0] - expected).abs().max() > 0.01 * expected.abs().max()


@torch.no_grad()
def test_centred_kernels_go_slice_by_slice_where_the_depth_is_kept() -> None:
    flat = network(Trunk)
    deep, _ = inflate_module(flat, keep_depth=True)
    for depth in (1, 5):
        clip = pictures(2, 3, depth, 40, 43)
        frames = torch.stack([flat(clip[:, :, z]) for z in range(depth)], 2)
        require_same(deep(clip), frames)


@torch.no_grad()
def test_the_depth_does_as_y_does() -> None:
    deep, _ = inflate_module(network(Trunk))
    assert deep(torch.zeros(1, 3, 40, 40, 43).double()).shape[2] == 1
    shapes = {}
    for kind, names in ((Trunk, ("conv1", "patches")), (Inception, ("long.0", "long.2"))):
        deep, _ = inflate_module(network(kind))
        shapes |= {name: deep.get_submodule(name) for name in names}
    assert shapes["conv1"].kernel_size == (7, 7, 7)
    assert shapes["conv1"].stride == (2, 2, 2)
    assert shapes["conv1"].padding == (3, 3, 3)
    assert shapes["long.0"].kernel_size == (1, 1, 7)
    assert shapes["long.0"].padding == (0, 0, 3)
    assert shapes["long.2"].kernel_size == (7, 7, 1)
    assert shapes["long.2"].padding == (3, 3, 0)
    deep, _ = inflate_module(network(Trunk), keep_depth=True)
    assert deep.conv1.stride == (1, 2, 2)
    assert deep.patches.kernel_size == (1, 2, 2)
    assert deep.dilated.padding == (2, 2, 2)


def test_middle_taps_never_see_zeros() -> None:
    """Padding that is wider than half a kernel would put empty slices beside the clip."""
    for conv in (
        nn.Conv2d(3, 4, 1, padding=1),
        nn.Conv2d(3, 4, 2, padding="same"),
        nn.Conv2d(3, 4, 2, 1, padding=1),
        nn.Conv2d(3, 4, 4, 2, padding=1),
    ):
        require_same_on_still(nn.Sequential(conv).double(), depth=6, size=(9, 8))


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d(3, 2, 1, dilation=2, ceil_mode=True),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        nn.AvgPool2d((3, 2), (2, 1), (1, 0), count_include_pad=False),
        nn.AvgPool2d(2, divisor_override=3),
        nn.AdaptiveAvgPool2d((4, 3)),
        nn.AdaptiveMaxPool2d((None, 5)),
        nn.AdaptiveMaxPool2d(1),
        nn.ZeroPad2d((-1, 1, -1, 1)),
        nn.ConstantPad2d((1, 2, 0, 3), -4.0),
        nn.ReflectionPad2d(2),
        nn.ReplicationPad2d((1, 0, 2, 1)),
        nn.CircularPad2d(1),
        nn.Upsample(scale_factor=1.5),
        nn.Upsample(size=(9, 13), mode="bilinear", align_corners=True),
        nn.UpsamplingBilinear2d(scale_factor=2),
        nn.UpsamplingNearest2d(size=11),
        nn.Softmax(1),
        nn.LogSoftmax(-3),
        nn.LocalResponseNorm(2),
        nn.ChannelShuffle(3),
        nn.Threshold(0.1, 20),
        nn.Conv2d(3, 2, 3, 2, (2, 0), bias=False),
        nn.Conv2d(3, 6, (3, 5), padding="same", dilation=(2, 1), groups=3),
        nn.Conv2d(3, 4, 3, padding=2, padding_mode="circular"),
    ],
    ids=str,
)
@pytest.mark.parametrize("keep_depth", [False, True])
def test_layers(layer: nn.Module, keep_depth: bool) -> None:
    module = nn.Sequential(layer).double()
    require_same_on_still(module, depth=7, size=(10, 8), keep_depth=keep_depth)
    if keep_depth:
        assert inflate_module(module, keep_depth=True)[0](
            torch.zeros(1, 3, 7, 10, 8).double()
        ).shape[2] in (7, 1 if isinstance(layer, nn.AdaptiveMaxPool2d) else 7)


class Calls(nn.Module):
    """One function of the input."""

    def __init__(self, call: Any) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Any:
        return self.call(x)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.sum(1, keepdim=True) + x.var(dim=(2, 3), correction=0, keepdim=True),
        lambda x: torch.std_mean(x, 1, keepdim=True)[0],
        lambda x: x.max(dim=2)[0].mean(-1),
        lambda x: torch.max(x.amin((2, 3)), x.mean((2, 3))),
        lambda x: x.mean(2).std(-1, unbiased=False),
        lambda x: x.mean((1, 2, 3)),
        lambda x: x.permute(0, 3, 2, 1).transpose(1, 3)[:, :2],
        lambda x: functional.normalize(x, dim=1) * functional.glu(torch.cat([x, x], 1), dim=1),
        lambda x: x[:, 1].unsqueeze(1).expand(-1, 3, -1, -1) / x.shape[1],
        lambda x: x - x.new_ones((x.shape[0], 1, 1, 1)) * len(x.shape) * x.ndim,
        lambda x: functional.interpolate(x, scale_factor=(0.5, 2), mode="area"),
        lambda x: functional.interpolate(x[:, :, :4], size=x.shape[-2:], mode="bilinear"),
        lambda x: functional.adaptive_avg_pool2d(x, (1, 1))[:, :, 0, 0].squeeze(),
        lambda x: functional.max_pool2d(x, kernel_size=x.size()[2:]).view(-1, 3),
        lambda x: functional.avg_pool2d(x.relu(), x.size()[2:]).flatten(1),
        lambda x: x.unbind(1)[1].flatten(1).mean(1),
        lambda x: functional.channel_shuffle(x, 3).clamp_(-1).to(memory_format=torch.channels_last),
        lambda x: torch.where(x > 0, x, 0.1 * x.float().type_as(x)),
        lambda x: x.mean([2, 3]).reshape(x.size(0), 3, 1, 1).expand_as(x) * x,
        lambda x: x.view(x.size(0), 3, x.size(2) * x.size(3)).mean(2),
        lambda x: (torch.ones(3, 1, 1, dtype=torch.float64) * 2 + x).tanh(),
        lambda x: functional.pad(x, (1, 1, 0, 0), value=3.0),
        lambda x: x[:, :2, : x.size(2) // 2, : x.size(-1) - 1],
        lambda x: x.data + 1,
        lambda x: x.view(x.size(0), -1, x.size(2) * x.size(3)).mean(2),
        lambda x: torch.permute(torch.reshape(x, shape=x.shape), dims=(0, 3, 2, 1)).transpose(3, 1),
        lambda x: torch.cat([x, x.reshape(*x.shape)], axis=1),
        lambda x: functional.local_response_norm(functional.instance_norm(x), 2),
    ],
)
@pytest.mark.parametrize("keep_depth", [False, True])
def test_calls(call: Any, keep_depth: bool) -> None:
    options = {"keep_depth": keep_depth, "in_channels": 3}
    require_same_on_still(Calls(call), depth=6, size=(7, 8), **options)


def test_code_sees_tensors_and_other_names_of_a_tensor_see_its_changes() -> None:
    def call(x: Tensor) -> Tensor:
        if not isinstance(x, torch.Tensor):
            raise TypeError
        x = 2 * x
        other = x
        x += 1
        x *= 3
        functional.relu(x, inplace=True)
        return other.add_(x)

    require_same_on_still(Calls(call), depth=2, size=(4, 5))


# --- Channels of the input ------------------------------------------------------------------------


@pytest.mark.parametrize("in_channels", [1, 2, 5])
@pytest.mark.parametrize("kind", [Functional, Residual, UNet])
@torch.no_grad()
def test_other_channels_are_exact_for_grey(kind: type[nn.Module], in_channels: int) -> None:
    flat = network(kind)
    if kind is UNet:
        flat.out = nn.Conv2d(12 + in_channels, 2, 1).double()  # joins the input, too
    grey = pictures(2, 1, 40, 43)
    if kind is UNet and in_channels != 3:
        with pytest.raises(OptionError, match=r"^out \(Conv2d\): it takes"):
            inflate_module(network(kind), in_channels=in_channels)
        return
    deep, report = inflate_module(flat, in_channels=in_channels)
    found = deep(still(grey.expand(-1, in_channels, -1, -1), 24))
    require_same(found, flat(grey.expand(-1, 3, -1, -1)))
    assert deep.conv1.weight.shape[1] == in_channels
    assert "conv1.weight" in report.inflated


def test_every_first_convolution_is_fitted_and_a_normalisation_by_channel_is_kept() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1).double())
            self.a, self.b = nn.Conv2d(3, 4, 3).double(), nn.Conv2d(3, 4, 3).double()
            self.c = nn.Conv2d(3, 4, 3).double()

        def forward(self, x: Tensor) -> Tensor:
            small = functional.avg_pool2d(x, 2)
            return (
                self.a(x).mean((2, 3))
                + self.b(small).mean((2, 3))
                + self.c(x - self.mean).mean((2, 3))
            )

    flat = Two()
    deep, _ = inflate_module(flat, in_channels=1)
    assert [deep.a.weight.shape[1], deep.b.weight.shape[1], deep.c.weight.shape[1]] == [1, 1, 3]
    grey = pictures(2, 1, 9, 8)
    with torch.no_grad():
        require_same(deep(still(grey, 8)), flat(grey.expand(-1, 3, -1, -1)))


# --- Weights, modes and the report ----------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
def test_names_their_order_and_the_rest_of_the_state_stay(kind: type[nn.Module]) -> None:
    flat = network(kind)
    deep, report = inflate_module(flat)
    source, made = flat.state_dict(), deep.state_dict()
    assert list(made) == [name for name in source if name not in report.unexpected]
    assert set(report.inflated) | set(report.loaded) == set(made)
    assert report.missing == report.skipped == ()
    assert set(report.unexpected) == {
        Trunk: {"unused.weight", "unused.bias"},
        Standardised: {"conv1.gain", "conv2.gain"},
    }.get(kind, set())
    kernels = [name for name, value in source.items() if value.ndim == 4 and "conv" in name]
    assert kernels == [] or set(kernels) - set(report.unexpected) <= set(report.inflated)
    for name in report.loaded:
        assert torch.equal(made[name], source[name]), name
    for name in report.inflated:
        if kind is not Standardised:
            expected = inflate_kernel(source[name], made[name].shape[2])
            assert torch.equal(made[name], expected), name
    assert [name for name, _ in deep.named_buffers()] == [name for name, _ in flat.named_buffers()]


def test_kernels_are_spread_as_the_mode_says() -> None:
    flat = network(Functional)
    for mode in ("center", "average", "gaussian"):
        deep, _ = inflate_module(flat, mode=mode)
        assert torch.equal(deep.conv1.weight, inflate_kernel(flat.conv1.weight, 3, mode))


def test_the_2d_module_and_the_generator_stay_as_they_are() -> None:
    flat = network(Residual, 0.2).train()
    flat.bn1.eval()
    flat.conv1.weight.requires_grad_(False)
    before = copy.deepcopy(flat)
    state = torch.get_rng_state()
    deep, _ = inflate_module(flat)
    assert torch.equal(torch.get_rng_state(), state)
    for each, old in ((flat, before), (deep, before)):
        modules = dict(each.named_modules())
        for name, module in old.named_modules():
            if name in modules:
                assert modules[name].training == module.training, name
        for name, parameter in old.named_parameters():
            assert each.get_parameter(name).requires_grad == parameter.requires_grad, name
    for (name, value), old_value in zip(
        flat.state_dict().items(), before.state_dict().values(), strict=True
    ):
        assert torch.equal(value, old_value), name
    assert not {id(p) for p in flat.parameters()} & {id(p) for p in deep.parameters()}


@pytest.mark.parametrize("kind", [*CLASSIFIERS, Trunk])
def test_it_trains(kind: type[nn.Module]) -> None:
    deep, _ = inflate_module(network(kind))
    deep.train()
    before = copy.deepcopy(deep.state_dict())
    x = pictures(3, 3, 40, 40, 43)
    loss = deep(x).square().mean()
    loss.backward()
    for name, parameter in deep.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
    for name, module in deep.named_modules():
        if isinstance(module, nn.BatchNorm3d):
            assert module.num_batches_tracked == 1
            assert not torch.equal(module.running_mean, before[f"{name}.running_mean"])


@torch.no_grad()
def test_norms_with_activations_are_layers_that_can_be_frozen() -> None:
    flat = network(Residual)
    deep, _ = inflate_module(flat)
    assert type(deep.bn1) is nn.BatchNorm3d
    assert isinstance(deep.bn1.act, nn.ReLU)
    x = pictures(2, 3, 24, 40, 40)
    deep.train()
    deep.bn1.eval()
    before = deep.bn1.running_mean.clone(), deep.bn2.running_mean.clone()
    deep(x)
    assert torch.equal(deep.bn1.running_mean, before[0])
    assert not torch.equal(deep.bn2.running_mean, before[1])


@torch.no_grad()
def test_dropout_by_a_function_and_stochastic_depth_follow_the_mode() -> None:
    x = pictures(6, 3, 8, 24, 24)
    for flat in (network(Functional), network(Residual, 0.5), network(ChannelsLast)):
        deep, _ = inflate_module(flat)
        assert torch.equal(deep(x), deep(x))
        deep.train()
        for module in deep.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.eval()
        torch.manual_seed(0)
        assert not torch.equal(deep(x), deep(x))
        assert torch.equal(deep.eval()(x), inflate_module(flat)[0](x))


@torch.no_grad()
def test_dropout_that_is_always_on_stays_so() -> None:
    deep, _ = inflate_module(Calls(lambda x: functional.dropout(x, 0.5)))
    found = deep.eval()(torch.ones(1, 3, 4, 8, 8))
    assert set(found.unique().tolist()) == {0.0, 2.0}


def test_a_function_s_dropout_beside_a_layer_of_that_name() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dropout = nn.Dropout2d(0.25)

        def forward(self, x: Tensor) -> Tensor:
            return functional.dropout(self.dropout(x), 0.75, self.training)

    deep, _ = inflate_module(nn.Sequential(Both()))
    rates = [module.p for module in deep.modules() if hasattr(module, "p")]
    assert rates == [0.25, 0.75]
    assert list(inflate_module(Both().eval())[0].state_dict()) == []


@torch.no_grad()
def test_stochastic_depth_drops_whole_samples() -> None:
    deep, _ = inflate_module(nn.Sequential(DropPath(0.5)))
    torch.manual_seed(0)
    found = deep.train()(torch.ones(64, 2, 3, 4, 5)).flatten(1)
    assert (found.amin(1) == found.amax(1)).all()
    assert set(found.unique().tolist()) == {0.0, 2.0}
    assert deep.eval()(torch.ones(1, 1, 1, 1, 1)) == 1


def test_weights_that_are_shared_stay_shared() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(3, 3, 3, padding=1)
            self.b = nn.Conv2d(3, 3, 3, padding=1)
            self.b.weight = self.a.weight
            self.c = self.a
            self.norm = nn.BatchNorm2d(3)
            self.again = self.norm

        def forward(self, x: Tensor) -> Tensor:
            return self.again(self.norm(self.c(self.b(self.a(x)))))

    flat = Tied().double().eval()
    deep = require_same_on_still(flat, depth=3, size=(6, 5))
    assert deep.a.weight is deep.b.weight
    assert deep.c is deep.a and deep.again is deep.norm
    assert list(deep.state_dict()) == list(flat.state_dict())


def test_a_kernel_for_two_depths_is_refused() -> None:
    class Summed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return (
                functional.conv2d(self.conv(x), self.conv.weight, stride=2) * self.conv.weight.sum()
            )

    with pytest.raises(OptionError, match=r"conv\.weight, which is a kernel, too"):
        inflate_module(Summed())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_types_are_kept(dtype: torch.dtype) -> None:
    flat = network(Residual).to(dtype)
    deep, _ = inflate_module(flat)
    assert {value.dtype for value in deep.parameters()} == {dtype}
    with torch.no_grad():
        assert deep(torch.zeros(1, 3, 8, 32, 32, dtype=dtype)).dtype == dtype


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("kind", NETWORKS)
@torch.no_grad()
def test_devices_are_kept(kind: type[nn.Module]) -> None:
    flat = network(kind).cuda()
    deep, _ = inflate_module(flat)
    assert {value.device.type for value in deep.state_dict().values()} == {"cuda"}
    x = pictures(1, 3, 40, 43).cuda()
    found, expected = deep(still(x, 40)), flat(x)
    require_same(found, still(expected, found.shape[2]) if found.ndim == 5 else expected)


# --- Files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
@torch.no_grad()
def test_copies_and_files_compute_the_same(kind: type[nn.Module]) -> None:
    flat, x = network(kind), pictures(2, 3, 40, 40, 43)
    deep, _ = inflate_module(flat)
    expected = deep(x)
    other, _ = inflate_module(network(kind).apply(_zero))
    file = io.BytesIO()
    torch.save(deep.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file))
    unpickled = pickle.loads(pickle.dumps(deep))
    for again in (copy.deepcopy(deep), other, unpickled):
        assert torch.equal(again(x), expected)
    assert list(unpickled.state_dict()) == list(deep.state_dict())


def _zero(module: nn.Module) -> None:
    for parameter in module.parameters(recurse=False):
        nn.init.zeros_(parameter)


@pytest.mark.parametrize("kind", [Residual, Mobile, ChannelsLast, Trunk])
@torch.no_grad()
def test_it_can_be_written_as_onnx(kind: type[nn.Module]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    deep, _ = inflate_module(network(kind))
    deep = deep.float().eval()
    x = pictures(2, 3, 40, 40, 43).float()
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(deep, (x,), file, dynamo=False, opset_version=17)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    expected = deep(x)
    assert (torch.from_numpy(found) - expected).abs().max() < 1e-4 * expected.abs().max()


# --- Refusals -------------------------------------------------------------------------------------


class Outer(nn.Module):
    """The module under test two levels down."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 4, 3), module)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class Vgg(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(nn.Linear(4 * 49, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(x), 1))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.layers = nn.TransformerEncoderLayer(4, 1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)
        return self.layers(torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1))


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        return self.tokens(x.flatten(2))


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(1, 4, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table


class Auxiliary(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Any:
        return (x, self.head(x)) if self.training else x


class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = Vgg()

    def forward(self, x: Tensor) -> Any:
        return (x, self.head(x)) if self.training else x


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.count.add_(1)
        return x


class Dynamic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.Linear(4, 4 * 4 * 9)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernels(x.mean((2, 3))).mean(0).view(4, 4, 3, 3)
        return functional.conv2d(x, kernel)


class Frozen(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)


class Rotated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        turned = functional.conv2d(x, self.weight.rot90(1, (2, 3)))
        return turned + functional.conv2d(x, self.weight)


class Smoothing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * x.mean()
        return x


class Reading(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.tensor(3))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.count.item()


class Strided(nn.Conv2d):
    def forward(self, x: Tensor, stride: int = 1) -> Tensor:
        return functional.conv2d(x, self.weight, self.bias, stride)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = Strided(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv(x), stride=2)


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight[:4, :4])


def _lucky(x: Tensor) -> Tensor:
    return x if random.random() < 2 else -x


def _attention(x: Tensor) -> Tensor:
    row = x.flatten(2)
    return torch.softmax(row.transpose(1, 2) @ row, -1)


def _without_gradients(x: Tensor) -> Tensor:
    with torch.no_grad():
        return x.relu()


LAYER = r"^block\.1 \({}\): "
CALL = r"^{} in the forward of block\.1 \({}\): "
REFUSED = {
    "transposed": (nn.ConvTranspose2d(4, 4, 2, 2), LAYER, "use nn.Upsample and nn.Conv2d"),
    "pixel shuffle": (nn.PixelShuffle(2), LAYER, "nn.Upsample"),
    "unfold": (nn.Unfold(3), LAYER, "not known; replace it"),
    "summing pool": (nn.LPPool2d(2, 2), LAYER, "use nn.AvgPool2d"),
    "indices": (nn.MaxPool2d(2, return_indices=True), LAYER, "pool without return_indices"),
    "bicubic": (nn.Upsample(scale_factor=2, mode="bicubic"), LAYER, "'bicubic'"),
    "3D": (nn.Conv3d(4, 4, 3), LAYER, "for volumes already"),
    "wide norm": (nn.LayerNorm((4, 8, 8)), LAYER, "each position"),
    "softmax": (nn.Softmax(-1), LAYER, "acts along positions"),
    "wrapped": (nn.DataParallel(nn.Identity()), LAYER, r"\.module"),
    "frozen norm": (Frozen(4), LAYER, "in training"),
    "roll": (lambda x: torch.roll(x, 1, 2), CALL.format("torch.roll", "{}"), "not known"),
    "method": (lambda x: x.cummax(2), CALL.format("Tensor.cummax", "{}"), "not known"),
    "attribute": (lambda x: x.mT, CALL.format("Tensor.mT", "{}"), "not known"),
    "sum": (lambda x: x.sum((2, 3)), CALL.format("Tensor.sum", "{}"), "use a mean"),
    "number": (
        lambda x: x / x.flatten(2).shape[2],
        CALL.format("truediv", "{}"),
        "number of positions",
    ),
    "norm": (lambda x: x.norm(dim=(2, 3)), CALL.format("Tensor.norm", "{}"), "not known"),
    "variance": (lambda x: x.var((2, 3)), CALL.format("Tensor.var", "{}"), "use correction=0"),
    "tiles": (
        lambda x: x.view(x.shape[0], 4, x.shape[2] // 2, 2, x.shape[3] // 2, 2),
        CALL.format("Tensor.view", "{}"),
        "extents is not known for volumes",
    ),
    "row": (lambda x: x.reshape(-1, 8, 8), CALL.format("Tensor.reshape", "{}"), r"\(-1, 8, 8\)"),
    "corner": (lambda x: x[:, :, 0, 0], CALL.format("getitem", "{}"), "picks positions"),
    "joined": (lambda x: torch.cat([x, x], 2), CALL.format("torch.cat", "{}"), "along positions"),
    "attention": (_attention, CALL.format("matmul", "{}"), "convolutional network"),
    "decision": (lambda x: x if x.mean() > 0 else -x, LAYER, "takes a decision"),
    "size": (lambda x: x[:, :1] if x.shape[2] > 7 else x, LAYER, "takes a decision"),
    "loop": (lambda x: sum(x for _ in range(x.shape[3])), LAYER, "cannot follow .*TypeError"),
    "no_grad": (_without_gradients, CALL.format("Tensor.relu", "{}"), r"requires_grad_\(False\)"),
    "flattened": (
        Vgg(),
        r"^block\.1\.classifier\.0 \(Linear\): ",
        r"one size.*AdaptiveAvgPool2d\(1\).*new head",
    ),
    "transformer": (Transformer(), CALL.format("torch.cat", "{}"), "convolutional network"),
    "mixer": (Mixer(), r"^block\.1\.tokens \(Linear\): ", "convolutional network"),
    "positions": (Positions(), CALL.format("add", "{}"), "value for each position"),
    "auxiliary": (Auxiliary(), r"^block\.1\.head \(Conv2d\): ", "in training"),
    "auxiliary head": (
        Deep(),
        r"^block\.1\.head\.classifier\.0 \(Linear\): ",
        "only training calls it",
    ),
    "counting": (Counting(), CALL.format("Tensor.add_", "{}"), "outside of forward"),
    "rotated": (Rotated(), CALL.format("torch.nn.functional.conv2d", "{}"), "used twice"),
    "smoothing": (Smoothing(), r"^the module itself \(Outer\): ", r"replaces block\.1\.mean"),
    "reading": (Reading(), CALL.format("Tensor.item", "{}"), "options of the module"),
    "twice": (
        Twice(),
        r"^torch\.nn\.functional\.conv2d in the forward of block\.1\.conv \(Strided\): ",
        "called twice",
    ),
    "part": (Part(), CALL.format("torch.nn.functional.conv2d", "{}"), "no parameter alone"),
    "luck": (_lucky, LAYER, "draws random numbers"),
    "noise": (lambda x: x + torch.randn(1), LAYER, "draws random numbers"),
    "dynamic": (Dynamic(), CALL.format("torch.nn.functional.conv2d", "{}"), "depends on the input"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_means_something_else_in_3d_is_refused_by_name(case: str) -> None:
    given, where, why = REFUSED[case]
    module = given if isinstance(given, nn.Module) else Calls(given)
    with pytest.raises(OptionError) as caught:
        inflate_module(Outer(module))
    message = str(caught.value)
    assert re.search(where.format(type(module).__name__), message), message
    assert re.search(why, message), message
    assert "; " in message  # what to do


def test_what_fx_cannot_follow_says_why() -> None:
    for case in ("decision", "loop"):
        with pytest.raises(OptionError) as caught:
            inflate_module(Outer(Calls(REFUSED[case][0])))
        assert caught.value.__cause__ is not None


def test_modules_that_no_graph_can_hold_are_refused() -> None:
    hooked, replaced = network(Functional), network(Functional)
    hooked.bn.register_forward_hook(lambda *_: None)
    replaced.conv2.forward = lambda x: x
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 3))
    two = nn.Bilinear(3, 3, 3)
    for module, message in (
        (hooked, r"^bn \(BatchNorm2d\): it has hooks"),
        (replaced, r"^conv2 \(Conv2d\): it has .* a forward of its own"),
        (nn.Sequential(normed), r"^0 \(ParametrizedConv2d\).*remove_parametrizations"),
        (nn.Sequential(nn.LazyConv2d(3, 3)), r"^0 \(LazyConv2d\): .*run it once"),
        (two, r"\(Bilinear\): its forward takes something else than one picture"),
        (create_model("resnet18", rank=2, width=0.1), r"create_model\('resnet18'\)"),
        (functional.relu, "the module is a function; give the nn.Module"),
    ):
        with pytest.raises(OptionError, match=message):
            inflate_module(module)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "edge"}, "inflate is 'edge'"),
        ({"depth_padding": "reflect"}, "depth_padding is 'reflect', allowed are"),
        ({"in_channels": 0}, "in_channels is 0"),
        ({"in_channels": 2.0}, "in_channels is 2.0"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        inflate_module(network(Functional), **options)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)), r"^0 \(BatchNorm2d\): it takes 3"),
        (nn.Sequential(nn.Conv2d(3, 3, 3, groups=3)), r"^0 \(Conv2d\): .*without groups"),
        (Calls(lambda x: x[:, 1]), "channel 1 of 1"),
    ],
)
def test_what_needs_the_channels_of_the_pictures_says_so(module: nn.Module, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        inflate_module(module, in_channels=1)
    assert "leave in_channels" in str(caught.value)
