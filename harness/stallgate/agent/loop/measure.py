"""Measures a version of a loop: an ordinary run in the loop's folder, judged by the loop's stages."""

from __future__ import annotations

import shutil
from pathlib import Path

from stallgate.advise.facts import AT_THE_ROOF
from stallgate.agent.loop.loop import MeasuredVersion
from stallgate.agent.loop.plan import project_with
from stallgate.judge.evaluate import JudgedRun, evaluate, write_results
from stallgate.judge.reasons import GREEN
from stallgate.judge.roof import Roof
from stallgate.measure.attempt import Machine
from stallgate.measure.plan import Request, plan_cases
from stallgate.measure.profile import Profiler, Watcher, new_run
from stallgate.model import Case, MeasureOptions, Verdict
from stallgate.project.catalogue import DURATION, ROOF_FRACTION
from stallgate.project.load import Project
from stallgate.project.paths import slug
from stallgate.runs.conditions import gpus_of
from stallgate.runs.journal import Journal, LoopTarget, LoopTime, LoopVersion, VersionReading

_NS_PER_US = 1e3


class VersionMeasurer:
    """Measures versions of a loop on a GPU."""

    def __init__(
        self, project: Project, folder: Path, machine: Machine, options: MeasureOptions, workloads: list[str]
    ) -> None:
        """What it measures with.

        Args:
            project: the user's.
            folder: the loop's.
            machine: the GPU and ncu.
            options: how each run is measured.
            workloads: those that are measured; empty: those that the loop's stages judge.
        """
        self._project = project
        self._folder = folder
        self._machine = machine
        self._options = options
        self._workloads = workloads

    def measure(self, journal: Journal, version: LoopVersion, watcher: Watcher) -> MeasuredVersion:
        """The reading of a version, from a new run in ``runs/<version>``.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        project = project_with(self._project, self._folder, journal, version)
        cases = self._cases(project, journal)
        place = run_of_version(version)
        folder = self._folder / place
        shutil.rmtree(folder, ignore_errors=True)  # a run that was cut short
        (folder / "ncu").mkdir(parents=True)
        run = new_run(project, cases, self._options, self._machine, journal.arguments)
        Profiler(project, run, self._machine, watcher).measure(folder)
        judged = evaluate(project, folder, journal.stages)
        write_results(judged)
        return version_reading(project, judged, journal, place)

    def _cases(self, project: Project, journal: Journal) -> list[Case]:
        judged = [load for stage in journal.stages for load in project.judged_workloads(journal.problem, stage)]
        loads = self._workloads or list(dict.fromkeys(judged))
        return plan_cases(project, Request([f"{journal.problem}/{journal.variant}"], loads))


def run_of_version(version: LoopVersion) -> str:
    """Where the run of a version stands, relative to the loop's folder."""
    return f"runs/{slug(version.name)}"


def version_reading(project: Project, judged: JudgedRun, journal: Journal, place: str) -> MeasuredVersion:
    """What a judged run says of the variant.

    Args:
        project: the one in which the version stands for the variant.
        judged: the run.
        journal: the loop's.
        place: the run's folder, relative to the loop's.
    """
    mine = [r for r in judged.run.cases if (r.case.problem, r.case.variant) == (journal.problem, journal.variant)]
    faults = [f"on {r.case.workload} {r.reason or r.outcome}" for r in mine if r.outcome != "profiled"]
    if faults or not mine:
        return MeasuredVersion(None, "; ".join(faults) or "it was not measured")
    cases = {result.case.workload: result.case for result in mine}
    times = {load: time for load, case in cases.items() if (time := _time(judged, case)) is not None}
    if len(times) < len(cases):
        missing = next(load for load in cases if load not in times)
        return MeasuredVersion(None, f"on {missing} its time was not measured")
    verdicts = [v for v in judged.judgement.verdicts if (v.problem, v.variant) == (journal.problem, journal.variant)]
    return MeasuredVersion(
        VersionReading(
            run=place,
            gpu=next(iter(gpus_of(judged.run)), ""),
            times=times,
            roof_fractions=_fractions(judged, cases),
            targets=[_target(verdict) for verdict in verdicts],
            met=[stage for stage in journal.stages if _is_met(project, verdicts, stage)],
            at_roof=_is_at_roof(judged, cases),
        )
    )


def _time(judged: JudgedRun, case: Case) -> LoopTime | None:
    found = judged.summaries.get((case, DURATION))
    if found is None or found.median is None or found.low is None or found.high is None:
        return None
    return LoopTime(found.median / _NS_PER_US, found.low / _NS_PER_US, found.high / _NS_PER_US)


def _fractions(judged: JudgedRun, cases: dict[str, Case]) -> dict[str, float]:
    found = {load: judged.summaries.get((case, ROOF_FRACTION)) for load, case in cases.items()}
    return {load: each.median for load, each in found.items() if each is not None and each.median is not None}


def _is_at_roof(judged: JudgedRun, cases: dict[str, Case]) -> bool:
    """Whether it is as fast as the hardware's roof everywhere. A library is no limit: it may be beaten."""
    fractions = _fractions(judged, cases)
    for load, case in cases.items():
        roofs = judged.roofs.get((case.problem, load))
        roof = roofs.deciding if roofs is not None else None
        if not isinstance(roof, Roof) or roof.ceiling == "library" or fractions.get(load, 0.0) < AT_THE_ROOF:
            return False
    return bool(cases)


def _is_met(project: Project, verdicts: list[Verdict], stage: str) -> bool:
    names = {each.name for each in project.with_included([stage])}
    held = [verdict for verdict in verdicts if verdict.stage in names or verdict.stage is None]
    return any(verdict.stage == stage for verdict in held) and all(
        verdict.status in GREEN or verdict.warning for verdict in held
    )


def _target(verdict: Verdict) -> LoopTarget:
    return LoopTarget(
        stage=verdict.stage or "",
        metric=verdict.metric or verdict.reason,
        workload=verdict.workload,
        status=verdict.status,
        value=verdict.value,
        unit=verdict.unit or "",
        comparison=verdict.comparison,
        bound=verdict.bound,
        sentence=verdict.sentence,
    )
