"""Runs to judge, made of numbers: no ncu report behind them, no file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from stallgate.extract.evidence import ProfiledCall
from stallgate.extract.kernels import foreign_kernels
from stallgate.extract.read_run import ReadRun, with_roles
from stallgate.extract.table import Parts, Summaries, Summary
from stallgate.judge.evaluate import judge
from stallgate.judge.verdicts import Judgement, Targets
from stallgate.measure.profile import subject_of
from stallgate.model import (
    RUN_FORMAT,
    Accepted,
    Attempt,
    Baseline,
    BaselineCase,
    Case,
    CaseResult,
    Environment,
    Run,
    Settings,
    State,
    Target,
    Waiver,
)
from stallgate.project.digests import REFERENCE_KEY, variant_key, workload_key
from stallgate.project.load import Project
from stallgate.project.yardsticks import read_catalogue
from tests.conftest import ROOT

CATALOGUE = read_catalogue(ROOT)
STALL = "memory_dependency_stall"
GPU = "NVIDIA H100 80GB HBM3"
TODAY = date(2026, 11, 25)


def case(variant: str, workload: str = "square", configuration: str = "default") -> Case:
    return Case(problem="cumprod", variant=variant, configuration=configuration, workload=workload)


def summary(*values: float, state: State = "measured") -> Summary:
    """What samples of these values are summarised to."""
    if state != "measured":
        return Summary(state=state, median=None, low=None, high=None, samples=5, ncu_name="n")
    ordered = sorted(values)
    return Summary(
        state="measured",
        median=ordered[len(ordered) // 2],
        low=ordered[0],
        high=ordered[-1],
        samples=len(values),
        ncu_name="n",
    )


GOOD: dict[str, Summary] = {
    "duration": summary(100.0),
    "roof_fraction": summary(0.98, 0.985, 0.99),
    "dram_throughput": summary(88.0, 88.5),
    STALL: summary(14.0, 15.0),
    "l2_sectors": summary(4e8),
}
ROOF: dict[str, Summary] = {
    "duration": summary(98.0),
    "dram_throughput": summary(89.0, 90.0),
    "roof_fraction": summary(1.0),
    "l2_sectors": summary(4e8),
}


def environment(**changes: Any) -> Environment:
    plain = dict.fromkeys(("compute_capability", "driver", "ncu", "python", "torch", "triton", "cuda"), "")
    return Environment(**{**plain, "gpu": GPU, "device": 0, "chip": "GH100", **changes})


def run_of(project: Project, results: list[CaseResult], **changes: Any) -> Run:
    run = Run(
        format=RUN_FORMAT,
        name="r",
        kind="live",
        created="2026-11-25T10:00:00Z",
        stallgate="",
        reader="",
        commit=None,
        dirty=False,
        arguments=[],
        settings=Settings(samples=5, timeout_s=1, clock_control="none", cache_control="all", metrics=[]),
        subjects={"cumprod": subject_of(project, "cumprod")},
        cases=results,
        attempts=[Attempt(name="1", kind="samples", command=[], started="", environment=environment())],
        complete=True,
    )
    return replace(run, **changes)


def usual() -> list[CaseResult]:
    """The roof, a candidate and a baseline on ``square``; the candidate and the roof on ``page`` too."""
    roles = [("copy_roof", "square", "roof"), ("blocked_scan", "square", "candidate")]
    roles += [("naive_serial", "square", "baseline"), ("blocked_scan", "page", "candidate")]
    roles += [("copy_roof", "page", "roof")]
    return [
        CaseResult(
            case=case(variant, workload),
            role=role,  # type: ignore[arg-type]
            outcome="profiled",
            attempt="1",
            edge_case_fault="",
        )
        for variant, workload, role in roles
    ]


def read(run: Run, summaries: Summaries | None = None, **changes: Any) -> ReadRun:
    """A run as if it had been read, with these numbers and nothing else."""
    empty: dict[str, Any] = {"folder": Path(run.name), "faults": {}, "calls": [], "rows": [], "parts": {}, "reader": ""}
    return ReadRun(**{**empty, "run": run, "summaries": summaries or {}, "foreign_kernels": {}, **changes})


def numbers(
    results: list[CaseResult], candidate: dict[str, Summary] | None = None, roof: dict[str, Summary] | None = None
) -> Summaries:
    """Summaries of every profiled case: those of its role, with changes."""
    found: Summaries = {}
    for result in results:
        if result.outcome == "profiled":
            of = ROOF | (roof or {}) if result.role == "roof" else GOOD | (candidate or {})
            found |= {(result.case, metric): summary for metric, summary in of.items()}
    return found


def judged(
    project: Project,
    results: list[CaseResult] | None = None,
    candidate: dict[str, Summary] | None = None,
    roof: dict[str, Summary] | None = None,
    faults: dict[str, str] | None = None,
    parts: Parts | None = None,
    calls: list[ProfiledCall] | None = None,
    targets: Targets = "all",
    **changes: Any,
) -> Judgement:
    """What the gate says of a run with these numbers, which are those of every case of a role."""
    results = usual() if results is None else results
    project = with_one_candidate(project)
    run = with_roles(run_of(project, results, **changes), project)
    found = read(
        run,
        numbers(results, candidate, roof),
        faults=faults or {},
        parts=parts or {},
        foreign_kernels=foreign_kernels(run, project, calls or []),
    )
    return judge(found, project, [], today=TODAY, targets=targets).judgement


def reasons(found: Judgement) -> set[tuple[str, str]]:
    return {(verdict.status, verdict.reason) for verdict in found.verdicts}


def target(metric: str, **terms: Any) -> Target:
    """A target on a metric of this repository's catalogue."""
    return Target(metric=CATALOGUE.metrics[metric], **terms)


