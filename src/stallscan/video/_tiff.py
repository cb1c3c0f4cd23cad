"""Reading of TIFF stacks: plain, ImageJ and OME, BigTIFF too."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from stallscan.errors import VideoError
from stallscan.video._damage import broken_off, damage_after
from stallscan.video._limits import check_size
from stallscan.video._pixels import check_dtype, clip_of
from stallscan.video._tiff_voxels import voxel_size_um
from stallscan.video.clip import Clip


def read_tiff(path: Path, max_gib: float) -> Clip:
    """Read the one series of a TIFF: grey or RGB, 8 or 16 bits.

    ``damage`` of the clip says where it breaks off.

    Raises:
        VideoError: it is no TIFF, holds several series, its axes or dtype are not those of a
            stack, it is too large, or not one frame is whole.
    """
    try:
        # One file is one stack: the others that an OME header may name are not opened.
        with _complaints() as complaints, tifffile.TiffFile(path, _multifile=False) as tiff:
            series = _only_series(tiff, path)
            check_dtype(series.dtype, path)
            shape, axes, offset = series.shape, series.axes, series.dataoffset
            if complaints and (n_images := (tiff.imagej_metadata or {}).get("images", 1)) > 1:
                # ImageJ's pixels lie in one piece; cut, tifffile takes the first for all.
                shape, axes, offset = (n_images, *shape), "Z" + axes, series.keyframe.dataoffsets[0]
            # An array of no memory: the shape is judged before the pixels are read.
            n_frames, height, width, _ = _frames_of(
                np.broadcast_to(np.uint8(0), shape), axes, path
            ).shape
            check_size(path, n_frames, height, width, max_gib)
            voxel_size = voxel_size_um(tiff)
            reason = complaints[0] if complaints else _defect(tiff, series)
            array = None if reason else _all_frames(series, complaints)
            if array is None:
                reason = reason or complaints[0]
                complaints.clear()
                array = np.empty((0, *shape[1:]), series.dtype)
                if n_frames == shape[0] and offset is not None:
                    array = _whole_frames_in_one_piece(tiff, series.dtype, shape, offset)
                elif n_frames == shape[0]:
                    array = _whole_frames_of_pages(series, complaints)
            array, axes = _as_seen(array, axes, series.keyframe)
    except VideoError:
        raise
    # tifffile answers damaged bytes with nearly any exception, struct.error and KeyError included.
    except Exception as error:
        raise VideoError(
            f"{path}: cannot be read as TIFF ({error}); save it again as uncompressed 8- or "
            "16-bit TIFF"
        ) from error
    damage = damage_after(len(array), n_frames, reason) if reason else ""
    if len(array) == 0:
        raise broken_off(path, 0, damage)
    return clip_of(_frames_of(array, axes, path), path, voxel_size_um=voxel_size, damage=damage)


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what tifffile logs as an error: on a cut file it only logs, and returns less."""
    found: list[str] = []
    thread_id = threading.get_ident()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread_id:
                found.append(record.getMessage().rpartition("> ")[2])  # without "<TiffFile …> "

    logger = logging.getLogger("tifffile")
    handler = Collector(level=logging.ERROR)
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)


def _as_seen(array: np.ndarray[Any, Any], axes: str, page: Any) -> tuple[np.ndarray[Any, Any], str]:
    """Grey levels or colours instead of a palette's indices, white as the highest level."""
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        palette = (page.colormap >> 8).astype(np.uint8)  # (3, colours), 16 bits
        return np.moveaxis(palette[:, array], 0, -1), axes + "S"
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        return np.iinfo(array.dtype).max - array, axes
    return array, axes


