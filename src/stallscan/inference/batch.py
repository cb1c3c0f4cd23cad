"""Many vessels: read, cut out and resize in threads, the networks in their midst."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from stallscan.errors import OptionError
from stallscan.inference.predictor import Inputs, Predictor
from stallscan.inference.table import Row
from stallscan.roi.extraction import Extraction

Item = TypeVar("Item")


def predict_all(
    items: Sequence[Item],
    load: Callable[[Item], Extraction],
    predictor: Predictor,
    *,
    workers: int = 2,
) -> Iterator[tuple[Row, int]]:
    """Predict in order; a bad one becomes a row that says so, and the run goes on.

    Memory is bounded by what ``workers`` threads load and one finished input more than that.

    Args:
        items: what ``load`` takes: paths of videos, names in a store.
        load: makes the ROI, or says why there is none; called in threads.
        predictor: the network or ensemble.
        workers: threads that load and prepare.

    Yields:
        A row for each item, in their order, and how many networks were asked about it.
    """

    def prepare(item: Item) -> tuple[Extraction, Inputs | None]:
        extraction = load(item)
        volume = extraction.volume
        return extraction, None if volume is None else predictor.prepare(volume)

    waiting: deque[Future[tuple[Extraction, Inputs | None]]] = deque()
    ahead = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                while len(waiting) <= workers and (item := next(ahead, None)) is not None:
                    waiting.append(pool.submit(prepare, item))
                if not waiting:
                    return
                yield _row(*waiting.popleft().result(), predictor)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _row(extraction: Extraction, inputs: Inputs | None, predictor: Predictor) -> tuple[Row, int]:
    row = Row(
        filename=extraction.filename,
        status=extraction.status,
        message=extraction.message,
        n_frames=extraction.n_frames,
        outline=extraction.outline,
        model=predictor.card.name,
    )
    if inputs is None or extraction.volume is None:
        return row, 0
    try:
        prediction = predictor.predict(inputs)
    except OptionError as error:  # a stack that keeps its own depth, and too few slices
        return dataclasses.replace(row, status="failed", message=f"{row.filename}: {error}"), 0
    row = dataclasses.replace(
        row,
        probability=prediction.probability,
        stalled=prediction.stalled,
        box=extraction.volume.box,
    )
    return row, prediction.n_networks