# --- projects with other yardsticks -----------------------------------------------------------------------------------


def with_one_candidate(project: Project) -> Project:
    """A project without the candidate that no run here has, whose verdicts would stand beside every other."""
    problem = project.problem("cumprod")
    kept = {name: variant for name, variant in problem.variants.items() if name != "adaptive_scan"}
    return replace(project, problems={**project.problems, "cumprod": replace(problem, variants=kept)})


def with_variant(project: Project, name: str, **changes: Any) -> Project:
    """A project whose problem says something else of a variant, which may be a new one: a copy of the roof's entry."""
    problem = project.problem("cumprod")
    entry = problem.variants.get(name, replace(problem.variants["copy_roof"], name=name))
    if "digest" in changes:
        changes["entry"] = replace(entry.entry, digest=changes.pop("digest"))
    variants = {**problem.variants, name: replace(entry, **changes)}
    return replace(project, problems={**project.problems, "cumprod": replace(problem, variants=variants)})


def with_stage(
    project: Project, *targets: Any, workloads: Collection[str] = ("square", "page"), **changes: Any
) -> Project:
    """A project whose problems are gated by these targets alone, on these workloads."""
    stage = replace(project.stage("memory_access"), targets=list(targets), **changes)
    return with_judged(replace(project, stages={"memory_access": stage}), dict.fromkeys(workloads, True))


def with_judged(project: Project, judged: Mapping[str, bool | list[str]]) -> Project:
    """A project whose problem says this of its workloads, and that all others are not judged."""
    problem = project.problem("cumprod")
    workloads = {name: replace(load, judged=judged.get(name, False)) for name, load in problem.workloads.items()}
    return replace(project, problems={**project.problems, "cumprod": replace(problem, workloads=workloads)})


def with_waiver(project: Project, metric: str, until: date, **changes: Any) -> Project:
    waiver = Waiver(variant="blocked_scan", stage="memory_access", metric=metric, until=until, reason="a known gap")
    problem = replace(project.problem("cumprod"), waivers=[replace(waiver, **changes)])
    return replace(project, problems={"cumprod": problem})


def accepted(median: float, spread: float = 0.0, unit: str = "") -> Accepted:
    return Accepted(low=median - spread / 2, median=median, high=median + spread / 2, unit=unit)


def with_baseline(
    project: Project, metrics: dict[str, Accepted], digests: dict[str, str] | None = None, **changes: Any
) -> Project:
    """A project in which these numbers are accepted of the candidate, on both of its workloads."""
    known = subject_of(project, "cumprod").digests
    metrics = {name: replace(found, unit=found.unit or CATALOGUE.metrics[name].unit) for name, found in metrics.items()}
    same = {key: known[key] for key in (REFERENCE_KEY, variant_key("copy_roof"))}
    cases = {
        f"blocked_scan/default/{workload}": BaselineCase(
            runs=10,
            accepted=TODAY,
            commit=None,
            digests={**same, workload_key(workload): known[workload_key(workload)], **(digests or {})},
            metrics=metrics,
        )
        for workload in ("square", "page")
    }
    baseline = Baseline(format=1, problem="cumprod", gpu=GPU, clock_control="none", cache_control="all", cases=cases)
    return replace(project, baselines={"cumprod": [replace(baseline, **changes)]})
