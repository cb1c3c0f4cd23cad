"""Many vessels: workers read, cut out and resize, the networks in their midst."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from stallscan.data.map_files import map_files
from stallscan.errors import OptionError
from stallscan.inference.predictor import Prediction, Predictor
from stallscan.inference.prepare import Prepare, Prepared, not_prepared
from stallscan.inference.table import Row
from stallscan.roi.extraction import Extraction
from stallscan.types import Location


def predict_all(
    items: Sequence[Location],
    load: Callable[[Any], Extraction],
    predictor: Predictor,
    *,
    workers: int = 0,
    batch: int = 1,
    n_done: int = 0,
) -> Iterator[tuple[Row, int]]:
    """Predict in order; a bad one becomes a row that says so, and the run goes on.

    Memory is bounded by ``workers`` and ``batch``, however many items there are. Batches begin at
    multiples of ``batch``, so that a resumed run has the same ones.

    Args:
        items: what ``load`` takes: paths of videos, names in a store.
        load: makes the ROI, or says why there is none; must be picklable if there are workers.
        predictor: the network or ensemble.
        workers: processes that load and prepare; with 0 this one does it, between the networks.
        batch: vessels that are asked about at once.
        n_done: items from the first on whose rows are not wanted again.

    Yields:
        A row for each further item, in their order, and how many networks were asked about it.

    Raises:
        OptionError: a batch does not fit into the memory of a GPU.
    """
    first = n_done // batch * batch
    todo: Any = items[first:]
    prepared = map_files(
        todo,
        Prepare(load=load, preprocessings=predictor.preprocessings),
        failed=not_prepared,
        workers=min(workers, len(todo)),
    )
    for number, answer in enumerate(predict_prepared(prepared, predictor, batch=batch), first):
        if number >= n_done:
            yield answer


def predict_prepared(
    prepared: Iterable[Prepared], predictor: Predictor, *, batch: int = 1
) -> Iterator[tuple[Row, int]]:
    """As `predict_all`, of what is ready for the networks."""
    waiting = iter(prepared)
    while group := list(islice(waiting, batch)):
        yield from _predict(group, predictor)


def _predict(group: Sequence[Prepared], predictor: Predictor) -> list[tuple[Row, int]]:
    checked = [_check(prepared, predictor) for prepared in group]
    inputs = [prepared.inputs for prepared in checked if prepared.inputs is not None]
    predictions = iter(predictor.predict_batch(inputs))
    return [
        _row(prepared, None if prepared.inputs is None else next(predictions), predictor)
        for prepared in checked
    ]


def _check(prepared: Prepared, predictor: Predictor) -> Prepared:
    if prepared.inputs is None:
        return prepared
    try:
        predictor.check(prepared.inputs)
    except OptionError as error:  # a stack that keeps its own depth, and too few slices
        return prepared.failed(f"{prepared.filename}: {error}")
    return prepared


def _row(
    prepared: Prepared, prediction: Prediction | None, predictor: Predictor
) -> tuple[Row, int]:
    row = Row(
        filename=prepared.filename,
        status=prepared.status,
        message=prepared.message,
        probability=None if prediction is None else prediction.probability,
        stalled=None if prediction is None else prediction.stalled,
        n_frames=prepared.n_frames,
        box=prepared.box,
        outline=prepared.outline,
        model=predictor.card.name,
    )
    return row, 0 if prediction is None else prediction.n_networks
