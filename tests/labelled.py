"""A small labelled data set without videos: a ROI store whose voxels tell which video they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from stallscan.augment.evaluation import IMAGENET_MEAN, IMAGENET_STD
from stallscan.data.store import StoreWriter
from stallscan.roi.extraction import Extraction
from stallscan.roi.volume import Volume
from stallscan.training import Videos
from stallscan.types import Box

METADATA = "filename,url,project_id,num_frames,crowd_score,tier1,micro,nano"


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """What the tables say of one video.

    Attributes:
        stalled: 0, 1, or None where an expert could not decide.
        failed: whether it has no ROI.
    """

    stalled: int | None
    project: str = "A"
    crowd_score: float = 0.0
    tier1: bool = True
    micro: bool = False
    nano: bool = False
    failed: bool = False


def name_of(number: int) -> str:
    return f"v{number:03d}.mp4"


def write_store(path: Path, videos: Mapping[int, Video], *, region: str = "outline") -> Path:
    """A store of ROIs of 4×8×8 grey voxels, each all of its video's number."""
    with StoreWriter(path, identity={"roi": region}, n_expected=len(videos)) as writer:
        for number, video in videos.items():
            volume = None if video.failed else plain_volume(number)
            writer.append(Extraction(filename=name_of(number), outline="ok", volume=volume))
        writer.complete()
    return path


def plain_volume(number: int, shape: tuple[int, int, int] = (4, 8, 8)) -> Volume:
    plane = np.ones(shape[1:], bool)
    return Volume(
        array=np.full((*shape, 3), number, np.uint8),
        mask=plane,
        line=~plane,
        box=Box(0, 0, 0, *shape),
        source="drawn",
    )


def write_tables(folder: Path, videos: Mapping[int, Video]) -> tuple[Path, Path]:
    """train_labels.csv and train_metadata.csv."""
    labels, metadata = folder / "train_labels.csv", folder / "train_metadata.csv"
    rows = [
        f"{name_of(number)},{'' if video.stalled is None else video.stalled}"
        for number, video in videos.items()
    ]
    labels.write_text("\n".join(["filename,stalled", *rows]) + "\n")
    rows = [
        f"{name_of(number)},u,{video.project},4,{video.crowd_score},{video.tier1},{video.micro},"
        f"{video.nano}"
        for number, video in videos.items()
    ]
    metadata.write_text("\n".join([METADATA, *rows]) + "\n")
    return labels, metadata


def write_labelled(
    folder: Path, videos: Mapping[int, Video] | Iterable[Video], *, region: str = "outline"
) -> Videos:
    """Store and tables in a folder, and the source that reads them."""
    if not isinstance(videos, Mapping):
        videos = dict(enumerate(videos))
    folder.mkdir(parents=True, exist_ok=True)
    labels, metadata = write_tables(folder, videos)
    store = write_store(folder / "rois.lmdb", videos, region=region)
    return Videos(data=store, labels=labels, metadata=metadata)


SEES_RED = ("input={size: [4, 8, 8], channels: [red]}", "augmentation=null")
"""Overrides with which `video_of` works."""


def video_of(sample_input: Tensor) -> int:
    """The number of the video that a network input of the channel red alone is made of."""
    value = (sample_input.mean().item() * IMAGENET_STD[0] + IMAGENET_MEAN[0]) * 255
    number = round(value)
    assert abs(value - number) < 0.01
    return number
