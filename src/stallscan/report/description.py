"""What is in a data set: the paper's Table 1 and Figure 2, classes, tiers and projects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stallscan.data.dataset import Tables, find_table, read_tables
from stallscan.data.extract import Extractor
from stallscan.data.map_files import map_files
from stallscan.data.matching import join_labels
from stallscan.data.rules import EXPERT_PROJECTS, compare_with_rules, crowd_scores
from stallscan.data.shards import open_store
from stallscan.data.store import Summary, is_store
from stallscan.data.subsets import PAPER_FLOWING, SUBSETS, select_subset
from stallscan.data.tables import only_decided
from stallscan.data.videos import SPLITS, find_videos, fingerprint, videos_in
from stallscan.errors import OptionError, TableError
from stallscan.report.describe_options import DescribeOptions
from stallscan.roi.extraction import Extraction
from stallscan.roi.options import RoiOptions
from stallscan.types import AXES

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int], None]
"""Called with (videos done, videos in all)."""

QUANTILES = {"p5": 0.05, "median": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(slots=True, kw_only=True, eq=False)
class Description:
    """Tables, each indexed by what its name says; those without data are left out.

    Attributes:
        tables: by name: ``subsets``, ``resolutions`` (Table 1), ``frames``, ``roi_sizes``
            (Figure 2), ``outlines``, ``flags``, ``projects``.
        frames: frame counts by split.
        roi_sizes: ``(n, 3)`` ROI sizes ``(z, y, x)`` in voxels by split.
        notes: what has to be said beside the figures.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    frames: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = field(default_factory=dict)
    roi_sizes: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def describe(
    data: Path, options: DescribeOptions, *, workers: int = 1, progress: Progress | None = None
) -> Description:
    """Count what is in a data set.

    Args:
        data: a folder with the competition's tables, with videos, or with both; or a ROI store.
        options: what is read.
        workers: processes that read videos.
        progress: called while videos are read.

    Raises:
        OptionError: there is nothing to describe.
        InputError: a table or the store is damaged, or they do not fit together.
    """
    if workers < 1:
        raise OptionError(f"--workers is {workers}, allowed are 1 and above; leave it out for all")
    if not data.exists():
        raise OptionError(f"{data}: no such folder or store; check the name")
    found = Description()
    tables = read_tables(data) if data.is_dir() else Tables(metadata={}, labels={})
    _describe_tables(found, tables)
    summaries = _read_store(found, data, options, tables)
    if summaries is None:
        summaries = _read_videos(found, data, tables, options, workers, progress)
    _describe_videos(found, summaries, tables)
    if not found.tables:
        raise OptionError(
            f"{data}: holds neither tables (train_metadata.csv, …) nor videos; name the folder of "
            "a data set, of videos, or a ROI store"
        )
    return found


def _describe_tables(found: Description, tables: Tables) -> None:
    import pandas as pd

    rows: list[dict[str, Any]] = []
    if set(tables.metadata) & set(tables.labels) >= {"train"}:
        videos = _decided(
            join_labels(tables.metadata["train"], tables.labels["train"]), "train", found
        )
        for name in SUBSETS:
            rows += _subset(videos, name, found)
        rows.append(_count("train, tier1", videos.loc[videos["tier1"], "stalled"]))
        _describe_projects(found, videos)
    for split in SPLITS:
        if split in tables.metadata:
            found.frames[split] = tables.metadata[split]["num_frames"].to_numpy(np.int64)
        if any(row["set"].startswith(split) for row in rows):
            continue
        if split in tables.labels:
            decided = _decided(tables.labels[split], split, found)
            rows.append(_count(split, decided["stalled"]))
        elif split in tables.metadata:
            rows.append({"set": split, "videos": len(tables.metadata[split])})
    if rows:
        columns = ["set", "videos", "stalled", "flowing"]
        counts = pd.DataFrame(rows, columns=columns).set_index("set").astype("Int64")
        share = 100 * counts["stalled"].astype(float) / counts["videos"].astype(float)
        found.tables["subsets"] = counts.assign(stalled_percent=share.round(2))
    if found.frames:
        found.tables["frames"] = _quantiles(found.frames)


def _decided(videos: pd.DataFrame, split: str, found: Description) -> pd.DataFrame:
    decided = only_decided(videos)
    n_empty = len(videos) - len(decided)
    if n_empty:
        found.notes.append(
            f"{split}: {n_empty:,} of {len(videos):,} labels are empty (undecidable); those videos "
            "are not among the counts of classes"
        )
    return decided


