"""A variant on every GPU model that it was measured on: the newest measurement of each, side by side.

Numbers of different GPUs are never divided by each other. What is chosen is known from the store; only the ``run.json``
of what was chosen is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from stallgate.compare.history import StoredRun, targeted_metrics
from stallgate.errors import StallgateError
from stallgate.extract.table import Summary
from stallgate.formatting import listed, spaced
from stallgate.judge.evaluate import evaluate
from stallgate.model import Case, CaseResult, Environment, FrozenStruct, Outcome, Role, Run
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.digests import workload_digest
from stallgate.project.load import Project
from stallgate.project.staleness import changes, dependencies_of, stale_because
from stallgate.runs.conditions import joined_environment
from stallgate.runs.folder import RECORDED, as_argument, load
from stallgate.runs.outlines import CaseOutline, MeasurementTime, outlined_folder

_NOT_TRIED: tuple[Outcome, ...] = ("planned", "skipped")
"""Outcomes that say nothing about a variant: an older measurement counts."""

Controls = tuple[str | None, str | None]
"""Clock control and cache control."""


class OnModel(FrozenStruct, frozen=True):
    """The newest measurement of a case on one GPU model."""

    gpu: str
    run: str
    """The run's folder under ``reports/``, as commands take it."""
    kind: Literal["live", "recorded"]
    """recorded: a recording, or a run that replays one."""
    time: MeasurementTime
    outcome: Outcome
    environment: Environment | None
    """Of a fleet with all its versions where they differ; None where it is not known."""
    digests: dict[str, str]
    """What the numbers depend on, such as the variant's file -> its SHA-256."""
    stale: list[str]
    """What of it is not what the tree holds now."""
    summaries: dict[str, Summary]
    """Metric -> its samples; empty unless the case was profiled."""

    @property
    def gap(self) -> str:
        """Why there are no numbers; '' where there are."""
        if self.outcome != "profiled":
            return spaced(self.outcome)
        return "" if self.summaries else "no value"

    @property
    def standing(self) -> str:
        """live or recorded, and whether it is of the code that the tree holds."""
        return f"{self.kind}, stale" if self.stale else self.kind


class OverModels(FrozenStruct, frozen=True):
    """One case on every GPU model."""

    case: Case
    role: Role
    clock_control: str | None
    cache_control: str | None
    """Of every measurement here."""
    models: list[OnModel]
    """By the model's name."""
    left_out: list[str]
    """What was measured and is not here, with the reason, a sentence each."""

    @property
    def differences(self) -> list[str]:
        """In what the measurements differ beside the GPU, a sentence each."""
        versions = {name: [_version(each, name) for each in self.models] for name in _VERSIONS}
        keys = dict.fromkeys(key for each in self.models for key in each.digests)
        digests = {key: [each.digests.get(key, "none")[:7] for each in self.models] for key in keys}
        found = {what: values for what, values in {**versions, **digests}.items() if len(set(values)) > 1}
        return [f"{what} differs: {self._on_each(values)}" for what, values in found.items()]

    def _on_each(self, values: list[str]) -> str:
        gpus: dict[str, list[str]] = {}
        for value, each in zip(values, self.models, strict=True):
            gpus.setdefault(value, []).append(each.gpu)
        return "; ".join(f"{value} on {listed(names)}" for value, names in gpus.items())


_VERSIONS = ("driver", "ncu", "torch", "triton")


def _version(found: OnModel, name: str) -> str:
    return str(getattr(found.environment, name)) if found.environment is not None else "unknown"


def model_metrics(project: Project, problem: str) -> list[str]:
    """What a problem's charts show: the time, the fraction of the roof, what the problem's stages have targets for."""
    return list(dict.fromkeys(["duration", ROOF_FRACTION, *(m.name for m in targeted_metrics(project, problem))]))


def shown_metrics(project: Project, found: OverModels) -> list[str]:
    """Those of the problem's metrics that a measurement has; the time always."""
    known = {name for each in found.models for name in each.summaries}
    return [name for name in model_metrics(project, found.case.problem) if name == "duration" or name in known]


def cases_of(project: Project, problem: str, variant: str | None) -> list[Case]:
    """The cases of a variant, or of every candidate of a problem, on the tree's workloads.

    Raises:
        UnknownName: the project has no such problem or variant.
    """
    known = project.problem(problem)
    variants = [project.variant(problem, variant)] if variant is not None else known.variants.values()
    return [
        Case(problem=problem, variant=found.name, configuration=configuration, workload=workload)
        for found in variants
        if variant is not None or found.role == "candidate"
        for configuration in found.configurations
        for workload in known.workloads
    ]


