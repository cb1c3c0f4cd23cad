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
    assert subprocess.run(command("predict", videos, whole, *options), check=False).returncode == 3
    return videos, options, whole.read_bytes()


@pytest.mark.parametrize("group", [True, False])
def test_kill_9_then_the_same_command_gives_the_undisturbed_table(
    tmp_path: Path, undisturbed: tuple[list[Path], tuple[str, ...], bytes], group: bool
) -> None:
    videos, options, whole = undisturbed
    out = tmp_path / "p.csv"
    run = command("predict", videos, out, *options)
    kill_when(run, lambda: rows_in(partial_of(out)) >= 8, group=group)
    assert 8 <= rows_in(partial_of(out)) < N_VIDEOS and not out.exists()
    assert subprocess.run(run, check=False).returncode == 3
    assert rows_in(out) == N_VIDEOS
    assert out.read_bytes() == whole


def test_ctrl_c_ends_cleanly_and_loses_nothing(
    tmp_path: Path, undisturbed: tuple[list[Path], tuple[str, ...], bytes]
) -> None:
    """A terminal sends it to the workers as well, which must not die of it."""
    videos, options, whole = undisturbed
    out = tmp_path / "p.csv"
    run = command("predict", videos, out, *options)
    process = subprocess.Popen(
        run,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell has put into the background begins with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while rows_in(partial_of(out)) < 2:
        assert process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == (
        "stallscan: error: interrupted; the same command goes on where this one stopped\n"
    )
    left = rows_in(partial_of(out))
    assert 2 <= left < N_VIDEOS and not out.exists()
    assert subprocess.run(run, check=False).returncode == 3
    assert out.read_bytes() == whole
