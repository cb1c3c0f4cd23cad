"""One file → its ROI, or a value that says why there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clips import draw_clip
from stallscan.errors import OptionError
from stallscan.roi import Extraction, RoiOptions, Verdict, extract_roi, find_roi
from stallscan.types import Color
from stallscan.video import PlanarClip, read_clip, read_stack
from stallscan.video.write import write_clip

Write = Callable[..., Path]


def assert_failed(result: Extraction, *evidence: str) -> None:
    assert (result.status, result.volume) == ("failed", None)
    assert all(part in result.message for part in evidence), result.message


def test_a_good_file(write_drawn_clip: Write) -> None:
    path = write_drawn_clip("a.mp4")
    result = extract_roi(path)
    clip = read_clip(path)
    roi = find_roi(clip)
    assert (result.filename, result.status, result.message) == ("a.mp4", "ok", "")
    assert (result.outline, result.n_frames, result.frame_size) == ("ok", 8, (96, 128))
    assert result.volume is not None and result.volume.box == roi.box
    np.testing.assert_array_equal(result.volume.array, roi.crop(clip).array)
    np.testing.assert_array_equal(result.volume.mask, roi.crop(clip).mask)


def test_planes_and_rgb_are_judged_alike(write_drawn_clip: Write) -> None:
    path = write_drawn_clip("a.mp4", seed=3)
    planar = read_stack(path)
    assert isinstance(planar, PlanarClip)
    one, other = find_roi(planar), find_roi(read_clip(path))
    assert (one.verdict, one.message, one.flags) == (other.verdict, other.message, other.flags)


def test_no_outline(write_drawn_clip: Write) -> None:
    result = extract_roi(write_drawn_clip("grey.mp4", outline=False))
    assert_failed(result, "grey.mp4: no orange outline in any of 8 frames", "--roi full")
    assert (result.outline, result.n_frames, result.frame_size) == ("missing", 8, (96, 128))


def test_no_file(tmp_path: Path) -> None:
    result = extract_roi(tmp_path / "none.mp4")
    assert_failed(result, "none.mp4: no such file")
    assert (result.outline, result.n_frames, result.frame_size) == ("", None, None)


def test_a_defect_is_a_value_too(
    write_drawn_clip: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise MemoryError("out of it")

    monkeypatch.setattr("stallscan.roi.extract.read_stack", broken)
    result = extract_roi(write_drawn_clip("a.mp4"))
    assert_failed(result, "a.mp4: unexpected MemoryError: out of it; see the log")
    assert "Traceback" in caplog.text


# --- Where the region comes from --------------------------------------------------------------


def test_whole_frames_when_asked_for(write_drawn_clip: Write) -> None:
    path = write_drawn_clip("grey.mp4", outline=False)
    result = extract_roi(path, RoiOptions(roi="full"))
    assert (result.status, result.outline) == ("ok", "full")
    assert result.volume is not None and result.volume.box.size == (8, 96, 128)
    assert result.volume.mask.all() and not result.volume.line.any()
    np.testing.assert_array_equal(result.volume.array, read_clip(path).array)


def test_whole_frames_of_one_size(write_drawn_clip: Write) -> None:
    result = extract_roi(write_drawn_clip("a.mp4"), RoiOptions(roi="full"), size=(4, 48, 64))
    volume = result.volume
    assert volume is not None and volume.resized
    assert volume.array.shape == (4, 48, 64, 3) and volume.box.size == (8, 96, 128)


def test_a_given_polygon(write_drawn_clip: Write) -> None:
    path = write_drawn_clip("grey.mp4", outline=False)
    polygon = np.array([(10, 20), (10, 60), (40, 60), (40, 20)])
    result = extract_roi(path, polygon=polygon)
    assert result.outline == "given" and result.volume is not None
    assert result.volume.box == (0, 10, 20, 8, 41, 61) and result.volume.mask.all()
    triangle = extract_roi(path, polygon=polygon[:3]).volume
    assert triangle is not None and 0.4 < triangle.mask.mean() < 0.6


@pytest.mark.parametrize("corner", [(-1, 20), (96, 20), (20, 128)])
def test_a_given_polygon_outside_the_frame(
    write_drawn_clip: Write, corner: tuple[int, int]
) -> None:
    polygon = np.array([(10, 20), (10, 60), corner])
    result = extract_roi(write_drawn_clip("a.mp4"), polygon=polygon)
    assert_failed(result, "a.mp4: the given region (x ", "leaves the frame of 128×96", "correct")
    assert result.n_frames == 8


def test_another_colour(tmp_path: Path) -> None:
    array = draw_clip(1)[..., [2, 0, 1]]  # orange becomes (17, 240, 104)
    write_clip(tmp_path / "green.mp4", array)
    assert_failed(extract_roi(tmp_path / "green.mp4"), "no orange outline")
    result = extract_roi(tmp_path / "green.mp4", RoiOptions(outline_color=Color(17, 240, 104)))
    assert (result.status, result.outline) == ("ok", "ok")


# --- Damage -----------------------------------------------------------------------------------


def cut_tiff(path: Path) -> Path:
    import tifffile

    tifffile.imwrite(path, draw_clip(2), photometric="rgb")
    path.write_bytes(path.read_bytes()[: -2 * 96 * 128 * 3 - 100])
    return path


def test_a_file_that_breaks_off(tmp_path: Path) -> None:
    path = cut_tiff(tmp_path / "cut.tif")
    assert_failed(extract_roi(path), "cut.tif: ", "frames", "--partial")
    result = extract_roi(path, RoiOptions(partial=True))
    assert (result.status, result.outline, result.flags[0]) == ("flagged", "ok", "damaged")
    assert result.n_frames is not None and 1 <= result.n_frames < 8
    assert f"{result.n_frames} of 8 frames" in result.message
    assert result.volume is not None and result.volume.n_frames == result.n_frames


def test_too_large(write_drawn_clip: Write) -> None:
    path = write_drawn_clip("a.mp4")
    assert_failed(extract_roi(path, RoiOptions(max_gib=1e-4)), "a.mp4: ", "GiB", "--max-gib 1")
    assert extract_roi(path, RoiOptions(max_gib=1e-3)).status == "ok"


# --- Options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_gib": 0}, "--max-gib is 0, allowed is anything above 0"),
        ({"outline_color": Color(200, 200, 200)}, "200,200,200, too close to grey .* differ by 0"),
        ({"outline_color": Color(0, 256, 0)}, "0,256,0, allowed are three values from 0 to 255"),
        ({"roi": "full", "rois": Path("r.csv")}, "--roi full and --rois exclude each other"),
        (
            {"outline_color": Color(0, 255, 0), "rois": Path("r.csv")},
            "--outline-color and --rois exclude each other",
        ),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        RoiOptions(**options)  # type: ignore[arg-type]


def test_every_verdict_is_a_word_of_its_own() -> None:
    assert len({str(verdict) for verdict in Verdict}) == len(Verdict)
