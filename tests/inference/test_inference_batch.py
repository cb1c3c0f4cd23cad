"""Many videos, some of them bad."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import deadly, noting

import stallscan
from clips import draw_clip
from stallscan.augment.evaluation import Preprocessing, preprocess
from stallscan.cli.predict import predict
from stallscan.errors import OptionError
from stallscan.inference.batch import predict_all
from stallscan.inference.predictor import Predictor
from stallscan.inference.table import Row
from stallscan.models import create_model
from stallscan.models.card import ModelCard
from stallscan.models.checkpoint import save_checkpoint
from stallscan.roi import RoiOptions, extract_roi
from stallscan.video import read_stack
from stallscan.video.write import write_clip


def predict_videos(paths: list[Path], predictor: Predictor, workers: int = 0) -> list[Row]:
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


@pytest.mark.parametrize(("workers", "batch", "most"), [(2, 1, 3 * 2 + 1), (0, 1, 1), (0, 3, 3)])
def test_loading_never_runs_far_ahead(
    videos: list[Path], tiny_model_dir: Path, tmp_path: Path, workers: int, batch: int, most: int
) -> None:
    """However many videos there are: memory is bounded."""
    predictor = stallscan.load_predictor(tiny_model_dir)
    load = partial(noting, tmp_path / "log")
    rows = predict_all([videos[0]] * 20, load, predictor, workers=workers, batch=batch)
    next(rows)
    time.sleep(1 if workers else 0)
    assert 1 <= (tmp_path / "log").stat().st_size <= most
    rows.close()  # type: ignore[attr-defined]


# --- Batches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [2, 3, 8, 100])
@pytest.mark.parametrize("flips", [1, 4])
def test_rows_do_not_depend_on_the_batch(
    videos: list[Path], tiny_model_dir: Path, batch: int, flips: int
) -> None:
    """Bad videos within a batch neither shift nor spoil the others."""
    predictor = stallscan.load_predictor(tiny_model_dir, flips=flips)
    alone = predict_videos(videos, predictor)
    together = [row for row, _ in predict_all(videos, extract_roi, predictor, batch=batch)]
    assert sum(row.probability is not None for row in alone) == 4
    for one, other in zip(alone, together, strict=True):
        assert other.probability == pytest.approx(one.probability, abs=2e-6)
        assert replace(other, probability=None) == replace(one, probability=None)


@pytest.mark.parametrize("n_done", range(9))
def test_a_resumed_run_has_the_same_batches(
    videos: list[Path], tiny_model_dir: Path, n_done: int
) -> None:
    """So that its probabilities are the same to the last bit."""
    predictor = stallscan.load_predictor(tiny_model_dir)
    sizes: list[int] = []
    original = predictor.predict_batch

    def noting_sizes(vessels: Any) -> Any:
        sizes.append(len(vessels))
        return original(vessels)

    predictor.predict_batch = noting_sizes  # type: ignore[method-assign]
    whole = list(predict_all(videos, extract_roi, predictor, batch=3))
    all_sizes = sizes.copy()
    sizes.clear()
    rest = list(predict_all(videos, extract_roi, predictor, batch=3, n_done=n_done))
    assert rest == whole[n_done:]
    assert sizes == all_sizes[n_done // 3 :]


def test_stacks_of_their_own_depth_in_one_batch(
    tmp_path: Path, write_drawn_clip: Callable[..., Path]
) -> None:
    """Those of one depth are computed together; one that is too thin fails alone."""
    model = create_model("resnet18", in_channels=1, width=0.0625)
    card = ModelCard(
        name="deep",
        architecture="resnet18",
        options={"in_channels": 1, "width": 0.0625},
        preprocessing={"size": [None, 32, 32], "channels": ["grey"]},
        flips=2,
    )
    save_checkpoint(model, card, tmp_path / "deep")
    depths = [6, 9, 6, 9, 9]
    paths = [write_drawn_clip(f"v{n}.mp4", n, n_frames=depth) for n, depth in enumerate(depths)]
    predictor = stallscan.load_predictor(tmp_path / "deep")
    shapes: list[tuple[int, ...]] = []
    compute = predictor._engines[0]

    def noting_shapes(batch: Any) -> Any:
        shapes.append(batch.shape)
        return compute(batch)

    predictor._engines[0] = noting_shapes
    rows = [row for row, _ in predict_all(paths, extract_roi, predictor, batch=5)]
    assert sorted(shapes) == [(4, 1, 6, 32, 32), (6, 1, 9, 32, 32)]
    predictor._engines[0] = compute
    assert [row.probability for row in rows] == pytest.approx(
        [row.probability for row in predict_videos(paths, predictor)], abs=2e-6
    )


# --- Workers ----------------------------------------------------------------------------------


def test_a_crash_of_the_decoder_costs_one_row(videos: list[Path], tiny_model_dir: Path) -> None:
    predictor = stallscan.load_predictor(tiny_model_dir)
    rows = [row for row, _ in predict_all(videos, deadly, predictor, workers=1)]
    whole = predict_videos(videos, predictor)
    assert [n for n in range(8) if rows[n] != whole[n]] == [2]
    assert (rows[2].filename, rows[2].status) == ("good1.mp4", "failed")
    assert "good1.mp4: the process that read it was ended" in rows[2].message


def test_what_workers_load_is_no_torch() -> None:
    """Each of them would need seconds and hundreds of MiB."""
    code = "import sys, stallscan.inference.prepare, stallscan.data.source; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "stallscan.roi.volume" in modules
    assert not {"torch", "openvino", "matplotlib", "sklearn"}.intersection(modules)


def test_a_volume_that_does_not_fit_into_memory_costs_one_row(
    videos: list[Path], tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(volume: stallscan.Volume, preprocessing: Preprocessing) -> Any:
        if volume.source.endswith("good0.mp4"):
            raise MemoryError
        return preprocess(volume, preprocessing)

    monkeypatch.setattr("stallscan.inference.prepare.preprocess", full)
    rows = predict_videos(videos[:3:2], stallscan.load_predictor(tiny_model_dir))
    assert [row.status for row in rows] == ["failed", "ok"]
    assert rows[0].message == "good0.mp4: no memory left" and rows[0].box is None


def test_a_model_that_looks_along_the_vessel_needs_to_know_where_it_is(
    tmp_path: Path, write_drawn_clip: Callable[..., Path]
) -> None:
    """An outline says so, a box does not, and in a whole frame there is no telling."""
    card = ModelCard(
        name="along",
        architecture="resnet18",
        options={"width": 0.0625},
        preprocessing={"size": [8, 32, 16], "channels": ["grey", "change"], "view": "vessel"},
    )
    save_checkpoint(
        create_model("resnet18", in_channels=2, width=0.0625),
        replace(card, options={"width": 0.0625, "in_channels": 2}),
        tmp_path / "along",
    )
    predictor = stallscan.load_predictor(tmp_path / "along")
    path = write_drawn_clip("drawn.mp4", 0)
    corners = np.array([[10, 10], [50, 10], [50, 40], [10, 40]])
    loads = {
        "drawn": extract_roi,
        "given": partial(extract_roi, polygon=corners),
        "full": partial(extract_roi, options=RoiOptions(roi="full")),
    }
    found = {}
    for name, load in loads.items():
        ((found[name], _),) = predict_all([path], load, predictor, workers=0)
    assert found["drawn"].status == "ok"
    assert found["given"].status == "flagged" and found["given"].probability is not None
    assert "a box without an outline, and the model looks along" in found["given"].message
    assert found["full"].status == "failed" and found["full"].probability is None
    assert "drawn.mp4: is a whole frame, and the model looks along" in found["full"].message
    out = tmp_path / "predictions.csv"
    with pytest.raises(OptionError, match=r"--roi is full, and along looks along the vessel"):
        predict((path,), out=out, model=tmp_path / "along", regions=RoiOptions(roi="full"))
    assert not out.exists()
