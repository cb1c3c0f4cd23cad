"""`stallscan simulate`: options reach the data set, mistakes write nothing, the help is short."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stallscan.cli import main
from stallscan.simulate import dataset


@pytest.fixture(autouse=True)
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No video is rendered."""

    def stub(out: Path, preset: str, changes: tuple[str, ...], job: dataset._Job) -> dataset._Made:
        (out / job.split / job.filename).touch()
        return {"state": job.state, "n_frames": 20}, {}

    monkeypatch.setattr(dataset, "_make", stub)


def test_every_option_arrives(tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = (
        f"simulate {out} --n-train 3 --n-test 5 --stalled 0.4 --undecidable 0.2 --seed 6 "
        "--preset hard --set crf=20 --set speed_um_s=100,400 --clean-labels --workers 1 -q"
    )
    assert main(line.split()) == 0
    assert json.loads((out / "run.json").read_text())["options"] == {
        "n_train": 3,
        "n_test": 5,
        "stalled": 0.4,
        "undecidable": 0.2,
        "seed": 6,
        "preset": "hard",
        "set": ["crf=20", "speed_um_s=100,400"],
        "clean_labels": True,
    }


def test_wrong_labels_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"simulate {tmp_path / 'a'} --n-train 200 --n-test 0 --workers 1"
    assert main(line.split()) == 0
    told = capsys.readouterr().out
    n_wrong = json.loads((tmp_path / "a" / "run.json").read_text())["n_wrong_train_labels"]
    assert n_wrong > 0 and f"{n_wrong} of 200 labels are wrong" in told and "--clean-labels" in told
    line = f"simulate {tmp_path / 'b'} --n-train 200 --n-test 0 --workers 1 --clean-labels"
    assert main(line.split()) == 0
    assert "labels are wrong" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--preset clog", "clean, clogloss, hard"),
        ("--set speed=1,2", "speed_um_s?"),
        ("--set diameter_um=3,900", "diameter_um is 3…900"),
        ("--stalled 1.2", "--stalled is 1.2"),
        ("--seed 1.5", "--seed"),
        ("--workers 0", "--workers is 0"),
    ],
)
def test_mistakes_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, told: str
) -> None:
    try:
        code = main(["simulate", str(tmp_path / "out"), *options.split()])
    except SystemExit as end:  # tyro's way
        code = int(end.code or 0)
    assert code == 2
    captured = capsys.readouterr()
    assert told in " ".join((captured.out + captured.err).replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_the_help_fits_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["simulate", "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 100
