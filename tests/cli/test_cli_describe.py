"""``stallscan describe``: the text, the files, the same command again."""

from __future__ import annotations

from pathlib import Path

import pytest

from stallscan.cli import main


def test_text_files_and_again(
    tmp_path: Path, write_drawn_clip: object, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(2):
        write_drawn_clip(f"videos/v{seed}.mp4", seed)  # type: ignore[operator]
    videos, out = tmp_path / "videos", tmp_path / "d"
    assert main(["describe", str(videos), "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "Resolutions, width×height (the paper's Table 1)" in printed and "128×96" in printed
    for _ in range(2):
        assert main(["describe", str(videos), "--out", str(out), "--workers", "1"]) == 0
        assert capsys.readouterr().out.startswith(printed.rstrip())
    assert (out / "describe.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "resolutions.csv").read_text() == "resolution,all\n128×96,2\n"
    assert (out / "describe.txt").read_text() == printed
    assert main(["describe", str(videos), "--out", str(out), "--seed", "1"]) == 2
    assert "seed was 0, now 1" in capsys.readouterr().err
    write_drawn_clip("videos/v2.mp4", 2)  # type: ignore[operator]
    assert main(["describe", str(videos), "--out", str(out)]) == 2
    assert "data was '" in capsys.readouterr().err


def test_nothing_to_describe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", str(tmp_path / "none")]) == 2
    assert "none: no such folder or store; check the name" in capsys.readouterr().err
    assert main(["describe", str(tmp_path)]) == 2
    assert "holds" in capsys.readouterr().err
