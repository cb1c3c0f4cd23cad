"""Volumes for tests of transforms of values, and what holds for each of these transforms."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stallscan.augment._transform import Params, Transform

WHITE = {"uint8": 255, "uint16": 65535, "float32": 1}
SHAPES = ((5, 9, 11), (4, 9, 11, 1), (4, 8, 10, 2), (3, 7, 9, 3), (2, 6, 5, 5))

every_dtype = pytest.mark.parametrize("dtype", list(WHITE))
every_shape = pytest.mark.parametrize("shape", SHAPES)


def noise_volume(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray[Any]:
    """Every value alike often, black and white too."""
    values = np.random.default_rng(seed).random(shape) * 1.2 - 0.1
    whole = np.clip(values, 0, 1) * WHITE[dtype]
    return (whole if dtype == "float32" else np.rint(whole)).astype(dtype)


def even_volume(shape: tuple[int, ...], dtype: str, grey: float) -> NDArray[Any]:
    """The same 8-bit grey level everywhere, in whatever dtype."""
    value = grey / 255 * WHITE[dtype]
    return np.full(shape, value if dtype == "float32" else round(value), dtype)


def in_greys(volume: NDArray[Any]) -> NDArray[np.float64]:
    """An image in 8-bit grey levels."""
    return volume.astype(np.float64) / WHITE[str(volume.dtype)] * 255


def drawn(transform: Transform, shape: tuple[int, ...], seed: int = 1) -> Params:
    return transform.sample(np.random.default_rng(seed), (shape[0], shape[1], shape[2]))


def check_pure(transform: Transform, volume: NDArray[Any], dtype: str | None = None) -> None:
    """The same bytes again, also from parameters that have been JSON; nothing else is touched."""
    params = drawn(transform, volume.shape)
    before, state = volume.copy(), json.dumps(params)
    found = transform.apply(volume, params)
    again = transform.apply(np.asfortranarray(volume), json.loads(state))
    assert found.tobytes() == again.tobytes()
    assert found.shape == volume.shape and found.dtype == (dtype or volume.dtype)
    assert found.flags.c_contiguous and found.flags.writeable
    assert not np.may_share_memory(found, volume)
    assert volume.tobytes() == before.tobytes() and json.dumps(params) == state
    assert drawn(transform, volume.shape) == params
    if dtype is None:
        assert found.min() >= 0 and found.max() <= WHITE[str(volume.dtype)]
