"""Where workers are, as ``--on`` names it: a scheduler's address, this machine, or a cluster that a project names."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from stallgate.errors import BadArgument, UnknownName
from stallgate.model import FrozenStruct
from stallgate.project.root import named_clusters

LOCAL = "local"

_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://.+")


class Cluster(FrozenStruct, frozen=True):
    """Workers to measure on."""

    scheduler: str = ""
    """The address of a scheduler that runs already, such as ``tcp://lab:8786``."""
    start: str = ""
    """Else ``local``, or the class of a cluster to start: ``package.module:Class``."""
    options: dict[str, object] = {}
    """What the class is called with."""
    workers: int = 0
    """How many to start; 0: as many as the class starts by itself, and locally one for each GPU."""


def cluster_of(root: Path, name: str) -> Cluster:
    """The cluster that ``--on`` names.

    Raises:
        BadArgument: the engine is not installed.
        UnknownName: it is neither an address, nor ``local``, nor a name that the project has.
    """
    if find_spec("distributed") is None:
        raise BadArgument("--on needs Dask distributed, which is not installed", "pip install 'stallgate[fleet]'")
    if _ADDRESS.fullmatch(name):
        return Cluster(scheduler=name)
    known = named_clusters(root)
    if name in known:
        table = known[name]
        return Cluster(scheduler=table.scheduler, start=table.start, options=table.options, workers=table.workers)
    if name == LOCAL:
        return Cluster(start=LOCAL)
    raise UnknownName("cluster", name, [LOCAL, *known, "tcp://HOST:8786"])
