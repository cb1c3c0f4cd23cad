"""A killed `predict` loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from killing import command, kill_when, partial_of, rows_in

from clips import draw_clip
from stallscan.cli import main
from stallscan.video.write import write_clip

N_VIDEOS = 40


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path
) -> tuple[list[Path], tuple[str, ...], bytes]:
    """Videos, options, and the table that nobody disturbed."""
    folder = tmp_path_factory.mktemp("kill")
    videos = [folder / f"v{seed}.mp4" for seed in range(N_VIDEOS)]
    for seed, path in enumerate(videos):
        write_clip(path, draw_clip(seed, n_frames=24), preset="ultrafast")
    videos[5].write_bytes(b"torn")
    options = ("--model", str(tiny_model_dir), "--flips", "2")
    whole = folder / "whole.csv"
    # Here, where all that takes time to import is imported.
    assert main([*command("predict", videos, whole, *options)[3:], "--workers", "0"]) == 3
    return videos, options, whole.read_bytes()


def test_killed_and_interrupted_the_same_command_gives_the_undisturbed_table(
    tmp_path: Path, undisturbed: tuple[list[Path], tuple[str, ...], bytes]
) -> None:
    """Kill −9 of the parent alone, of all, then Ctrl-C, each of the run that goes on."""
    videos, options, whole = undisturbed
    out = tmp_path / "p.csv"
    run = command("predict", videos, out, *options)
    left = 0
    for group in (False, True):
        due = left + 8
        kill_when(run, lambda due=due: rows_in(partial_of(out)) >= due, group=group)
        left = rows_in(partial_of(out))
        assert due <= left < N_VIDEOS and not out.exists()
    left = interrupted(run, partial_of(out), left + 2)
    assert left < N_VIDEOS and not out.exists()
    assert subprocess.run(run, check=False).returncode == 3
    assert rows_in(out) == N_VIDEOS
    assert out.read_bytes() == whole


def interrupted(run: list[str], table: Path, due: int) -> int:
    """Ctrl-C at so many rows ends it cleanly; the rows it leaves.

    A terminal sends it to the workers as well, which must not die of it.
    """
    process = subprocess.Popen(
        run,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell has put into the background begins with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while rows_in(table) < due:
        assert process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == (
        "stallscan: error: interrupted; the same command goes on where this one stopped\n"
    )
    left = rows_in(table)
    assert left >= due
    return left
