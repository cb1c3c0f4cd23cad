"""Counts against closed forms, published figures, and the table that the list shows."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from stallscan.errors import OptionError
from stallscan.models import create_model, list_models
from stallscan.models.cost import PUBLISHED, compute_figures, cost
from stallscan.models.figures import FIGURES_SIZE, read_figures


def test_the_table_has_the_registry_in_its_order() -> None:
    assert list(read_figures()) == list_models(), "run: python -m stallscan.models.cost"


@pytest.mark.parametrize("name", list_models())
def test_the_table_has_what_is_counted(name: str) -> None:
    row = read_figures().get(name)
    assert row == compute_figures(name), "run: python -m stallscan.models.cost"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_figures(name: str) -> None:
    assert FIGURES_SIZE == (96, 128, 128)
    assert read_figures()[name].gmacs == pytest.approx(PUBLISHED[name], abs=0.05)


def test_the_winners_network_has_the_papers_number_of_values() -> None:
    with torch.device("meta"):
        model = create_model("densenet121", head="paper")
    found = cost(model, (32, 32, 32))
    assert found.n_values == 11_895_489
    assert found.n_parameters == 11_811_841


def by_hand(model: nn.Module, x: torch.Tensor) -> int:
    """Outputs of every convolution and linear layer, times the weights that each output sums."""
    total = 0

    def count(module: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal total
        total += out.numel() * module.weight[0].numel()

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        model.eval()(x)
    return total


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"num_classes": 7}),
        ("resnext50_32x4d", {"stride": (1, 2, 2)}),  # grouped
        ("mobilenetv2_100", {"rank": 2}),  # depthwise
        ("seresnet50", {"in_channels": 1}),
        ("densenet121", {"head": "paper", "depth_padding": "replicate"}),
    ],
)
def test_macs_are_those_of_the_layers(name: str, options: dict[str, object]) -> None:
    with torch.device("meta"):
        model = create_model(name, width=0.25, **options)
        size = (33, 40, 50)[-model.options.rank :]
        x = torch.empty(3, model.options.in_channels, *size)
    found = cost(model, size, 3)
    assert found.macs == by_hand(model, x)
    assert found.n_parameters == sum(p.numel() for p in model.parameters())


def test_the_stem_alone_in_closed_form() -> None:
    """Two input channels more cost two more of the stem's 7×7×7 kernels at each of its outputs."""
    costs = []
    for channels in (1, 3):
        with torch.device("meta"):
            model = create_model("resnet18", in_channels=channels)
        costs.append(cost(model, (96, 128, 128)).macs)
    assert costs[1] - costs[0] == 2 * 64 * 7**3 * (48 * 64 * 64)


def test_the_model_stays_as_it_is_and_its_hooks_see_nothing() -> None:
    model = create_model("resnet18", width=0.125).train()
    model.layer1.eval()
    seen: list[object] = []
    model.layer2.register_forward_hook(lambda *call: seen.append(call))
    model(torch.randn(2, 3, 40, 40, 40)).sum().backward()
    seen.clear()
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    cost(model, (40, 40, 40))
    assert not seen and [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    for key, value in model.state_dict().items():
        assert value.device.type == "cpu" and torch.equal(value, before[key])
    assert all(p.grad is not None and p.grad.device.type == "cpu" for p in model.parameters())


def test_a_head_that_was_changed_later_counts() -> None:
    model = create_model("resnet18", width=0.125)
    before = cost(model, (32, 32, 32)).macs
    model.reset_classifier(1001)
    assert cost(model, (32, 32, 32)).macs - before == 1000 * model.num_features


@pytest.mark.parametrize(
    ("size", "batch_size", "message"),
    [
        ((5, 40, 40), 1, "input is 5×40×40, allowed are"),
        ((40, 40), 1, "input is 40×40, allowed are 3 axes"),
        ((40, 40, 40), 0, "batch_size is 0, allowed are whole numbers from 1"),
    ],
)
def test_what_cannot_be_counted(size: tuple[int, ...], batch_size: int, message: str) -> None:
    with torch.device("meta"):
        model = create_model("densenet121")
    with pytest.raises(OptionError, match=message):
        cost(model, size, batch_size)
