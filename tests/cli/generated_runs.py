"""Runs that were never measured, derived from the committed recordings: a test draws what happens to each of them.

A plan says of a run which problems and cases it has, what became of each, where it was measured, and how far its
numbers are from the recorded ones. Only the reading of ncu reports is replaced: ``placed`` writes the run's folder, and
``as_read`` gives what its reports would have said. Judging, comparing, drawing and printing are the commands' own.
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
from stallgate.model import Attempt, Case, CaseResult, Identity, Outcome, Run, Selection
from stallgate.project.digests import CHILD_KEY, REFERENCE_KEY, variant_key, workload_key
from stallgate.project.load import Project
from stallgate.runs.folder import attempts_of, save

Fate = Literal[
    "profiled",
    "wrong_result",
    "crashed",
    "timed_out",
    "skipped",
    "planned",
    "missing",
    "stale",
    "edge_case",
    "damaged",
    "foreign",
]

FATES: tuple[Fate, ...] = (
    "wrong_result",
    "wrong_result",
    "crashed",
    "timed_out",
    "skipped",
    "planned",
    "missing",
    "stale",
    "edge_case",
    "damaged",
    "foreign",
)
"""What becomes of a case that is not measured as it was recorded.

edge_case: its numbers are there, and it is wrong. damaged: its part of the ncu report cannot be used. foreign: it
launches a kernel that is not its own.
"""

OUTCOMES: dict[Fate, Outcome] = {
    "wrong_result": "wrong_result",
    "crashed": "crashed",
    "timed_out": "timed_out",
    "skipped": "skipped",
    "planned": "planned",
}

SCALED = (
    "memory_dependency_stall",
    "dram_throughput",
    "dram_bytes_read",
    "l2_hit_rate",
    "stall_short_scoreboard",
    "tensor_pipe_utilization",
    "traffic",
    "registers",
)
"""Counters that a plan moves; shares stay below 100."""

_PER_TIME = ("effective_bandwidth", "tflops", "tflops_needed")
"""Metrics that are something divided by the time."""

Changed = Literal["reference", "child", "workload", "roof"]


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
    problems: tuple[str, ...] = ()
    """Those that it has; empty: all of the run that it is derived from."""
    asked: Literal["all", "variant", "workload"] = "all"
    """Whether it is of one candidate, or of one workload, of each problem by request."""
    single: bool = False
    """Whether it has one sample of each case."""
    gpu: str = ""
    """Another GPU than that of the recordings."""
    clock_control: str = ""
    changed: tuple[Changed, ...] = ()
    """What is of other code than the tree's."""
    commit: str | None = "c0ffee" * 6
    dirty: bool = False
    stages: tuple[str, ...] = ()
    """Of an imported run: those that it was imported to be judged by."""


OTHER_GPU = "NVIDIA A100-SXM4-80GB"

_NEAR = st.sampled_from([1.0, 1.0, 1.0, 0.9995, 1.0004, 1.004, 0.996, 1.0065])
_FAR = st.floats(0.9, 1.9, allow_nan=False)
_FACTORS = st.one_of(_NEAR, _NEAR, _FAR)
_SOMETIMES = st.sampled_from([False, False, False, True])
_RARELY = st.sampled_from([*[False] * 7, True])


def _case_plans() -> st.SearchStrategy[CasePlan]:
    fates = st.one_of(*[st.just("profiled")] * 4, st.sampled_from(FATES))
    gone = st.sampled_from((*SCALED, "duration", "duration", "l2_sectors", "sm_throughput"))
    return st.builds(
        CasePlan,
        fate=fates,
        time=_FACTORS,
        spread=st.sampled_from([0.0, 0.0, 0.0007, 0.004, 0.03]),
        counters=st.dictionaries(st.sampled_from(SCALED), st.one_of(_NEAR, st.floats(0.2, 3.0)), max_size=3),
        dropped=st.one_of(*[st.just(())] * 3, st.lists(gone, max_size=2).map(tuple)),
    )


