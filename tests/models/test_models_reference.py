"""The zoo's 2D twins, and its networks of videos, against torchvision's and timm's networks, from
files that those wrote.

`reference/make.py` says how the files were made; nothing in them comes from our code.
"""

import functools
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from reference.weights import images, shape_of, tensor
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from stallscan.models import Network, create_model, list_models, load_weights
from stallscan.models.registry import MODELS

REFERENCE = Path(__file__).parent / "reference"
QUICK = (  # of each family and layout
    *("resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"),
    *("seresnet50", "seresnext50_32x4d", "senet154"),
    *("legacy_seresnet18", "legacy_seresnet101"),
    *("densenet121", "mobilenetv2_100", "vgg11_bn"),
    *("efficientnet_b0", "efficientnet_b5", "efficientnetv2_s", "convnext_tiny"),
    *("inception_v3", "inception_resnet_v2", "r3d_18", "mc3_18", "r2plus1d_18"),
)
DENSENETS = ("densenet121", "densenet161", "densenet169", "densenet201")
SAME = 1e-11
"""Of the largest logit. Both sides compute in double precision, where another order of summation
shows below 1e-12, so that a larger difference is another network."""


@functools.cache
def keys() -> dict[str, Any]:
    packed = (REFERENCE / "keys.json.gz").read_bytes()
    return json.loads(gzip.decompress(packed))["networks"]


@functools.cache
def outputs() -> dict[str, Any]:
    return json.loads((REFERENCE / "outputs.json").read_text())


def twin(name: str) -> Network:
    """The network for images, if there is one, of 1000 classes, without values."""
    rank = 2 if MODELS[name].family.has_twin else 3
    with torch.device("meta"):
        return create_model(name, rank=rank, num_classes=1000).eval()


def reference_weights(name: str) -> dict[str, Tensor]:
    """By the reference's keys and shapes."""
    shapes = keys()[name]["tensors"]
    return {key: torch.from_numpy(tensor(key, shape)) for key, shape in shapes.items()}


def difference(model: Network, name: str) -> float:
    """Largest difference from the reference's logits, as a share of its largest logit."""
    expected = outputs()["networks"][name]
    with torch.no_grad():
        logits = model.eval().double()(torch.from_numpy(images(expected["images"])).double())
    away = logits[:, outputs()["classes"]] - torch.tensor(expected["logits"], dtype=torch.float64)
    return float(away.abs().max()) / expected["largest"]


# --- The tables ---------------------------------------------------------------------------------


def test_every_network_has_a_reference() -> None:
    assert set(list_models()) == set(keys()) == set(outputs()["networks"])


def test_the_references_are_of_other_libraries() -> None:
    libraries = {network["source"].split()[0] for network in keys().values()}
    assert libraries == {"torchvision", "timm"}


@pytest.mark.parametrize("name", list_models())
def test_keys_shapes_and_counts_are_the_reference_s(name: str) -> None:
    model, expected = twin(name), keys()[name]
    found = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert found == expected["tensors"]
    assert list(found) == list(expected["tensors"])  # in order, too
    assert sum(parameter.numel() for parameter in model.parameters()) == expected["parameters"]
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    assert sorted({(norm.eps, norm.momentum) for norm in norms}) == [
        tuple(pair) for pair in expected["norms"]
    ]


# --- Outputs ------------------------------------------------------------------------------------


def test_the_reference_s_logits_tell_images_and_classes_apart() -> None:
    for name, expected in outputs()["networks"].items():
        assert tuple(expected["images"]) == shape_of(name)
        logits = torch.tensor(expected["logits"])
        assert logits.std() > 0.1 * expected["largest"], name
        assert (logits[0] - logits[1]).abs().max() > 1e-3 * expected["largest"], name


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.full) for name in list_models()],
)
def test_outputs_are_the_reference_s(name: str) -> None:
    model = twin(name)
    model.load_state_dict(reference_weights(name), assign=True)
    assert difference(model, name) < SAME


# --- Published DenseNet files -------------------------------------------------------------------


def old_spelling(key: str) -> str:
    """As torchvision's published files have it: ``denselayer1.norm.1.weight``."""
    return re.sub(r"(denselayer\d+\.)(norm|conv)([12])\.", r"\1\2.\3.", key)


@pytest.mark.parametrize(
    ("name", "counters"),
    [("densenet121", True), *((name, False) for name in DENSENETS)],
)
def test_a_published_densenet_file_loads_whole(name: str, counters: bool) -> None:
    """Whether it counts batches, as files of present networks do, or not, as the published do."""
    weights = {
        old_spelling(key): value
        for key, value in reference_weights(name).items()
        if counters or not key.endswith("num_batches_tracked")
    }
    assert "features.denseblock4.denselayer16.norm.2.running_var" in weights
    model = create_model(name, rank=2, num_classes=1000)
    report = load_weights(model, weights)
    everything = list(model.state_dict())
    missing = [] if counters else [key for key in everything if "num_batches" in key]
    assert list(report.loaded) == [key for key in everything if key not in missing]
    assert list(report.missing) == missing
    assert report.inflated == report.skipped == report.unexpected == ()
    assert difference(model, name) < SAME


def test_a_published_densenet_file_fills_a_3d_network_with_another_head() -> None:
    weights = {old_spelling(key): value for key, value in reference_weights("densenet121").items()}
    model = create_model("densenet121")
    report = load_weights(model, weights)
    assert report.missing == ("classifier.weight", "classifier.bias") == report.skipped
    assert report.unexpected == ()
    kernels = [key for key, value in model.state_dict().items() if value.ndim == 5]
    assert list(report.inflated) == kernels
    assert len(kernels) == 1 + 2 * (6 + 12 + 24 + 16) + 3
