"""Runs that were never measured, derived from the committed recordings: a test draws what happens to each of them.

A plan says of a run which cases it has, what became of each, and how far its numbers are from the recorded ones. Only
the reading of ncu reports is replaced: ``placed`` writes the run's folder, and ``as_read`` gives what its reports would
have said. Judging, comparing, drawing and printing are the commands' own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from stallgate.extract.read_run import ReadRun, with_roles
from stallgate.extract.table import MetricRow, summarise, summarise_kernels
from stallgate.model import CaseResult, Run
from stallgate.project.digests import variant_key
from stallgate.project.load import Project
from stallgate.runs.folder import save

Fate = Literal["profiled", "wrong_result", "crashed", "timed_out", "missing", "stale", "edge_case"]

FATES: tuple[Fate, ...] = ("wrong_result", "crashed", "timed_out", "missing", "stale", "edge_case")
"""What becomes of a case that is not measured as it was recorded. edge_case: its numbers are there, and it is wrong."""

SCALED = ("memory_dependency_stall", "dram_throughput", "dram_bytes_read", "l2_hit_rate", "stall_short_scoreboard")
"""Counters that a plan moves; shares stay below 100."""

_PER_TIME = ("effective_bandwidth", "tflops", "tflops_needed")
"""Metrics that are something divided by the time."""


@dataclass(frozen=True)
class CasePlan:
    """What becomes of one case."""

    fate: Fate = "profiled"
    time: float = 1.0
    """Factor of every duration."""
    spread: float = 0.0
    """How far the samples' durations lie apart, relative to the median."""
    counters: dict[str, float] = field(default_factory=dict)
    """Metric -> factor."""
    dropped: tuple[str, ...] = ()
    """Metrics that ncu did not report."""


@dataclass(frozen=True)
class RunPlan:
    """What a run is like."""

    kind: Literal["live", "recorded", "imported"]
    cases: tuple[CasePlan, ...]
    """By the place of the case in the run that it is derived from."""
    complete: bool = True


_NEAR = st.sampled_from([1.0, 1.0, 1.0, 0.9995, 1.0004, 1.004, 0.996, 1.0065])
_FAR = st.floats(0.9, 1.9, allow_nan=False)
_FACTORS = st.one_of(_NEAR, _NEAR, _FAR)


def _case_plans() -> st.SearchStrategy[CasePlan]:
    fates = st.one_of(st.just("profiled"), st.just("profiled"), st.just("profiled"), st.sampled_from(FATES))
    return st.builds(
        CasePlan,
        fate=fates,
        time=_FACTORS,
        spread=st.sampled_from([0.0, 0.0, 0.0007, 0.004, 0.03]),
        counters=st.dictionaries(st.sampled_from(SCALED), st.one_of(_NEAR, st.floats(0.2, 3.0)), max_size=3),
        dropped=st.lists(st.sampled_from((*SCALED, "duration", "l2_sectors")), max_size=1).map(tuple),
    )


def run_plans(kinds: tuple[str, ...], cases: int) -> st.SearchStrategy[RunPlan]:
    """Plans for runs of some kinds that are derived from a run of so many cases."""
    return st.builds(
        RunPlan,
        kind=st.sampled_from(kinds),
        cases=st.lists(_case_plans(), min_size=cases, max_size=cases).map(tuple),
        complete=st.sampled_from([True, True, True, False]),
    )


# --- a run of a plan --------------------------------------------------------------------------------------------------


def as_read(model: ReadRun, plan: RunPlan, folder: Path, created: str, project: Project) -> ReadRun:
    """The run of a plan as its ncu reports would be read.

    Args:
        model: the run that it is derived from.
        plan: what it is like.
        folder: its own.
        created: when it was measured.
        project: the metrics that stages have targets for, and the roles.
    """
    plans = dict(zip((result.case for result in model.run.cases), plan.cases, strict=True))
    run = with_roles(_run(model.run, plan, folder.name, created), project)
    left = {result.case for result in run.cases if result.outcome == "profiled"}
    rows = [_row(row, plans[row.case]) for row in model.rows if row.case in left]
    targeted = {target.metric.name for stage in project.stages.values() for target in stage.targets}
    parts = summarise_kernels(rows, targeted)
    told = {**asdict(model), "folder": folder, "run": run, "rows": rows, "summaries": summarise(rows), "parts": parts}
    return ReadRun(**told)


def placed(read: ReadRun) -> ReadRun:
    """Writes the folder of a run, as the commands find it."""
    read.folder.mkdir(parents=True, exist_ok=True)
    save(read.folder, read.run)
    return read


def _run(model: Run, plan: RunPlan, name: str, created: str) -> Run:
    cases = [
        _case(result, each) for result, each in zip(model.cases, plan.cases, strict=True) if each.fate != "missing"
    ]
    stale = [r.case for r, each in zip(model.cases, plan.cases, strict=True) if each.fate == "stale"]
    subjects = dict(model.subjects)
    for case in stale if plan.kind != "imported" else []:
        digests = {**subjects[case.problem].digests, variant_key(case.variant): "0" * 64}
        subjects[case.problem] = replace(subjects[case.problem], digests=digests)
    origins = {key: replace(made, created=created) for key, made in model.origins.items()}
    told: dict[str, Any] = {"name": name, "created": created, "cases": cases, "subjects": subjects}
    if plan.kind == "imported":
        return replace(model, **told)
    settings = model.settings or next((o.settings for o in model.origins.values() if o.settings), None)
    return replace(
        model,
        **told,
        kind=plan.kind,
        origins=origins if plan.kind == "recorded" else {},
        settings=settings,
        complete=plan.complete or plan.kind == "recorded",
    )


_REASONS: dict[Fate, str] = {
    "wrong_result": "on its own inputs: 17 of 4096 elements are wrong; the first: [0, 3] is 0.5, expected 0.25",
    "crashed": "the process ended by signal 11 (SIGSEGV) in sample 2",
    "timed_out": "it took longer than 60 s",
}


def _case(result: CaseResult, plan: CasePlan) -> CaseResult:
    if plan.fate in ("profiled", "stale") or (result.identity is not None):
        return result
    if plan.fate == "edge_case":
        return replace(result, edge_case_fault="on 3x5 of planted zeros: 4 of 15 elements are wrong")
    return replace(result, outcome=plan.fate, reason=_REASONS[plan.fate], worst=[])


def _row(row: MetricRow, plan: CasePlan) -> MetricRow:
    if row.metric in plan.dropped:
        return replace(row, value=math.nan, state="absent")
    if row.state != "measured":
        return row
    if row.metric == "duration":
        return replace(row, value=row.value * plan.time * _jitter(row.sample, plan.spread))
    if row.metric in _PER_TIME:
        return replace(row, value=row.value / (plan.time * _jitter(row.sample, plan.spread)))
    name = "memory_dependency_stall" if row.metric == "stall_long_scoreboard" else row.metric
    value = row.value * plan.counters.get(name, 1.0)
    return replace(row, value=min(value, 99.5) if row.unit == "%" and name in plan.counters else value)


def _jitter(sample: str, spread: float) -> float:
    """A sample's factor: some are above the median and some below."""
    number = int(sample) if sample.isdecimal() else 0
    return 1.0 + spread * (number % 5 - 2) / 2
