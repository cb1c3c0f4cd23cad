"""A tube along a polyline: steps of a micrometre, trimmed ends, coarser where it is wide."""

import numpy as np
import pytest

from stallscan.simulate.vessels import WIDE_UM, along

QUARTER = 40.0 * np.stack(
    [np.zeros(400), *(f(np.linspace(0, np.pi / 2, 400)) for f in (np.sin, np.cos))], axis=1
)
"""A quarter of a circle of radius 40 µm, in the plane."""


def test_length_and_steps_are_those_of_the_line() -> None:
    vessel = along(QUARTER, 2.5, (0.0, 0.0))
    assert vessel.length_um == pytest.approx(40 * np.pi / 2, abs=0.01)
    assert vessel.points_um.dtype == vessel.arc_um.dtype == np.float32
    steps = np.linalg.norm(np.diff(vessel.points_um, axis=0), axis=1)
    np.testing.assert_allclose(steps, np.diff(vessel.arc_um), atol=2e-3)
    assert steps.min() > 0.9 and steps.max() < 1.1
    np.testing.assert_allclose(np.hypot(*vessel.points_um[:, 1:].T), 40, atol=0.01)
    assert vessel.arc_um[0] == 0


def test_ends_are_trimmed_along_the_line() -> None:
    vessel = along(QUARTER, 2.5, (5.0, 12.0))
    assert vessel.length_um == pytest.approx(40 * np.pi / 2 - 17, abs=0.01)
    angles = np.arctan2(vessel.points_um[[0, -1], 1], vessel.points_um[[0, -1], 2])
    np.testing.assert_allclose(angles, [5 / 40, np.pi / 2 - 12 / 40], atol=1e-3)


def test_something_is_left_however_much_is_trimmed() -> None:
    vessel = along(QUARTER, 2.5, (30.0, 60.0))
    assert vessel.length_um == pytest.approx(1.0, abs=1e-3)
    assert len(vessel.points_um) == 2


def test_wide_tubes_are_sampled_coarsely_and_stay_as_long() -> None:
    vessel = along(QUARTER, 9.0, (0.0, 0.0))
    assert vessel.length_um == pytest.approx(40 * np.pi / 2, abs=0.01)
    np.testing.assert_allclose(np.diff(vessel.arc_um), 3.0, atol=0.1)


def test_wide_is_what_cells_do_not_pass_one_by_one() -> None:
    assert not along(QUARTER, WIDE_UM, (0.0, 0.0)).is_wide
    assert along(QUARTER, WIDE_UM + 0.01, (0.0, 0.0)).is_wide
