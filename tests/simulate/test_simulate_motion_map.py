"""Where the target is, and whether its blood moves there."""

import numpy as np
import pytest

from stallscan.simulate import PRESETS, phantom_roi
from stallscan.simulate.motion_map import Motion, motion_map
from stallscan.simulate.truth import MOVING_UM, STILL_UM
from stallscan.types import Label

CASES = [(preset, k) for preset in ("clean", "randomised") for k in range(4)]


@pytest.mark.parametrize(("preset", "k"), CASES)
def test_it_says_what_the_truth_says(preset: str, k: int) -> None:
    volume, truth = phantom_roi((31, k), Label(k % 2), PRESETS[preset], codec=False)
    found = motion_map(truth)
    assert found.shape == volume.array.shape[:3] and found.dtype == np.uint8
    motion = np.abs(truth.motion_um)
    for z, plane in enumerate(found):
        there = set(np.unique(plane)) - {Motion.NONE}
        expected = Motion.STILL if motion[z] < STILL_UM else Motion.MOVING
        if STILL_UM <= motion[z] < MOVING_UM:
            expected = Motion.UNDECIDED
        assert there <= {expected}
    if not truth.artefacts and preset == "clean":
        # Slices in focus are those with 5 µm of the vessel in them: it is in the map of each.
        assert (found > 0).any(axis=(1, 2))[truth.focus].all()


def test_the_lumen_lies_inside_the_outline_and_is_bright() -> None:
    inside, contrast = [], []
    for k in range(6):
        volume, truth = phantom_roi((32, k), Label.FLOWING, PRESETS["clean"], codec=False)
        lumen = motion_map(truth) > 0
        inside.append((lumen & volume.mask).sum() / lumen.sum())
        grey = volume.array.mean(axis=3)
        around = volume.mask & ~volume.line & ~lumen
        contrast.append(grey[lumen & ~volume.line].mean() / (grey[around].mean() + 1))
    assert min(inside) > 0.97
    assert min(contrast) > 2


def test_its_thickness_is_the_vessel_s() -> None:
    _, truth = phantom_roi((33, 1), Label.STALLED, PRESETS["clean"], codec=False)
    volume_um3 = (motion_map(truth) > 0).sum() * truth.z_step_um * truth.pixel_um**2
    expected = np.pi * (truth.diameter_um / 2) ** 2 * truth.length_um
    assert volume_um3 == pytest.approx(expected, rel=0.35)
