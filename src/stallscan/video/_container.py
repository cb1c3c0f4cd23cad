"""Decoding of video containers and GIF through PyAV (FFmpeg)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import numpy as np

from stallscan.errors import VideoError
from stallscan.types import UInt8Array
from stallscan.video._damage import REMEDY, broken_off, damage_after
from stallscan.video._limits import check_size
from stallscan.video._structure import examine
from stallscan.video._structure_gif import with_control_block

_WITHOUT_EMPTY = (
    *("av1", "dnxhd", "ffv1", "gif", "h264", "hevc", "huffyuv", "mjpeg", "mpeg2video"),
    *("png", "prores", "qtrle", "rawvideo", "utvideo", "vp9"),
)
_MAX_EMPTY_BYTES = {"mpeg4": 16, **dict.fromkeys(_WITHOUT_EMPTY, 0)}
"""Codecs whose every packet is a picture, but for those of so few bytes: MPEG-4 has empty ones."""


def decode(path: Path, *, n_threads: int, max_gib: float) -> Iterator[av.VideoFrame]:
    """Yield frames, all of one size, up to the end of the first video stream.

    Raises:
        DamagedVideoError: it breaks off after its first frames.
        VideoError: see `stallscan.video.read.iter_frames`.
    """
    structure = examine(path)
    if structure.defect and structure.sound_until == 0:
        raise VideoError(f"{path}: cannot be opened as a video ({structure.defect}); {REMEDY}")
    n_decoded = n_packets = n_pictures = n_announced = 0
    is_opened = is_interlaced = False
    try:
        # "file:" keeps FFmpeg from reading a colon in the name as a protocol.
        source: str | BytesIO = f"file:{path}"
        if structure.format == "gif" and not structure.defect:
            source = BytesIO(with_control_block(path.read_bytes()))
        with av.open(source, "r", format=structure.format, metadata_errors="replace") as container:
            is_opened = True
            if not container.streams.video:
                kinds = ", ".join(stream.type for stream in container.streams) or "none"
                raise VideoError(
                    f"{path}: holds no video stream (its streams: {kinds}); pass a file with video"
                )
            stream = container.streams.video[0]
            codec = stream.codec_context
            if codec is None:
                raise VideoError(
                    f"{path}: its video is coded in a way that FFmpeg does not know; convert it to "
                    "H.264, or copy it again from its source"
                )
            codec.thread_count = n_threads
            n_empty = _MAX_EMPTY_BYTES.get(codec.codec.canonical_name, sys.maxsize)
            n_at_least = structure.n_coded or 1
            check_size(path, n_at_least, stream.height or 0, stream.width or 0, max_gib)
            # A GIF announces nothing: there FFmpeg has counted what it found.
            n_announced = 0 if structure.format == "gif" else stream.frames
            size: tuple[int, int] | None = None
            for packet in container.demux(stream):
                if structure.defect and (packet.pos or 0) >= structure.sound_until:
                    continue  # what lies behind a defect has no place in the stack
                if packet.size and not packet.is_discard:
                    n_packets += 1
                    n_pictures += packet.size > n_empty
                # Rotation in the metadata is ignored: voxels stay where the microscope put them.
                for frame in packet.decode():
                    if frame.is_corrupt:
                        reason = structure.defect or "a damaged frame"
                        damage = damage_after(n_decoded, n_announced, reason)
                        raise broken_off(path, n_decoded, damage)
                    if size is None:
                        size = frame.height, frame.width
                    if (frame.height, frame.width) != size:
                        raise VideoError(
                            f"{path}: frame {n_decoded} is {frame.width}×{frame.height} pixels, "
                            f"the frames before it {size[1]}×{size[0]}; a stack has one size: "
                            "export it again or split it"
                        )
                    check_size(path, n_decoded + 1, *size, max_gib)
                    n_decoded += 1
                    is_interlaced = frame.interlaced_frame
                    yield frame
    except av.FFmpegError as error:
        reason = structure.defect or error.strerror or str(error)
        if is_opened:
            damage = damage_after(n_decoded, n_announced, reason)
            raise broken_off(path, n_decoded, damage) from error
        raise VideoError(f"{path}: cannot be opened as a video ({reason}); {REMEDY}") from error
    reason = structure.defect
    if not reason and structure.n_coded not in (None, n_packets):
        reason = f"{n_packets} of {structure.n_coded} coded frames could be read"
    # More frames than packets are made up by the decoder. Fields may come in packets of their own.
    if not (reason or is_interlaced) and n_pictures and not n_pictures <= n_decoded <= n_packets:
        reason = f"the decoder was given {n_packets}"
    if reason:
        raise broken_off(path, n_decoded, damage_after(n_decoded, n_announced, reason))
    if n_decoded == 0:
        raise VideoError(f"{path}: its video stream holds 0 frames, need at least 1; {REMEDY}")


def to_rgb(frame: av.VideoFrame) -> UInt8Array:
    """``(y, x, 3)`` uint8."""
    return np.asarray(frame.to_ndarray(format="rgb24", threads=1), dtype=np.uint8)
