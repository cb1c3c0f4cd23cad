"""Networks as graphs: which norms fold, that nothing else changes, ONNX of any size."""

from __future__ import annotations

from typing import Any

import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from stallscan.errors import OptionError
from stallscan.models import create_model, list_models
from stallscan.models._network import Network
from stallscan.models.convnext import ConvNeXt
from stallscan.models.graph import fold_batch_norm, to_onnx
from stallscan.models.registry import MODELS

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "replicated": {"depth_padding": "replicate"},
    "maximum": {"pool": "max"},
    "paper": {"head": "paper"},
    "anisotropic": {"stride": [(1, 2, 2), 2, 2, 2, 2]},
    "twin": {"rank": 2},
}
FAMILIES = [
    *("resnet18", "seresnext50_32x4d", "legacy_seresnet18", "densenet121", "mobilenetv2_100"),
    *("vgg11_bn", "efficientnet_b0", "efficientnetv2_s", "convnext_tiny", "inception_v3"),
    *("inception_resnet_v2", "mc3_18", "r2plus1d_18"),
]
QUICK = {
    "plain": FAMILIES,
    "replicated": ["resnet18", "densenet121", "convnext_tiny"],
    "maximum": ["seresnext50_32x4d", "mobilenetv2_100"],
    "paper": ["legacy_seresnet18", "mobilenetv2_100"],
    "anisotropic": ["legacy_seresnet18", "densenet121"],
    "twin": ["resnet18", "seresnext50_32x4d"],
}
"""Each family plain and with two options, each option in two families; `full` has the others."""
PAIRS = [
    pytest.param(name, options, marks=() if name in QUICK[options] else pytest.mark.full)
    for options in OPTIONS
    for name in FAMILIES
    if options != "twin" or MODELS[name].family.has_twin
]


def network(name: str, **options: Any) -> Any:
    """With running statistics and affine weights that are not the identity."""
    torch.manual_seed(3)
    model = create_model(name, in_channels=2, width=0.125, **options)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return model.eval()


def fitting(model: Network, *size: int) -> tuple[int, ...]:
    """Extents, larger where the network needs more, without z for a twin."""
    least = model.smallest_size()
    return tuple(map(max, size[3 - len(least) :], least))


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("resnet18", 20, 0),
        ("resnet50", 53, 0),
        ("mobilenetv2_100", 52, 0),
        ("densenet121", 121, 62),
    ],
)
def test_norms_that_follow_a_convolution_fold(name: str, before: int, after: int) -> None:
    """In DenseNet121: norm0 and the 58 norm2; not the norms before a ReLU."""
    model = network(name)
    folded = fold_batch_norm(model)
    assert (norms(model), norms(folded)) == (before, after)
    if name == "densenet121":
        left = {key for key, module in folded.named_modules() if isinstance(module, _BatchNorm)}
        assert not any(key.endswith(("norm0", "norm2")) for key in left)


@pytest.mark.parametrize(("name", "options"), PAIRS)
def test_the_folded_network_computes_the_same(name: str, options: str) -> None:
    model = network(name, **OPTIONS[options]).double()
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    x = torch.randn(
        2,
        2,
        *fitting(model, 33, 40, 37),
        generator=torch.Generator().manual_seed(1),
        dtype=torch.float64,
    )
    with torch.no_grad():
        torch.testing.assert_close(fold_batch_norm(model)(x), model(x), rtol=1e-9, atol=1e-9)
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())


def test_networks_in_training_mode_are_folded_as_in_evaluation() -> None:
    model = network("resnet18")
    x = torch.randn(2, 2, 33, 33, 33)
    with torch.no_grad():
        expected = model(x)
        torch.testing.assert_close(
            fold_batch_norm(model.train())(x), expected, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(("name", "options"), PAIRS)
def test_one_onnx_model_takes_any_number_and_size(name: str, options: str) -> None:
    model = network(name, **OPTIONS[options])
    session = onnxruntime.InferenceSession(to_onnx(model), providers=["CPUExecutionProvider"])
    for n, size in ((1, (33, 33, 33)), (3, (34, 65, 40)), (2, (47, 38, 51))):
        x = torch.randn(n, 2, *fitting(model, *size))
        found = torch.from_numpy(session.run(["logits"], {"input": x.numpy()})[0])
        with torch.no_grad():
            torch.testing.assert_close(found, model(x), rtol=1e-4, atol=1e-5)


def test_the_network_stays_as_it_is() -> None:
    model = network("resnet18").train()
    to_onnx(model)
    fold_batch_norm(model)
    assert model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_more_weights_than_an_onnx_file_holds() -> None:
    with torch.device("meta"):
        huge = create_model("wide_resnet101_2", width=1.5)
    with pytest.raises(OptionError, match=r"GiB of weights, an ONNX file holds less than 2 GiB"):
        to_onnx(huge)


@pytest.mark.parametrize("names", [FAMILIES, pytest.param(list_models(), marks=pytest.mark.full)])
def test_every_architecture_folds(names: list[str]) -> None:
    """Tracing goes through the forward of each; shapes alone."""
    for name in names:
        with torch.device("meta"):
            model = create_model(name, width=0.25)
        before = norms(model)
        after = norms(fold_batch_norm(model))
        assert after < before or isinstance(model, ConvNeXt), name
