"""``stallscan predict``: exit codes, resuming, refusals, the submission."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from stallscan.cli import main
from stallscan.inference import batch, choose
from stallscan.inference.engine import version_of
from stallscan.models import (
    EnsembleCard,
    Member,
    load_checkpoint,
    save_checkpoint,
    write_ensemble,
)


@pytest.fixture
def videos(tmp_path: Path, write_drawn_clip: Callable[..., Path]) -> Path:
    for seed in range(4):
        write_drawn_clip(f"videos/v{seed}.mp4", seed)
    (tmp_path / "videos" / "notes.txt").write_text("not a video")
    (tmp_path / "videos" / ".v9.1234.partial.mp4").write_text("half written")
    return tmp_path / "videos"


@pytest.fixture
def predict(tmp_path: Path, tiny_model_dir: Path) -> Callable[..., int]:
    def run(*arguments: object, out: str = "p.csv", model: Path = tiny_model_dir) -> int:
        # Starting workers takes longer than these few videos.
        workers = () if "--workers" in arguments else ("--workers", 0)
        common = ("--out", tmp_path / out, "--model", model, "--flips", 1, "-q", *workers)
        return main([str(a) for a in ("predict", *arguments, *common)])

    return run


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_a_folder_of_good_videos(videos: Path, predict: Callable[..., int], tmp_path: Path) -> None:
    assert predict(videos) == 0
    table = pd.read_csv(tmp_path / "p.csv")
    assert list(table["filename"]) == ["v0.mp4", "v1.mp4", "v2.mp4", "v3.mp4"]
    assert set(table["status"]) == {"ok"} and table["probability"].between(0, 1).all()
    record = json.loads((tmp_path / "p.csv.run.json").read_text())
    assert record["state"] == "complete" and record["counts"]["ok"] == 4


def test_workers_change_nothing(videos: Path, predict: Callable[..., int], tmp_path: Path) -> None:
    (videos / "v9.mp4").write_bytes(b"no video")
    assert predict(videos, "--workers", 2, out="workers.csv") == 3
    assert predict(videos) == 3
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "workers.csv").read_bytes()


def test_a_failed_video_makes_exit_code_3_again_and_again(
    videos: Path, predict: Callable[..., int], tmp_path: Path
) -> None:
    (videos / "v9.mp4").write_bytes(b"no video")
    assert predict(videos) == 3
    first = (tmp_path / "p.csv").stat().st_mtime_ns
    assert predict(videos) == 3  # complete: nothing is done, the exit is as before
    assert (tmp_path / "p.csv").stat().st_mtime_ns == first


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first run is interrupted after two videos; how many each run was asked for."""
    original = batch.predict_all
    asked: list[int] = []

    def interrupted(items: list[Path], *args: object, n_done: int, **options: object) -> object:
        asked.append(len(items) - n_done)
        given = original(items, *args, n_done=n_done, **options)  # type: ignore[arg-type]
        for n, row in enumerate(given):
            if len(asked) == 1 and n == 2:
                raise KeyboardInterrupt
            yield row

    monkeypatch.setattr(batch, "predict_all", interrupted)
    return asked


