"""What several commands print with ``--json``, as structs: their JSON Schemas are made from them.

The facts of one command alone are in its own file.
"""

from __future__ import annotations

from typing import Literal

from stallgate.extract.table import Summary
from stallgate.judge.evaluate import JudgedRun
from stallgate.model import FrozenStruct, Identity, Outcome, Role, State

RunKind = Literal["live", "recorded", "imported"]


class MetricValue(FrozenStruct, frozen=True):
    """A metric's value over samples. The three numbers are null unless the state is ``measured``."""

    state: State | Literal["not_measured"]
    """not_measured: the case has no numbers, or there is no such value. The others say why ncu has no value."""
    median: float | None
    low: float | None
    """The lowest sample."""
    high: float | None
    """The highest sample."""
    unit: str


def metric_value(summary: Summary | None, unit: str) -> MetricValue:
    """A metric of a case; not measured where there is no summary."""
    if summary is None:
        return unmeasured(unit)
    return MetricValue(state=summary.state, median=summary.median, low=summary.low, high=summary.high, unit=unit)


def unmeasured(unit: str, state: State | Literal["not_measured"] = "not_measured") -> MetricValue:
    """No value, and why."""
    return MetricValue(state=state, median=None, low=None, high=None, unit=unit)


def single_value(value: float | None, unit: str) -> MetricValue:
    """A value without a spread."""
    if value is None:
        return unmeasured(unit)
    return MetricValue(state="measured", median=value, low=value, high=value, unit=unit)


class CaseFacts(FrozenStruct, frozen=True):
    """A case of a run, and what became of it."""

    case: str
    """problem/variant/configuration/workload"""
    role: Role
    outcome: Outcome
    reason: str
    """Why it was not profiled, or ''."""
    edge_case_fault: str | None
    """Why it failed on small edge-case inputs, or ''; null where it is not known."""
    foreign_kernels: list[str]
    """Kernels that are neither the variant's own nor allowed."""
    name: str
    """The case for a reader: of an imported report by the names that are in it."""
    identity: Identity | None
    """Of an imported report: what its launches share, how many they are, or the NVTX range."""


class RunFacts(FrozenStruct, frozen=True):
    """A run: its cases with their outcomes, and the value of each metric."""

    run: str
    """The run's folder."""
    kind: RunKind
    cases: list[CaseFacts]
    metrics: dict[str, dict[str, MetricValue]]
    """Case -> metric -> value."""


def run_facts(result: JudgedRun, units: dict[str, str]) -> RunFacts:
    """What was measured.

    Args:
        result: the run.
        units: metric -> unit, of the metrics that are wanted.
    """
    metrics: dict[str, dict[str, MetricValue]] = {}
    for (case, metric), summary in result.summaries.items():
        if metric in units:
            metrics.setdefault(case.name, {})[metric] = metric_value(summary, units[metric])
    return RunFacts(run=str(result.folder), kind=result.run.kind, cases=case_facts(result), metrics=metrics)


def case_facts(result: JudgedRun) -> list[CaseFacts]:
    """The cases of a run, and what became of each."""
    return [
        CaseFacts(
            case=found.case.name,
            role=found.role,
            outcome=found.outcome,
            reason=found.reason,
            edge_case_fault=found.edge_case_fault,
            foreign_kernels=result.foreign_kernels.get(found.case, []),
            name=result.names[found.case],
            identity=found.identity,
        )
        for found in result.run.cases
    ]
