"""Many videos: decode, outline, crop and resize in threads, the network in their midst."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stallscan.augment.evaluation import Preprocessing, preprocess
from stallscan.errors import OutlineNotFoundError, StallscanError
from stallscan.inference.predictor import Predictor
from stallscan.inference.table import Row
from stallscan.roi.outline import Roi, find_roi
from stallscan.roi.verdict import Verdict
from stallscan.video.read import read_clip

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Prepared:
    """What a thread hands to the network: an input, or why there is none."""

    inputs: NDArray[np.float32] | None = None
    roi: Roi | None = None
    n_frames: int | None = None
    error: str = ""
    outline: str = ""


def predict_videos(
    paths: Sequence[Path], predictor: Predictor, *, workers: int = 2
) -> Iterator[Row]:
    """Predict videos in order; a bad one becomes a row that says so, and the run goes on.

    Memory is bounded by the clips of ``workers`` threads and one finished input more than that.

    Args:
        paths: the videos.
        predictor: the network.
        workers: threads that decode and prepare.

    Yields:
        One row a video, in the order of ``paths``.
    """
    waiting: deque[tuple[Path, Future[_Prepared]]] = deque()
    ahead = iter(paths)
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                while len(waiting) <= workers and (path := next(ahead, None)) is not None:
                    future = pool.submit(_prepare, path, predictor.preprocessing)
                    waiting.append((path, future))
                if not waiting:
                    return
                path, future = waiting.popleft()
                yield _row(path, future.result(), predictor)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare(path: Path, preprocessing: Preprocessing) -> _Prepared:
    n_frames = None
    try:
        clip = read_clip(path)
        n_frames = clip.n_frames
        roi = find_roi(clip)
        inputs = preprocess(roi.crop(clip), preprocessing)
    except OutlineNotFoundError as error:
        return _Prepared(n_frames=n_frames, error=str(error), outline=Verdict.MISSING)
    except StallscanError as error:
        return _Prepared(n_frames=n_frames, error=str(error))
    except Exception as error:
        # A defect of ours or of a library: the batch goes on, and the log has the traceback.
        log.exception("%s: unexpected error", path)
        unexpected = f"{path.name}: unexpected {type(error).__name__}: {error}; see the log"
        return _Prepared(n_frames=n_frames, error=unexpected)
    return _Prepared(inputs=inputs, roi=roi, n_frames=n_frames, outline=roi.verdict)


def _row(path: Path, prepared: _Prepared, predictor: Predictor) -> Row:
    name = predictor.card.name
    roi = prepared.roi
    if prepared.inputs is None or roi is None:
        return Row(
            filename=path.name,
            status="failed",
            message=prepared.error,
            n_frames=prepared.n_frames,
            outline=prepared.outline,
            model=name,
        )
    prediction = predictor.predict(prepared.inputs)
    return Row(
        filename=path.name,
        status="ok" if roi.verdict is Verdict.OK else "flagged",
        message=roi.message,
        probability=prediction.probability,
        stalled=prediction.stalled,
        n_frames=prepared.n_frames,
        box=roi.box,
        outline=prepared.outline,
        model=name,
    )
