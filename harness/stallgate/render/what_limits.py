"""What holds a case back, in words: the unit that is busiest, what its warps wait for, and the way of its bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from stallgate.formatting import listed, measured, scaled, share
from stallgate.judge.roof import Roof, distance_from_roof
from stallgate.judge.warp_states import waits_in_words
from stallgate.model import CaseResult, Catalogue
from stallgate.project.catalogue import ROOF_FRACTION

if TYPE_CHECKING:
    from stallgate.judge.evaluate import JudgedRun
    from stallgate.project.load import Project


class Readable(Protocol):
    """What is known of the cases of a workload; a page's view is one."""

    @property
    def project(self) -> Project: ...

    @property
    def roof(self) -> Roof | None:
        """The roof that fractions are of; None where there is none."""

    def median(self, case: CaseResult, metric: str) -> float | None:
        """The median of a metric of a case; None where it is not measured."""


class CasesRead:
    """The cases of a workload of a run, for who draws nothing."""

    def __init__(self, project: Project, result: JudgedRun, problem: str, workload: str) -> None:
        self.project = project
        self._summaries = result.summaries
        found = result.roofs[problem, workload].deciding if (problem, workload) in result.roofs else None
        self.roof = found if isinstance(found, Roof) else None

    def median(self, case: CaseResult, metric: str) -> float | None:
        summary = self._summaries.get((case.case, metric))
        return summary.median if summary is not None else None


_NEAR = 0.8
"""From this fraction of the roof on, the roof's kind is what limits a kernel."""

_BUSY = 60.0
"""Utilisation in per cent, from which on a unit can be what limits a kernel: below, it waits for latencies."""

_KINDS = {"bytes": "memory bandwidth", "flops": "compute"}
"""Kind of roof -> the limit that it is. A library says nothing of that."""


Read = Callable[[str], float | None]
"""The median of a metric by its short name; None where it was not measured."""


def limit_in_words(view: Readable, case: CaseResult) -> str:
    """Which limit a case is held by, and how far it is from it; a sentence without full stop."""
    return limit_of(partial(view.median, case), view.median(case, ROOF_FRACTION), view.roof)


def limit_of(read: Read, fraction: float | None, roof: Roof | None) -> str:
    """The same from readings.

    Args:
        read: the readings.
        fraction: of the roof.
        roof: None where there is none.
    """
    busiest = _busiest(read)
    if fraction is None or roof is None:
        return f"Limit: {busiest}" if busiest else "Limit: not known, the utilisation of memory and SM was not measured"
    near = _KINDS.get(roof.ceiling) if fraction >= _NEAR else None
    near = near or busiest or "not known"
    return f"Limit: {near}; {distance_from_roof(fraction, roof)}"


def _busiest(read: Read) -> str:
    """Memory or arithmetic by utilisation, or latency where neither is busy; '' where neither is known."""
    known = [
        (value, name, kind)
        for metric, name, kind in _UNITS
        if (value := read(metric)) is not None and not (value == 0 and metric in _IDLE_UNSAID)
    ]
    if not known:
        return ""
    most, _, kind = max(known)
    busiest = sorted(known, reverse=True)[:_MOST_UNITS]
    words = listed([f"{name} {share(value)} %" for value, name, _ in busiest])
    return f"{kind if most >= _BUSY else 'latency, no unit is busy'} ({words} of peak)"


_UNITS = (
    ("dram_throughput", "DRAM", "memory bandwidth"),
    ("l2_throughput", "L2", "L2 bandwidth"),
    ("l1_throughput", "L1", "L1 and shared memory"),
    ("sm_throughput", "SM", "compute (SM)"),
    ("tensor_pipe_utilization", "tensor pipe", "compute (tensor cores)"),
    ("fp64_pipe_utilization", "FP64 pipe", "compute (FP64)"),
)
"""Metric, name of the unit, and the limit that it is where it is busiest."""

_MOST_UNITS = 4
"""Units whose utilisation is told, the busiest first."""

_IDLE_UNSAID = ("tensor_pipe_utilization", "fp64_pipe_utilization")


# --- warps ------------------------------------------------------------------------------------------------------------


def waiting_in_words(view: Readable, case: CaseResult, most: int = 3) -> str:
    """What a case's warps wait for most, in words with the state's name in brackets; '' where it is not known."""
    return waits_of(partial(view.median, case), view.project.catalogue, most)


def waits_of(read: Read, catalogue: Catalogue, most: int = 3) -> str:
    """The same from readings."""
    states = [metric for metric in catalogue.metrics.values() if metric.state is not None]
    known = {metric.state or "": read(metric.name) for metric in states}
    return waits_in_words({state: share for state, share in known.items() if share is not None}, most)


# --- memory -----------------------------------------------------------------------------------------------------------


def memory_path(view: Readable, case: CaseResult) -> str:
    """The way of a case's bytes: hit rates, DRAM traffic, and what the workload needs; '' where nothing is known."""
    return memory_path_of(partial(view.median, case))


def memory_path_of(read: Read) -> str:
    """The same from readings."""
    parts = ["SM"]
    for name, cache in (("l1_hit_rate", "L1"), ("l2_hit_rate", "L2")):
        rate = read(name)
        parts.append(f"{cache} hit rate {share(rate)} %" if rate is not None else cache)
    fetched, written = read("dram_bytes_read"), read("dram_bytes_written")
    if fetched is None and written is None:
        return ""
    moved = scaled((fetched or 0.0) + (written or 0.0), "byte")
    return f"Memory: {' ↔ '.join(parts)} ↔ DRAM {moved} moved{_beside_need(read('traffic'))}"


_MUCH, _LITTLE = 1.05, 0.98
"""Traffic over need: from the first on it is more than needed, below the second some of it stayed in L2."""


def _beside_need(traffic: float | None) -> str:
    if traffic is None:
        return "; bytes needed: not known"
    said = f", {measured(traffic, '')} times the bytes needed"
    if traffic >= _MUCH:
        return f"{said}: more than needed"
    return f"{said}: {'writes that stay in L2 are not counted' if traffic < _LITTLE else 'no more than needed'}"
