"""What worker processes do with a video, in a file of its own: they need not load PyTorch."""

from __future__ import annotations

from pathlib import Path

import av

from roi import decode_only
from stallscan.augment.evaluation import Preprocessing, preprocess
from stallscan.data.extract import Extractor

__all__ = ["decode_only", "decode_rgb", "prepare"]


def decode_rgb(path: Path) -> int:
    """Every frame as RGB, none kept."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = container.decode(video=0)
        return sum(frame.to_ndarray(format="rgb24", threads=1).ndim == 3 for frame in frames)


def prepare(extractor: Extractor, preprocessing: Preprocessing, path: Path) -> int:
    """All that a video needs before the networks; nothing is sent to another process."""
    volume = extractor(path).volume
    if volume is None:
        raise RuntimeError(f"{path}: no region was found in it")
    preprocess(volume, preprocessing)
    return volume.n_frames
