"""Evidence about what is inside the outline: vessels, empty tissue, black masks."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from defects import (
    NUISANCES,
    Phantom,
    hand_mask_over_target,
    off_vessel,
    short_phantom,
    sound_scene,
    without_vessels,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from stallscan.roi import Verdict, Volume, find_roi
from stallscan.roi.content import (
    MIN_BRIGHT,
    MIN_MASKED,
    MIN_NEVER_LIT,
    MIN_RIDGE,
    MIN_RIDGE_TO_NOISE,
    judge_content,
)
from stallscan.simulate.outline import draw
from stallscan.simulate.phantom import render_grey
from stallscan.types import Box, Label
from stallscan.video import read_clip, write_clip

HEIGHT, WIDTH = 60, 68
INNER = 50, 42  # diameters of the ellipse inside the line


def words(volume: Volume) -> list[str]:
    return [verdict.value for verdict, _ in judge_content(volume)]


def volume_of(grey: np.ndarray, n_channels: int = 3) -> Volume:
    """An elliptic outline around ``(z, 60, 68)`` grey levels."""
    line, mask = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(line, (WIDTH // 2, HEIGHT // 2), (29, 25), 0, 0, 360, 1, 3)
    cv2.ellipse(mask, (WIDTH // 2, HEIGHT // 2), (29, 25), 0, 0, 360, 1, -1)
    array = np.repeat(np.clip(np.round(grey), 0, 255).astype(np.uint8)[..., None], n_channels, -1)
    array[:, line > 0] = (240, 104, 17)[:n_channels]
    return Volume(
        array=array,
        mask=(mask | line) > 0,
        line=line > 0,
        box=Box(0, 0, 0, len(grey), HEIGHT, WIDTH),
        source="synthetic",
    )


def tissue(n_frames: int = 40, seed: int = 0, spread: float = 8.0) -> np.ndarray:
    """Noise about 6 grey levels above 0, as many below 0 as in a real frame."""
    rng = np.random.default_rng(seed)
    return np.maximum(6 + spread * rng.standard_normal((n_frames, HEIGHT, WIDTH)), 0)


def vessel(
    height: float, n_frames: int = 40, width_px: float = 2.0, angle_deg: float = 0.0
) -> np.ndarray:
    """A Gaussian ridge across the outline's middle, in focus in ten slices."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] - np.array([HEIGHT // 2, WIDTH // 2])[:, None, None]
    angle = np.deg2rad(angle_deg)
    off = y * np.cos(angle) - x * np.sin(angle)
    grey = np.zeros((n_frames, HEIGHT, WIDTH))
    grey[n_frames // 2 - 5 : n_frames // 2 + 5] = height * np.exp(-(off**2) / (2 * width_px**2))
    return grey


# Empty tissue.


def test_empty_tissue_is_off_the_vessel() -> None:
    ((verdict, evidence),) = judge_content(volume_of(tissue()))
    assert verdict is Verdict.OFF_VESSEL
    assert evidence.startswith("nothing like a vessel is inside the outline")


@pytest.mark.parametrize("width_px", [1.2, 2.0, 4.0])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_a_tube_is_a_vessel(width_px: float, n_channels: int) -> None:
    assert words(volume_of(tissue() + vessel(60, width_px=width_px), n_channels)) == []


@pytest.mark.parametrize("angle_deg", [0, 30, 45, 90])
@pytest.mark.parametrize("height", [5.0, 10.0])
def test_the_strength_of_a_ridge_is_in_closed_form(height: float, angle_deg: float) -> None:
    """Height × σ² s / S³ (1 − d²/S²) exp(−d²/2S²), S² = σ² + s², at the distance d."""
    grey = np.round(vessel(height, angle_deg=angle_deg))
    ((verdict, evidence),) = judge_content(volume_of(grey))
    assert verdict is Verdict.OFF_VESSEL and f"at least {MIN_RIDGE}" in evidence
    # Both are 2 px; a twentieth of the inside reaches 1 px from the crest.
    expected = height * 8 / 8**1.5 * (1 - 1 / 8) * np.exp(-1 / 16)
    found = float(evidence.split("stand out by ")[1].split()[0])
    assert found == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize(("height", "expected"), [(11, ["off_vessel"]), (18, [])])
def test_the_ridge_threshold(height: float, expected: list[str]) -> None:
    assert words(volume_of(vessel(height))) == expected


def loud_tissue(seed: int) -> np.ndarray:
    """Noise with grains as wide as vessels, but others in every frame."""
    noise = np.random.default_rng(seed).standard_normal((40, HEIGHT, WIDTH))
    smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), 2.0) for plane in noise])
    return 16 + 14 * smooth / smooth.std()


