"""Recordings: runs kept in git, made on a machine with a GPU and replayed on machines without one."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from stallgate.errors import BrokenFile, NoRecording, NotMeasured, OtherFormat, StallgateError
from stallgate.model import RUN_FORMAT, Attempt, Case, CaseResult, FrozenStruct, Origin, Run, Settings, Subject
from stallgate.project.load import Project
from stallgate.project.paths import inside
from stallgate.runs.conditions import environment_of
from stallgate.runs.folder import RECORD_AGAIN, RECORDED, load, missing_reports, now, save
from stallgate.runs.packing import PackedRecording, pack

# --- record -----------------------------------------------------------------------------------------------------------


class Recorded(FrozenStruct, frozen=True):
    """A recording that was written."""

    path: Path
    left_out: list[Case]
    """The cases whose launches with every section did not fit."""


def record(project: Project, folder: Path, run: Run) -> list[Recorded]:
    """Keeps a live run as a recording, one per problem; each replaces the earlier recording of the same GPU.

    Raises:
        NotMeasured: the run is incomplete.
        BadArgument: a recording would be too large for git.
        BrokenFile: the recording's folder is outside ``reports/``, or is not a recording.
    """
    gaps = [result.case.name for result in run.cases if result.outcome != "profiled"]
    if not run.complete or gaps:
        raise NotMeasured(
            "an incomplete run cannot be recorded" + (f": {', '.join(gaps)}" if gaps else ""),
            "profile again until every case is measured",
        )
    places = {problem: _place(project, run, problem) for problem in run.subjects}
    packed = {problem: pack(folder, run, problem) for problem in places}  # all of them fit, or nothing is replaced
    for problem, place in places.items():
        _write(packed[problem], place)
    return [Recorded(path=places[problem], left_out=found.left_out) for problem, found in packed.items()]


def _place(project: Project, run: Run, problem: str) -> Path:
    """The folder of a problem's recording, which may be replaced."""
    place = inside(project.reports, RECORDED, _gpu_of(project, run, problem), problem)
    if place.is_symlink() or (place.exists() and not _is_only_a_recording(place)):
        raise BrokenFile(f"{place} is not a recording, or holds other files too", "move them away: it is replaced")
    return place


def _is_only_a_recording(place: Path) -> bool:
    """Whether a folder holds a run.json and ncu reports and nothing else, so that nothing is lost with it."""
    if not (place / "run.json").is_file():
        return False
    paths = [path.relative_to(place).as_posix() for path in place.rglob("*") if not path.is_dir()]
    return all(path == "run.json" or re.fullmatch(r"ncu/[^/]+\.ncu-repz?", path) for path in paths)


def _write(packed: PackedRecording, place: Path) -> None:
    """Writes the recording beside its final folder, and moves it there once it is complete."""
    made = place.with_name(f".{place.name}.{os.getpid()}")
    shutil.rmtree(made, ignore_errors=True)  # of a process that was killed
    try:
        (made / "ncu").mkdir(parents=True)
        for name, content in packed.reports.items():
            inside(made, name).write_bytes(content)
        save(made, packed.run, in_one_line=True)
        shutil.rmtree(place, ignore_errors=True)
        made.replace(place)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _gpu_of(project: Project, run: Run, problem: str) -> str:
    """The name of the recorded GPU's folder.

    Raises:
        NotMeasured: the run does not name its GPU.
    """
    environment = environment_of(run, problem)
    if environment is None:
        raise NotMeasured("the run does not say which GPU it was measured on", "profile again")
    return project.folder_of(environment.gpu)


# --- replay -----------------------------------------------------------------------------------------------------------


class Replayable(FrozenStruct, frozen=True):
    """The recordings that a plan can be replayed from."""

    recordings: dict[str, Path]
    """Problem -> its newest recording that has all of its cases."""
    missing: dict[str, NoRecording]
    """Problem -> why it cannot be replayed."""


def find_recordings(project: Project, cases: list[Case]) -> Replayable:
    """The recordings of the cases' problems.

    Raises:
        NoRecording: none of the problems can be replayed.
    """
    recordings: dict[str, Path] = {}
    missing: dict[str, NoRecording] = {}
    for problem in dict.fromkeys(case.problem for case in cases):
        try:
            recordings[problem] = _newest(project, problem, [case for case in cases if case.problem == problem])
        except NoRecording as error:
            missing[problem] = error
    if recordings:
        return Replayable(recordings=recordings, missing=missing)
    first = next(iter(missing.values()))
    if len(missing) == 1:
        raise NoRecording(f"there is no CUDA device, and {first.message}", first.hint)
    reasons = "; ".join(error.message for error in missing.values())
    raise NoRecording(f"there is no CUDA device, and nothing to replay: {reasons}", first.hint)


def _newest(project: Project, problem: str, cases: list[Case]) -> Path:
    """The newest recording of a problem that has all of its cases.

    Raises:
        NoRecording: there is none.
    """
    found, broken = _recordings(project, problem)
    if not found and broken:
        raise broken[0]
    if not found:
        raise NoRecording(
            f"there is no recording of {problem} to replay",
            "run on a machine with an NVIDIA GPU, or commit a recording made there with"
            f" `stallgate profile {problem} --record`",
        )
    complete = {path: run for path, run in found.items() if not _lacking(run, cases)}
    if not complete:
        run = next(iter(found.values()))
        raise NoRecording(
            f"no recording has {_lacking(run, cases)[0]}",
            f"recorded: {', '.join(sorted({result.case.workload for result in run.cases}))} of "
            f"{', '.join(sorted({result.case.variant for result in run.cases}))}",
        )
    return max(complete, key=lambda path: complete[path].created)


