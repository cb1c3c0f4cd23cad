"""A killed `extract` loses nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from killing import command, entries_in, kill_when, same

from clips import draw_clip
from stallscan.cli import main
from stallscan.video.write import write_clip

N_VIDEOS = 300


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of videos, and the store that nobody disturbed."""
    folder = tmp_path_factory.mktemp("kill")
    videos = folder / "videos"
    videos.mkdir()
    write_clip(videos / "v0.mp4", draw_clip(0, n_frames=30), preset="ultrafast")
    for number in range(1, N_VIDEOS):
        (videos / f"v{number}.mp4").write_bytes((videos / "v0.mp4").read_bytes())
    (videos / "torn.mp4").write_bytes(b"torn")
    whole = folder / "whole.lmdb"
    # Here, where all that takes time to import is imported.
    assert main([*command("extract", [videos], whole)[3:], "--workers", "1"]) == 3
    return videos, whole


@pytest.mark.parametrize("group", [True, False])
def test_kill_9_then_the_same_command_gives_the_undisturbed_store(
    tmp_path: Path, undisturbed: tuple[Path, Path], group: bool
) -> None:
    videos, whole = undisturbed
    out = tmp_path / "r.lmdb"
    run = command("extract", [videos], out)
    kill_when(run, lambda: entries_in(out) >= 10, group=group)
    assert 10 <= entries_in(out) <= N_VIDEOS
    assert not out.with_name("r.lmdb.csv").exists()
    assert subprocess.run(run, check=False).returncode == 3
    assert entries_in(out) == N_VIDEOS + 1 and same("extract", out, whole)
