"""Runs that can be compared bit by bit, and that draw nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from stallscan.models import footprint
from stallscan.training import history


@pytest.fixture(scope="module")
def quick_runs() -> Iterator[None]:
    """One thread, so that sums have one order; no figure and no estimate of the memory.

    Either takes longer than a tiny epoch, and has tests of its own.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "draw_curves", lambda *_: None)
        patch.setattr(footprint, "estimate_memory", lambda *_, **__: 1)
        yield
    torch.set_num_threads(before)