def _recordings(project: Project, problem: str) -> tuple[dict[Path, Run], list[NoRecording]]:
    """The recordings of a problem that can be replayed, and the faults of the others."""
    found: dict[Path, Run] = {}
    broken: list[NoRecording] = []
    restore = f"restore it with git, or {RECORD_AGAIN}"
    for path in sorted(project.reports.glob(f"{RECORDED}/*/{problem}/run.json")):
        try:
            run = load(path.parent)
        except OtherFormat as error:
            broken.append(NoRecording(error.message, error.hint))
            continue
        except StallgateError as error:
            broken.append(NoRecording(f"a recording is damaged: {error.message}", restore))
            continue
        missing = missing_reports(path.parent, run)
        if missing:
            broken.append(
                NoRecording(f"the recording {path.parent} is damaged: it lacks the ncu report {missing[0]}", restore)
            )
        else:
            found[path.parent] = run
    return found, broken


def _lacking(run: Run, cases: list[Case]) -> list[str]:
    recorded = {result.case for result in run.cases}
    return [case.name for case in cases if case not in recorded]


class _Source(NamedTuple):
    """A recording that is replayed."""

    problem: str
    path: Path
    run: Run
    names: dict[str, str]
    """Name of an attempt in the recording -> its name in the replay, where recordings may not share one."""


def replay(
    project: Project,
    found: Replayable,
    cases: list[Case],
    folder: Path,
    arguments: list[str],
    subjects: dict[str, Subject] | None = None,
) -> Run:
    """Makes a run from recordings. Its ncu reports are then read, judged and drawn like those of a live run.

    Args:
        project: the recordings'.
        found: a recording for each problem, or why there is none.
        cases: those that the run has.
        folder: the new run's.
        arguments: of the command line, as the run keeps them.
        subjects: the problems without a recording, as they are now.
    """
    sources = _sources(found)
    settings = _shared_settings(sources)
    recorded = {s.problem: s.run.subjects[s.problem] for s in sources if s.problem in s.run.subjects}
    run = Run(
        format=RUN_FORMAT,
        name=folder.name,
        kind="recorded",
        created=now(),
        stallgate=_each_once(source.run.stallgate for source in sources),
        reader=_each_once(source.run.reader for source in sources),
        commit=sources[0].run.commit if len({source.run.commit for source in sources}) == 1 else None,
        dirty=any(source.run.dirty for source in sources),
        arguments=arguments,
        settings=settings,
        subjects=recorded | (subjects or {}),
        cases=[*_recorded(sources, cases), *_unmeasured(project, cases, found)],
        attempts=[_copied(source, attempt, folder) for source in sources for attempt in source.run.attempts],
        complete=all(source.run.complete for source in sources),
        origins={source.problem: _origin(project, source, with_settings=settings is None) for source in sources},
    )
    save(folder, run)
    return run


def _sources(found: Replayable) -> list[_Source]:
    """The recordings with the names that their attempts get: numbers, counted through."""
    number = count(1)
    sources = []
    for problem, path in found.recordings.items():
        run = load(path)
        names = {attempt.name: str(next(number)) for attempt in run.attempts}
        sources.append(_Source(problem=problem, path=path, run=run, names=names))
    return sources


def _copied(source: _Source, attempt: Attempt, folder: Path) -> Attempt:
    """Copies the ncu report of an attempt into the replay under the attempt's new name."""
    assert attempt.report is not None
    name = source.names[attempt.name]
    report = f"ncu/{name}{Path(attempt.report).suffix}"
    shutil.copyfile(source.path / attempt.report, folder / report)
    details = [detail for detail in attempt.details if detail.case.problem == source.problem]
    return replace(attempt, name=name, report=report, details=details)


def _recorded(sources: list[_Source], cases: list[Case]) -> list[CaseResult]:
    """What became of the cases when they were recorded."""
    wanted = set(cases)
    return [
        replace(result, attempt=source.names.get(result.attempt or ""))
        for source in sources
        for result in source.run.cases
        if result.case in wanted and result.case.problem == source.problem
    ]


def _unmeasured(project: Project, cases: list[Case], found: Replayable) -> list[CaseResult]:
    """The cases of problems that cannot be replayed."""
    missing = [(case, found.missing[case.problem].message) for case in cases if case.problem in found.missing]
    roles = {case: project.problems[case.problem].variants[case.variant].role for case, _ in missing}
    return [CaseResult(case=case, role=roles[case], outcome="skipped", reason=reason) for case, reason in missing]


def _shared_settings(sources: list[_Source]) -> Settings | None:
    """How all recordings were measured; None where they differ."""
    first = sources[0].run.settings
    return first if all(source.run.settings == first for source in sources) else None


def _origin(project: Project, source: _Source, *, with_settings: bool) -> Origin:
    return Origin(
        path=source.path.relative_to(project.root).as_posix(),
        created=source.run.created,
        commit=source.run.commit,
        dirty=source.run.dirty,
        settings=source.run.settings if with_settings else None,
    )


def _each_once(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(word for word in words if word))
