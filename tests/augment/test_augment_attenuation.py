"""Attenuation: an exponential from frame to frame."""

from __future__ import annotations

import numpy as np
import pytest

from stallscan.augment import Attenuation
from stallscan.errors import OptionError


@pytest.mark.parametrize("dimmest", ["last", "first"])
def test_each_frame_keeps_the_same_share_of_the_one_before(dimmest: str) -> None:
    image = np.full((7, 2, 3), 60000, np.uint16)
    found = Attenuation(0.25, dimmest, p=1)(image=image, rng=0)["image"][:, 0, 0].astype(float)
    if dimmest == "first":
        found = found[::-1]
    np.testing.assert_allclose(found[[0, -1]], [60000, 15000], atol=1)
    np.testing.assert_allclose(found[1:] / found[:-1], 0.25 ** (1 / 6), atol=1e-4)


def test_the_share_is_drawn_log_evenly_and_the_end_alike_often() -> None:
    aug, rng = Attenuation((0.1, 1), "either"), np.random.default_rng(0)
    drawn = [aug.sample(rng, (5, 1, 1)) for _ in range(3000)]
    logs = np.log10([params["left"] for params in drawn])
    assert logs.min() > -1 and logs.max() < 0
    assert np.histogram(logs, 4, (-1, 0))[0] / 3000 == pytest.approx([0.25] * 4, abs=0.03)
    first = np.mean([params["dimmest"] == "first" for params in drawn])
    assert first == pytest.approx(0.5, abs=0.03)


def test_one_frame_stays() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    np.testing.assert_array_equal(Attenuation(0.2, p=1)(image=image, rng=0)["image"], image)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(OptionError, match=r"left_limit is \(0, 1\), allowed are 0.001 to 1"):
        Attenuation((0, 1))
    with pytest.raises(OptionError, match=r"dimmest is 'lats'.*did you mean 'last'"):
        Attenuation(0.5, "lats")
