"""DATA of the verbs that train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from stallscan.errors import OptionError
from stallscan.training.options import TrainOptions

if TYPE_CHECKING:
    from stallscan.training.run import DataSource


def training_data(
    data: str,
    labels: Path | None,
    metadata: Path | None,
    training: TrainOptions,
    progress: Callable[[int, int], None],
) -> DataSource:
    """The phantom, or labelled videos with their tables."""
    from stallscan.data.dataset import find_table
    from stallscan.training.phantom_data import Phantom
    from stallscan.training.store_data import Videos

    if data == "phantom":
        for name, given in (("labels", labels), ("metadata", metadata)):
            if given is not None:
                raise OptionError(
                    f"--{name} is {given}, but the phantom knows its own; leave it out"
                )
        return Phantom(shelf_dir=training.phantoms)
    path = Path(data)
    if not path.exists():
        raise OptionError(
            f"{path}: no such store or folder; give one, or 'phantom' for the synthetic set"
        )
    folder = path if path.is_dir() else None
    table = labels or (folder and find_table(folder, "train_labels"))
    if table is None:
        raise OptionError(
            f"{path}: has no train_labels.csv in it; pass --labels FILE with the columns filename "
            "and stalled"
        )
    return Videos(
        data=path,
        labels=table,
        metadata=metadata or (folder and find_table(folder, "train_metadata")),
        workers=training.workers,
        progress=progress,
    )
