"""`simulate`: the competition's folder with truth; same bytes; resumed, refused, overwritten."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stallscan.errors import OptionError, OutputConflictError
from stallscan.roi import Verdict, find_roi
from stallscan.simulate import SimulateOptions, dataset, simulate
from stallscan.types import Label
from stallscan.video import read_clip

SMALL = SimulateOptions(n_train=2, n_test=1, stalled=0.5, seed=26)
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

    def stub(job: dataset._Job, out: Path) -> None:
        asked.append(job.filename)
        (out / job.split / job.filename).write_text(repr((job.seed, job.label)))

    monkeypatch.setattr(dataset, "_render", stub)
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
        *("train/100000.mp4", "train/100001.mp4", "test/100002.mp4"),
    }
    for name, header in TABLES.items():
        assert (data / name).read_text().splitlines()[0] == header


def test_tables_agree_with_each_other_and_with_the_videos(data: Path) -> None:
    truth = pd.read_csv(data / "truth.csv").set_index("filename")
    for split in ("train", "test"):
        metadata = pd.read_csv(data / f"{split}_metadata.csv")
        labels = pd.read_csv(data / f"{split}_labels.csv").set_index("filename")["stalled"]
        assert list(metadata["filename"]) == list(labels.index)
        assert (truth.loc[labels.index, "split"] == split).all()
        assert (labels == truth.loc[labels.index, "stalled"]).all()
        for row in metadata.itertuples():
            assert row.url == f"{split}/{row.filename}"  # relative to the table
            clip = read_clip(data / row.url)
            box, known = find_roi(clip).box, truth.loc[row.filename]
            assert clip.n_frames == row.num_frames == known["n_frames"]
            edges = known[["roi_y0", "roi_x0", "roi_y1", "roi_x1"]].to_numpy(int)
            assert np.abs(edges - [*box[1:3], *box[4:]]).max() <= 2
            assert find_roi(clip).verdict is Verdict.OK
    submission = pd.read_csv(data / "submission_format.csv")
    assert list(submission["filename"]) == ["100002.mp4"]
    assert (submission["stalled"] == 0).all()


@pytest.mark.parametrize(
    ("n_train", "n_test", "stalled"),
    [(10, 7, 0.3), (3, 0, 1.0), (0, 9, 0.0), (0, 20, 0.05), (13, 13, 0.5)],
)
def test_exact_shares_in_each_split(n_train: int, n_test: int, stalled: float) -> None:
    options = SimulateOptions(n_train=n_train, n_test=n_test, stalled=stalled, seed=3)
    jobs = dataset._plan(options)
    for split, n in (("train", n_train), ("test", n_test)):
        labels = [job.label for job in jobs if job.split == split]
        assert len(labels) == n
        assert sum(labels) == round(n * stalled)
    assert len({job.filename for job in jobs}) == len({job.seed for job in jobs}) == len(jobs)


def test_stalled_ones_are_spread_over_the_split() -> None:
    """No order of the files gives the label away."""
    jobs = dataset._plan(SimulateOptions(n_train=200, n_test=0, stalled=0.5, seed=1))
    labels = np.array([job.label for job in jobs])
    assert 30 < labels[:100].sum() < 70
    assert 60 < (np.diff(labels) != 0).sum() < 140


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


def test_the_crowd_is_mostly_right(tmp_path: Path, stubbed: list[str]) -> None:
    options = SimulateOptions(n_train=60, n_test=0, stalled=0.5)
    out = simulate(tmp_path / "out", options, workers=1)
    train = pd.read_csv(out / "train_metadata.csv").merge(pd.read_csv(out / "train_labels.csv"))
    assert train["crowd_score"].between(0, 1).all()
    stalled = train["stalled"] == 1
    assert ((train["crowd_score"] >= 0.5) == stalled).mean() > 0.85
    assert (train.loc[~stalled, "crowd_score"] == 0).mean() > 0.6
    sure = (train["crowd_score"] == 0) | (train["crowd_score"] >= 0.75)
    assert (train["tier1"] == sure).all()


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


def test_a_killed_run_goes_on_where_it_stopped(
    data: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A video and the tables are missing, and half a video lies about."""
    set_state(copy, "partial")
    (copy / "test/100002.mp4").unlink()
    (copy / "truth.csv").unlink()
    (copy / "test_labels.csv").unlink()
    made: list[str] = []
    render = dataset._render

    def counted(job: dataset._Job, out: Path) -> None:
        made.append(job.filename)
        render(job, out)

    monkeypatch.setattr(dataset, "_render", counted)
    seen: list[tuple[int, int]] = []
    simulate(copy, SMALL, workers=1, progress=lambda done, n: seen.append((done, n)))
    assert made == ["100002.mp4"]
    assert seen == [(2, 3), (3, 3)]
    assert digests(copy) == digests(data)
    assert json.loads((copy / "run.json").read_text())["state"] == "complete"


def test_an_interrupted_run_is_partial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(job: dataset._Job, out: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "_render", fail)
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
        (SimulateOptions(n_train=2, n_test=1, stalled=0.5, seed=27), "seed was 26, now 27"),
        (SimulateOptions(n_train=3, n_test=1, stalled=0.5, seed=26), "n_train was 2, now 3"),
        (SimulateOptions(n_train=2, n_test=1, stalled=0.4, seed=26), "stalled was 0.5, now 0.4"),
    ],
)
@pytest.mark.parametrize("state", ["partial", "complete"])
def test_other_options_are_refused(
    copy: Path, other: SimulateOptions, difference: str, state: str
) -> None:
    set_state(copy, state)
    before = digests(copy)
    with pytest.raises(OutputConflictError) as caught:
        simulate(copy, other, workers=1)
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
    "n_train": ({"n_train": -1}, ["--n-train is -1", "0 and above", "empty"]),
    "n_test": ({"n_test": -5}, ["--n-test is -5", "0 and above", "empty"]),
    "both 0": ({"n_train": 0, "n_test": 0}, ["--n-train and --n-test are both 0", "give"]),
    "share": ({"stalled": 1.5}, ["--stalled is 1.5", "0 to 1", "write 0.3 for 30 %"]),
    "share nan": ({"stalled": float("nan")}, ["--stalled is nan", "0 to 1"]),
    "seed": ({"seed": -1}, ["--seed is -1", "0 and above", "choose another"]),
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


def test_labels_of_the_plan_are_labels() -> None:
    assert {type(job.label) for job in dataset._plan(SMALL)} == {Label}
