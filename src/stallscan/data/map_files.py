"""Work on many files by all cores, in order; a file that ends its process costs one result."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from stallscan.errors import UsageError
from stallscan.types import Location
from stallscan.video.remote import base_name
from stallscan.workers import end_with_parent

Item = TypeVar("Item", bound=Location)
Result = TypeVar("Result")

AHEAD = 3
"""Files begun or waiting for each worker."""


def map_files(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    *,
    failed: Callable[[Item, str], Result],
    workers: int,
) -> Iterator[Result]:
    """Results in order from all cores; a file that ends its process costs one result, not the run.

    Args:
        items: places of files, or names that ``work`` knows.
        work: called in worker processes, so it must be picklable; must not raise.
        failed: makes the result of a file at which the process died.
        workers: processes; with 0 this one does all, and nothing protects it.
    """
    if workers == 0:
        yield from map(work, items)
        return
    with FileWorkers(work, failed=failed, workers=workers) as pool:
        yield from pool.map(items)


class FileWorkers(Generic[Item, Result]):
    """Processes that are kept for one list of files after another; a context manager.

    Never more than `AHEAD` results for each worker are under way. Ctrl-C reaches the caller alone:
    the workers finish what they have begun, and end.

    Args:
        work: see `map_files`, as the others.
        failed: makes the result of a file at which the process died.
        workers: processes, at least 1.
    """

    def __init__(
        self,
        work: Callable[[Item], Result],
        *,
        failed: Callable[[Item, str], Result],
        workers: int,
    ) -> None:
        self._work, self._failed, self._workers = work, failed, workers
        self._pool = _pool(workers, work)

    def map(self, items: Iterable[Item]) -> Iterator[Result]:
        """Results in order."""
        ahead, most = iter(items), AHEAD * self._workers
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        while True:
            taken: Item | None = None
            try:
                while len(waiting) < most and (taken := next(ahead, None)) is not None:
                    waiting.append((taken, _submit(self._pool, taken)))
                    taken = None
                if not waiting:
                    return
                result = waiting[0][1].result()
            except BrokenProcessPool:
                # Which of the files did it shows when each has a process of its own.
                suspects = [item for item, _ in waiting]
                if taken is not None:
                    suspects.append(taken)
                waiting.clear()
                self._pool.shutdown(wait=False)
                for suspect in suspects:
                    yield _alone(suspect, self._work, self._failed)
                self._pool = _pool(self._workers, self._work)
                continue
            waiting.popleft()
            yield result

    def close(self) -> None:
        """End the processes, when they are done with what they have begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> FileWorkers[Item, Result]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _pool(workers: int, work: Callable[[Any], Any]) -> ProcessPoolExecutor:
    # Spawned, for the parent may hold threads; watching, so that they end when it is killed.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, _set_up_worker, (os.getpid(), work))


def _submit(pool: ProcessPoolExecutor, item: Item) -> Future[Any]:
    with _without_interrupts():  # this may start a process
        return pool.submit(_work, item)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes started here never see a Ctrl-C, which a terminal sends to all of a group."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_WORK: list[Callable[[Any], Any]] = []
"""What this worker does, which so is sent to it once."""


def _set_up_worker(parent_pid: int, work: Callable[[Any], Any]) -> None:
    import cv2

    end_with_parent(parent_pid)
    cv2.setNumThreads(1)
    _WORK[:] = [work]


def _work(item: Any) -> Any:
    return _WORK[0](item)


def _alone(
    item: Item, work: Callable[[Item], Result], failed: Callable[[Item, str], Result]
) -> Result:
    with _pool(1, work) as pool:
        try:
            with _without_interrupts():
                began = pool.submit(os.getpid)
            began.result()
        except BrokenProcessPool as error:
            raise UsageError(
                f"{item}: no worker process can be started, so nothing was read; a script that "
                'calls this needs `if __name__ == "__main__":` around what it does'
            ) from error
        try:
            result: Result = _submit(pool, item).result()
        except BrokenProcessPool:
            return failed(
                item,
                f"{base_name(item)}: the process that read it was ended (a crash of the decoder, "
                "or no memory left); convert the file, or lower --max-gib",
            )
        return result
