"""What a ROI store is: its format's number, the record about it, and its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stallscan.data._entry import unseal_json
from stallscan.errors import StoreError

FORMAT = 1
HEADER_KEY = b"store"
"""Key of the record about the store, in a database of its own: no file name can collide with it."""


def parse_header(path: Path, record: memoryview | None) -> dict[str, Any]:
    """The record about the store, checked."""
    try:
        header = unseal_json(record or memoryview(b""))
    except ValueError as error:
        raise StoreError(
            f"{path}: is not a ROI store, or a damaged one (the record about it: {error}); copy it "
            "again, or make it with `stallscan extract`"
        ) from error
    if header.get("format") != FORMAT:
        raise StoreError(
            f"{path}: is a ROI store of format {header.get('format')!r}, this stallscan reads "
            f"{FORMAT}; update stallscan"
        )
    types = {"identity": dict, "n_expected": int, "complete": bool}
    for key, kind in types.items():
        if not isinstance(header.get(key), kind):
            raise StoreError(
                f"{path}: its {key} is {header.get(key)!r}, expected {kind.__name__}; make it "
                "again with `stallscan extract`"
            )
    return header


def key_of(name: str) -> bytes:
    """The key of a file name; names that are no UTF-8 come from Python with surrogates."""
    return name.encode(errors="surrogatepass")


def name_of(key: bytes | memoryview) -> str:
    """The file name of a key."""
    return bytes(key).decode(errors="surrogatepass")