def over_models(
    project: Project, runs: Iterable[StoredRun], cases: Iterable[Case], *, with_recordings: bool
) -> list[OverModels]:
    """Each of some cases on every GPU model that it was measured on; without those that nobody measured.

    Args:
        project: the cases, and what the tree holds.
        runs: with the summaries of their problems' metrics.
        cases: of the project.
        with_recordings: whether ncu reports of recordings are read that are newer than every run that replays them;
            otherwise they are named.
    """
    wanted = list(cases)
    problems = dict.fromkeys(case.problem for case in wanted)
    known = _Known(project, with_recordings=with_recordings)
    for stored in runs:
        known.add(stored, set(wanted))
    for problem in problems:
        for path in sorted(project.reports.glob(f"{RECORDED}/*/{problem}/run.json")):
            known.add_recording(path.parent, set(wanted))
    return [found for case in wanted if (found := known.chart(case)) is not None]


class _Candidate(NamedTuple):
    """A measurement that may be the newest one of its GPU model."""

    folder: Path
    run: str
    """The run as commands take it."""
    case: CaseOutline
    kind: Literal["live", "recorded"]
    time: MeasurementTime
    summaries: dict[str, Summary] | None
    """None: they are in a recording's ncu reports."""

    @property
    def controls(self) -> Controls:
        found = self.case.circumstances
        return (found.conditions.clock_control, found.conditions.cache_control) if found is not None else (None, None)

    @property
    def gpu(self) -> str:
        return (self.case.circumstances and self.case.circumstances.conditions.gpu) or ""

    @property
    def age(self) -> tuple[MeasurementTime, bool, bool, str]:
        """Sorts by time; of one measurement first what has its numbers at hand, then the run that took them."""
        return self.time, bool(self.summaries), self.kind == "live", self.folder.name


class _Known:
    """Every measurement of some cases."""

    def __init__(self, project: Project, *, with_recordings: bool) -> None:
        self._project = project
        self._with_recordings = with_recordings
        self._found: dict[Case, list[_Candidate]] = {}
        self._runs: dict[Path, tuple[Run, dict[str, list[str]]] | None] = {}
        self._read: dict[Path, dict[tuple[Case, str], Summary]] = {}

    def add(self, stored: StoredRun, wanted: set[Case]) -> None:
        """Adds the cases of a run. Imported runs have none: their code and conditions are not known."""
        if stored.outline is None or stored.outline.kind == "imported":
            return
        run = as_argument(self._project.reports, stored.folder)
        kind: Literal["live", "recorded"] = "recorded" if stored.outline.replays else "live"
        for found in stored.cases:
            if found.case in wanted and self._counts(found):
                time = stored.outline.measured.get(found.case.problem, stored.outline.time)
                summaries = {name: of[found.case] for name, of in stored.summaries.items() if found.case in of}
                candidate = _Candidate(stored.folder, run, found, kind, time, summaries)
                self._found.setdefault(found.case, []).append(candidate)

    def add_recording(self, folder: Path, wanted: set[Case]) -> None:
        """Adds the cases of a recording that can be read."""
        listed_run, cases = outlined_folder(folder)
        if listed_run.outline is None:
            return
        run = as_argument(self._project.reports, folder)
        for found in cases:
            if found.case in wanted and self._counts(found):
                candidate = _Candidate(folder, run, found, "recorded", listed_run.outline.time, None)
                self._found.setdefault(found.case, []).append(candidate)

    def _counts(self, found: CaseOutline) -> bool:
        known = found.circumstances is not None and bool(found.circumstances.conditions.gpu)
        return known and found.role != "unknown" and found.outcome not in _NOT_TRIED

    def chart(self, case: Case) -> OverModels | None:
        """A case on every GPU model; None where nobody measured it."""
        found = self._found.get(case, [])
        digest = workload_digest(self._project.problems[case.problem].workloads[case.workload])
        mine = [each for each in found if each.case.circumstances and each.case.circumstances.workload_digest == digest]
        at_hand = [each for each in mine if self._with_recordings or each.summaries is not None]
        if not at_hand:
            return None
        controls = _shared_controls(at_hand)
        newest = _newest([each for each in at_hand if each.controls == controls])
        models = [self._measured(each) for each in newest.values()]
        others = [
            *_of_other_workloads(found, mine, case.workload),
            *_under_other_controls(at_hand, newest),
            *([] if self._with_recordings else _unread(mine, newest)),
        ]
        last = max(newest.values(), key=lambda each: each.age)
        return OverModels(
            case=case,
            role=last.case.role,
            clock_control=controls[0],
            cache_control=controls[1],
            models=sorted(models, key=lambda each: each.gpu),
            left_out=others,
        )

    def _measured(self, found: _Candidate) -> OnModel:
        opened = self._opened(found.folder)
        run, changed = opened if opened is not None else (None, {})
        result = _result_of(run, found.case.case)
        problem = found.case.case.problem
        usable = self._summaries(found) if found.case.outcome == "profiled" else {}
        return OnModel(
            gpu=found.gpu,
            run=found.run,
            kind=found.kind,
            time=found.time,
            outcome=found.case.outcome,
            environment=joined_environment(run, problem) if run is not None else None,
            digests=_digests_of(run, result) if run is not None and result is not None else {},
            stale=stale_because(result, changed) if result is not None else [],
            summaries=usable,
        )

    def _summaries(self, found: _Candidate) -> dict[str, Summary]:
        if found.summaries is not None:
            return found.summaries
        if found.folder not in self._read:
            try:
                self._read[found.folder] = evaluate(self._project, found.folder, [], only_judge=True).summaries
            except StallgateError:
                self._read[found.folder] = {}
        wanted = model_metrics(self._project, found.case.case.problem)
        return {
            name: of
            for (case, name), of in self._read[found.folder].items()
            if case == found.case.case and name in wanted
        }

    def _opened(self, folder: Path) -> tuple[Run, dict[str, list[str]]] | None:
        """A run, and what of it is not what the tree holds; None where it has gone since it was listed."""
        if folder not in self._runs:
            try:
                run = load(folder)
                self._runs[folder] = run, changes(run, self._project)
            except (StallgateError, OSError):
                self._runs[folder] = None
        return self._runs[folder]


