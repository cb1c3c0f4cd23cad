"""Ours."""

from __future__ import annotations

from functools import partial

import torch
from _torch_job import torch_job
from _zoo_worker import Contender, Job, Task, serve

import stallscan
from stallscan.models import create_model


def build(task: Task) -> Job:
    """See `Contender.build`."""
    return torch_job(task, partial(create_model, task.network))


if __name__ == "__main__":
    serve(
        Contender(
            name=f"stallscan {stallscan.__version__}",
            licence="MIT",
            runtime=f"torch {torch.__version__}",
            build=build,
        )
    )
