"""`simulate`: the competition's folder with truth; same bytes; resumed, refused, overwritten."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

from stallscan.data import read_labels
from stallscan.data.dataset import read_tables
from stallscan.errors import OptionError, OutputConflictError
from stallscan.roi import find_roi
from stallscan.simulate import SimulateOptions, dataset, phantom, scene, simulate
from stallscan.simulate.settings import load_settings
from stallscan.simulate.state import State
from stallscan.video import read_clip

SMALL = SimulateOptions(
    n_train=2, n_test=1, stalled=0.5, seed=201, set=("outline_missing_share=0",)
)
"""A seed with three short clips."""
TABLES = {
    "train_metadata.csv": "filename,url,project_id,num_frames,crowd_score,tier1,micro,nano",
    "test_metadata.csv": "filename,url,num_frames",
    "train_labels.csv": "filename,stalled",
    "test_labels.csv": "filename,stalled",
    "submission_format.csv": "filename,stalled",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered once, by one process; tests that change it take a copy."""
    return simulate(tmp_path_factory.mktemp("data") / "small", SMALL, workers=1)


@pytest.fixture
def copy(data: Path, tmp_path: Path) -> Path:
    return shutil.copytree(data, tmp_path / "copy")


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Videos are stubs; the list says in which order they were asked for."""
    asked: list[str] = []

    def stub(out: Path, preset: str, changes: tuple[str, ...], job: dataset._Job) -> dataset._Made:
        asked.append(job.filename)
        (out / job.split / job.filename).write_text(repr((preset, changes, job)))
        label = job.state.label
        stalled = "" if label is None else int(label)
        return {"state": job.state, "stalled": stalled, "n_frames": 20}, {"cells_um": [[1.5, 6.0]]}

    monkeypatch.setattr(dataset, "_make", stub)
    return asked


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file but the run record, which holds times."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def set_state(folder: Path, state: str) -> None:
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"state": state}))


# --- Content ----------------------------------------------------------------------------------


def test_files_and_columns(data: Path) -> None:
    assert set(digests(data)) == {
        *TABLES,
        "truth.csv",
        "truth.jsonl",
        *("train/100000.mp4", "train/100001.mp4", "test/100002.mp4"),
    }
    for name, header in TABLES.items():
        assert (data / name).read_text().splitlines()[0] == header


def test_tables_agree_with_each_other_and_with_the_videos(data: Path) -> None:
    truth = pd.read_csv(data / "truth.csv", index_col="filename", keep_default_na=False)
    assert list(truth.columns[:3]) == ["split", "project_id", "state"]
    lines = (data / "truth.jsonl").read_text().splitlines()
    details = [json.loads(line, parse_constant=pytest.fail) for line in lines]  # no NaN
    assert [line["filename"] for line in details] == list(truth.index)
    for split in ("train", "test"):
        metadata = pd.read_csv(data / f"{split}_metadata.csv")
        labels = pd.read_csv(data / f"{split}_labels.csv")
        assert list(metadata["filename"]) == list(labels["filename"])
        assert (truth.loc[metadata["filename"], "split"] == split).all()
        for row in metadata.itertuples():
            assert row.url == f"{split}/{row.filename}"  # relative to the table
            clip = read_clip(data / row.url)
            box, known = find_roi(clip).box, truth.loc[row.filename]
            assert clip.n_frames == row.num_frames == known["n_frames"]
            edges = known[["roi_y0", "roi_x0", "roi_y1", "roi_x1"]].to_numpy(int)
            assert np.abs(edges - [*box[1:3], *box[4:]]).max() <= 3
    for line in details:
        assert len(line["motion_um"]) == truth.loc[line["filename"], "n_frames"]
    metadata = pd.read_csv(data / "train_metadata.csv").set_index("filename")
    assert (metadata["project_id"] == truth.loc[metadata.index, "project_id"]).all()
    submission = pd.read_csv(data / "submission_format.csv")
    assert list(submission["filename"]) == ["100002.mp4"]
    assert (submission["stalled"] == 0).all()


def test_the_truth_is_that_of_the_plan(data: Path) -> None:
    truth = pd.read_csv(data / "truth.csv", index_col="filename", keep_default_na=False)
    for job in dataset._plan(SMALL):
        assert truth.loc[job.filename, "state"] == job.state
        assert truth.loc[job.filename, "project_id"] == job.project
        assert str(truth.loc[job.filename, "stalled"]) == f"{job.state.label:d}"


@pytest.mark.parametrize(
    ("n_train", "n_test", "stalled", "undecidable"),
    [
        (10, 7, 0.3, 0.0),
        (3, 0, 1.0, 0.0),
        (0, 9, 0.0, 1.0),
        (30, 45, 0.05, 0.02),
        (3, 5, 0.5, 0.5),
    ],
)
def test_exact_shares_in_each_split(
    n_train: int, n_test: int, stalled: float, undecidable: float
) -> None:
    options = SimulateOptions(
        n_train=n_train, n_test=n_test, stalled=stalled, undecidable=undecidable, seed=3
    )
    jobs = dataset._plan(options)
    for split, n in (("train", n_train), ("test", n_test)):
        states = [job.state for job in jobs if job.split == split]
        assert len(states) == n
        assert states.count(State.STALLED) == round(n * stalled)
        # Where both are rounded up, the undecidable ones give way.
        left = n - round(n * stalled)
        assert states.count(State.UNDECIDABLE) == min(round(n * undecidable), left)
    assert len({job.filename for job in jobs}) == len({job.seed for job in jobs}) == len(jobs)


def test_states_and_projects_are_spread_over_the_split() -> None:
    """Neither the order of the files nor the project gives the state away."""
    jobs = dataset._plan(SimulateOptions(n_train=1000, n_test=0, stalled=0.5, seed=1))
    stalled = np.array([job.state is State.STALLED for job in jobs])
    assert 200 < stalled[:500].sum() < 300
    assert 400 < (np.diff(stalled) != 0).sum() < 600
    in_a = np.array([job.project == "A" for job in jobs])
    assert 180 < in_a.sum() < 320
    assert 0.38 < stalled[in_a].mean() < 0.62


@pytest.mark.parametrize(("n_train", "n_test"), [(0, 3), (3, 0)])
def test_either_split_may_be_empty(
    tmp_path: Path, stubbed: list[str], n_train: int, n_test: int
) -> None:
    options = SimulateOptions(n_train=n_train, n_test=n_test, stalled=0.34)
    out = simulate(tmp_path / "out", options, workers=1)
    assert stubbed == ["100000.mp4", "100001.mp4", "100002.mp4"]
    assert (out / "train").is_dir() and (out / "test").is_dir()
    for split, n in (("train", n_train), ("test", n_test)):
        labels = pd.read_csv(out / f"{split}_labels.csv")
        assert list(labels.columns) == ["filename", "stalled"]
        assert len(labels) == len(pd.read_csv(out / f"{split}_metadata.csv")) == n
        assert labels["stalled"].sum() == (1 if n else 0)
    assert len(pd.read_csv(out / "submission_format.csv")) == n_test


MANY = SimulateOptions(n_train=400, n_test=50, stalled=0.3, undecidable=0.1)


def test_train_labels_are_the_crowds_and_test_labels_the_truth(
    tmp_path: Path, stubbed: list[str]
) -> None:
    out = simulate(tmp_path / "out", MANY, workers=1)
    truth = pd.read_csv(out / "truth.csv").set_index("filename")["stalled"]
    assert truth.isna().sum() == 45
    test = read_labels(out / "test_labels.csv", undecidable=True).set_index("filename")["stalled"]
    assert test.isna().sum() == 5
    assert test.equals(truth.loc[test.index].astype("Int64"))
    train = read_labels(out / "train_labels.csv").set_index("filename")["stalled"]  # none is empty
    known = truth.loc[train.index]
    wrong = known.notna() & (train != known)
    assert 2 <= wrong.sum() <= 20
    assert json.loads((out / "run.json").read_text())["n_wrong_train_labels"] == wrong.sum()
    rows = pd.read_csv(out / "train_metadata.csv").set_index("filename")
    projects = pd.read_csv(out / "truth.csv").set_index("filename")["project_id"]
    assert (rows["project_id"] == projects.loc[rows.index]).all()
    assert not rows.loc[wrong, "project_id"].isin(["G", "J", "L"]).any()
    assert (rows["micro"].sum(), rows["nano"].sum()) > (100, 100)
    assert read_tables(out).metadata["train"]["nano"].any()  # the reader takes it all


def test_clean_labels_are_the_truth_everywhere(tmp_path: Path, stubbed: list[str]) -> None:
    out = simulate(tmp_path / "out", dataclasses.replace(MANY, clean_labels=True), workers=1)
    truth = pd.read_csv(out / "truth.csv").set_index("filename")["stalled"].astype("Int64")
    for split in ("train", "test"):
        path = out / f"{split}_labels.csv"
        labels = read_labels(path, undecidable=True).set_index("filename")["stalled"]
        assert labels.equals(truth.loc[labels.index])
    assert json.loads((out / "run.json").read_text())["n_wrong_train_labels"] == 0


def test_the_look_reaches_the_videos(tmp_path: Path, stubbed: list[str]) -> None:
    options = SimulateOptions(n_train=1, n_test=0, preset="hard", set=("crf=20", "specks=0,3"))
    out = simulate(tmp_path / "out", options, workers=1)
    assert "('hard', ('crf=20', 'specks=0,3')" in (out / "train/100000.mp4").read_text()


def test_every_project_has_a_look_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[object, ...]] = []

    def truth(*given: object) -> Mock:
        seen.append(given)
        return Mock()

    monkeypatch.setattr(phantom, "phantom_truth", truth)
    (job,) = dataset._plan(SimulateOptions(n_train=1, n_test=0))
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / job.filename).touch()  # rendered by an earlier run
    for project in "AG":
        dataset._make(tmp_path, "hard", ("specks=0,3",), dataclasses.replace(job, project=project))
    hard = load_settings("hard", ["specks=0,3"])
    assert seen == [(job.seed, job.state, hard.of_project(project)) for project in "AG"]
    assert seen[0] != seen[1]


# --- The same bytes ---------------------------------------------------------------------------


def test_two_workers_write_the_bytes_of_one(data: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out = simulate(
        tmp_path / "two", SMALL, workers=2, progress=lambda done, n: seen.append((done, n))
    )
    assert digests(out) == digests(data)
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_other_seeds_other_videos() -> None:
    plans = [dataset._plan(SimulateOptions(n_train=4, n_test=4, seed=seed)) for seed in (0, 1)]
    seeds = [job.seed for plan in plans for job in plan]
    assert len(set(seeds)) == 16


# --- The same command again -------------------------------------------------------------------


def test_a_killed_run_goes_on_where_it_stopped(data: Path, copy: Path) -> None:
    """A video and the tables are missing, and half a video lies about."""
    set_state(copy, "partial")
    (copy / "test/100002.mp4").unlink()
    (copy / "truth.csv").unlink()
    (copy / "test_labels.csv").unlink()
    (copy / "test/.100002.1.partial.mp4").write_text("torn")
    kept = (copy / "train/100000.mp4").stat().st_mtime_ns
    seen: list[tuple[int, int]] = []
    simulate(copy, SMALL, workers=1, progress=lambda done, n: seen.append((done, n)))
    assert (copy / "train/100000.mp4").stat().st_mtime_ns == kept
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert digests(copy) == digests(data)
    assert json.loads((copy / "run.json").read_text())["state"] == "complete"


def test_an_interrupted_run_is_partial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "_make", fail)
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "out", SMALL, workers=1)
    assert json.loads((tmp_path / "out/run.json").read_text())["state"] == "partial"


def test_a_complete_data_set_is_left_alone(copy: Path, stubbed: list[str]) -> None:
    (copy / "truth.csv").unlink()  # would come back if anything were done
    before = digests(copy) | {"run.json": (copy / "run.json").read_text()}
    simulate(copy, SMALL, workers=2)
    assert digests(copy) | {"run.json": (copy / "run.json").read_text()} == before
    assert stubbed == []


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"seed": 27}, "seed was 201, now 27"),
        ({"n_train": 3}, "n_train was 2, now 3"),
        ({"stalled": 0.4}, "stalled was 0.5, now 0.4"),
        ({"undecidable": 0.0}, "undecidable was 0.02, now 0.0"),
        ({"preset": "hard"}, "preset was 'clogloss', now 'hard'"),
        ({"set": ()}, "set was ['outline_missing_share=0'], now []"),
        ({"clean_labels": True}, "clean_labels was False, now True"),
    ],
)
@pytest.mark.parametrize("state", ["partial", "complete"])
def test_other_options_are_refused(
    copy: Path, other: dict[str, object], difference: str, state: str
) -> None:
    set_state(copy, state)
    before = digests(copy)
    with pytest.raises(OutputConflictError) as caught:
        simulate(copy, dataclasses.replace(SMALL, **other), workers=1)
    for part in (str(copy), difference, "--overwrite"):
        assert part in str(caught.value)
    assert digests(copy) == before


def test_overwrite_starts_anew(copy: Path, stubbed: list[str]) -> None:
    options = SimulateOptions(n_train=0, n_test=2, seed=5)
    simulate(copy, options, workers=1, overwrite=True)
    assert stubbed == ["100000.mp4", "100001.mp4"]
    assert not list((copy / "train").iterdir())
    assert json.loads((copy / "run.json").read_text())["options"]["seed"] == 5


# --- What is refused --------------------------------------------------------------------------

BAD_OPTIONS = {
    "n_train": ({"n_train": -1}, ["--n-train is -1", "from 0 up", "empty"]),
    "n_test": ({"n_test": -5}, ["--n-test is -5", "from 0 up", "empty"]),
    "n_test half": ({"n_test": 2.5}, ["--n-test is 2.5", "whole numbers"]),
    "both 0": ({"n_train": 0, "n_test": 0}, ["--n-train and --n-test are both 0", "give"]),
    "share": ({"stalled": 1.5}, ["--stalled is 1.5", "0 to 1", "write 0.3 for 30 %"]),
    "share below": ({"undecidable": -0.1}, ["--undecidable is -0.1", "0 to 1"]),
    "share nan": ({"stalled": float("nan")}, ["--stalled is nan", "0 to 1"]),
    "shares": (
        {"stalled": 0.9, "undecidable": 0.2},
        ["--stalled 0.9 and --undecidable 0.2 are 1.1 together", "at most 1", "lower one"],
    ),
    "seed": ({"seed": -1}, ["--seed is -1", "from 0 up", "choose another"]),
    "seed true": ({"seed": True}, ["--seed is True", "whole numbers"]),
    "seed half": ({"seed": 1.5}, ["--seed is 1.5", "whole numbers"]),
    "seed text": ({"seed": "7"}, ["--seed is '7'", "whole numbers"]),
    "preset": ({"preset": "clog"}, ["--preset is 'clog'", "clean, clogloss, hard, randomised"]),
    "set name": ({"set": ("speed_um=1",)}, ["speed_um=1", "did you mean speed_um_s?"]),
    "set range": ({"set": ("diameter_um=3,900",)}, ["diameter_um", "900", "1…9"]),
    "set speed": ({"set": ("speed_um_s=-5,100",)}, ["speed_um_s", "-5"]),
}


@pytest.mark.parametrize("cause", BAD_OPTIONS)
def test_bad_options(cause: str) -> None:
    values, expected = BAD_OPTIONS[cause]
    with pytest.raises(OptionError) as caught:
        SimulateOptions(**values)
    for part in expected:
        assert part in str(caught.value)


def test_no_workers_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"--workers is 0, allowed are 1 and above; leave it out"):
        simulate(tmp_path / "out", SMALL, workers=0)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OptionError) as caught:
        simulate(tmp_path / "file/in/out", SMALL, workers=1)
    for part in ("file/in/out", "cannot be written", "Not a directory", "choose a writable --out"):
        assert part in str(caught.value)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_somebody_else(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "thesis.tex").write_text("three years of work")
    with pytest.raises(OutputConflictError) as caught:
        simulate(tmp_path, SMALL, workers=1, overwrite=overwrite)
    for part in (str(tmp_path), "run.json", "choose another --out"):
        assert part in str(caught.value)
    assert (tmp_path / "thesis.tex").read_text() == "three years of work"


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("text")
    with pytest.raises(OutputConflictError, match=r"out: is a file, .* is a folder; choose"):
        simulate(tmp_path / "out", SMALL, workers=1)


def test_settings_that_leave_nothing_to_be_seen_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "_MOST_TRIES", 5)
    options = SimulateOptions(n_train=0, n_test=1, set=("plasma_photons=0.5", "read_noise=60"))
    with pytest.raises(OptionError, match=r"no vessel could be seen .*plasma_photons"):
        simulate(tmp_path / "out", options, workers=1)
    assert not (tmp_path / "out").exists()
