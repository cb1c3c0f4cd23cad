"""2D weights in every network of the registry: the 3D network is the 2D one where it must be."""

import functools
from typing import Any

import pytest
import torch
from test_contracts_models import SHALLOW_TWINNED, TWINNED, WIDTHS, fitting, network, volumes
from torch import Tensor

from stallscan.models import Network, load_weights
from stallscan.models._layers import SqueezeExcite


def twins(name: str, mode: str = "center", **options: Any) -> tuple[Network, Network]:
    """A 3D network with the weights of its 2D twin, and that twin."""
    deep = network(name, seed=1, **{"in_channels": 3, "num_classes": 4} | options)
    deep = deep.double()  # or many layers would magnify the rounding
    stride, width = deep.options.twin().strides, deep.options.width
    flat = (flat_twin if width < 1 else flat_twin.__wrapped__)(name, stride, width)
    report = load_weights(deep, flat, mode=mode)
    assert not (report.missing or report.skipped or report.unexpected)
    assert set(report.loaded) | set(report.inflated) == set(deep.state_dict())
    assert list(report.inflated) == [k for k, v in deep.state_dict().items() if v.ndim == 5]
    return deep, flat


@functools.cache
def flat_twin(name: str, stride: tuple[tuple[int, ...], ...], width: float) -> Network:
    """The 2D network, which several tests inflate and none changes."""
    options = {"rank": 2, "in_channels": 3, "num_classes": 4, "stride": stride, "width": width}
    return network(name, **options).double()


def still(image: Tensor, depth: int) -> Tensor:
    """``(n, c, y, x)`` → ``(n, c, depth, y, x)``, the same in every slice."""
    return image.unsqueeze(2).repeat(1, 1, depth, 1, 1)


def error(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("mode", "padding"),
    [("center", "zeros"), ("average", "replicate")],
)
@pytest.mark.parametrize("name", TWINNED)
@torch.no_grad()
def test_on_a_still_clip_it_is_the_2d_network(
    name: str, mode: str, padding: str, width: float
) -> None:
    deep, flat = twins(name, mode, depth_padding=padding, width=width)
    depth, *plane = fitting(deep, 29, 35, 32)
    image = volumes(1, 3, *plane).double()
    features, expected = deep.forward_features(still(image, depth)), flat.forward_features(image)
    assert error(features, still(expected, features.shape[2])) < 1e-9
    logits, expected = deep.forward_head(features), flat.forward_head(expected)
    assert error(logits, expected) < 1e-9
    assert expected.std() > 1e-3


@pytest.mark.parametrize("name", TWINNED)
@torch.no_grad()
def test_centred_kernels_go_slice_by_slice_where_depth_keeps_its_extent(name: str) -> None:
    deep, flat = twins(name, stride=(1, 2, 2))
    clip = volumes(1, 3, *fitting(deep, 4, 32, 35)).double()
    features = deep.forward_features(clip)
    frames = torch.stack([flat.forward_features(clip[:, :, z]) for z in range(4)], 2)
    assert features.shape == frames.shape
    squeezes = any(isinstance(module, SqueezeExcite) for module in deep.modules())
    if squeezes:  # weighs channels by all slices together
        assert error(features, frames) > 1e-6
    else:
        assert error(features, frames) < 1e-9


@pytest.mark.parametrize("name", TWINNED)
@torch.no_grad()
def test_one_grey_channel_is_three(name: str) -> None:
    require_exact_for_grey(name, 1)


@pytest.mark.parametrize("name", SHALLOW_TWINNED)
@torch.no_grad()
def test_two_grey_channels_are_three(name: str) -> None:
    require_exact_for_grey(name, 2)


def require_exact_for_grey(name: str, in_channels: int) -> None:
    deep, flat = twins(name, in_channels=in_channels)
    depth, *plane = fitting(deep, 29, 32, 33)
    grey = volumes(1, 1, *plane).double()
    found = deep(still(grey.repeat(1, in_channels, 1, 1), depth))
    assert error(found, flat(grey.repeat(1, 3, 1, 1))) < 1e-9
