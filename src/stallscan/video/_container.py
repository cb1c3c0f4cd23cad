"""Decoding of video containers and GIF through PyAV (FFmpeg)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from stallscan.errors import DamagedVideoError, VideoError
from stallscan.types import UInt8Array
from stallscan.video._limits import check_size
from stallscan.video._truncated import missing_end

_AGAIN = "copy or export it again from its source"


def decode(path: Path, *, n_threads: int, max_gib: float) -> Iterator[av.VideoFrame]:
    """Yield frames, all of one size, up to the end of the first video stream.

    Raises:
        DamagedVideoError: it breaks off after its first frames.
        VideoError: see `stallscan.video.read.iter_frames`.
    """
    shortfall = missing_end(path)
    n_decoded = n_announced = 0
    opened = False
    try:
        # "file:" keeps FFmpeg from reading a colon in the name as a protocol.
        with av.open(f"file:{path}") as container:
            opened = True
            if not container.streams.video:
                kinds = ", ".join(stream.type for stream in container.streams) or "none"
                raise VideoError(
                    f"{path}: holds no video stream (its streams: {kinds}); pass a file with video"
                )
            stream = container.streams.video[0]
            stream.codec_context.thread_count = n_threads
            check_size(path, 1, stream.height or 0, stream.width or 0, max_gib)
            # A GIF announces nothing: there FFmpeg has counted what it found.
            n_announced = 0 if container.format.name == "gif" else stream.frames
            size: tuple[int, int] | None = None
            # Rotation in the metadata is ignored: voxels stay where the microscope put them.
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise _broken_off(path, n_decoded, n_announced, "a damaged frame")
                if size is None:
                    size = frame.height, frame.width
                if (frame.height, frame.width) != size:
                    raise VideoError(
                        f"{path}: frame {n_decoded} is {frame.width}×{frame.height} pixels, the "
                        f"frames before it {size[1]}×{size[0]}; a stack has one size: export it "
                        "again or split it"
                    )
                check_size(path, n_decoded + 1, *size, max_gib)
                n_decoded += 1
                yield frame
    except av.FFmpegError as error:
        reason = error.strerror or str(error)
        if opened:
            raise _broken_off(path, n_decoded, n_announced, shortfall or reason) from error
        detail = f"{reason}; {shortfall}" if shortfall else reason
        raise VideoError(f"{path}: cannot be opened as a video ({detail}); {_AGAIN}") from error
    if shortfall:
        raise _broken_off(path, n_decoded, n_announced, shortfall)
    if n_decoded == 0:
        raise VideoError(f"{path}: its video stream holds 0 frames, need at least 1; {_AGAIN}")


def to_rgb(frame: av.VideoFrame) -> UInt8Array:
    """``(y, x, 3)`` uint8."""
    return np.asarray(frame.to_ndarray(format="rgb24", threads=1), dtype=np.uint8)


def _broken_off(path: Path, n_decoded: int, n_announced: int, reason: str) -> VideoError:
    of_announced = f" of {n_announced}" if n_announced else ""
    damage = f"{n_decoded}{of_announced} frames decoded, then: {reason}"
    if n_decoded == 0:
        return VideoError(f"{path}: {damage}; {_AGAIN}")
    return DamagedVideoError(
        f"{path}: {damage}; {_AGAIN}, or pass --partial to use these frames", damage=damage
    )
