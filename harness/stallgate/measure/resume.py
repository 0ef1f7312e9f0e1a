"""What an interrupted run still lacks, and the run as it stands without what cannot be relied on."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from stallgate import __version__
from stallgate.errors import BadArgument
from stallgate.extract.evidence import gather
from stallgate.measure import ncu
from stallgate.measure.attempt import Machine
from stallgate.measure.profile import role_of, subject_of
from stallgate.model import DETAIL, Attempt, Case, CaseResult, MeasureOptions, Run
from stallgate.project.commit import commit_of
from stallgate.project.load import Project
from stallgate.project.staleness import changes, stale_because
from stallgate.runs.folder import as_argument, remove_parts

ENDED = ("profiled", "wrong_result", "crashed", "timed_out", "skipped")
"""Outcomes that measuring the same code again would only repeat."""


def resumable(project: Project, folder: Path, run: Run, machine: Machine, *, same_host: bool = True) -> Run:
    """A run that was begun, with the cases to be measured again planned anew.

    Measured again is what has no outcome, what changed since, and what no intact ncu report shows.

    Args:
        project: the code as it is now.
        folder: the run's.
        run: as it stands.
        machine: the GPU to go on with.
        same_host: whether driver and ncu have to be those that it was begun with. In a fleet they may differ.

    Raises:
        BadArgument: the run cannot be gone on with: it was not measured live, under other conditions, or of cases
            that the project does not have any more.
    """
    _refuse_other(project, replace(run, name=as_argument(project.reports, folder)), machine, same_host=same_host)
    evidence = gather(folder, run, project.catalogue)
    changed = changes(run, project)
    results = [_kept_or_planned(project, result, evidence.faults, changed) for result in run.cases]
    again = {result.case for result in results if result.outcome == "planned"}
    commit, dirty = commit_of(project.root)
    remove_parts(folder)
    return replace(
        run,
        stallgate=__version__,
        commit=commit,
        dirty=dirty,
        subjects={name: subject_of(project, name) for name in run.subjects},
        cases=results,
        attempts=_without_details_of(run, again, {call.case for call in evidence.calls if call.sample == DETAIL}),
        complete=False,
    )


def _kept_or_planned(
    project: Project, result: CaseResult, faults: dict[str, str], changed: dict[str, list[str]]
) -> CaseResult:
    kept = result.outcome in ENDED and result.case.name not in faults and not stale_because(result, changed)
    role = role_of(project, result.case)
    return replace(result, role=role) if kept else CaseResult(case=result.case, role=role)


def _without_details_of(run: Run, again: set[Case], detailed: set[Case]) -> list[Attempt]:
    """The attempts, without the detail launches where one of them is of a case that is measured again."""
    return [attempt for attempt in run.attempts if attempt.kind != "detail" or not again & detailed]


def with_options(run: Run, options: MeasureOptions) -> Run:
    """A run that goes on by other options; cases that ran out of time are planned again if they have more now."""
    assert run.options is not None
    cases = run.cases
    if options.timeout_s > run.options.timeout_s:
        cases = [CaseResult(case=r.case, role=r.role) if r.outcome == "timed_out" else r for r in cases]
    settings = replace(run.settings, timeout_s=options.timeout_s) if run.settings is not None else None
    return replace(run, options=options, settings=settings, cases=cases)


def options_of(run: Run, name: str) -> MeasureOptions:
    """What was asked for when a run was begun.

    Args:
        run: as it stands.
        name: what commands call it.

    Raises:
        BadArgument: the run was not measured here.
    """
    if run.kind != "live" or run.options is None:
        raise BadArgument(f"{name} was not measured here: there is nothing to resume", "start a new run")
    return run.options


def _refuse_other(project: Project, run: Run, machine: Machine, *, same_host: bool) -> None:
    """Refuses to put numbers side by side in one run that were not measured alike."""
    if run.kind != "live" or run.settings is None:
        raise BadArgument(f"{run.name} was not measured here: there is nothing to resume", "start a new run")
    project.check_problems(run.subjects)
    gone = [name for name in run.subjects if name not in project.problems]
    gone += [result.case.name for result in run.cases if not _has(project, result.case)]
    if gone:
        raise BadArgument(f"{gone[0]} no longer exists in the project", "start a new run")
    begun = [attempt.environment for attempt in run.attempts if attempt.environment is not None]
    device = machine.device
    versions = (device.driver, machine.ncu_version) if same_host else ()
    now = (device.name, *versions, ncu.CLOCK_CONTROL, ncu.CACHE_CONTROL)
    for environment in begun:
        versions = (environment.driver, environment.ncu) if same_host else ()
        then = (environment.gpu, *versions, run.settings.clock_control, run.settings.cache_control)
        if then != now:
            raise BadArgument(
                f"{run.name} was started under different conditions: {_differences(then, now)}", "start a new run"
            )


def _differences(then: tuple[str, ...], now: tuple[str, ...]) -> str:
    return ", ".join(f"{before} then, {after} now" for before, after in zip(then, now, strict=True) if before != after)


def _has(project: Project, case: Case) -> bool:
    problem = project.problems.get(case.problem)
    return (
        problem is not None
        and case.workload in problem.workloads
        and case.variant in problem.variants
        and case.configuration in problem.variants[case.variant].configurations
    )