def _newest(found: Iterable[_Candidate]) -> dict[str, _Candidate]:
    """GPU model -> its newest measurement."""
    return {each.gpu: each for each in sorted(found, key=lambda each: each.age)}


def _shared_controls(found: list[_Candidate]) -> Controls:
    """The clock and cache control under which most models were measured; of several those of the newest."""
    models: dict[Controls, set[str]] = {}
    for each in sorted(found, key=lambda each: each.age, reverse=True):
        models.setdefault(each.controls, set()).add(each.gpu)
    return max(models, key=lambda controls: len(models[controls]))


def _of_other_workloads(found: list[_Candidate], mine: list[_Candidate], workload: str) -> Iterator[str]:
    """The models that only another workload of the same name was measured on."""
    for gpu, each in _newest(found).items():
        if gpu not in {one.gpu for one in mine}:
            yield f"{gpu}: {each.run} measured another {workload} than the tree's"


def _under_other_controls(found: list[_Candidate], chosen: dict[str, _Candidate]) -> Iterator[str]:
    """The models that were only measured under another clock or cache control."""
    for gpu, each in _newest(found).items():
        if gpu not in chosen:
            clock, cache = each.controls
            yield f"{gpu}: {each.run} measured under clock control {clock} and cache control {cache}"


def _unread(mine: list[_Candidate], chosen: dict[str, _Candidate]) -> Iterator[str]:
    """The recordings that are newer than what was chosen, and are not replayed by any run."""
    for gpu, each in _newest(each for each in mine if each.summaries is None).items():
        if gpu not in chosen or chosen[gpu].time < each.time:
            case = each.case.case
            command = f"stallgate show models {case.problem}/{case.variant}"
            yield f"{gpu}: no run here replays the recording of {each.time.created[:10]}; `{command}` reads it"


def _result_of(run: Run | None, case: Case) -> CaseResult | None:
    return next((each for each in run.cases if each.case == case), None) if run is not None else None


def _digests_of(run: Run, result: CaseResult) -> dict[str, str]:
    """What the numbers of a case depend on, with digests."""
    subject = run.subjects.get(result.case.problem)
    own = subject.digests if subject is not None else {}
    return {key: own[key] for key in dependencies_of(result.case) if key in own} | result.modules