def _subset(videos: pd.DataFrame, name: str, found: Description) -> list[dict[str, Any]]:
    try:
        subset = select_subset(videos, name)
    except TableError:
        # Data sets other than the competition's may mark no subset, or have fewer flowing videos.
        found.notes.append(
            f"subset {name}: fewer than {PAPER_FLOWING:,} flowing videos to draw from"
            if name == "paper"
            else f"subset {name}: no video is marked"
        )
        return []
    return [_count(f"train, {name}", subset["stalled"])]


def _count(name: str, stalled: pd.Series[int]) -> dict[str, Any]:
    n_stalled = int(stalled.sum())
    return {
        "set": name,
        "videos": len(stalled),
        "stalled": n_stalled,
        "flowing": len(stalled) - n_stalled,
    }


def _describe_projects(found: Description, videos: pd.DataFrame) -> None:
    by_project = videos.groupby("project_id", observed=True)
    projects = compare_with_rules(videos)
    projects.insert(1, "stalled", by_project["stalled"].sum())
    projects.insert(2, "tier1", by_project["tier1"].sum())
    answered = crowd_scores(videos).notna().groupby(videos["project_id"], observed=True).sum()
    projects.insert(3, "crowd_answers", answered)
    found.tables["projects"] = projects
    elsewhere = projects.drop(index=[p for p in EXPERT_PROJECTS if p in projects.index])
    here = projects.loc[[p for p in EXPERT_PROJECTS if p in projects.index]]
    experts = ", ".join(EXPERT_PROJECTS)
    for column, rule in (
        ("label_differences", "label rule (stalled from a crowd score of 0.5)"),
        ("tier1_differences", "tier1 rule (crowd score 0, or 0.75 and above)"),
    ):
        n_elsewhere, n_here = int(elsewhere[column].sum()), int(here[column].sum())
        because = ", which have expert labels" if n_here else ""
        found.notes.append(
            f"{rule}: {n_elsewhere:,} rows differ outside the expert projects {experts}"
            + (f", {n_here:,} in them{because}" if len(here) else "")
        )
    for name, n in projects.loc[projects["crowd_answers"] == 0, "n"].items():
        found.notes.append(
            f"project {name!s}: all {n:,} crowd scores are 0, which means no crowd answers, not "
            "flowing"
        )


def _read_store(
    found: Description, data: Path, options: DescribeOptions, tables: Tables
) -> dict[str, list[Summary]] | None:
    """Summaries by split, None where there is no store."""
    path = data if is_store(data) else options.store
    if path is None:
        return None
    store = open_store(path)
    of = {name: split for split, table in tables.metadata.items() for name in table["filename"]}
    summaries: dict[str, list[Summary]] = {}
    n_unknown = 0
    for summary in store.summaries():
        split = of.get(summary.filename, "all" if not of else None)
        if split is None:
            n_unknown += 1
        else:
            summaries.setdefault(split, []).append(summary)
    if n_unknown:
        found.notes.append(f"{n_unknown:,} of {len(store):,} videos of the store are in no table")
    return summaries


def _read_videos(
    found: Description,
    data: Path,
    tables: Tables,
    options: DescribeOptions,
    workers: int,
    progress: Progress | None,
) -> dict[str, list[Summary]]:
    """Summaries by split, of all videos or a drawn part of them."""
    groups = _video_groups(data, tables)
    chosen: dict[str, list[Path]] = {}
    for code, (split, paths) in enumerate(groups.items()):
        chosen[split] = paths
        if len(paths) > options.max_videos:
            rng = np.random.default_rng((options.seed, code))
            drawn = np.sort(rng.choice(len(paths), options.max_videos, replace=False))
            chosen[split] = [paths[index] for index in drawn]
            found.notes.append(
                f"{split}: sizes and outlines are those of {options.max_videos:,} of "
                f"{len(paths):,} videos, drawn with seed {options.seed}"
            )
    total = sum(map(len, chosen.values()))
    done = 0
    summaries: dict[str, list[Summary]] = {}
    extractor = Extractor(options=RoiOptions())
    for split, paths in chosen.items():
        summaries[split] = []
        for summary in map_files(
            paths,
            partial(_look_at, extractor),
            failed=lambda path, message: _summary(Extraction(filename=path.name, message=message)),
            workers=min(workers, max(len(paths), 1)),
        ):
            summaries[split].append(summary)
            done += 1
            if progress:
                progress(done, total)
    return summaries


def _look_at(extractor: Extractor, path: Path) -> Summary:
    """In a worker: the voxels stay there."""
    return _summary(extractor(path))


def _summary(extraction: Extraction) -> Summary:
    return Summary(
        filename=extraction.filename,
        outline=str(extraction.outline),
        flags=extraction.flags,
        message=extraction.message,
        n_frames=extraction.n_frames,
        frame_size=extraction.frame_size,
        box=None if extraction.volume is None else extraction.volume.box,
    )