def _only_series(tiff: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    if len(tiff.series) != 1:
        shapes = ", ".join(str(series.shape) for series in tiff.series[:4])
        raise VideoError(
            f"{path}: holds {len(tiff.series)} series of images (shapes {shapes}), allowed is 1; "
            "save the stack to be read in a file of its own"
        )
    return tiff.series[0]


def _all_frames(
    series: tifffile.TiffPageSeries, complaints: list[str]
) -> np.ndarray[Any, Any] | None:
    """All pixels in the axes of the series; None, and a complaint, when some are damaged."""
    try:
        array = series.asarray()
    except Exception as error:  # as in `read_tiff`
        complaints.append(str(error) or type(error).__name__)
    return None if complaints else array


def _defect(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> str:
    """What is wrong with the places of the pixels; empty when they are sound."""
    n_bytes = tiff.filehandle.size
    pages: list[Any] = list(series.pages)
    if None in pages:
        return f"page {pages.index(None)} is missing"
    if series.dataoffset is not None:
        n_announced = series.dataoffset + series.nbytes
        if n_announced > n_bytes:
            return f"the file ends early ({n_bytes:,} bytes, its pages take {n_announced:,})"
    else:
        outside = next((i for i, page in enumerate(pages) if not _is_inside(page, n_bytes)), None)
        if outside is not None:
            return f"page {outside} lies outside of the file ({n_bytes:,} bytes)"
    n_unreferenced = n_bytes - _n_referenced(tiff, series)
    # Half, because compressed pages differ and the bytes between pages are only known to be few.
    if n_unreferenced > max(min(sum(page.databytecounts) for page in pages) / 2, _MAX_LEFT_OVER):
        return f"{n_unreferenced:,} bytes of the file belong to no page"
    return ""


def _n_referenced(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> int:
    """Bytes of pixels and tags; where the chain of pages is cut, those of others are not in it."""
    # The list holds some pages without their tags.
    pages: list[Any] = [tiff.pages.get(i, aspage=True) for i in range(len(tiff.pages))]
    pages += [smaller for page in pages for smaller in page.pages or ()]  # of a pyramid
    n_pixels = n_tags = 0
    for page in pages:
        n_pixels += sum(page.databytecounts)
        n_tags += tiff.tiff.tagsize * len(page.tags) + _MAX_PADDING
        sizes = (tag.valuebytecount for tag in page.tags)
        n_tags += sum(size for size in sizes if size > tiff.tiff.tagoffsetthreshold)
    return n_tags + max(n_pixels, series.nbytes if series.dataoffset is not None else 0)


_MAX_PADDING = 64  # bytes around a page and its tags
_MAX_LEFT_OVER = 512  # bytes of a file whatever the size of its pages


def _is_inside(page: Any, n_bytes: int) -> bool:
    places = zip(page.dataoffsets, page.databytecounts, strict=True)
    return all(count > 0 and offset + count <= n_bytes for offset, count in places)


def _whole_frames_in_one_piece(
    tiff: tifffile.TiffFile, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int
) -> np.ndarray[Any, Any]:
    """The frames, uncompressed from ``offset`` on, that the file reaches to; maybe none."""
    file = tiff.filehandle
    n_frame_bytes = dtype.itemsize * int(np.prod(shape[1:]))
    n_whole = min(max(file.size - offset, 0) // n_frame_bytes, shape[0])
    file.seek(offset)
    data = bytearray(file.read(n_whole * n_frame_bytes))
    return np.frombuffer(data, dtype.newbyteorder(tiff.byteorder)).reshape(n_whole, *shape[1:])


def _whole_frames_of_pages(
    series: tifffile.TiffPageSeries, complaints: list[str]
) -> np.ndarray[Any, Any]:
    """The frames before the first damaged page; maybe none."""
    frames: list[np.ndarray[Any, Any]] = []
    for page in series.pages[: series.shape[0]]:
        if page is None or not _is_inside(page, page.parent.filehandle.size):
            break
        try:
            frame = page.asarray().reshape(series.shape[1:])
        except Exception:  # as in `read_tiff`
            break
        if complaints:
            break
        frames.append(frame)
    return np.stack(frames) if frames else np.empty((0, *series.shape[1:]), series.dtype)


def _frames_of(array: np.ndarray[Any, Any], axes: str, path: Path) -> np.ndarray[Any, Any]:
    """The array as ``(z, y, x, c)`` with one or three channels."""
    found = f"shape {array.shape}, axes {axes}"
    is_kept = [name in "YX" or size > 1 for name, size in zip(axes, array.shape, strict=True)]
    axes = "".join(name for name, kept in zip(axes, is_kept, strict=True) if kept)
    array = array[tuple(slice(None) if kept else 0 for kept in is_kept)]
    channel = _channel_axis(array.shape, axes)
    if channel is None:
        array = array[..., np.newaxis]
    else:
        array = np.moveaxis(array, channel, -1)
        axes = axes[:channel] + axes[channel + 1 :]
    if array.ndim == 3:
        array, axes = array[np.newaxis], "Z" + axes
    if array.ndim != 4 or not axes.endswith("YX") or array.shape[3] not in (1, 3):
        raise VideoError(
            f"{path}: {found}, is not a stack of grey or RGB frames; allowed are (z, y, x), "
            "(z, y, x, 3) and (z, 3, y, x): save one channel and one time series of it"
        )
    return array


def _channel_axis(shape: tuple[int, ...], axes: str) -> int | None:
    if "S" in axes:
        return axes.index("S")
    # ImageJ files made elsewhere often call the frames C; a channel axis has length three.
    if "C" in axes and (shape[axes.index("C")] == 3 or len(shape) == 4):
        return axes.index("C")
    if len(shape) == 4 and shape[1] == 3 and axes[1] in "QI":  # unnamed axes
        return 1
    return None
