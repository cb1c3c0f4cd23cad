"""Every network of the registry, of either rank: a model that is added is tested by being added."""

import re
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from stallscan.errors import OptionError
from stallscan.models import create_model, list_models

NARROW = {"in_channels": 2, "width": 0.125}
RANKS = (2, 3)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny networks wait for threads longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def batch(rank: int, n: int = 2, extent: int = 32, channels: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, channels, *(extent,) * rank, generator=generator)


# --- Contract of the registry -----------------------------------------------------------------


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("name", list_models())
def test_logits_and_features(name: str, rank: int) -> None:
    model = create_model(name, rank=rank, num_classes=3, **NARROW).eval()
    x = batch(rank, extent=40)
    with torch.no_grad():
        features, logits = model.forward_features(x), model(x)
        assert logits.shape == (2, 3)
        assert torch.isfinite(logits).all()
        torch.testing.assert_close(model.forward_head(features), logits)
    assert features.shape[2:] == (2,) * rank  # 40 / 32, rounded up
    assert logits.std() > 0


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("name", list_models())
def test_gradients_reach_every_parameter(name: str, rank: int) -> None:
    torch.manual_seed(3)
    model = create_model(name, rank=rank, **NARROW).train()
    model(batch(rank, n=4, extent=48)).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", list_models())
def test_in_evaluation_a_volume_does_not_see_its_batch(name: str) -> None:
    model = create_model(name, **NARROW).eval()
    x = batch(3, n=3)
    with torch.no_grad():
        together, alone = model(x), torch.cat([model(volume[None]) for volume in x])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert together.std() > 0


@pytest.mark.parametrize("name", list_models())
def test_a_network_and_its_2d_twin_differ_by_the_depth_of_kernels_alone(name: str) -> None:
    flat, deep = (create_model(name, rank=rank, **NARROW).state_dict() for rank in RANKS)
    assert list(flat) == list(deep)
    for key, weight in flat.items():
        if weight.ndim == 4:
            assert deep[key].shape == (*weight.shape[:2], weight.shape[2], *weight.shape[2:])
        else:
            assert deep[key].shape == weight.shape


@pytest.mark.parametrize("name", list_models())
def test_thin_and_uneven_volumes(name: str) -> None:
    model = create_model(name, **NARROW).eval()
    with torch.no_grad():
        for extent in ((1, 33, 64), (5, 32, 47), (48, 64, 64)):
            assert torch.isfinite(model(torch.randn(1, 2, *extent))).all()


# --- The known networks -----------------------------------------------------------------------

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
N_PARAMETERS = {"resnet18": 11_689_512, "resnet34": 21_797_672}


def torchvision_keys(blocks: tuple[int, ...]) -> list[str]:
    """The keys of torchvision's state dict, in its order."""

    def norm(prefix: str) -> list[str]:
        names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return [f"{prefix}.{name}" for name in names]

    keys = ["conv1.weight", *norm("bn1")]
    for stage, n_blocks in enumerate(blocks, 1):
        for block in range(n_blocks):
            here = f"layer{stage}.{block}"
            keys += [f"{here}.conv1.weight", *norm(f"{here}.bn1")]
            keys += [f"{here}.conv2.weight", *norm(f"{here}.bn2")]
            if stage > 1 and block == 0:
                keys += [f"{here}.downsample.0.weight", *norm(f"{here}.downsample.1")]
    return [*keys, "fc.weight", "fc.bias"]


@pytest.mark.parametrize("name", BLOCKS)
def test_names_and_sizes_are_torchvision_s(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name, rank=2, in_channels=3, num_classes=1000)
    assert list(model.state_dict()) == torchvision_keys(BLOCKS[name])
    assert sum(p.numel() for p in model.parameters()) == N_PARAMETERS[name]


def test_the_paper_s_input_is_reduced_32_times_on_every_axis() -> None:
    model = create_model("resnet18", in_channels=3, width=0.0625).eval()
    with torch.no_grad():
        assert model.forward_features(torch.zeros(1, 3, 96, 128, 128)).shape[2:] == (3, 4, 4)


# --- Options ----------------------------------------------------------------------------------


def test_a_stem_without_depth_stride_keeps_twice_the_depth() -> None:
    model = create_model("resnet18", stem_stride=(1, 2, 2), **NARROW)
    assert model.forward_features(batch(3, extent=64)).shape[2:] == (4, 2, 2)
    from_json = create_model("resnet18", stem_stride=[1, 2, 2], **NARROW)
    assert from_json.conv1.stride == (1, 2, 2)


@pytest.mark.parametrize("rank", RANKS)
def test_pooling_takes_the_mean_or_the_largest(rank: int) -> None:
    axes = tuple(range(2, 2 + rank))
    features = torch.randn(2, 64, *(3,) * rank)
    for pool, expected in (("avg", features.mean(axes)), ("max", features.amax(axes))):
        model = create_model("resnet18", rank=rank, pool=pool, **NARROW)
        torch.testing.assert_close(model.forward_head(features), model.fc(expected))


def test_width_scales_every_stage() -> None:
    model = create_model("resnet18", width=0.25)
    weights = model.state_dict()
    widths = [len(weights[f"layer{stage}.0.conv1.weight"]) for stage in range(1, 5)]
    assert widths == [16, 32, 64, 128]


def test_dropout_acts_in_training_alone() -> None:
    model = create_model("resnet18", dropout=0.5, **NARROW)
    features = torch.ones(1, 64, 1, 1, 1)
    assert not torch.equal(model.train().forward_head(features), model.forward_head(features))
    assert torch.equal(model.eval().forward_head(features), model.forward_head(features))
    rates = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.5]


@pytest.mark.parametrize("name", ["resnet81", "ResNet18", "transformer"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(OptionError) as caught:
        create_model(name)
    assert f"unknown model {name!r}" in str(caught.value)
    assert "choose from resnet18, resnet34" in str(caught.value)
    assert ("did you mean 'resnet18'?" in str(caught.value)) == (name != "transformer")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"chanels": 3}, "chanels"),
        ({"rank": 4}, "rank is 4"),
        ({"pool": "median"}, "pool 'median'"),
        ({"width": 0}, "width 0"),
        ({"width": -1.0}, "width -1.0"),
        ({"dropout": 2.0}, "between 0 and 1, but got 2.0"),
    ],
)
def test_bad_options(options: dict[str, object], named: str) -> None:
    with pytest.raises(OptionError, match=re.escape(named)) as caught:
        create_model("resnet18", **options)
    assert "model 'resnet18'" in str(caught.value)
    assert "docstring" in str(caught.value)
