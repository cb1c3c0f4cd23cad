"""Transforms of the peers that docs/migration.md does not name.

Run as `.venv-bench/bin/python benchmarks/migration.py` (peers/README.md says how to get that
environment). Exits with 1 if a name is missing.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "migration.md"
BASES = {
    *("Transform", "DualTransform", "ImageOnlyTransform", "Transform3D", "VolumeOnlyTransform"),
    *("IntensityTransform", "SpatialTransform", "LabelTransform"),
}


def classes(module: object) -> Iterator[type]:
    """Public classes of a module."""
    for name in dir(module):
        found = getattr(module, name)
        if inspect.isclass(found) and not name.startswith("_"):
            yield found


def volumentations_3d() -> list[str]:
    """All transforms."""
    from volumentations.augmentations import transforms

    return [c.__name__ for c in classes(transforms) if c.__module__ == transforms.__name__]


def bio_volumentations() -> list[str]:
    """All transforms."""
    import bio_volumentations as library

    return [c.__name__ for c in classes(library) if hasattr(c, "apply")]


def monai() -> list[str]:
    """Array transforms of space, crops, intensity and batches."""
    import monai.transforms as library

    folders = ("spatial", "croppad", "intensity", "regularization", "smooth_field")
    return [
        c.__name__
        for c in classes(library)
        if c.__module__.startswith("monai.transforms")
        and c.__module__.split(".")[2] in folders
        and c.__module__.endswith("array")
    ]


def torchio() -> list[str]:
    """All transforms."""
    import torchio as library

    return [c.__name__ for c in classes(library) if issubclass(c, library.Transform)]


def albumentations() -> list[str]:
    """Transforms of volumes alone."""
    import albumentations as library
    from albumentations.core.transforms_interface import Transform3D, VolumeOnlyTransform

    kinds = (Transform3D, VolumeOnlyTransform)
    return [c.__name__ for c in classes(library) if issubclass(c, kinds)]


LIBRARIES = {
    "volumentations-3D": volumentations_3d,
    "bio-volumentations": bio_volumentations,
    "MONAI": monai,
    "TorchIO": torchio,
    "AlbumentationsX": albumentations,
}


def main() -> int:
    """Print what is missing."""
    warnings.simplefilter("ignore")
    page = set(re.findall(r"`([A-Za-z0-9_]+)", PAGE.read_text(encoding="utf-8")))
    n_missing = 0
    for name, transforms in LIBRARIES.items():
        found = sorted(set(transforms()) - BASES)
        missing = [each for each in found if each not in page]
        n_missing += len(missing)
        print(f"{name}: {len(found)} transforms, not named: {', '.join(missing)}")
    return int(n_missing > 0)


if __name__ == "__main__":
    sys.exit(main())
