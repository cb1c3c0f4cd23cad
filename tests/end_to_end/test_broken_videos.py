"""Broken videos among sound ones: each is a row with its reason, and spoils no other."""

from __future__ import annotations

from pathlib import Path

from broken import BREAKS, EVERY, check

from clips import draw_clip
from stallscan.video.write import write_clip


def test_each_broken_video_is_a_row_with_its_reason(tmp_path: Path, tiny_model_dir: Path) -> None:
    sound = [tmp_path / f"sound{seed}.mp4" for seed in range(3)]
    for seed, path in enumerate(sound):
        write_clip(path, draw_clip(seed, n_frames=12), preset="ultrafast")
    videos = [sound[number % 3] for number in range(EVERY * len(BREAKS))]
    messages = check(videos, tmp_path / "work", "--model", str(tiny_model_dir), "--flips", "1")
    assert set(messages) == set(BREAKS)
    reasons = {message.split(":", 1)[1] for message in messages.values()}
    assert len(reasons) >= 8  # what is wrong, not that something is
    assert "no orange outline in any of 12 frames" in messages["no_outline"]
