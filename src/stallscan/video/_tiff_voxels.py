"""Voxel sizes from the metadata of ImageJ and OME-TIFF."""

from __future__ import annotations

import math
from typing import Any
from xml.etree import ElementTree

import tifffile

_UM = {
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "\\u00b5m"), 1.0),
    "å": 1e-4,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    **dict.fromkeys(("inch", "inches", "in"), 25_400.0),
}
"""µm in one unit, by its name in lower case."""


def voxel_size_um(tiff: tifffile.TiffFile) -> tuple[float, float, float] | None:
    """``(z, y, x)`` in µm; None unless the file gives all three in a unit of length.

    The resolution of a plain TIFF is one of print: it says nothing about z, and little about x.
    """
    if tiff.is_ome:
        pixels = ElementTree.fromstring(tiff.ome_metadata or "").find(".//{*}Pixels")
        of = dict(pixels.attrib) if pixels is not None else {}
        sizes = [of.get(f"PhysicalSize{axis}") for axis in "ZYX"]
        units = [of.get(f"PhysicalSize{axis}Unit", "µm") for axis in "ZYX"]
        return _in_um(sizes, units)
    of = tiff.imagej_metadata or {}
    # ImageJ's resolution tags are fractions: pixels per unit.
    tags = tiff.pages.first.tags
    per_unit = [tags[name].value for name in ("YResolution", "XResolution") if name in tags]
    if len(per_unit) < 2 or 0 in (above for above, _ in per_unit):
        return None
    sizes = [of.get("spacing"), *(below / above for above, below in per_unit)]
    unit = of.get("unit")
    return _in_um(sizes, [of.get("zunit", unit), of.get("yunit", unit), unit])


def _in_um(sizes: list[Any], units: list[Any]) -> tuple[float, float, float] | None:
    z, y, x = (
        float(size or 0) * _UM.get(str(unit).lower(), math.nan)
        for size, unit in zip(sizes, units, strict=True)
    )
    return (z, y, x) if min(z, y, x) > 0 and max(z, y, x) < math.inf else None
