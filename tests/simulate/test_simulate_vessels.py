"""Vessel geometry: unit steps, asked lengths, curvature as asked, flatness."""

import numpy as np
import pytest

from stallscan.simulate.vessels import (
    Vessel,
    grow_centrelines,
    sample_directions,
    sample_lengths_um,
    sample_radii_um,
)


def grow(
    n: int, *, length_um: float, radius_um: float, tortuosity: float, flatness: float = 1.0
) -> list[Vessel]:
    rng = np.random.default_rng(7)
    return grow_centrelines(
        rng,
        rng.uniform(0, 100, (n, 3)),
        sample_directions(rng, n, flatness),
        np.full(n, length_um),
        np.full(n, radius_um),
        np.full(n, tortuosity),
        flatness,
    )


@pytest.mark.parametrize("tortuosity", [0.0, 0.05, 0.11])
def test_steps_are_one_micrometre(tortuosity: float) -> None:
    for vessel in grow(20, length_um=63.5, radius_um=2.5, tortuosity=tortuosity):
        steps = np.linalg.norm(np.diff(vessel.points_um, axis=0), axis=1)
        np.testing.assert_allclose(steps, 1.0, atol=1e-3)
        np.testing.assert_allclose(np.diff(vessel.arc_um), 1.0)
        assert len(vessel.arc_um) == len(vessel.points_um)
        assert vessel.arc_um[0] == 0
        assert vessel.length_um == pytest.approx(63.5, abs=1.0)


def test_wide_tubes_are_sampled_coarsely_and_stay_as_long() -> None:
    (vessel,) = grow(1, length_um=120.0, radius_um=9.0, tortuosity=0.0)
    assert vessel.length_um == pytest.approx(120.0, abs=3.0)
    np.testing.assert_allclose(np.linalg.norm(np.diff(vessel.points_um, axis=0), axis=1), 3.0, 1e-4)


def test_without_tortuosity_they_are_straight() -> None:
    for vessel in grow(10, length_um=50.0, radius_um=2.5, tortuosity=0.0):
        ends = np.linalg.norm(vessel.points_um[-1] - vessel.points_um[0])
        assert ends == pytest.approx(vessel.length_um, abs=1e-3)


def test_curvature_is_the_tortuosity() -> None:
    """Each of the two directions across the vessel turns by the tortuosity, rms."""
    turns = []
    for vessel in grow(40, length_um=1000.0, radius_um=2.5, tortuosity=5e-4):
        headings = np.diff(vessel.points_um.astype(float), axis=0)
        turns.append(np.linalg.norm(np.diff(headings, axis=0), axis=1))
    assert np.sqrt(np.mean(np.square(turns))) == pytest.approx(5e-4 * np.sqrt(2), rel=0.08)


def test_directions_and_flatness() -> None:
    rng = np.random.default_rng(0)
    isotropic = sample_directions(rng, 20_000, 1.0)
    np.testing.assert_allclose(np.linalg.norm(isotropic, axis=1), 1.0)
    np.testing.assert_allclose(np.square(isotropic).mean(axis=0), 1 / 3, atol=0.01)
    assert not sample_directions(rng, 100, 0.0)[:, 0].any()
    for vessel in grow(10, length_um=60.0, radius_um=2.5, tortuosity=0.1, flatness=0.0):
        assert np.ptp(vessel.points_um[:, 0]) == 0


def test_sizes_of_capillaries() -> None:
    rng = np.random.default_rng(0)
    lengths, radii = sample_lengths_um(rng, 20_000), sample_radii_um(rng, 20_000)
    assert np.median(lengths) == pytest.approx(55, rel=0.03)
    assert lengths.min() >= 25 and lengths.max() <= 170
    assert radii.mean() == pytest.approx(2.5, abs=0.02)  # 5 µm across, as measured in vivo
    assert radii.min() >= 1.6 and radii.max() <= 3.5