def run_plans(kinds: tuple[str, ...], cases: int, problems: tuple[str, ...] = ()) -> st.SearchStrategy[RunPlan]:
    """Plans for runs of some kinds that are derived from a run of so many cases.

    Args:
        kinds: kinds of runs.
        cases: how many cases the run has that they are derived from.
        problems: those that they have; empty: all.
    """
    changed = st.lists(st.sampled_from(["reference", "child", "workload", "roof"]), max_size=1).map(tuple)
    return st.builds(
        RunPlan,
        kind=st.sampled_from(kinds),
        cases=st.lists(_case_plans(), min_size=cases, max_size=cases).map(tuple),
        complete=_SOMETIMES.map(lambda cut: not cut),
        problems=st.just(problems),
        asked=st.sampled_from(["all", "all", "all", "variant", "workload"]),
        single=_RARELY,
        gpu=_RARELY.map(lambda other: OTHER_GPU if other else ""),
        clock_control=_RARELY.map(lambda other: "base" if other else ""),
        changed=_RARELY.flatmap(lambda some: changed if some else st.just(())),
        commit=st.sampled_from(["c0ffee" * 6, "c0ffee" * 6, "deadbeef" * 5, None]),
        dirty=st.booleans(),
    )


# --- what a run is derived from ---------------------------------------------------------------------------------------


def with_configurations(model: ReadRun, named: dict[tuple[str, str], str]) -> ReadRun:
    """A run that also has a configuration of some variants, with the numbers of the default one.

    Args:
        model: the run.
        named: (problem, variant) -> the configuration.
    """
    results, rows, calls = list(model.run.cases), list(model.rows), list(model.calls)
    for result in model.run.cases:
        name = named.get((result.case.problem, result.case.variant))
        if name is not None:
            case = replace(result.case, configuration=name)
            results.append(replace(result, case=case))
            rows += [replace(row, configuration=name) for row in model.rows if row.case == result.case]
            calls += [replace(call, case=case) for call in model.calls if call.case == result.case]
    told = {**asdict(model), "run": replace(model.run, cases=results), "rows": rows, "calls": calls}
    return ReadRun(**told)


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
    numbered = {r.case for r in run.cases if r.outcome == "profiled" and plans[r.case].fate != "damaged"}
    rows = [_row(row, plans[row.case]) for row in model.rows if row.case in numbered]
    rows = [row for row in rows if not plan.single or row.sample == "0" or not row.sample.isdecimal()]
    targeted = {target.metric.name for stage in project.stages.values() for target in stage.targets}
    told = {
        **asdict(model),
        "folder": folder,
        "run": run,
        "rows": rows,
        "calls": [call for call in model.calls if call.case in numbered],
        "summaries": summarise(rows),
        "parts": summarise_kernels(rows, targeted),
        "faults": {r.case.name: _DAMAGED for r in run.cases if _has(r, plans, "damaged")},
        "foreign_kernels": {
            **{case: names for case, names in model.foreign_kernels.items() if case in numbered},
            **{r.case: ["void vendor::scan()"] for r in run.cases if _has(r, plans, "foreign")},
        },
    }
    return ReadRun(**told)


_DAMAGED = "the ncu report has 4 of 5 samples of it"


def _has(result: CaseResult, plans: dict[Case, CasePlan], fate: Fate) -> bool:
    return result.outcome == "profiled" and plans[result.case].fate == fate


def placed(read: ReadRun) -> ReadRun:
    """Writes the folder of a run, as the commands find it."""
    read.folder.mkdir(parents=True, exist_ok=True)
    save(read.folder, read.run)
    return read


def _run(model: Run, plan: RunPlan, name: str, created: str) -> Run:
    planned = zip(model.cases, plan.cases, strict=True)
    cases = [_case(r, each, plan) for r, each in planned if each.fate != "missing" and _is_asked(model, r.case, plan)]
    told: dict[str, Any] = {"name": name, "created": created, "commit": plan.commit, "dirty": plan.dirty}
    told |= {"cases": cases, "attempts": _attempts(model, plan)}
    if plan.kind == "imported":
        return replace(model, **told, stages=list(plan.stages))
    kept = plan.problems or tuple(model.subjects)
    origins = {
        key: replace(made, created=created, commit=plan.commit, dirty=plan.dirty, settings=None)
        for key, made in model.origins.items()
        if key in kept
    }
    settings = model.settings or next((o.settings for o in model.origins.values() if o.settings), None)
    assert settings is not None
    samples = 1 if plan.single else settings.samples
    settings = replace(settings, samples=samples, clock_control=plan.clock_control or settings.clock_control)
    return replace(
        model,
        **told,
        subjects={key: _subject(key, model, plan) for key in kept},
        kind=plan.kind,
        origins=origins if plan.kind == "recorded" else {},
        settings=settings,
        selection=_selection(model, plan),
        complete=plan.complete or plan.kind == "recorded",
    )


