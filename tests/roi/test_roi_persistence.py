"""The persistence score: 1 for a frozen pattern, 0 for independent ones, the line left out."""

import cv2
import numpy as np
import pytest

from stallscan.roi import Volume, persistence_score
from stallscan.types import Box


def volume_of(grey: np.ndarray) -> Volume:
    """An elliptic outline with an orange line around ``(z, y, x)`` grey levels."""
    n_frames, height, width = grey.shape
    centre, radii = (width // 2, height // 2), (width // 2 - 3, height // 2 - 3)
    line, mask = np.zeros((2, height, width), np.uint8)
    cv2.ellipse(line, centre, radii, 0, 0, 360, 1, 3)
    cv2.ellipse(mask, centre, radii, 0, 0, 360, 1, -1)
    array = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    array[:, line > 0] = (240, 104, 17)
    return Volume(
        array=array,
        mask=(mask | line) > 0,
        line=line > 0,
        box=Box(0, 0, 0, n_frames, height, width),
        source="synthetic",
    )


def texture(n_frames: int, seed: int = 0, contrast: float = 40) -> np.ndarray:
    return 120 + contrast * np.random.default_rng(seed).normal(size=(n_frames, 60, 80))


def test_a_frozen_pattern_scores_one() -> None:
    assert persistence_score(volume_of(texture(1).repeat(20, axis=0))) == pytest.approx(1, abs=1e-6)


def test_independent_slices_score_zero() -> None:
    scores = [persistence_score(volume_of(texture(40, seed))) for seed in range(5)]
    assert abs(np.mean(scores)) < 0.03 and np.abs(scores).max() < 0.06


def test_an_inverted_pattern_scores_minus_one() -> None:
    signs = (-1.0) ** np.arange(20)[:, None, None]
    score = persistence_score(volume_of(120 + signs * (texture(1) - 120)))
    assert score == pytest.approx(-1, abs=0.02)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_score_is_the_share_of_energy_that_stays(share: float) -> None:
    still, moving = texture(1) - 120, texture(60, seed=1) - 120
    grey = 120 + np.sqrt(share) * still + np.sqrt(1 - share) * moving
    assert persistence_score(volume_of(grey)) == pytest.approx(share, abs=0.05)


def test_slices_weigh_by_their_energy() -> None:
    """Ten bright frozen slices outweigh ten dim changing ones."""
    frozen = texture(1, contrast=40).repeat(10, axis=0)
    assert persistence_score(volume_of(np.concatenate([frozen, texture(10, 1, 4)]))) > 0.9


@pytest.mark.parametrize("smear_px", [0, 1, 2])
def test_the_line_and_its_smear_do_not_leak_in(smear_px: int) -> None:
    bare = volume_of(texture(30, contrast=6))
    size = 2 * smear_px + 1
    smeared = cv2.dilate(bare.line.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    array = bare.array.copy()
    array[:, smeared] = 255
    loud = Volume(array=array, mask=bare.mask, line=bare.line, box=bare.box, source="loud")
    assert persistence_score(loud) == pytest.approx(persistence_score(bare), abs=1e-6)
    assert abs(persistence_score(bare)) < 0.1


def test_a_constant_slope_is_no_structure_of_the_vessel() -> None:
    slope = np.broadcast_to(np.linspace(60, 180, 80), (30, 60, 80))
    noisy = slope + np.random.default_rng(0).normal(0, 20, slope.shape)
    assert abs(persistence_score(volume_of(noisy))) < 0.1


def test_one_channel_and_three_equal_ones_score_alike() -> None:
    three = volume_of(texture(12) + 30 * texture(1, 3).repeat(12, axis=0) / 120)
    grey = three.array.copy()
    grey[:, three.line] = grey[:, three.line][..., :1]
    one = Volume(
        array=grey[..., 1:2].copy(),
        mask=three.mask,
        line=three.line,
        box=three.box,
        source="synthetic",
    )
    assert persistence_score(one) == pytest.approx(persistence_score(three), abs=1e-5)


@pytest.mark.parametrize(
    "grey", [texture(1), np.zeros((8, 60, 80)), np.full((8, 60, 80), 93.0)], ids=str
)
def test_without_evidence_the_score_is_zero(grey: np.ndarray) -> None:
    assert persistence_score(volume_of(grey)) == 0.0


def test_nothing_inside_the_line_scores_zero() -> None:
    volume = volume_of(texture(8))
    covered = Volume(
        array=volume.array, mask=volume.mask, line=volume.mask, box=volume.box, source="covered"
    )
    assert persistence_score(covered) == 0.0
