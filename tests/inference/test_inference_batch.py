"""Many videos, some of them bad."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import stallscan
from clips import draw_clip
from stallscan.inference.batch import predict_all
from stallscan.inference.predictor import Predictor
from stallscan.inference.table import Row
from stallscan.roi import extract_roi
from stallscan.roi.extraction import Extraction
from stallscan.video import read_stack
from stallscan.video.write import write_clip


def predict_videos(paths: list[Path], predictor: Predictor, workers: int = 2) -> list[Row]:
    return [row for row, _ in predict_all(paths, extract_roi, predictor, workers=workers)]


@pytest.fixture
def videos(tmp_path: Path, write_drawn_clip: Callable[..., Path]) -> list[Path]:
    good = [write_drawn_clip(f"good{seed}.mp4", seed) for seed in range(3)]
    grey = write_drawn_clip("grey.mp4", outline=False)
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(good[0].read_bytes()[:2000])
    empty = tmp_path / "empty.mp4"
    empty.touch()
    jumping = tmp_path / "jumping.mp4"
    parts = [np.roll(draw_clip(5), shift, axis=2) for shift in (0, 20)]
    write_clip(jumping, np.concatenate(parts))
    return [good[0], torn, good[1], grey, empty, jumping, tmp_path / "missing.mp4", good[2]]


def test_a_bad_file_becomes_a_row_and_the_run_goes_on(
    videos: list[Path], tiny_model_dir: Path
) -> None:
    rows = predict_videos(videos, stallscan.load_predictor(tiny_model_dir))
    assert [row.filename for row in rows] == [path.name for path in videos]
    status = {row.filename: row.status for row in rows}
    assert status == {
        "good0.mp4": "ok",
        "torn.mp4": "failed",
        "good1.mp4": "ok",
        "grey.mp4": "failed",
        "empty.mp4": "failed",
        "jumping.mp4": "flagged",
        "missing.mp4": "failed",
        "good2.mp4": "ok",
    }
    by_name = {row.filename: row for row in rows}
    assert by_name["grey.mp4"].outline == "missing" and by_name["grey.mp4"].n_frames == 8
    assert "no orange outline in any of 8 frames" in by_name["grey.mp4"].message
    assert by_name["jumping.mp4"].outline == "moving"
    assert "in another place (" in by_name["jumping.mp4"].message
    assert all(row.probability is None for row in rows if row.status == "failed")
    assert all(row.message for row in rows if row.status != "ok")


@pytest.mark.parametrize("workers", [1, 4])
def test_rows_do_not_depend_on_the_workers(
    videos: list[Path], tiny_model_dir: Path, workers: int
) -> None:
    predictor = stallscan.load_predictor(tiny_model_dir)
    assert predict_videos(videos, predictor, workers=workers) == predict_videos(videos, predictor)


def test_the_api_gives_the_same_as_the_batch(videos: list[Path], tiny_model_dir: Path) -> None:
    predictor = stallscan.load_predictor(tiny_model_dir)
    clip = stallscan.read_clip(videos[0])
    roi = stallscan.find_roi(clip)
    (row,) = predict_videos(videos[:1], predictor)
    prediction = predictor(roi.crop(clip))
    assert (row.probability, row.stalled) == (prediction.probability, prediction.stalled)
    assert row.box == roi.box and row.n_frames == clip.n_frames


def test_a_defect_of_a_library_costs_one_row(
    videos: list[Path], tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, **options: object) -> object:
        if path == videos[0]:
            raise MemoryError("out of it")
        return read_stack(path)

    monkeypatch.setattr("stallscan.roi.extract.read_stack", broken)
    rows = predict_videos(videos[:3:2], stallscan.load_predictor(tiny_model_dir))
    assert [row.status for row in rows] == ["failed", "ok"]
    assert "good0.mp4: unexpected MemoryError: out of it" in rows[0].message


def test_loading_never_runs_far_ahead(videos: list[Path], tiny_model_dir: Path) -> None:
    begun: list[Path] = []

    def counting(path: Path) -> Extraction:
        begun.append(path)
        return extract_roi(path)

    predictor = stallscan.load_predictor(tiny_model_dir)
    rows = predict_all([videos[0]] * 20, counting, predictor, workers=2)
    next(rows)
    assert len(begun) <= 3
    rows.close()  # type: ignore[attr-defined]
