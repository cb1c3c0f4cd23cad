"""Work in several processes, results in order."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import cv2
from tqdm import tqdm

from stallscan.workers import end_with_parent

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Job], Result], jobs: Iterable[Job], *, workers: int, what: str
) -> list[Result]:
    """``[work(job) for job in jobs]`` in spawned processes of one thread each; 0: in this one."""
    jobs = list(jobs)
    if workers == 0:
        return [work(job) for job in tqdm(jobs, desc=what)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _set_up, (os.getpid(),)) as pool:
        return list(tqdm(pool.map(work, jobs), total=len(jobs), desc=what))


def _set_up(parent_pid: int) -> None:
    end_with_parent(parent_pid)
    cv2.setNumThreads(1)
