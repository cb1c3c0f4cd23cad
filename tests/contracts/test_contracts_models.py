"""Every network of the registry: a model that is added is tested by being added.

Narrow networks by default, the published widths with ``-m full``.
"""

import copy
import functools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stallscan.errors import OptionError
from stallscan.models import (
    ModelCard,
    Network,
    NetworkOptions,
    create_model,
    efficientnet,
    list_models,
    load_checkpoint,
    save_checkpoint,
)
from stallscan.models._inception import InceptionNetwork
from stallscan.models._layers import SqueezeExcite
from stallscan.models.convnext import Block, ConvNeXt
from stallscan.models.densenet import DenseNet
from stallscan.models.mobilenetv2 import MobileNetV2
from stallscan.models.registry import MODELS

NAMES = list_models()
TWINNED = [name for name in NAMES if MODELS[name].family.has_twin]
NARROW = {"in_channels": 2, "width": 0.125}
WIDTHS = (0.125, pytest.param(1.0, marks=pytest.mark.full))
FAINT = (MobileNetV2, efficientnet.EfficientNet, ConvNeXt)
"""With depthwise kernels."""
SHALLOW = (
    *("resnet18", "resnet50", "resnext50_32x4d", "seresnet50", "senet154"),
    *("legacy_seresnet18", "legacy_seresnet101", "densenet121", "mobilenetv2_100"),
    *("vgg11_bn", "efficientnet_b0", "efficientnetv2_s", "convnext_tiny"),
    *("inception_v3", "inception_resnet_v2", "r3d_18", "mc3_18", "r2plus1d_18"),
)
"""One network of each kind of block and stem: the others have more or wider ones of them."""


def shallow_first(names: list[str]) -> list[Any]:
    """The others with ``-m full``."""
    return [pytest.param(name, marks=() if name in SHALLOW else pytest.mark.full) for name in names]


SHALLOW_FIRST, SHALLOW_TWINNED = shallow_first(NAMES), shallow_first(TWINNED)


def network(name: str, *, seed: int = 0, **options: Any) -> Network:
    """A network whose batch normalisation is far from the identity, in evaluation mode."""
    torch.manual_seed(seed)
    model = create_model(name, **NARROW | options)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d) and isinstance(model, FAINT):
            nn.init.kaiming_normal_(module.weight)  # by the outputs little would come through
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.7, 1.3)
        elif isinstance(module, SqueezeExcite):  # not all dead, and no chaos of a hundred gates
            for layer in (module.fc1, module.fc2):
                nn.init.uniform_(layer.bias, 0.5, 1.5)
                layer.weight.data.mul_(0.1)
        elif isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.uniform_(module.bias, -0.2, 0.2)
        elif isinstance(module, Block):  # a new one is next to the identity
            nn.init.uniform_(module.layer_scale, 0.3, 0.6)
            for linear in (module.block[3], module.block[5]):
                nn.init.kaiming_normal_(linear.weight)
    for module in model.modules():
        if (
            isinstance(module, efficientnet.Block) and module.shortcut
        ):  # up to 80 add to their input
            module.block[-1][1].weight.data.mul_(0.3)
    return model.eval()


@functools.cache
def shared(name: str, **options: Any) -> Network:
    """For tests that leave it as it is: building takes longer than computing."""
    return network(name, **options)


def fitting(model: Network, *size: int) -> tuple[int, ...]:
    """Extents, or larger ones where the network needs them."""
    return tuple(map(max, size, model.smallest_size()))


