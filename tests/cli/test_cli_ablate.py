"""``stallscan ablate``."""

from __future__ import annotations

from pathlib import Path

import pytest

from stallscan.cli import main


def test_the_runs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["ablate", "phantom", "--table", "2", "--scale", "small", "--seeds", "2", "--dry-run"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    first = "job  0  no-augmentation/seed0: densenet121 at 48×64×64, 0.62 GMAC, at most 12,800"
    assert lines[0].startswith(first)
    assert lines[2].startswith("job  2  no-augmentation/seed1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["phantom", "--table", "2"], "--out is missing"),
        (["phantom", "--table", "tabel", "--out", "x"], "--table is 'tabel'; allowed are 2, 3, 4"),
        (["phantom", "--table", "2", "--out", "x", "--seeds", "0"], "--seeds is 0"),
        (["phantom", "--table", "2", "--out", "x", "--n-test", "3"], "--n-test is 3"),
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
