"""Evidence about frames: each defect gets its word, sound frames none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from defects import (
    DEFECTS,
    NUISANCES,
    Phantom,
    black_edges,
    dim_frames,
    duplicated_frames,
    gain_steps,
    short_phantom,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from stallscan.roi.frames import MAX_DIM, MIN_GAIN_STEP, STEP, FrameFlag, check_frames
from stallscan.video import Clip, read_clip, read_stack, write_clip

FRAME_WORDS = {flag.value for flag in FrameFlag}


@pytest.fixture
def phantom() -> Phantom:
    return short_phantom()


def sampled(array: np.ndarray) -> np.ndarray:
    return Clip(array=array, source="phantom").grey(STEP)


def words(grey: np.ndarray) -> list[str]:
    return [flag.value for flag, _ in check_frames(grey)]


def evidence(array: np.ndarray) -> str:
    ((_, sentence),) = check_frames(sampled(array))
    return sentence


def noise(n_frames: int = 40, level: float = 20.0, seed: int = 0) -> np.ndarray:
    """Independent frames with a steady bright pattern: ``(z, 48, 64)``."""
    rng = np.random.default_rng(seed)
    pattern = level * rng.random((48, 64))
    return np.clip(pattern + level * rng.random((n_frames, 48, 64)), 0, 255).astype(np.uint8)


FRAME_DEFECTS = [name for name, defect in DEFECTS.items() if defect.word in FRAME_WORDS]


@pytest.mark.parametrize("name", FRAME_DEFECTS)
def test_a_defect_gets_its_word_alone_after_h264(
    name: str, phantom: Phantom, tmp_path: Path
) -> None:
    array = DEFECTS[name].make(phantom, np.random.default_rng(3))
    write_clip(tmp_path / "clip.mp4", array, preset="veryfast")
    assert words(read_stack(tmp_path / "clip.mp4").grey(STEP)) == [DEFECTS[name].word]


@pytest.mark.parametrize("crf", [18, 28])
def test_a_sound_clip_gets_none_after_h264(phantom: Phantom, tmp_path: Path, crf: int) -> None:
    write_clip(tmp_path / "clip.mp4", phantom.drawn(), preset="veryfast", crf=crf)
    assert words(read_stack(tmp_path / "clip.mp4").grey(STEP)) == []


@pytest.mark.parametrize("name", NUISANCES)
def test_nuisances_get_none(name: str, phantom: Phantom) -> None:
    assert words(sampled(NUISANCES[name].make(phantom, np.random.default_rng(0)))) == []


def test_dim_frames_are_named(phantom: Phantom) -> None:
    array = dim_frames(phantom, [0, 12, 13, 14, 30], 0.4)
    assert evidence(array).startswith("5 of 36 frames (0, 12–14, 30; counted from 0) are dim")


def test_dim_frames_are_as_dark_as_the_evidence_says() -> None:
    grey = np.random.default_rng(0).integers(18, 59, (20, 40, 40), np.uint8)  # mean 38
    grey[7] -= 18  # mean 20
    ((flag, sentence),) = check_frames(grey)
    assert flag is FrameFlag.DIM and "level 19.9" in sentence and "around them 38." in sentence


@pytest.mark.parametrize(("factor", "expected"), [(MAX_DIM - 0.1, ["dim"]), (MAX_DIM + 0.1, [])])
def test_the_dim_threshold(factor: float, expected: list[str]) -> None:
    grey = noise(level=80)
    grey[20] = grey[20] * factor
    assert words(grey) == expected


@pytest.mark.parametrize("length", [1, 5, 6, 12])
def test_short_dark_runs_are_dim_long_ones_a_gain_step(length: int) -> None:
    grey = noise()
    grey[15 : 15 + length] = grey[15 : 15 + length] * 0.4
    assert words(grey) == (["dim"] if length <= 5 else ["gain"])


def test_a_gradual_decay_is_no_defect() -> None:
    decay = 0.93 ** np.arange(40)[:, None, None]
    assert words((noise(level=100) * decay).astype(np.uint8)) == []


def test_the_outline_does_not_hide_dim_frames() -> None:
    """A line as bright as all else together, on every frame."""
    grey = noise(level=4)
    grey[10] = grey[10] * 0.3
    grey[:, ::12] = 120
    assert words(grey) == ["dim"]


def test_repeated_frames_are_named(phantom: Phantom) -> None:
    sentence = evidence(duplicated_frames(phantom, [5, 6, 20]))
    assert sentence.startswith("3 of 36 frames (5–6, 20; counted from 0) repeat the frame before")


@pytest.mark.parametrize("times", [2, 3])
def test_every_frame_many_times(times: int) -> None:
    """Almost: H.264 changes them a little."""
    grey = np.repeat(noise(12), times, axis=0)
    grey += np.random.default_rng(0).integers(0, 2, grey.shape, np.uint8)
    ((flag, sentence),) = check_frames(grey)
    assert flag is FrameFlag.DUPLICATED
    assert sentence.startswith(f"{12 * (times - 1)} of {12 * times} frames")


def test_a_still_repeats(phantom: Phantom, tmp_path: Path) -> None:
    write_clip(tmp_path / "still.mp4", np.repeat(phantom.drawn()[:1], 12, axis=0))
    ((flag, sentence),) = check_frames(read_stack(tmp_path / "still.mp4").grey(STEP))
    assert flag is FrameFlag.DUPLICATED and sentence.startswith("11 of 12 frames (1–11;")


def test_a_dim_block_does_not_repeat() -> None:
    """Its differences are small because its grey levels are."""
    grey = noise(level=100)
    grey[20:] = grey[20:] * 0.2
    assert words(grey) == ["gain"]


def test_gain_steps_are_named_with_their_factor() -> None:
    grey = noise()
    grey[12:25] = grey[12:25] * 2
    ((flag, sentence),) = check_frames(grey)
    assert flag is FrameFlag.GAIN
    # 0.5 grey levels are added before the factor is taken.
    assert "factor of 1.97 at 2 of 40 frames (12, 25;" in sentence


def test_gain_down_to_the_end(phantom: Phantom) -> None:
    assert "at 1 of 36 frames (18;" in evidence(gain_steps(phantom, 18, 36, 0.6))


@pytest.mark.parametrize(("off", "expected"), [(0.06, ["gain"]), (-0.06, [])])
@pytest.mark.parametrize("up", [True, False])
def test_the_gain_threshold(off: float, expected: list[str], up: bool) -> None:
    grey = noise(level=60)
    factor = MIN_GAIN_STEP + off
    block = slice(20, None) if up else slice(0, 20)
    grey[block] = grey[block] * factor
    assert words(grey) == expected


@pytest.mark.parametrize("factors", [(0.7, 0.7, 0.7, 1, 1), (1.5, 1.1, 1.1, 1.1, 1.1)])
def test_a_step_that_does_not_last(factors: tuple[float, ...]) -> None:
    grey = noise(level=60)
    grey[20:25] = grey[20:25] * np.array(factors)[:, None, None]
    grey[25:] = grey[25:] * factors[-1]
    assert words(grey) == []


def test_a_cut_to_other_anatomy_is_no_gain_step() -> None:
    assert words(np.concatenate([noise(20), 2 * noise(20, seed=1)])) == []


@pytest.mark.parametrize("n_low", [3, 4])
def test_a_gain_step_needs_four_frames_on_either_side(n_low: int) -> None:
    grey = noise()
    grey[-n_low:] = grey[-n_low:] * 1.6
    assert words(grey) == (["gain"] if n_low == 4 else [])


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_black_edges_are_named(phantom: Phantom, side: str) -> None:
    sentence = evidence(black_edges(phantom, np.random.default_rng(0), side))
    assert sentence.startswith(f"black strip at the {side} edge in 36 of 36 frames")


def test_two_black_edges_are_one_finding() -> None:
    grey = noise()
    grey[3:9, :2] = 0
    grey[4:11, :, -1] = 0
    ((flag, sentence),) = check_frames(grey)
    assert flag is FrameFlag.BLACK_EDGE
    assert "right edge in 7 of 40" in sentence and "top edge in 6 of 40" in sentence


@pytest.mark.parametrize(("n_frames", "expected"), [(3, []), (4, ["black_edge"])])
def test_a_black_edge_in_a_tenth_of_the_frames(n_frames: int, expected: list[str]) -> None:
    grey = noise()
    grey[10 : 10 + n_frames, :, :2] = 0
    assert words(grey) == expected


@pytest.mark.parametrize(("n_frames", "expected"), [(2, []), (3, ["black_edge"])])
def test_a_black_edge_in_three_frames_of_a_short_stack(n_frames: int, expected: list[str]) -> None:
    grey = noise(12)
    grey[5 : 5 + n_frames, :, 0] = 0
    assert words(grey) == expected


def test_a_black_line_in_the_middle_does_not_hide_an_edge() -> None:
    grey = noise()
    grey[:, :, 0] = 0
    grey[:, :, 30] = 0
    assert words(grey) == ["black_edge"]


@pytest.mark.parametrize(("width", "expected"), [(1, True), (8, True), (11, False), (16, False)])
def test_a_strip_is_narrow(width: int, expected: bool) -> None:
    grey = noise()
    grey[:, :, :width] = 0
    assert words(grey) == (["black_edge"] if expected else [])


def test_a_dark_background_has_no_black_edge() -> None:
    grey = noise()
    grey[:, :, :3] = 0
    grey[:, 1:] = 0  # nearly all is 0: nothing to tell the edge from
    assert words(grey) == []


@pytest.mark.parametrize("side", ["left", "bottom"])
def test_a_black_edge_of_dark_frames_shows_in_all_of_them_together(side: str) -> None:
    """One sample in thirty is lit: two or three of an edge in each frame."""
    rng = np.random.default_rng(6)
    grey = (40 * (rng.random((40, 96, 128)) < 1 / 30)).astype(np.uint8)
    assert words(grey) == []
    grey[(slice(None), slice(-2, None)) if side == "bottom" else np.s_[:, :, :2]] = 0
    ((flag, sentence),) = check_frames(grey)
    assert flag is FrameFlag.BLACK_EDGE
    assert sentence == f"black strip at the {side} edge in all 40 frames together"
    assert words(grey[:8]) == []  # too few to be sure


def test_an_edge_half_black_is_vignetting() -> None:
    grey = noise()
    grey[:, :, 0] *= np.random.default_rng(0).random((40, 48)) < 0.3
    assert words(grey) == []


@pytest.mark.parametrize(
    ("shape", "value", "expected"),
    [
        ((1, 96, 128), 0, ["dim"]),
        ((9, 96, 128), 0, ["dim"]),
        ((2, 8, 8), 0, ["dim"]),
        ((1, 8, 8), 90, []),
        ((2, 8, 8), 90, ["duplicated"]),
        ((9, 96, 128), 90, ["duplicated"]),
        ((9, 1, 1), 90, ["duplicated"]),
    ],
)
def test_constant_stacks(shape: tuple[int, ...], value: int, expected: list[str]) -> None:
    assert words(np.full(shape, value, np.uint8)) == expected


@given(
    st.integers(1, 12),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_any_stack_is_judged(n: int, height: int, width: int, top: int, seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, top + 1, (n, height, width), np.uint8)
    before = grey.copy()
    found = check_frames(grey)
    assert all(sentence and flag in FrameFlag for flag, sentence in found)
    assert len({flag for flag, _ in found}) == len(found)
    assert (grey == before).all()


REAL_DATA = os.environ.get("STALLSCAN_REAL_DATA")


@pytest.mark.skipif(not REAL_DATA, reason="STALLSCAN_REAL_DATA does not name the real clips")
@pytest.mark.parametrize(
    ("name", "expected"),
    [("105668", ["duplicated", "black_edge"]), ("200149", ["duplicated", "gain"])],
)
def test_real_clips_have_the_defects_that_the_eye_sees(name: str, expected: list[str]) -> None:
    """Both end in three equal frames; one has a black left edge, one gets 2.8 times as bright."""
    found = check_frames(read_clip(Path(str(REAL_DATA)) / "clips" / f"{name}.gif").grey(STEP))
    assert [flag.value for flag, _ in found] == expected
    sentences = [sentence for _, sentence in found]
    assert sentences[0].startswith("2 of")
    assert "left edge in 39 of 39" in sentences[1] or "factor of 2.8" in sentences[1]
