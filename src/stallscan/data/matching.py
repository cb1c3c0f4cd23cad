"""Labels against the metadata and against the videos that are there: each video in both, once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stallscan.data._csv import check_columns, fail, origin, some
from stallscan.data.tables import LABEL_COLUMNS

if TYPE_CHECKING:
    import pandas as pd


def join_labels(metadata: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """The metadata with the labels beside it, in the order of the metadata.

    Args:
        metadata: as from :func:`stallscan.data.read_metadata`.
        labels: as from :func:`stallscan.data.read_labels`, of the same videos in any order.

    Returns:
        The columns of the metadata and ``stalled``.

    Raises:
        TableError: the two do not name the same videos.
    """
    where = origin(metadata, "the metadata")
    check_columns(where, list(metadata.columns), ["filename"])
    remedy = "pass metadata and labels of the same videos"
    stalled = _labels_of(metadata["filename"], labels, f"videos of {where}", remedy)
    return metadata.assign(stalled=stalled.to_numpy())


def match_videos(
    filenames: Iterable[str], labels: pd.DataFrame, *, all_labelled: bool = True
) -> pd.DataFrame:
    """The labels of the videos that are there, in the order of the videos.

    Args:
        filenames: names of the videos, with suffix and without folder.
        labels: as from :func:`stallscan.data.read_labels`.
        all_labelled: whether each video must have a label; those without are left out.

    Returns:
        Columns ``filename`` and ``stalled``.

    Raises:
        TableError: a label has no video, a video has no label, or two videos have one name.
    """
    remedy = (
        "add what is missing, or take out the rows or videos that are too many; names must be "
        "equal, with their suffix and without folders"
    )
    videos = "videos that are there"
    return _labels_of(filenames, labels, videos, remedy, all_labelled).reset_index()


def _labels_of(
    filenames: Iterable[str],
    labels: pd.DataFrame,
    videos: str,
    remedy: str,
    all_labelled: bool = True,
) -> pd.Series[int]:
    """``stalled`` by filename, in the order of ``filenames``, among which all labels must be."""
    import pandas as pd

    source = origin(labels, "the labels")
    check_columns(source, list(labels.columns), LABEL_COLUMNS)
    stalled = labels.set_index("filename")["stalled"]
    given = pd.Index(list(filenames), dtype="str", name="filename")
    for names, place in ((given, f"the {videos}"), (stalled.index, source)):
        if not names.is_unique:
            twice = names[names.duplicated()][0]
            fail(place, f"more than one video is called {twice!r}; keep one of each name")
    # By their hash tables: isin of half a million strings goes through each in Python.
    labelled = stalled.index.get_indexer(given) >= 0
    unseen = stalled.index[given.get_indexer(stalled.index) < 0].tolist()
    unlabelled = given[~labelled].tolist()
    parts = []
    if unseen:
        parts.append(
            f"{len(unseen):,} of its {len(stalled):,} labelled videos are not among the "
            f"{len(given):,} {videos} ({some(unseen)})"
        )
    if unlabelled and all_labelled:
        parts.append(
            f"{len(unlabelled):,} of the {len(given):,} {videos} have no label ({some(unlabelled)})"
        )
    if parts:
        fail(source, f"{' and '.join(parts)}; {remedy}")
    return stalled.reindex(given[labelled])
