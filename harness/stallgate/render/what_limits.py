"""What holds a case back, in words: the unit that is busiest, what its warps wait for, and the way of its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from stallgate.formatting import measured, scaled, share
from stallgate.judge.roof import Roof, distance_from_roof
from stallgate.judge.warp_states import waits_in_words
from stallgate.model import DETAIL, Case, CaseResult, Catalogue, Metric
from stallgate.project.catalogue import ROOF_FRACTION

if TYPE_CHECKING:
    from stallgate.extract.table import MetricRow
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

    def found(self, case: CaseResult, metric: str) -> float | None:
        """The same; where the samples lack it, what the launches with every section have."""


class CasesRead:
    """The cases of a workload of a run, for who draws nothing."""

    def __init__(self, project: Project, result: JudgedRun, problem: str, workload: str) -> None:
        self.project = project
        self._summaries = result.summaries
        self._detailed = detailed(result.places.get((problem, workload), []))
        found = result.roofs[problem, workload].deciding if (problem, workload) in result.roofs else None
        self.roof = found if isinstance(found, Roof) else None

    def median(self, case: CaseResult, metric: str) -> float | None:
        summary = self._summaries.get((case.case, metric))
        return summary.median if summary is not None else None

    def found(self, case: CaseResult, metric: str) -> float | None:
        value = self.median(case, metric)
        return value if value is not None else self._detailed.get((case.case, metric))


def detailed(rows: Iterable[MetricRow]) -> dict[tuple[Case, str], float]:
    """What the launches with every section have of each metric of a whole call."""
    return {
        (row.case, row.metric): row.value
        for row in rows
        if row.launch is None and row.sample == DETAIL and row.state == "measured"
    }


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
    return limit_of(partial(view.found, case), view.median(case, ROOF_FRACTION), view.roof)


def limit_of(read: Read, fraction: float | None, roof: Roof | None) -> str:
    """The same from readings: the limit, the distance from the roof by its name, and how busy each unit is.

    Args:
        read: the readings.
        fraction: of the roof.
        roof: None where there is none.
    """
    units = _utilisation(read)
    near = _KINDS.get(roof.ceiling) if fraction is not None and roof is not None and fraction >= _NEAR else None
    parts = [f"Limit: {near or _busiest(units)}{_below_peak(units) if _is_library(roof) else ''}"]
    if fraction is not None and roof is not None:
        parts.append(distance_from_roof(fraction, roof, explained=True))
    else:
        parts.append(f"how much is left is not known: {_why_unknown(roof)}")
    if units:
        named = sorted(units, key=lambda unit: unit.limit != near)  # the limit's own first, then the busiest
        busy = ", ".join(f"{unit.name} {share(unit.value)} %" for unit in named)
        parts.append(f"{busy} of peak")
    else:
        parts.append("how busy memory and SM are was not measured")
    return "; ".join(parts)


def _why_unknown(roof: Roof | None) -> str:
    """Why the distance from the limit is not known."""
    return f"not measured beside {roof.name}" if roof is not None else "no kernel here is known as its roof"


def _is_library(roof: Roof | None) -> bool:
    return roof is not None and roof.ceiling == "library"


class _Unit(NamedTuple):
    """How busy a unit is."""

    value: float
    """In per cent of its peak."""
    name: str
    limit: str
    """What a kernel is limited by where this unit is the busiest."""


def _utilisation(read: Read) -> list[_Unit]:
    """The units whose utilisation is known, the busiest first."""
    known = [
        _Unit(value, name, limit)
        for metric, name, limit in _UNITS
        if (value := read(metric)) is not None and not (value < _IDLE and metric in _IDLE_UNSAID)
    ]
    return sorted(known, reverse=True)


def _busiest(units: list[_Unit]) -> str:
    """Memory or arithmetic by utilisation; latency where both are known and neither is busy."""
    if units and units[0].value >= _BUSY:
        return units[0].limit
    known = {unit.name for unit in units}
    return "latency, no unit is near its peak" if {"DRAM", "SM"} <= known else "not known"


def _below_peak(units: list[_Unit]) -> str:
    """How far the limiting unit is from its peak, where a library says nothing of that; '' where none is busy."""
    return f", {share(100 - units[0].value)} points below peak" if units and units[0].value >= _BUSY else ""


_UNITS = (
    ("dram_throughput", "DRAM", "memory bandwidth"),
    ("l2_throughput", "L2", "L2 bandwidth"),
    ("l1_throughput", "L1", "L1 and shared memory"),
    ("sm_throughput", "SM", "compute"),
    ("tensor_pipe_utilization", "tensor pipe", "tensor cores"),
    ("fp64_pipe_utilization", "FP64 pipe", "FP64 arithmetic"),
)
"""Metric, name of the unit, and the limit that it is where it is busiest."""

_IDLE = 1.0
"""Utilisation in per cent, below which a unit that few kernels use is not named."""

_IDLE_UNSAID = ("tensor_pipe_utilization", "fp64_pipe_utilization")


# --- warps ------------------------------------------------------------------------------------------------------------


def waiting_in_words(view: Readable, case: CaseResult, most: int = 3) -> str:
    """What a case's warps wait for most, in words with the state's name in brackets; '' where it is not known."""
    return waits_of(partial(view.median, case), view.project.catalogue, most)


def waits_of(read: Read, catalogue: Catalogue, most: int = 3) -> str:
    """The same from readings."""
    known: dict[str, float] = {}
    for metric in catalogue.metrics.values():
        found = [value for name in _same_counter(catalogue, metric) if (value := read(name)) is not None]
        if metric.state is not None and found:
            known[metric.state] = found[0]
    return waits_in_words(known, most)


def _same_counter(catalogue: Catalogue, metric: Metric) -> list[str]:
    """The metrics that read the same counters as one, itself first: a stage may have collected it by either name."""
    same = [each.name for each in catalogue.metrics.values() if each.names and each.names == metric.names]
    return [metric.name, *(name for name in same if name != metric.name)]


# --- memory -----------------------------------------------------------------------------------------------------------


def memory_path(view: Readable, case: CaseResult) -> str:
    """The way of a case's bytes: hit rates, DRAM traffic, and what the workload needs; '' where nothing is known."""
    return memory_path_of(partial(view.found, case))


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
    uncounted = ", as far as DRAM counts it; some bytes stay in L2" if traffic < _LITTLE else ""
    return f"{said}: no more than needed{uncounted}"
