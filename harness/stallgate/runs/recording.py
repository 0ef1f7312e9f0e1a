"""Recordings: runs kept in git, made on a machine with a GPU and replayed on machines without one."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import zstandard
from msgspec.structs import replace

from stallgate.errors import BrokenFile, NoRecording, NotMeasured, OtherFormat, StallgateError
from stallgate.model import Attempt, Case, Origin, Run
from stallgate.project.digests import file_digest
from stallgate.project.load import Project
from stallgate.project.paths import inside
from stallgate.runs.conditions import environment_of
from stallgate.runs.folder import RECORD_AGAIN, RECORDED, load, missing_reports, now, save

_SHORTEST_MATCHES = (3, 4)
"""For zstd. The one that makes a report smaller depends on how much machine code is in the report."""


# --- record -----------------------------------------------------------------------------------------------------------


def record(project: Project, folder: Path, run: Run) -> list[Path]:
    """Keeps a live run as a recording, one per problem; each replaces the earlier recording of the same GPU.

    Raises:
        NotMeasured: the run is incomplete.
        BrokenFile: the recording's folder is outside ``reports/``, or is not a recording.
    """
    gaps = [result.case.name for result in run.cases if result.outcome != "profiled"]
    if not run.complete or gaps:
        raise NotMeasured(
            "an incomplete run cannot be recorded" + (f": {', '.join(gaps)}" if gaps else ""),
            "profile again until every case is measured",
        )
    places = {problem: _place(project, run, problem) for problem in run.subjects}
    for problem, place in places.items():
        _record_problem(folder, run, problem, place)
    return list(places.values())


def _place(project: Project, run: Run, problem: str) -> Path:
    """The folder of a problem's recording, which may be replaced."""
    place = inside(project.reports, RECORDED, _gpu_of(project, run), problem)
    if place.is_symlink() or (place.exists() and not _is_only_a_recording(place)):
        raise BrokenFile(f"{place} is not a recording, or holds other files too", "move them away: it is replaced")
    return place


def _is_only_a_recording(place: Path) -> bool:
    """Whether a folder holds a run.json and ncu reports and nothing else, so that nothing is lost with it."""
    if not (place / "run.json").is_file():
        return False
    paths = [path.relative_to(place).as_posix() for path in place.rglob("*") if not path.is_dir()]
    return all(path == "run.json" or re.fullmatch(r"ncu/[^/]+\.ncu-repz?", path) for path in paths)


def _record_problem(folder: Path, run: Run, problem: str, place: Path) -> None:
    """Writes the recording beside its final folder, and moves it there once it is complete."""
    made = place.with_name(f".{place.name}.{os.getpid()}")
    shutil.rmtree(made, ignore_errors=True)  # of a process that was killed
    try:
        (made / "ncu").mkdir(parents=True)
        _write_recording(folder, made, run, problem)
        shutil.rmtree(place, ignore_errors=True)
        made.replace(place)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write_recording(folder: Path, made: Path, run: Run, problem: str) -> None:
    kept = replace(
        run,
        kind="recorded",
        arguments=_portable(run.arguments),
        options=None,
        cases=[result for result in run.cases if result.case.problem == problem],
        attempts=[_keep_report(folder, made, attempt) for attempt in run.attempts if attempt.report],
        subjects={problem: run.subjects[problem]},
    )
    save(made, kept, in_one_line=True)


def _keep_report(folder: Path, made: Path, attempt: Attempt) -> Attempt:
    """Copies an ncu report through zstd; the reader opens it as it is."""
    assert attempt.report is not None
    source = folder / attempt.report
    data = source.read_bytes()
    kept = inside(made, "ncu", f"{source.stem}.ncu-repz")
    kept.write_bytes(min((_compressed(data, length) for length in _SHORTEST_MATCHES), key=len))
    return replace(attempt, report=f"ncu/{kept.name}", sha256=file_digest(kept), command=_portable(attempt.command))


def _compressed(data: bytes, shortest_match: int) -> bytes:
    """Compresses at zstd's highest level, but takes matches of 256 bytes at once: ncu reports get smaller this way."""
    settings = zstandard.ZstdCompressionParameters.from_level(
        22, window_log=27, min_match=shortest_match, target_length=256, write_content_size=True
    )
    return zstandard.ZstdCompressor(compression_params=settings).compress(data)


def _portable(command: list[str]) -> list[str]:
    """A command line without the folders of the machine that it ran on."""
    return [Path(word).name if Path(word).is_absolute() else word for word in command]


def _gpu_of(project: Project, run: Run) -> str:
    """The name of the recorded GPU's folder.

    Raises:
        NotMeasured: the run does not name its GPU.
    """
    environment = environment_of(run)
    if environment is None:
        raise NotMeasured("the run does not say which GPU it was measured on", "profile again")
    return project.folder_of(environment.gpu)


# --- replay -----------------------------------------------------------------------------------------------------------


def find_recording(project: Project, cases: list[Case]) -> Path:
    """The newest recording that has all of the cases.

    Raises:
        NoRecording: there is none.
    """
    problems = list(dict.fromkeys(case.problem for case in cases))
    if len(problems) > 1:
        raise NoRecording("only one problem can be replayed at a time", f"name one of {', '.join(problems)}")
    found, broken = _recordings(project, problems[0])
    if not found and broken:
        raise broken[0]
    if not found:
        raise NoRecording(
            f"there is no CUDA device, and no recording of {problems[0]} to replay",
            "run on a machine with an NVIDIA GPU, or commit a recording made there with `stallgate profile --record`",
        )
    complete = {path: run for path, run in found.items() if not _lacking(run, cases)}
    if not complete:
        run = next(iter(found.values()))
        raise NoRecording(
            f"there is no CUDA device, and no recording has {_lacking(run, cases)[0]}",
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


def replay(project: Project, recording: Path, cases: list[Case], folder: Path, arguments: list[str]) -> Run:
    """Makes a run from a recording. Its ncu reports are then read, judged and drawn like those of a live run.

    Args:
        project: the recording's.
        recording: its folder.
        cases: those of its cases that the run has.
        folder: the new run's.
        arguments: of the command line, as the run keeps them.
    """
    source = load(recording)
    for attempt in source.attempts:
        assert attempt.report is not None
        shutil.copyfile(recording / attempt.report, folder / attempt.report)
    origin = Origin(
        path=recording.relative_to(project.root).as_posix(),
        created=source.created,
        commit=source.commit,
        dirty=source.dirty,
    )
    wanted = set(cases)
    run = replace(
        source,
        name=folder.name,
        kind="recorded",
        created=now(),
        arguments=arguments,
        cases=[result for result in source.cases if result.case in wanted],
        origin=origin,
    )
    save(folder, run)
    return run
