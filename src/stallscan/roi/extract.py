"""One file → its Extraction: read, find the region, crop, judge."""

from __future__ import annotations

import logging

from stallscan.errors import FetchError, OutlineNotFoundError, StallscanError
from stallscan.roi.extraction import Extraction
from stallscan.roi.find import examine
from stallscan.roi.options import RoiOptions
from stallscan.roi.outline import locate_outline
from stallscan.roi.region import given_region, whole_frame
from stallscan.roi.resize import resize
from stallscan.roi.verdict import Verdict
from stallscan.types import IntArray, Location
from stallscan.video.clip import Stack
from stallscan.video.read import read_stack
from stallscan.video.remote import base_name

log = logging.getLogger(__name__)

_DEFAULTS = RoiOptions()
DAMAGED = "damaged"
"""Flag of a stack that is shorter than its file should be."""


def extract_roi(
    path: Location,
    options: RoiOptions = _DEFAULTS,
    *,
    polygon: IntArray | None = None,
    size: tuple[int, int, int] | None = None,
) -> Extraction:
    """Read a file and cut out its region; whatever is wrong with the file becomes a value.

    Args:
        path: anything that `stallscan.video.read_stack` reads.
        options: where the region comes from.
        polygon: the region, ``(n, 2)`` int vertices ``(y, x)``, instead of a drawn outline.
        size: resize the volume to ``(z, y, x)``.
    """
    name = base_name(path)
    stack: Stack | None = None
    try:
        stack = read_stack(path, partial=options.partial, max_gib=options.max_gib)
        return _extract(name, stack, options, polygon, size)
    except FetchError as error:
        outline, message = "", str(error)  # which says where it should have been
    except StallscanError as error:
        outline = Verdict.MISSING if isinstance(error, OutlineNotFoundError) else ""
        message = str(error).replace(str(path), name)  # the same wherever the file lies
    except Exception as error:
        # A defect of ours or of a library: the batch goes on, and the log has the traceback.
        log.exception("%s: unexpected error", path)
        outline = ""
        message = f"{name}: unexpected {type(error).__name__}: {error}; see the log"
    return Extraction(
        filename=name,
        outline=outline,
        message=message,
        n_frames=stack.shape[0] if stack else None,
        frame_size=stack.shape[1:] if stack else None,
    )


def _extract(
    filename: str,
    stack: Stack,
    options: RoiOptions,
    polygon: IntArray | None,
    size: tuple[int, int, int] | None,
) -> Extraction:
    if options.roi == "full":
        roi = whole_frame(stack)
    elif polygon is not None:
        roi = given_region(stack, polygon)
    else:
        roi = locate_outline(stack, options.outline_color)
    volume = roi.crop(stack)
    roi = examine(roi, stack, volume)
    flags: tuple[str, ...] = roi.flags
    message = roi.message
    if stack.damage:
        flags = (DAMAGED, *flags)
        message = f"{stack.damage}{'; ' if message else ''}{message}"
    return Extraction(
        filename=filename,
        outline=roi.verdict,
        flags=tuple(map(str, flags)),
        message=message,
        n_frames=stack.shape[0],
        frame_size=stack.shape[1:],
        volume=volume if size is None else resize(volume, size),
    )
