"""The memory that is left, and refusing what needs more."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

import torch

from stallscan.errors import OptionError


def available_memory(device: torch.device | str = "cpu") -> int | None:
    """Bytes that can still be allocated; None where nobody says.

    On the CPU what the kernel calls available, or less where a control group (a container, a batch
    job) is nearer its limit; on a GPU what is free there and in PyTorch's cache.
    """
    device = torch.device(device)
    if device.type == "cpu":
        return _cpu_memory(Path("/proc"), Path("/sys/fs/cgroup"))
    if device.type == "cuda" and torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + cached
    return None


def require_memory(
    n_bytes: int,
    what: str,
    device: torch.device | str = "cpu",
    *,
    limit: int | None = None,
    remedy: str = "lower the width, the batch or the size",
) -> None:
    """Refuse what will not fit.

    Args:
        n_bytes: needed.
        what: needs them, for the message.
        device: on which.
        limit: bytes that may be used; None asks `available_memory`, and where that does not know
            either, nothing is refused.
        remedy: what to do.

    Raises:
        OptionError: more is needed than there is.
    """
    available = available_memory(device) if limit is None else limit
    if available is not None and n_bytes > available:
        raise OptionError(
            f"{what} needs about {_gib(n_bytes)} of memory, available are {_gib(available)}"
            f"{f' on {device}' if limit is None else ''}; {remedy}"
        )


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.3g} GiB"


def _cpu_memory(proc: Path, cgroups: Path) -> int | None:
    """The least of what the system and the control groups of this process leave."""
    info = _table(proc / "meminfo")
    if "MemAvailable" in info:
        system: int | None = 1024 * info["MemAvailable"]
    else:  # not Linux: all there is, as nobody says what is free
        known = getattr(os, "sysconf_names", {})
        names = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
        system = math.prod(map(os.sysconf, names)) if set(names) <= set(known) else None
    rooms = [system, *_cgroup_rooms(proc, cgroups)]
    return min((room for room in rooms if room is not None), default=None)


def _cgroup_rooms(proc: Path, cgroups: Path) -> Iterable[int]:
    """What each group that this process is in, and each group around it, leaves of its limit.

    A group's use counts files that the kernel keeps but would drop: they are no obstacle.
    """
    for line in _lines(proc / "self/cgroup"):
        _, controllers, inner = line.split(":", 2)
        if controllers == "":  # version 2
            root, limit, use, droppable = cgroups, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, use = cgroups / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            droppable = "total_inactive_file"
        else:
            continue
        group = root / inner.strip("/")
        while True:
            try:
                room = int((group / limit).read_text()) - int((group / use).read_text())
                yield max(0, room + _table(group / "memory.stat").get(droppable, 0))
            except (OSError, ValueError):  # no such file; or "max", which is no limit
                pass
            if group == root:
                break
            group = group.parent


def _table(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    fields = [line.replace(":", " ").split() for line in _lines(path)]
    return {each[0]: int(each[1]) for each in fields if len(each) > 1 and each[1].isdecimal()}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
