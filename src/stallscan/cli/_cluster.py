"""Options of verbs that can work on many machines."""

from __future__ import annotations

from typing import Literal

from stallscan.data.cluster import ClusterOptions
from stallscan.errors import OptionError
from stallscan.types import Location

Cluster = Literal["ray"]
"""What deals the work out."""


def cluster_options(
    cluster: Cluster | None,
    *,
    address: str | None,
    actors: int | None,
    parts: Location | None = None,
) -> ClusterOptions | None:
    """Options of a cluster; None without one.

    Raises:
        OptionError: some of them without --cluster.
    """
    if cluster is not None:
        return ClusterOptions(address=address, actors=actors)
    for name, given in (("address", address), ("actors", actors), ("parts", parts)):
        if given is not None:
            raise OptionError(f"--{name} is {given} without --cluster; add --cluster ray")
    return None
