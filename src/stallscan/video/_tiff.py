"""Reading of TIFF stacks: plain, ImageJ and OME."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from stallscan.errors import VideoError
from stallscan.types import UInt8Array
from stallscan.video.clip import Clip

_MICRON_NAMES = {"um", "µm", "μm", "micron", "microns", "micrometer", "\\u00b5m"}


def read_tiff(path: Path) -> Clip:
    """Read the first series of a TIFF: grey or RGB, 8 or 16 bits.

    Raises:
        VideoError: the file is damaged or cut short, or its axes or dtype are not those of a stack.
    """
    try:
        with _complaints() as complaints, tifffile.TiffFile(path) as tiff:
            series = tiff.series[0]
            axes = series.axes
            array = series.asarray()
            voxel_size_um = _voxel_size_um(tiff)
    # tifffile answers damaged bytes with nearly any exception, struct.error and KeyError included.
    except Exception as error:
        raise VideoError(
            f"{path}: cannot be read as TIFF ({error}); save it again as uncompressed 8- or "
            "16-bit TIFF"
        ) from error
    if complaints:
        raise VideoError(
            f"{path}: damaged or cut short, {len(array) if array.ndim > 2 else 1} frames decoded, "
            f"then: {complaints[0]}; copy or export it again from its source"
        )
    frames = _frames_of(array, axes, path)
    grey_levels, rescaling = _to_uint8(frames, path)
    if grey_levels.shape[3] == 1:
        grey_levels = np.repeat(grey_levels, 3, axis=3)
    return Clip(
        array=grey_levels, source=str(path), voxel_size_um=voxel_size_um, rescaling=rescaling
    )


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what tifffile logs as an error: on a cut file it only logs, and returns less."""
    found: list[str] = []
    thread_id = threading.get_ident()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread_id:
                found.append(record.getMessage())

    logger = logging.getLogger("tifffile")
    handler = Collector(level=logging.ERROR)
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)


def _frames_of(array: np.ndarray[Any, Any], axes: str, path: Path) -> np.ndarray[Any, Any]:
    """The array as ``(z, y, x, c)`` with one or three channels."""
    found = f"shape {array.shape}, axes {axes}"
    kept = [i for i, name in enumerate(axes) if name in "YX" or array.shape[i] > 1]
    axes = "".join(axes[i] for i in kept)
    array = array.reshape([array.shape[i] for i in kept])
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
    if len(shape) == 4 and shape[1] == 3:  # unnamed axes
        return 1
    return None


def _to_uint8(
    frames: np.ndarray[Any, Any], path: Path
) -> tuple[UInt8Array, tuple[float, float] | None]:
    if frames.dtype == np.uint8:
        return np.ascontiguousarray(frames), None
    if frames.dtype != np.uint16:
        raise VideoError(
            f"{path}: pixels are {frames.dtype}, allowed are uint8 and uint16; convert it first"
        )
    low, high = int(frames.min()), int(frames.max())
    scaled = (np.arange(1 << 16) - low) * (255 / max(high - low, 1))
    table = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return table[frames], (float(low), float(high))


def _voxel_size_um(tiff: tifffile.TiffFile) -> tuple[float, float, float] | None:
    """``(z, y, x)`` in µm where ImageJ or OME metadata give all three."""
    if tiff.is_ome:
        pixels = ElementTree.fromstring(tiff.ome_metadata or "").find(".//{*}Pixels")
        sizes = pixels.attrib if pixels is not None else {}
        if any(sizes.get(f"PhysicalSize{a}Unit", "µm") not in _MICRON_NAMES for a in "ZYX"):
            return None
        return _positive(sizes.get(f"PhysicalSize{axis}") for axis in "ZYX")
    metadata = tiff.imagej_metadata or {}
    if str(metadata.get("unit", "")).lower() not in _MICRON_NAMES:
        return None
    # ImageJ's resolution tags are fractions: pixels per unit.
    tags = tiff.pages.first.tags
    per_unit = [tags[name].value for name in ("YResolution", "XResolution") if name in tags]
    return _positive([metadata.get("spacing"), *(below / above for above, below in per_unit)])


def _positive(sizes: Any) -> tuple[float, float, float] | None:
    values = [float(size) for size in sizes if size is not None]
    return (values[0], values[1], values[2]) if len(values) == 3 and min(values) > 0 else None