def _video_groups(data: Path, tables: Tables) -> dict[str, list[Path]]:
    """Videos by split: of folders of that name, else as the tables say."""
    splits = [split for split in SPLITS if (data / split).is_dir()]
    if splits:
        return {split: videos_in(data / split) for split in splits}
    if not tables.metadata:
        return {"all": [Path(video) for video in find_videos([data])]}
    of = {name: split for split, table in tables.metadata.items() for name in table["filename"]}
    groups: dict[str, list[Path]] = {}
    for path in videos_in(data):
        groups.setdefault(of.get(path.name, "no table"), []).append(path)
    return groups


def identity(data: Path, options: DescribeOptions) -> dict[str, Any]:
    """What decides a description, for the record of its run."""
    inputs = [path for path in (data, options.store) if path is not None and path.is_file()]
    if data.is_dir():
        stems = [f"{split}_{kind}" for split in SPLITS for kind in ("metadata", "labels")]
        inputs += [path for stem in stems if (path := find_table(data, stem)) is not None]
        splits = [data / split for split in SPLITS if (data / split).is_dir()]
        inputs += [path for part in splits or [data] for path in videos_in(part)]
    return {
        "data": f"{data}, {len(inputs)} files, sha256 {fingerprint(inputs)}",
        "store": options.store,
        "max_videos": options.max_videos,
        "seed": options.seed,
    }


def _describe_videos(
    found: Description, summaries: Mapping[str, list[Summary]], tables: Tables
) -> None:
    import pandas as pd

    summaries = {split: group for split, group in summaries.items() if group}
    if not summaries:
        return
    sizes = {
        split: pd.Series([f"{s.frame_size[1]}×{s.frame_size[0]}" for s in group if s.frame_size])
        for split, group in summaries.items()
    }
    table = pd.DataFrame({split: size.value_counts() for split, size in sizes.items()})
    table = table.fillna(0).astype("int64").sort_values(list(table.columns), ascending=False)
    found.tables["resolutions"] = table.rename_axis("resolution")
    for split, group in summaries.items():
        boxes = [summary.box.size for summary in group if summary.box]
        if boxes:
            found.roi_sizes[split] = np.array(boxes, dtype=np.int64)
        counts = np.array([s.n_frames for s in group if s.n_frames], dtype=np.int64)
        if split not in found.frames and counts.size:
            found.frames[split] = counts
        _compare_frame_counts(found, split, group, tables)
    if found.frames:
        found.tables["frames"] = _quantiles(found.frames)
    if found.roi_sizes:
        found.tables["roi_sizes"] = _quantiles(
            {
                f"{split}, {axis}": boxes[:, index]
                for split, boxes in found.roi_sizes.items()
                for index, axis in enumerate(AXES)
            }
        )
    for name, words in (
        ("outlines", {k: [s.outline or "unreadable" for s in g] for k, g in summaries.items()}),
        ("flags", {k: [flag for s in g for flag in s.flags] for k, g in summaries.items()}),
    ):
        counted = pd.DataFrame(
            {k: pd.Series(v, dtype=str).value_counts() for k, v in words.items()}
        )
        if len(counted):
            found.tables[name] = counted.fillna(0).astype("int64").rename_axis(name[:-1])


def _compare_frame_counts(
    found: Description, split: str, group: list[Summary], tables: Tables
) -> None:
    """Containers lie about their frames, and so do tables made from them."""
    metadata = tables.metadata.get(split)
    if metadata is None:
        return
    said = metadata.set_index("filename")["num_frames"]
    known = [s for s in group if s.n_frames and s.filename in said.index]
    differing = [s for s in known if s.n_frames != said[s.filename]]
    if differing:
        first = differing[0]
        found.notes.append(
            f"{split}: {len(differing):,} of {len(known):,} videos have another number of frames "
            f"than the metadata say ({first.filename}: {first.n_frames}, not "
            f"{said[first.filename]})"
        )


def _quantiles(groups: Mapping[str, np.ndarray[Any, np.dtype[np.int64]]]) -> pd.DataFrame:
    import pandas as pd

    rows = {}
    for name, values in groups.items():
        spread = {key: np.quantile(values, share) for key, share in QUANTILES.items()}
        rows[name] = {
            "videos": len(values),
            "min": values.min(),
            "mean": values.mean().round(1),
            **{key: round(float(value), 1) for key, value in spread.items()},
            "max": values.max(),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("set")
    return table.astype({"videos": "int64", "min": "int64", "max": "int64"})
