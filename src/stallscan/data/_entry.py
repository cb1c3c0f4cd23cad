"""One entry of a ROI store: an Extraction as two records, its summary and its voxels.

A record is a CRC-32 and what it guards: JSON for the summary, compressed voxels.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stallscan.data._voxels import CODEC, compress, decompress
from stallscan.roi.extraction import Extraction
from stallscan.roi.volume import Volume
from stallscan.types import Box

_UINT32 = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """An Extraction without its voxels.

    Attributes:
        filename: base name of the file.
        outline: the verdict's word; empty where the file could not be read.
        flags: words of what is suspect about its frames.
        message: why it is not ok; empty when it is.
        n_frames: frames decoded; None where the file could not be read.
        frame_size: ``(y, x)`` of a frame in pixels; None where the file could not be read.
        box: where the volume lies in the clip; None where it failed, like the rest.
        shape: ``(z, y, x, c)`` of the volume.
        voxel_size_um: ``(z, y, x)`` in µm, None where the file does not say.
        rescaling: None for 8-bit input, else the ``(low, high)`` grey levels that became 0 and 255.
        resized: whether the box was resized to the shape.
    """

    filename: str
    outline: str
    flags: tuple[str, ...]
    message: str
    n_frames: int | None
    frame_size: tuple[int, int] | None
    box: Box | None = None
    shape: tuple[int, int, int, int] | None = None
    voxel_size_um: tuple[float, float, float] | None = None
    rescaling: tuple[float, float] | None = None
    resized: bool = False

    @property
    def status(self) -> str:
        """As of an Extraction: ``ok``, ``flagged`` or ``failed``."""
        if self.box is None:
            return "failed"
        return "flagged" if self.message else "ok"


def encode(extraction: Extraction) -> bytes:
    """The entry of an Extraction; takes about 12 ms for a usual crop, so workers should do it.

    The same Extraction gives the same bytes, wherever its file lay.
    """
    fields: dict[str, Any] = {
        "outline": str(extraction.outline),
        "flags": [str(flag) for flag in extraction.flags],
        "message": extraction.message,
        "n_frames": extraction.n_frames,
        "frame_size": _plain(extraction.frame_size, int),
    }
    voxels = b""
    volume = extraction.volume
    if volume is not None:
        fields |= {
            "codec": CODEC,
            "box": _plain(volume.box, int),
            "shape": _plain(volume.array.shape, int),
            "voxel_size_um": _plain(volume.voxel_size_um, float),
            "rescaling": _plain(volume.rescaling, float),
            "resized": bool(volume.resized),
        }
        voxels = seal(compress(volume.array, volume.mask, volume.line))
    summary = seal_json(fields)
    return _UINT32.pack(len(summary)) + summary + voxels


def split(entry: bytes) -> tuple[bytes, bytes]:
    """The records of summary and voxels; the second is empty where there is no volume."""
    (n_bytes,) = _UINT32.unpack_from(entry)
    end = _UINT32.size + n_bytes
    return entry[_UINT32.size : end], entry[end:]


def decode_summary(filename: str, record: memoryview) -> Summary:
    """A summary from its record.

    Raises:
        ValueError: the record is damaged or not understood.
    """
    fields = unseal_json(record)
    codec = fields.pop("codec", CODEC)
    if codec != CODEC:
        raise ValueError(f"its voxels are written as {codec!r}, known is {CODEC!r}")
    try:
        summary = Summary(
            filename=filename,
            outline=fields["outline"],
            flags=tuple(fields["flags"]),
            message=fields["message"],
            n_frames=fields["n_frames"],
            frame_size=_tuple(fields["frame_size"], int, 2),
            box=Box(*box) if (box := _tuple(fields.get("box"), int, 6)) else None,
            shape=_tuple(fields.get("shape"), int, 4),
            voxel_size_um=_tuple(fields.get("voxel_size_um"), float, 3),
            rescaling=_tuple(fields.get("rescaling"), float, 2),
            resized=fields.get("resized", False),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"its summary is not understood ({error!r})") from error
    shape = summary.shape
    words = (summary.outline, summary.message, *summary.flags)
    if (
        not all(isinstance(word, str) for word in words)
        or not isinstance(summary.resized, bool)
        or not isinstance(summary.n_frames, int | None)
        or (summary.box is None) != (shape is None)
        or (shape is not None and (min(shape) < 1 or shape[3] not in (1, 3)))
    ):
        raise ValueError(f"its summary is not understood (shape {shape}, box {summary.box})")
    return summary


def decode(summary: Summary, record: memoryview | None, source: str) -> Extraction:
    """The Extraction of a summary and the record of its voxels.

    Raises:
        ValueError: the record is damaged or does not fit the summary.
    """
    volume = None
    if summary.box is not None and summary.shape is not None:
        if record is None:
            raise ValueError("its voxels are missing")
        array, mask, line = decompress(bytes(unseal(record)), summary.shape)
        volume = Volume(
            array=array,
            mask=mask,
            line=line,
            box=summary.box,
            source=source,
            voxel_size_um=summary.voxel_size_um,
            rescaling=summary.rescaling,
            resized=summary.resized,
        )
    return Extraction(
        filename=summary.filename,
        outline=summary.outline,
        flags=summary.flags,
        message=summary.message,
        n_frames=summary.n_frames,
        frame_size=summary.frame_size,
        volume=volume,
    )


def decode_entry(filename: str, entry: bytes) -> Extraction:
    """What `encode` made an entry of.

    Raises:
        ValueError: the entry is damaged or not understood.
    """
    summary, voxels = split(entry)
    record = memoryview(voxels) if voxels else None
    return decode(decode_summary(filename, memoryview(summary)), record, source=filename)


def seal(content: bytes) -> bytes:
    """A record: checksum and content."""
    return _UINT32.pack(zlib.crc32(content)) + content


def unseal(record: memoryview) -> memoryview:
    """The content of a record.

    Raises:
        ValueError: the checksum does not fit.
    """
    if len(record) < _UINT32.size:
        raise ValueError(f"it is {len(record)} bytes long, expected at least {_UINT32.size}")
    content = record[_UINT32.size :]
    if _UINT32.unpack_from(record)[0] != zlib.crc32(content):
        raise ValueError(f"the checksum of its {len(content):,} bytes does not fit")
    return content


def seal_json(fields: Mapping[str, Any]) -> bytes:
    """A record of JSON, the same for the same fields in any order."""
    return seal(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())


def unseal_json(record: memoryview) -> dict[str, Any]:
    """The fields of a record of JSON.

    Raises:
        ValueError: the checksum does not fit, or it is no JSON object.
    """
    try:
        fields = json.loads(str(unseal(record), "utf-8"))
    except RecursionError as error:
        raise ValueError("its JSON is nested too deeply") from error
    if not isinstance(fields, dict):
        raise ValueError(f"it is a JSON {type(fields).__name__}, expected an object")
    return fields


def _plain(values: Any, kind: type[int] | type[float]) -> list[Any] | None:
    """Python's numbers, which JSON can write; NumPy's it cannot."""
    return None if values is None else [kind(value) for value in values]


def _tuple(values: Any, kind: type[int] | type[float], n: int) -> Any:
    """A tuple of ``n`` numbers of this kind, or None."""
    if values is None:
        return None
    if len(values) != n or not all(type(value) is kind for value in values):
        raise TypeError(f"{values!r}, expected {n} of {kind.__name__}")
    return tuple(values)