@pytest.mark.parametrize("seed", range(3))
def test_noise_must_be_outdone(seed: int) -> None:
    """In a loud session more is asked for."""
    ((verdict, evidence),) = judge_content(volume_of(loud_tissue(seed)))
    assert verdict is Verdict.OFF_VESSEL
    strongest = float(evidence.split("stand out by ")[1].split()[0])
    least = float(evidence.split("at least ")[1])
    # The strongest ridges of the 8 blocks reach 3.6 standard deviations; 6 are asked for.
    assert least > MIN_RIDGE and strongest / least == pytest.approx(
        3.6 / MIN_RIDGE_TO_NOISE, abs=0.06
    )


def test_a_valley_is_no_ridge() -> None:
    assert words(volume_of(30 - vessel(14))) == ["off_vessel"]


def test_a_wide_vessel_that_fills_the_outline() -> None:
    """No ridge at all, as in a real clip."""
    assert words(volume_of(tissue() + MIN_BRIGHT + 5)) == []


def test_the_line_is_no_vessel() -> None:
    """Smeared by 2 px, as chroma subsampling leaves it."""
    volume = volume_of(tissue())
    array = volume.array.copy()
    array[:, cv2.dilate(volume.line.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0] = 200
    assert words(replace(volume, array=array)) == ["off_vessel"]


def test_what_has_colour_is_no_vessel() -> None:
    """Red chroma may smear farther than 2 px."""
    volume = volume_of(tissue())
    array = volume.array.copy()
    array[..., 0] = np.maximum(array[..., 0], vessel(60))
    assert words(replace(volume, array=array)) == ["off_vessel"]


def test_vessels_outside_the_outline_do_not_count() -> None:
    grey = tissue()
    grey[:, :3] += 150
    grey[:, :, -3:] += 150
    assert words(volume_of(grey)) == ["off_vessel"]


def test_single_specks_are_no_vessel() -> None:
    grey = tissue()
    rng = np.random.default_rng(0)
    for z, y, x in zip(rng.integers(0, 40, 4), *rng.integers(15, 45, (2, 4)), strict=True):
        grey[z, y - 1 : y + 2, x - 1 : x + 2] += 150
    assert words(volume_of(grey)) == ["off_vessel"]


# Black masks.


def masked(grey: np.ndarray, share: float, frames: slice = slice(None)) -> np.ndarray:
    """The left of what is inside the line black; the ellipse is taken as a box."""
    grey = grey.copy()
    inner = INNER[0]
    grey[frames, :, : round((WIDTH - inner) / 2 + share * inner)] = 0
    return grey


def bright_tissue(n_frames: int = 40) -> np.ndarray:
    return tissue(n_frames) + vessel(80, n_frames)


def test_a_mask_is_found_with_its_share_and_frames() -> None:
    ((verdict, evidence),) = judge_content(volume_of(masked(bright_tissue(), 0.5)))
    assert verdict is Verdict.MASKED
    assert evidence.endswith("% of the inside in 40 of 40 frames (0–39; counted from 0)")
    share = int(evidence.removeprefix("a black mask covers ").split("%")[0])
    assert share == pytest.approx(50, abs=3)


@pytest.mark.parametrize("first", [0, 5, 8, 16])
def test_a_mask_in_some_frames(first: int) -> None:
    """Blocks tell where it begins and ends to within half of one, 6 frames."""
    grey = masked(bright_tissue(), 0.5, slice(first, first + 24))
    ((verdict, evidence),) = judge_content(volume_of(grey))
    assert verdict is Verdict.MASKED
    begin, end = evidence.split("frames (")[1].split(";")[0].split("–")
    assert first <= int(begin) <= first + 6 and first + 18 <= int(end) + 1 <= first + 24


def test_a_mask_in_few_frames_may_be_chance() -> None:
    assert words(volume_of(masked(bright_tissue(), 0.5, slice(12, 28)))) == []


@pytest.mark.parametrize("n_frames", [1, 11])
def test_fewer_frames_than_a_block_prove_no_mask(n_frames: int) -> None:
    """A single frame's dark noise after H.264 is as flat as a mask."""
    assert words(volume_of(masked(bright_tissue(40)[15 : 15 + n_frames], 0.3))) == []


def test_black_that_moves_is_no_mask() -> None:
    grey = masked(bright_tissue(60), 0.4, slice(0, 24))
    grey[30:54] = masked(bright_tissue(60)[..., ::-1], 0.4)[30:54, :, ::-1]
    assert words(volume_of(grey)) == []


@pytest.mark.parametrize(
    ("share", "expected"),
    [(MIN_MASKED - 0.1, []), (MIN_MASKED + 0.1, ["masked"]), (0.8, ["masked"])],
)
def test_a_mask_must_be_considerable(share: float, expected: list[str]) -> None:
    assert words(volume_of(masked(bright_tissue(), share))) == expected


def test_what_is_below_a_mask_is_not_asked_for() -> None:
    assert words(volume_of(masked(tissue(), 0.5))) == ["masked"]


@pytest.mark.parametrize("ringing", [0, 3])
def test_a_mask_is_not_quite_black_after_h264(ringing: int) -> None:
    grey = masked(bright_tissue(), 0.5)
    assert words(volume_of(np.maximum(grey, ringing))) == ["masked"]


def test_a_dark_background_is_no_mask() -> None:
    """Half of it 0, and dark corners where nine tenths are."""
    rng = np.random.default_rng(0)
    grey = np.maximum(8 * rng.standard_normal((40, HEIGHT, WIDTH)), 0) + vessel(80)
    grey[:, :, :30] *= rng.random((40, HEIGHT, 30)) < 0.3
    assert words(volume_of(grey)) == []


def test_a_background_of_0_is_no_mask() -> None:
    """Then nothing tells one from the other."""
    assert words(volume_of(vessel(80))) == []


def dark_tissue(n_frames: int = 60) -> np.ndarray:
    """Black but for one pixel in eighty, in single frames, and a vessel."""
    rng = np.random.default_rng(4)
    noise = 12 * (rng.random((n_frames, HEIGHT, WIDTH)) < 1 / 80)
    return np.maximum(noise, vessel(120, n_frames))


def test_a_mask_over_a_background_that_is_nearly_black() -> None:
    """It is seen in the whole stack, where everything else is lit now and then."""
    grey = dark_tissue()
    assert words(volume_of(grey)) == []
    grey[:, :, : WIDTH // 2] = 0
    ((verdict, evidence),) = judge_content(volume_of(grey))
    assert verdict is Verdict.MASKED
    found = re.fullmatch(r"(\d+)% of the inside stays black in all 60 frames, .* mask", evidence)
    assert found and 45 <= int(found[1]) <= 52


@pytest.mark.parametrize("share", [0.25, 0.45])
def test_how_much_must_stay_black(share: float) -> None:
    grey = dark_tissue()
    inside = volume_of(grey).mask
    columns = np.cumsum(inside.sum(axis=0)) < share * inside.sum()
    grey[:, :, columns] = 0
    assert words(volume_of(grey)) == ([] if share < MIN_NEVER_LIT else ["masked"])


def test_a_few_dark_frames_prove_no_mask() -> None:
    grey = dark_tissue(6)
    grey[:, :, : WIDTH // 2] = 0
    assert words(volume_of(grey)) == []


def test_a_mask_outside_the_outline_does_not_count() -> None:
    grey = bright_tissue()
    grey[:, :8] = 0
    grey[:, :, :6] = 0
    assert words(volume_of(grey)) == []


# Degenerate volumes.


@pytest.mark.parametrize("value", [0, 90, 255])
@pytest.mark.parametrize("n_frames", [1, 2, 40])
def test_constant_volumes(value: int, n_frames: int) -> None:
    grey = np.full((n_frames, HEIGHT, WIDTH), value)
    assert words(volume_of(grey)) == ([] if value >= MIN_BRIGHT else ["off_vessel"])


def test_a_tiny_outline_is_not_judged() -> None:
    volume = volume_of(tissue())
    tiny = np.zeros_like(volume.mask)
    tiny[28:34, 30:36] = True
    assert judge_content(replace(volume, mask=tiny, line=np.zeros_like(tiny))) == []


@given(
    st.tuples(st.integers(1, 30), st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([1, 3]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_any_volume_is_judged(shape: tuple[int, int, int], n_channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    volume = Volume(
        array=rng.integers(0, rng.integers(1, 256), (*shape, n_channels), np.uint8),
        mask=rng.random(shape[1:]) < 0.9,
        line=rng.random(shape[1:]) < 0.01,
        box=Box(0, 0, 0, *shape),
        source="random",
    )
    before = volume.array.copy()
    found = judge_content(volume)
    assert len(found) <= 1 and all(evidence for _, evidence in found)
    assert (volume.array == before).all()


# Phantoms.


@pytest.fixture
def phantom() -> Phantom:
    return short_phantom()


def volume_in(array: np.ndarray, tmp_path: Path, crf: int = 18) -> Volume:
    """What surrounds the outline, through H.264."""
    colored = np.ptp(array[0].astype(int), axis=-1) > 100
    ys, xs = (np.flatnonzero(colored.any(axis=axis)) for axis in (1, 0))
    around = array[:, ys[0] // 2 * 2 - 2 : ys[-1] + 3, xs[0] // 2 * 2 - 2 : xs[-1] + 3]
    even = around[:, : around.shape[1] // 2 * 2, : around.shape[2] // 2 * 2]
    write_clip(tmp_path / "clip.mp4", np.ascontiguousarray(even), crf=crf)
    clip = read_clip(tmp_path / "clip.mp4")
    return find_roi(clip).crop(clip)


@pytest.mark.parametrize("crf", [18, 28])
def test_a_phantom_is_sound(phantom: Phantom, tmp_path: Path, crf: int) -> None:
    assert words(volume_in(phantom.drawn(), tmp_path, crf)) == []


@pytest.mark.parametrize("crf", [18, 28])
def test_an_outline_off_the_vessel(phantom: Phantom, tmp_path: Path, crf: int) -> None:
    array = off_vessel(phantom, np.random.default_rng(0))
    assert words(volume_in(array, tmp_path, crf)) == ["off_vessel"]


def test_a_hand_mask_over_the_target(phantom: Phantom, tmp_path: Path) -> None:
    array = hand_mask_over_target(phantom, np.random.default_rng(0))
    assert words(volume_in(array, tmp_path)) == ["masked"]


@pytest.mark.parametrize("name", NUISANCES)
def test_nuisances(name: str, phantom: Phantom, tmp_path: Path) -> None:
    array = NUISANCES[name].make(phantom, np.random.default_rng(0))
    assert words(volume_in(array, tmp_path)) == []


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("has_vessels", [True, False])
def test_many_scenes_with_and_without_their_vessels(seed: int, has_vessels: bool) -> None:
    """The same outline, session and specks; half of the targets are stalled."""
    rng = np.random.default_rng((7011, seed))
    scene = sound_scene(rng, Label(seed % 2))
    if not has_vessels:
        scene = without_vessels(scene)
    mask, coverage = (
        plane(scene.shape[1:]) for plane in (scene.outline.filled, scene.outline.coverage)
    )
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = Box(0, int(ys[0]), int(xs[0]), scene.shape[0], int(ys[-1]) + 1, int(xs[-1]) + 1)
    grey = render_grey(scene, box, rng)
    plane = box.slices[1:]
    volume = Volume(
        array=draw(grey, coverage[plane], scene.outline.color),
        mask=mask[plane],
        line=coverage[plane] >= 0.5,
        box=box,
        source="phantom",
    )
    assert words(volume) == ([] if has_vessels else ["off_vessel"])


REAL_DATA = os.environ.get("STALLSCAN_REAL_DATA")


@pytest.mark.skipif(not REAL_DATA, reason="STALLSCAN_REAL_DATA does not name the real clips")
@pytest.mark.parametrize("name", ["105668.gif", "200149.gif", "stalled_frame_512x384.jpg"])
@pytest.mark.parametrize("crf", [18, 28])
def test_real_clips_are_sound(name: str, crf: int, tmp_path: Path) -> None:
    path = Path(str(REAL_DATA)) / "clips" / name
    # OpenCV reads the first frame of a GIF alone.
    is_clip = path.suffix == ".gif"
    array = read_clip(path).array if is_clip else cv2.imread(str(path))[np.newaxis, ..., ::-1]
    roi = find_roi(np.ascontiguousarray(array))
    assert words(roi.crop(np.ascontiguousarray(array))) == []
    write_clip(tmp_path / "again.mp4", np.ascontiguousarray(array), crf=crf)
    clip = read_clip(tmp_path / "again.mp4")
    assert words(find_roi(clip).crop(clip)) == []
