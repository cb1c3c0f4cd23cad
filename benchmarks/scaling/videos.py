"""Phantom videos, some of them under many names."""

from __future__ import annotations

import os
from pathlib import Path

from stallscan.cli import main as stallscan


def make_videos(work: Path, unique: int, n: int) -> Path:
    """A folder of ``n`` videos, of which ``unique`` are simulated and the others are links."""
    data, folder = work / f"phantoms-{unique}", work / f"videos-{unique}-{n}"
    command = ["simulate", str(data), "--n-train", "0", "--n-test", str(unique), "--seed", "12"]
    if stallscan([*command, "--stalled", "0.3"]):
        raise SystemExit("no phantoms")
    sources = sorted((data / "test").glob("*.mp4"))
    folder.mkdir(exist_ok=True)
    for number in range(n):
        path = folder / f"{number:06d}.mp4"
        if not path.exists():
            os.link(sources[number % unique], path)
    return folder
