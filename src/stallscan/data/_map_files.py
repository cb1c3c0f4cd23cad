"""Work on many files by all cores, in order; a file that ends its process costs one result."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from stallscan.errors import UsageError
from stallscan.workers import end_with_parent

Result = TypeVar("Result")


def map_files(
    paths: Sequence[Path],
    work: Callable[[Path], Result],
    *,
    failed: Callable[[Path, str], Result],
    workers: int,
) -> Iterator[Result]:
    """Results in order from all cores; a file that ends its process costs one result, not the run.

    Args:
        paths: the files.
        work: called in worker processes, so it must be picklable; must not raise.
        failed: makes the result of a file at which the process died.
        workers: processes.
    """
    ahead = iter(paths)
    waiting: deque[tuple[Path, Future[Result]]] = deque()
    pool = _pool(workers)
    try:
        while True:
            taken: Path | None = None
            try:
                while len(waiting) < 3 * workers and (taken := next(ahead, None)) is not None:
                    waiting.append((taken, pool.submit(work, taken)))
                    taken = None
                if not waiting:
                    return
                result = waiting[0][1].result()
            except BrokenProcessPool:
                # Which of the files did it shows when each has a process of its own.
                suspects = [path for path, _ in waiting]
                if taken is not None:
                    suspects.append(taken)
                waiting.clear()
                pool.shutdown(wait=False)
                for suspect in suspects:
                    yield _alone(suspect, work, failed)
                pool = _pool(workers)
                continue
            waiting.popleft()
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, for the parent may hold threads; watching, so that they end when it is killed.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, _set_up_worker, (os.getpid(),))


def _set_up_worker(parent_pid: int) -> None:
    import cv2

    end_with_parent(parent_pid)
    cv2.setNumThreads(1)


def _alone(
    path: Path, work: Callable[[Path], Result], failed: Callable[[Path, str], Result]
) -> Result:
    with _pool(1) as pool:
        try:
            pool.submit(os.getpid).result()
        except BrokenProcessPool as error:
            raise UsageError(
                f"{path}: no worker process can be started, so nothing was read; a script that "
                'calls this needs `if __name__ == "__main__":` around what it does'
            ) from error
        try:
            return pool.submit(work, path).result()
        except BrokenProcessPool:
            return failed(
                path,
                f"{path.name}: the process that read it was ended (a crash of the decoder, or no "
                "memory left); convert the file, or lower --max-gib",
            )