def volumes(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def outputs(model: Network, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """What the module of each feature level gives, by name, and the logits."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda module, args, output: seen.__setitem__(name, output.clone())

    hooks = [
        model.get_submodule(level.name).register_forward_hook(keep(level.name))
        for level in model.feature_info
    ]
    logits = model(x)
    for hook in hooks:
        hook.remove()
    return seen, logits


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_logits_and_levels_of_features(name: str, width: float) -> None:
    model = network(name, num_classes=3, width=width, stride=[2, 2, (1, 2, 2), 2, 2])
    x = volumes(2, 2, *fitting(model, 16, 32, 64))
    seen, logits = outputs(model, x)
    features = model.forward_features(x)
    assert logits.shape == (2, 3)
    assert torch.isfinite(logits).all()
    assert logits.std() > 0
    torch.testing.assert_close(model.forward_head(features), logits)
    pooled = model.forward_head(features, pre_logits=True)
    torch.testing.assert_close(pooled, normalised(model, features.mean((2, 3, 4))))
    assert pooled.shape[1] == model.num_features
    reductions = [(2, 2, 2), (4, 4, 4), (4, 8, 8), (8, 16, 16), (16, 32, 32)]
    if isinstance(model, ConvNeXt):  # whose first layer has two of them
        reductions = reductions[1:]
    assert [level.reduction for level in model.feature_info] == reductions
    for level in model.feature_info:
        size = tuple(a // b for a, b in zip(x.shape[2:], level.reduction, strict=True))
        shape = seen[level.name].shape
        assert shape[:3] == (2, level.channels, size[0]), level.name
        if not isinstance(model, InceptionNetwork):  # whose windows lie inside the plane
            assert shape[3:] == size[1:], level.name
    torch.testing.assert_close(seen[model.feature_info[-1].name], features)
    first = seen[model.feature_info[0].name]  # after the activation, not before it
    if isinstance(model, efficientnet.EfficientNet):
        assert -0.2785 < features.min() < -0.1  # of SiLU
    elif not isinstance(model, ConvNeXt):  # whose blocks end in a sum
        assert features.min() == 0
        if not isinstance(model, MobileNetV2):  # whose bottlenecks end in a convolution
            assert first.min() == 0


def normalised(model: Network, pooled: Tensor) -> Tensor:
    """As they reach the head."""
    return model.classifier[0](pooled) if isinstance(model, ConvNeXt) else pooled


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name: str) -> None:
    require_gradients(name, 3)


@pytest.mark.parametrize("name", SHALLOW_TWINNED)
def test_gradients_reach_every_parameter_of_the_twin(name: str) -> None:
    require_gradients(name, 2)


def require_gradients(name: str, rank: int) -> None:
    model = network(name, rank=rank, head="paper").train()
    model(volumes(3, 2, *fitting(model, *(40,) * rank))).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_in_evaluation_a_volume_does_not_see_its_batch(name: str) -> None:
    model = shared(name)
    x = volumes(3, 2, *fitting(model, 32, 32, 40))
    together, alone = model(x), torch.cat([model(volume[None]) for volume in x])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert together.std() > 1e-5


@pytest.mark.parametrize("name", TWINNED)
def test_a_network_and_its_2d_twin_differ_by_the_depth_of_kernels_alone(name: str) -> None:
    with torch.device("meta"):
        deep = create_model(name, in_channels=2)
        flat = create_model(name, in_channels=2, rank=2)
    assert deep.options.twin() == replace(flat.options, stride=deep.options.twin().stride)
    deep_weights, flat_weights = deep.state_dict(), flat.state_dict()
    assert list(flat_weights) == list(deep_weights)
    for key, weight in flat_weights.items():
        expected = list(weight.shape)
        if weight.ndim == 4:
            expected.insert(2, weight.shape[2])
        assert list(deep_weights[key].shape) == expected, key
    assert deep.stem_name == next(key for key in deep_weights if deep_weights[key].ndim == 5)
    head = [f"{deep.head_name}.{key}" for key in deep.head.state_dict()]
    assert [key for key in deep_weights if deep.is_head(key)] == head != []


def test_networks_of_videos_have_no_form_for_images() -> None:
    assert set(NAMES) - set(TWINNED) == {"r3d_18", "mc3_18", "r2plus1d_18"}
    with pytest.raises(OptionError, match="rank is 2, but 'r3d_18' is a network of videos"):
        create_model("r3d_18", rank=2)


@pytest.mark.parametrize("name", NAMES)
def test_the_initial_weights_fill_every_parameter_and_follow_the_seed(name: str) -> None:
    with torch.device("meta"):
        model = MODELS[name].build(NetworkOptions(**NARROW))
    model._apply(lambda t: torch.full(t.shape, -77, dtype=t.dtype, device="cpu"))
    first = drawn(model)
    for key, value in first.items():
        assert (value != -77).all(), key
    assert all(torch.equal(first[key], value) for key, value in drawn(model).items())
    assert not torch.equal(first[model.stem_name], drawn(model, 4)[model.stem_name])
    for key, module in model.named_modules():
        if isinstance(module, nn.Conv3d):
            weight = module.weight.detach()
            # By the inputs in DenseNet, by the outputs elsewhere, as torchvision and timm do.
            fan = (weight[0] if isinstance(model, DenseNet) else weight[:, 0]).numel()
            expected = 0.02 if isinstance(model, ConvNeXt) else math.sqrt(2 / fan)
            found = float(weight.square().mean().sqrt()) / expected
            assert abs(found - 1) < 5 / math.sqrt(2 * weight.numel()), key  # five deviations
            assert module.bias is None or not module.bias.any(), key
        elif isinstance(module, nn.BatchNorm3d | nn.LayerNorm):
            assert (module.weight == 1).all(), key
            assert not module.bias.any(), key
        elif isinstance(module, Block):
            assert (module.layer_scale == 1e-6).all(), key


def drawn(model: Network, seed: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    model.init_weights()
    return {key: value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_saved_network_comes_back(name: str, tmp_path: Path) -> None:
    model = network(name, stride=(1, 2, 2)).half().float()  # as the folder stores them
    options = NARROW | {"stride": (1, 2, 2)}
    card = ModelCard(name="x", architecture=name, options=options, preprocessing={})
    save_checkpoint(model, card, tmp_path)
    loaded, _ = load_checkpoint(tmp_path)
    x = volumes(1, 2, *fitting(model, 5, 32, 40))
    assert torch.equal(loaded(x), model(x))


@torch.no_grad()
def test_the_memory_format_is_not_saved(tmp_path: Path) -> None:
    card = ModelCard(name="x", architecture="resnet18", options=NARROW, preprocessing={})
    model = network("resnet18").to(memory_format=torch.channels_last_3d)
    save_checkpoint(model, card, tmp_path)
    for key, value in load_checkpoint(tmp_path)[0].state_dict().items():
        expected = model.state_dict()[key]
        assert torch.equal(value, expected.half().to(value.dtype)), key
        assert value.is_contiguous()


@pytest.mark.parametrize("name", SHALLOW_FIRST)
def test_computing_blocks_twice_changes_nothing_but_the_memory(name: str) -> None:
    results = []
    model = network(name, checkpointing=True).train()
    before = {key: value.clone() for key, value in model.named_buffers()}
    for checkpointing in (True, False):
        if not checkpointing:
            model.set_checkpointing(False)
            model.load_state_dict(before, strict=False)
            model.zero_grad()
        kept: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, kept=kept: kept.append(t.numel()) or t,  # type: ignore[func-returns-value]
            lambda t: t,
        ):
            logits = model(volumes(2, 2, *fitting(model, 32, 32, 32)))
        logits.sum().backward()
        gradients = {key: p.grad.clone() for key, p in model.named_parameters()}
        buffers = {key: value.clone() for key, value in model.named_buffers()}
        results.append((logits, gradients, buffers, sum(kept)))
    twice, plain = results
    torch.testing.assert_close(twice[0], plain[0])
    for mine, theirs in zip(twice[1:3], plain[1:3], strict=True):
        for key, value in theirs.items():
            torch.testing.assert_close(mine[key], value, msg=key)
    assert twice[3] < 0.75 * plain[3]


# --- Sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_size_of_the_features_is_foretold(name: str) -> None:
    for stride, size in (
        (2, (33, 47, 61)),
        (((1, 2, 2), 2, 2, (2, 1, 2), 1), (17, 19, 32)),
        ((1, 2, 2), (3, 38, 45)),
    ):
        model = shared(name, **({} if stride == 2 else {"stride": stride}))
        size = fitting(model, *size)
        features = model.forward_features(volumes(1, 2, *size))
        assert features.shape[2:] == model.feature_size(size)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_smallest_size_is_the_smallest(name: str) -> None:
    model = shared(name)
    least = model.smallest_size()
    assert torch.isfinite(model(volumes(1, 2, *least))).all()
    for axis in range(3):
        size = list(least)
        size[axis] -= 1
        with pytest.raises(OptionError, match="at least " + "×".join(map(str, least))):
            model(torch.zeros(1, 2, *size))
        with pytest.raises(RuntimeError):  # and so it must be
            assert model.extract(volumes(1, 2, *size)).numel() == 0
            raise RuntimeError


# --- Head -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_heads(name: str) -> None:
    model = network(name, pool="max", head="paper", num_classes=2)
    features = volumes(2, model.num_features, 2, 2, 1)
    first, _, dropout, last = model.head
    pooled = normalised(model, features.amax((2, 3, 4)))
    expected = last(torch.sigmoid(first(pooled)))
    torch.testing.assert_close(model.forward_head(features), expected)
    assert (first.out_features, dropout.p, last.out_features) == (512, 0.5, 2)
    before = {key: value for key, value in model.state_dict().items() if not model.is_head(key)}
    again = copy.deepcopy(model)
    again.reset_classifier(0)  # which no kind of head but "linear" has
    assert again.options.head == "linear"
    model.reset_classifier(5, head="linear")
    assert model.forward_head(features).shape == (2, 5)
    after = {key: value for key, value in model.state_dict().items() if not model.is_head(key)}
    assert all(torch.equal(before[key], after[key]) for key in before)
    model.reset_classifier(0)
    torch.testing.assert_close(model.forward_head(features), pooled)
    assert (model.options.num_classes, model.options.head) == (0, "linear")
