"""Decoding of video containers and GIF through PyAV (FFmpeg)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from stallscan.errors import VideoError
from stallscan.types import UInt8Array
from stallscan.video._truncated import missing_end

_AGAIN = "copy or export it again from its source"


def iter_container(path: Path, *, n_threads: int) -> Iterator[UInt8Array]:
    """Yield ``(y, x, 3)`` uint8 RGB frames up to the end of the first video stream.

    Raises:
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
            # A GIF announces nothing: there FFmpeg has counted what it found.
            n_announced = 0 if container.format.name == "gif" else stream.frames
            size: tuple[int, ...] | None = None
            # Rotation in the metadata is ignored: voxels stay where the microscope put them.
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise _broken_off(path, n_decoded, n_announced, "a damaged frame")
                rgb = np.asarray(frame.to_ndarray(format="rgb24", threads=1), dtype=np.uint8)
                if size is None:
                    size = rgb.shape
                if rgb.shape != size:
                    raise VideoError(
                        f"{path}: frame {n_decoded} is {rgb.shape[1]}×{rgb.shape[0]} pixels, the "
                        f"frames before it {size[1]}×{size[0]}; a stack has one size: export it "
                        "again or split it"
                    )
                n_decoded += 1
                yield rgb
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


def _broken_off(path: Path, n_decoded: int, n_announced: int, reason: str) -> VideoError:
    of_announced = f" of {n_announced}" if n_announced else ""
    return VideoError(f"{path}: {n_decoded}{of_announced} frames decoded, then: {reason}; {_AGAIN}")
