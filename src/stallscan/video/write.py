"""Writing: frames → an H.264 video."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from fractions import Fraction
from os import PathLike
from pathlib import Path

import av
from av.video.reformatter import ColorRange, Colorspace

from stallscan.errors import OptionError, VideoError
from stallscan.types import UInt8Array
from stallscan.video.clip import Clip

WRITABLE_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi")
PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)
# Rate control looks ahead in threads of its own and then depends on their number; and it weighs
# blocks by routines of the processor's own, unless `cpu-independent` asks for the portable ones.
_X264_PARAMS = "threads=1:lookahead-threads=1:cpu-independent=1"
_BT601 = 6  # FFmpeg's AVCOL_SPC_SMPTE170M, the matrix that Colorspace.ITU601 stands for


def write_clip(
    path: str | PathLike[str],
    clip: Clip | UInt8Array,
    *,
    fps: float = 10.0,
    crf: int = 18,
    preset: str = "medium",
) -> None:
    """Write a clip as H.264 (yuv420p), whole or not at all.

    The same frames give the same bytes on every machine with the same PyAV: one encoder thread, no
    dates and no library versions in the container. Colours are tagged as BT.601, limited range.

    Args:
        path: a file with one of ``WRITABLE_SUFFIXES``; replaced if it exists.
        clip: a Clip or its ``(z, y, x, 3)`` uint8 array; y and x even.
        fps: frames a second of the video, which says nothing about the microscope.
        crf: quality, 0 (nearly lossless) to 51.
        preset: x264's trade of time for size, one of ``PRESETS``.

    Raises:
        OptionError: an option outside what is allowed, or a folder that does not exist.
        VideoError: the array is not a clip, or its size is odd.
    """
    path = Path(path)
    if not isinstance(clip, Clip):
        clip = Clip(array=clip, source=str(path))
    write_frames(path, clip.array, clip.array.shape[1:3], fps=fps, crf=crf, preset=preset)


def write_frames(
    path: str | PathLike[str],
    frames: Iterable[UInt8Array],
    size: tuple[int, int],
    *,
    fps: float = 10.0,
    crf: int = 18,
    preset: str = "medium",
) -> None:
    """Write frames as they come: `write_clip` for what is too long to be held.

    Args:
        path: see `write_clip`; likewise the others.
        frames: ``(y, x, 3)`` uint8 each.
        size: ``(y, x)`` of all of them.
        fps: frames a second.
        crf: quality.
        preset: time against size.

    Raises:
        OptionError: an option outside what is allowed, or a folder that does not exist.
        VideoError: a size that is odd, or a frame of another one.
    """
    path = Path(path)
    _check(path, size, fps=fps, crf=crf, preset=preset)
    # Beside the target, so that the rename stays in one file system; the suffix picks the format.
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        _encode(partial, frames, size, fps=fps, crf=crf, preset=preset)
        partial.replace(path)
    except (OSError, av.FFmpegError) as error:
        raise OptionError(
            f"{path}: cannot be written ({error.strerror or error}); choose a writable place"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _check(path: Path, size: tuple[int, int], *, fps: float, crf: int, preset: str) -> None:
    if path.suffix.lower() not in WRITABLE_SUFFIXES:
        raise OptionError(
            f"{path}: cannot write the suffix {path.suffix!r}; allowed are "
            f"{', '.join(WRITABLE_SUFFIXES)}"
        )
    if not path.parent.is_dir():
        raise OptionError(f"{path}: the folder {path.parent} does not exist; create it first")
    if not (math.isfinite(fps) and fps > 0):
        raise OptionError(f"{path}: fps is {fps}, must be above 0; 10 is usual")
    if not 0 <= crf <= 51:
        raise OptionError(f"{path}: crf is {crf}, allowed are 0 to 51; 18 is usual")
    if preset not in PRESETS:
        raise OptionError(f"{path}: preset is {preset!r}, allowed are {', '.join(PRESETS)}")
    height, width = size
    if height % 2 or width % 2:
        raise VideoError(
            f"{path}: frames of {width}×{height} pixels cannot be written, yuv420p needs even "
            "sizes; crop or pad the frames by one pixel"
        )


def _encode(
    path: Path,
    frames: Iterable[UInt8Array],
    size: tuple[int, int],
    *,
    fps: float,
    crf: int,
    preset: str,
) -> None:
    with av.open(f"file:{path}", "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.options = {
            "crf": str(crf),
            "preset": preset,
            "x264-params": _X264_PARAMS,
        }
        stream.codec_context.thread_count = 1
        stream.codec_context.colorspace = _BT601
        stream.codec_context.color_range = ColorRange.MPEG
        for rgb in frames:
            if rgb.shape != (*size, 3):
                raise VideoError(
                    f"{path}: a frame has the shape {rgb.shape}, the others {(*size, 3)}; give "
                    "frames of one size"
                )
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