def _attempts(model: Run, plan: RunPlan) -> list[Attempt]:
    """Those of the problems that it has. The recordings are of several GPUs, what is measured at once is of one."""
    if plan.kind == "imported":
        return [_attempt(each, plan) for each in model.attempts]
    kept = {each.name for problem in plan.problems or model.subjects for each in attempts_of(model, problem)}
    mine = [each for each in model.attempts if each.name in kept]
    if plan.kind == "live":
        mine = [replace(each, environment=mine[0].environment) for each in mine]
    return [_attempt(each, plan) for each in mine]


def _attempt(attempt: Attempt, plan: RunPlan) -> Attempt:
    if not plan.gpu or attempt.environment is None:
        return attempt
    return replace(attempt, environment=replace(attempt.environment, gpu=plan.gpu, chip="ga100"))


def _asked_variant(model: Run, problem: str) -> str:
    """The first candidate of a problem."""
    mine = [r for r in model.cases if r.case.problem == problem]
    return next((r.case.variant for r in mine if r.role in ("candidate", "unknown")), mine[0].case.variant)


def _is_asked(model: Run, case: Case, plan: RunPlan) -> bool:
    if plan.problems and case.problem not in plan.problems:
        return False
    mine = [r for r in model.cases if r.case.problem == case.problem]
    if plan.kind == "imported" or plan.asked == "all":
        return True
    if plan.asked == "workload":
        return case.workload in _asked_workloads(model, plan)
    roofs = [r.case.variant for r in mine if r.role == "roof"]
    return case.variant in (*roofs, _asked_variant(model, case.problem))


def _asked_workloads(model: Run, plan: RunPlan) -> list[str]:
    kept = plan.problems or tuple(model.subjects)
    first = {problem: next(r.case.workload for r in model.cases if r.case.problem == problem) for problem in kept}
    return list(dict.fromkeys(first.values()))


def _selection(model: Run, plan: RunPlan) -> Selection:
    kept = plan.problems or tuple(model.subjects)
    if plan.asked == "variant":
        return Selection(subjects=[f"{problem}/{_asked_variant(model, problem)}" for problem in kept])
    subjects = list(plan.problems)
    return Selection(subjects=subjects, workloads=_asked_workloads(model, plan) if plan.asked == "workload" else [])


def _subject(problem: str, model: Run, plan: RunPlan) -> Any:
    """What was measured of a problem, with the digests of other code where that is planned."""
    mine = [(r, each) for r, each in zip(model.cases, plan.cases, strict=True) if r.case.problem == problem]
    others = [variant_key(r.case.variant) for r, each in mine if each.fate == "stale"]
    keys = {
        "reference": [REFERENCE_KEY],
        "child": [CHILD_KEY],
        "workload": [workload_key(mine[0][0].case.workload)],
        "roof": [variant_key(r.case.variant) for r, _ in mine if r.role == "roof"],
    }
    others += [key for name in plan.changed for key in keys[name]]
    subject = model.subjects[problem]
    return replace(subject, digests={**subject.digests, **dict.fromkeys(others, "0" * 64)})


_REASONS: dict[Fate, str] = {
    "wrong_result": "on its own inputs: 17 of 4096 elements are wrong; the first: [0, 3] is 0.5, expected 0.25",
    "crashed": "the process ended by signal 11 (SIGSEGV) in sample 2",
    "timed_out": "it took longer than 60 s",
    "skipped": "it needs 12 GB of memory, and the GPU has 8 GB",
}


def _case(result: CaseResult, plan: CasePlan, of: RunPlan) -> CaseResult:
    if result.identity is not None:
        return replace(result, identity=_identity(result.identity, of))
    if of.kind == "imported":
        return result
    if plan.fate == "edge_case":
        return replace(result, edge_case_fault="on 3x5 of planted zeros: 4 of 15 elements are wrong")
    outcome = OUTCOMES.get(plan.fate)
    if outcome is None:
        return result
    return replace(result, outcome=outcome, reason=_REASONS.get(plan.fate, ""), worst=[])


def _identity(identity: Identity, of: RunPlan) -> Identity:
    return replace(identity, device=of.gpu) if of.gpu else identity


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
