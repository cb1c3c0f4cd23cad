"""``stallscan ablate``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stallscan.cli import main
from stallscan.models import EnsembleCard, Member, write_ensemble


def test_the_runs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["ablate", "phantom", "--table", "2", "--scale", "small", "--seeds", "2", "--dry-run"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    first = "job  0  no-augmentation/seed0: densenet121 at 32×48×48, 0.23 GMAC, at most 16,000"
    assert lines[0].startswith(first)
    assert lines[2].startswith("job  2  no-augmentation/seed1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["phantom", "--table", "2"], "--out is missing"),
        (["phantom", "--table", "tabel", "--out", "x"], "--table is 'tabel'; allowed are 2, 3, 4"),
        (["phantom", "--table", "2", "--out", "x", "--seeds", "0"], "--seeds is 0"),
        (["phantom", "--table", "2", "--out", "x", "--n-test", "3"], "--n-test is 3"),
        (["phantom", "--out", "x"], "needed is either --table or --ensemble"),
        (["phantom", "--table", "2", "--ensemble", "y", "--out", "x"], "needed is either"),
        (["phantom", "--table", "2", "--out", "x", "--test", "y"], "--test is y, but the phantom"),
        ([".", "--table", "2", "--out", "x", "--labels", "y", "--job", "0"], "needs a ROI store"),
        (
            ["phantom", "--table", "2", "--out", "x", "--job", "0", "--test", "."],
            "--job needs a ROI store",
        ),
        ([".", "--table", "2", "--out", "x", "--labels", "y", "--test", "z"], "--test-labels is"),
        (["no-such", "--table", "2", "--out", "x"], "no-such: no such store or folder"),
    ],
)
def test_usage(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["ablate", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_what_is_no_ensemble(
    tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x"
    assert main(["ablate", "phantom", "--ensemble", str(tiny_model_dir), "--out", str(out)]) == 3
    assert "ensemble.json: cannot be read" in capsys.readouterr().err
    assert not out.exists()


def test_members_of_an_ensemble(
    tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked about phantoms, once; the second time the page is shown again."""
    folder, out = tmp_path / "pair", tmp_path / "members"
    for name in ("a", "b"):
        shutil.copytree(tiny_model_dir, folder / name)
    members = (Member("a"), Member("b", 2.0))
    write_ensemble(EnsembleCard(name="pair", members=members, flips=1), folder)
    command = ["ablate", "phantom", "--ensemble", str(folder), "--n-test", "10", "--out", str(out)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "member 2 of 2: b, flips: 1" in said and "# Ensemble pair" in said
    before = (out / "members.csv").stat().st_mtime_ns
    assert main(command) == 0
    assert "complete since" in capsys.readouterr().out
    assert (out / "members.csv").stat().st_mtime_ns == before
    assert main([*command, "--n-test", "12"]) == 2
    assert "was started with other options" in capsys.readouterr().err