def test_an_unfinished_run_goes_on(
    videos: Path, predict: Callable[..., int], tmp_path: Path, stopped: list[int]
) -> None:
    assert predict(videos) == 130
    assert not (tmp_path / "p.csv").exists()
    assert predict(videos) == 0
    assert stopped == [4, 2]
    assert predict(videos, out="whole.csv") == 0
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_other_options_are_refused_and_named(
    videos: Path, predict: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    predict(videos)
    assert predict(videos, "--threshold", 0.9) == 2
    message = error_of(capsys)
    assert "p.csv: was started with other options" in message
    assert "threshold was 0.5, now 0.9" in message and "--overwrite" in message
    assert predict(videos, "--threshold", 0.9, "--overwrite") == 0


def test_other_videos_are_refused(
    videos: Path, predict: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    predict(videos)
    assert predict(videos / "v0.mp4") == 2
    assert "videos was '4 videos" in error_of(capsys)


def test_a_table_of_somebody_else_is_never_overwritten_unasked(
    videos: Path, predict: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.csv").write_text("precious")
    assert predict(videos) == 2
    message = error_of(capsys)
    assert "p.csv: exists and was not written by `stallscan predict`" in message
    assert "--overwrite" in message and (tmp_path / "p.csv").read_text() == "precious"


def test_two_videos_of_one_name_are_refused(
    videos: Path,
    predict: Callable[..., int],
    write_drawn_clip: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = write_drawn_clip("other/v1.mp4", 7)
    assert predict(videos, other) == 2
    message = error_of(capsys)
    assert f"{other}: has the same base name as {videos / 'v1.mp4'}" in message
    assert "two runs" in message


def test_a_folder_without_videos_is_refused(
    predict: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert predict(tmp_path / "empty") == 2
    message = error_of(capsys)
    assert f"{tmp_path / 'empty'}: holds no videos among 0 entries" in message
    assert ".mp4" in message


def test_no_videos_are_refused(
    predict: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict() == 2
    assert "no videos given; name files, or a folder" in error_of(capsys)


def test_a_missing_model_is_refused_before_anything_is_written(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, model = tmp_path / "p.csv", tmp_path / "nowhere"
    assert main(["predict", str(videos), "--out", str(out), "--model", str(model)]) == 3
    message = error_of(capsys)
    assert f"{model}: no such checkpoint folder" in message and "stallscan train" in message
    assert not list(tmp_path.glob("*p.csv*"))


def test_workers_below_zero_are_refused(
    videos: Path, predict: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(videos, "--workers", -1) == 2
    assert "--workers is -1, allowed are 1 and above, and 0 to decode" in error_of(capsys)


def test_an_output_without_a_name_of_a_table_is_refused(
    videos: Path, predict: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(videos, out="predictions") == 2
    assert "predictions, a table needs a file name such as" in error_of(capsys)


class TestEnsemble:
    """Several checkpoints behind one --model."""

    @pytest.fixture
    def ensemble(self, tmp_path: Path, tiny_model_dir: Path) -> Path:
        """The tiny network (3), and a fold (1) of one snapshot, another network."""
        folder = tmp_path / "ensemble"
        shutil.copytree(tiny_model_dir, folder / "a")
        model, card = load_checkpoint(tiny_model_dir)
        torch.manual_seed(1)
        torch.nn.init.normal_(model.fc.weight, std=4.0)
        save_checkpoint(model, card, folder / "b" / "s0")
        write_ensemble(EnsembleCard(name="inner", members=(Member("s0"),)), folder / "b")
        card = EnsembleCard(name="pair", members=(Member("a", 3), Member("b")), threshold=0.4)
        write_ensemble(card, folder)
        return folder

    def test_it_is_the_weighted_mean_of_its_members(
        self, videos: Path, predict: Callable[..., int], tmp_path: Path, ensemble: Path
    ) -> None:
        models = {"p.csv": ensemble, "a.csv": ensemble / "a", "b.csv": ensemble / "b" / "s0"}
        for out, model in models.items():
            assert predict(videos, out=out, model=model) == 0
        table, a, b = (pd.read_csv(tmp_path / out) for out in models)
        assert (a["probability"] - b["probability"]).abs().min() > 0.01
        expected = 0.75 * a["probability"] + 0.25 * b["probability"]
        assert list(table["probability"]) == pytest.approx(list(expected), abs=2e-6)
        assert set(table["model"]) == {"pair"}
        assert list(table["stalled"]) == list((table["probability"] >= 0.4).astype(int))
        record = json.loads((tmp_path / "p.csv.run.json").read_text())
        assert record["options"]["model"].startswith("pair, sha256 ")
        assert record["options"]["threshold"] == 0.4

    def test_its_unfinished_run_goes_on(
        self,
        videos: Path,
        predict: Callable[..., int],
        tmp_path: Path,
        stopped: list[int],
        ensemble: Path,
    ) -> None:
        assert predict(videos, model=ensemble) == 130
        assert predict(videos, model=ensemble) == 0
        assert stopped == [4, 2]
        assert predict(videos, out="whole.csv", model=ensemble) == 0
        assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()

    @pytest.mark.parametrize(
        "changed",
        [
            "ensemble.json",
            "a/model.json",
            "a/weights.safetensors",
            "b/ensemble.json",
            "b/s0/model.json",
            "b/s0/weights.safetensors",
        ],
    )
    def test_a_run_does_not_go_on_with_another_member(
        self,
        videos: Path,
        predict: Callable[..., int],
        stopped: list[int],
        ensemble: Path,
        capsys: pytest.CaptureFixture[str],
        changed: str,
    ) -> None:
        assert predict(videos, model=ensemble) == 130
        path = ensemble / changed
        if path.suffix == ".json":
            fields = json.loads(path.read_text())
            path.write_text(json.dumps(fields | {"notes": "changed"}))
        else:
            model, card = load_checkpoint(path.parent)
            torch.nn.init.constant_(model.fc.bias, 0.5)
            before = (path.parent / "model.json").read_bytes()
            save_checkpoint(model, card, path.parent)
            assert (path.parent / "model.json").read_bytes() == before
        assert predict(videos, model=ensemble) == 2
        message = error_of(capsys)
        assert "model was 'pair, sha256 " in message and "now 'pair, sha256 " in message
        assert "--overwrite" in message and stopped == [4]
        assert predict(videos, "--overwrite", model=ensemble) == 0

    def test_a_missing_member_is_refused_before_anything_is_written(
        self,
        videos: Path,
        predict: Callable[..., int],
        tmp_path: Path,
        ensemble: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        shutil.rmtree(ensemble / "b" / "s0")
        assert predict(videos, model=ensemble) == 3
        message = error_of(capsys)
        assert f"{ensemble / 'b' / 'ensemble.json'}: the member 's0' is missing" in message
        assert not list(tmp_path.glob("*p.csv*"))

    def test_a_run_that_began_before_ensembles_goes_on(
        self, videos: Path, predict: Callable[..., int], tmp_path: Path, tiny_model_dir: Path
    ) -> None:
        """The fingerprint of a checkpoint is that of its two files, as it always was."""
        predict(videos)
        record = json.loads((tmp_path / "p.csv.run.json").read_text())
        files = [tiny_model_dir / name for name in ("model.json", "weights.safetensors")]
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
        assert record["options"]["model"] == f"tiny, sha256 {digest}"


class TestSubmission:
    """The competition's ``filename,stalled``."""

    @pytest.fixture
    def options(self, tmp_path: Path) -> tuple[object, ...]:
        path = tmp_path / "submission_format.csv"
        path.write_text("filename,stalled\n" + "".join(f"v{i}.mp4,0\n" for i in (2, 0, 3, 1)))
        return "--submission", tmp_path / "s.csv", "--submission-format", path

    def test_it_follows_its_format(
        self, videos: Path, predict: Callable[..., int], tmp_path: Path, options: tuple[object, ...]
    ) -> None:
        assert predict(videos, *options, "--threshold", 0.0) == 0
        assert (tmp_path / "s.csv").read_text() == (
            "filename,stalled\nv2.mp4,1\nv0.mp4,1\nv3.mp4,1\nv1.mp4,1\n"
        )

    def test_other_videos_than_the_format_names_are_refused_before_the_work(
        self,
        videos: Path,
        predict: Callable[..., int],
        tmp_path: Path,
        options: tuple[object, ...],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert predict(videos / "v0.mp4", *options) == 3
        message = error_of(capsys)
        assert "submission_format.csv" in message and "3 of its 4 videos" in message
        assert not (tmp_path / "p.csv").exists()

    def test_failed_rows_are_refused_unless_said_otherwise(
        self,
        videos: Path,
        predict: Callable[..., int],
        tmp_path: Path,
        options: tuple[object, ...],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (videos / "v2.mp4").write_bytes(b"no video")
        assert predict(videos, *options) == 3
        message = error_of(capsys)
        assert "1 of 4 videos failed" in message and "--failed-as 0" in message
        assert not (tmp_path / "s.csv").exists()
        assert predict(videos, *options, "--failed-as", 0) == 3
        assert "v2.mp4,0\n" in (tmp_path / "s.csv").read_text()

    def test_it_needs_its_format(
        self,
        videos: Path,
        predict: Callable[..., int],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert predict(videos, "--submission", tmp_path / "s.csv") == 2
        assert "--submission-format is None" in error_of(capsys)


# --- Engines ----------------------------------------------------------------------------------


def test_the_engine_stands_in_the_record_and_a_resumed_run_keeps_it(
    videos: Path,
    predict: Callable[..., int],
    tmp_path: Path,
    stopped: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choose, "SHORT_S", 0.0)
    monkeypatch.setattr(choose, "_time", lambda engine, _: 1.0 + ("Torch" in type(engine).__name__))
    assert predict(videos) == 130
    record = json.loads((tmp_path / "p.csv.run.json").read_text())
    assert (record["options"]["engine"], record["engine"]) == ("auto", "openvino")
    assert record["engine_version"] == version_of("openvino")
    monkeypatch.setattr(choose, "_time", lambda engine, _: 1.0 + ("Vino" in type(engine).__name__))
    assert predict(videos) == 0
    assert json.loads((tmp_path / "p.csv.run.json").read_text())["engine"] == "openvino"
    assert predict(videos, out="whole.csv") == 0
    assert json.loads((tmp_path / "whole.csv.run.json").read_text())["engine"] == "torch"


def test_few_videos_are_left_to_torch(
    videos: Path, predict: Callable[..., int], tmp_path: Path
) -> None:
    assert predict(videos) == 0
    assert json.loads((tmp_path / "p.csv.run.json").read_text())["engine"] == "torch"


@pytest.mark.parametrize("engine", ["torch", "openvino", "onnxruntime"])
def test_an_engine_that_is_asked_for(
    videos: Path, predict: Callable[..., int], tmp_path: Path, engine: str
) -> None:
    assert predict(videos, "--engine", engine) == 0
    assert json.loads((tmp_path / "p.csv.run.json").read_text())["engine"] == engine
    assert predict(videos, out="torch.csv") == 0
    found, expected = (pd.read_csv(tmp_path / name) for name in ("p.csv", "torch.csv"))
    assert (found["probability"] - expected["probability"]).abs().max() < 1e-5


def test_another_engine_is_another_run(
    videos: Path, predict: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(videos) == 0
    assert predict(videos, "--engine", "openvino") == 2
    assert "engine was 'auto', now 'openvino'" in error_of(capsys)


# --- Which inputs, and what would be done -----------------------------------------------------


@pytest.fixture
def data_set(tmp_path: Path, write_drawn_clip: Callable[..., Path]) -> Path:
    for seed, split in enumerate(("train", "test", "test")):
        write_drawn_clip(f"data/{split}/v{seed}.mp4", seed)
    return tmp_path / "data"


def names_of(table: Path) -> list[str]:
    return list(pd.read_csv(table)["filename"])


def test_one_split_of_a_data_set(
    data_set: Path, predict: Callable[..., int], tmp_path: Path
) -> None:
    assert predict(data_set, "--split", "test") == 0
    assert names_of(tmp_path / "p.csv") == ["v1.mp4", "v2.mp4"]
    assert predict(data_set, out="both.csv") == 0
    assert names_of(tmp_path / "both.csv") == ["v0.mp4", "v1.mp4", "v2.mp4"]


def test_a_split_of_what_has_none(
    videos: Path, predict: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(videos, "--split", "test") == 2
    message = error_of(capsys)
    for part in (str(videos), "--split is 'test'", "no splits", "leave --split out"):
        assert part in message


def test_the_first_so_many(videos: Path, predict: Callable[..., int], tmp_path: Path) -> None:
    assert predict(videos, "--limit", 3) == 0
    assert names_of(tmp_path / "p.csv") == ["v0.mp4", "v1.mp4", "v2.mp4"]
    assert predict(videos, "--limit", 4) == 2  # another run
    assert predict(videos, "--limit", 9, out="all.csv") == 0
    assert len(names_of(tmp_path / "all.csv")) == 4


def test_a_limit_below_one(
    videos: Path, predict: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(videos, "--limit", 0) == 2
    assert "--limit is 0, allowed are 1 and above" in error_of(capsys)


def test_limit_and_split_of_a_store(
    videos: Path,
    predict: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "rois.lmdb"
    assert main(["extract", str(videos), "--out", str(store), "-q"]) == 0
    assert predict(store, "--limit", 2) == 0
    assert names_of(tmp_path / "p.csv") == ["v0.mp4", "v1.mp4"]
    assert predict(store, "--limit", 3) == 2
    assert "limit was 2, now 3" in error_of(capsys)
    assert predict(store, "--split", "test", out="q.csv") == 2
    assert "a ROI store has no splits" in error_of(capsys)


@pytest.mark.parametrize("engine", ["auto", "openvino"])
def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    videos: Path,
    tiny_model_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    engine: str,
) -> None:
    before = sorted(tmp_path.rglob("*"))
    arguments = (videos, "--out", tmp_path / "p.csv", "--model", tiny_model_dir, "--dry-run")
    assert main([str(a) for a in ("predict", *arguments, "--engine", engine, "--flips", 2)]) == 0
    text = capsys.readouterr().out
    for part in (
        "inputs: 4 (v0.mp4 to v3.mp4)",
        "model: tiny, networks 1 × flips 2, threshold 0.5",
        "grey, change, mask at 8×32×32: 1",
        f"engine: {'torch' if engine == 'auto' else engine}",
    ):
        assert part in text
    assert ("too little for another engine" in text) == (engine == "auto")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_time_of_all_starts_counts(
    videos: Path, predict: Callable[..., int], tmp_path: Path, stopped: list[int]
) -> None:
    assert predict(videos) == 130
    path = tmp_path / "p.csv.run.json"
    record = json.loads(path.read_text())
    assert record["wall_s"] >= 0
    path.write_text(json.dumps(record | {"wall_s": 1000.0}))
    assert predict(videos) == 0
    assert json.loads(path.read_text())["wall_s"] >= 1000.0


@pytest.mark.parametrize("combine", ["probability", "logit"])
def test_stopping_early_by_the_command(
    videos: Path,
    predict: Callable[..., int],
    tiny_model_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    combine: str,
) -> None:
    model = tmp_path / "together"
    for name in "abc":
        shutil.copytree(tiny_model_dir, model / name)
    card = EnsembleCard(name="e", members=tuple(Member(n) for n in "abc"), combine=combine)
    write_ensemble(card, model)
    code = predict(videos, "--stop-early", "--threshold", 0.001, model=model)
    if combine == "logit":
        assert code == 2 and "--stop-early is on" in error_of(capsys)
        assert not list(tmp_path.glob("p.csv*"))
        return
    assert code == 0
    assert json.loads((tmp_path / "p.csv.run.json").read_text())["n_networks_asked"] == 4
    assert predict(videos, "--threshold", 0.001, model=model) == 2  # another run
    assert predict(videos, "--threshold", 0.001, model=model, out="all.csv") == 0
    assert json.loads((tmp_path / "all.csv.run.json").read_text())["n_networks_asked"] == 12
    found, expected = (pd.read_csv(tmp_path / name) for name in ("p.csv", "all.csv"))
    assert list(found["stalled"]) == list(expected["stalled"])
