"""What worker processes do with a video, in a file of its own: they need not load PyTorch."""

from __future__ import annotations

from pathlib import Path

import av

from roi import decode_only

__all__ = ["decode_only", "decode_rgb"]


def decode_rgb(path: Path) -> int:
    """Every frame as RGB, none kept."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = container.decode(video=0)
        return sum(frame.to_ndarray(format="rgb24", threads=1).ndim == 3 for frame in frames)
