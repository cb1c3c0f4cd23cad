"""Phantoms that come again are rendered once and kept as files."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stallscan.errors import TrainingError
from stallscan.roi.volume import Volume
from stallscan.simulate.settings import PRESETS
from stallscan.types import Box


class Shelf:
    """A folder of rendered phantoms; several processes and runs may share it.

    Args:
        folder: made when the first one is put into it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # What another version of the ranges rendered is not taken.
        self.edition = hashlib.sha256(repr(PRESETS).encode()).hexdigest()[:8]

    def take(self, name: str, render: Callable[[], Volume]) -> Volume:
        """What lies there under a name, or is rendered and put there.

        Raises:
            TrainingError: a file that is damaged.
        """
        path = self.folder / f"{name}-{self.edition}.npz"
        if not path.exists():
            volume = render()
            self._put(path, volume)
            return volume
        try:
            with np.load(path) as kept:
                return _unpack(kept)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise TrainingError(
                f"{path}: is damaged ({error}); remove it, and it is rendered anew"
            ) from error

    def _put(self, path: Path, volume: Volume) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}.{os.getpid()}.npz")  # renamed when it is whole
        try:
            np.savez(
                partial,
                array=volume.array,
                mask=volume.mask,
                line=volume.line,
                box=np.array(volume.box),
                voxel_size_um=np.array(volume.voxel_size_um),
                resized=np.array(volume.resized),
            )
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _unpack(kept: np.lib.npyio.NpzFile) -> Volume:
    z, y, x = map(float, kept["voxel_size_um"])
    return Volume(
        array=kept["array"],
        mask=kept["mask"],
        line=kept["line"],
        box=Box(*map(int, kept["box"])),
        source="phantom",
        voxel_size_um=(z, y, x),
        resized="resized" in kept and bool(kept["resized"]),
    )
