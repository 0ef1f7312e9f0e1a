"""A run's folder: the places of its files, and how they are written whole or not at all."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from stallgate.errors import BadArgument, BrokenFile, NoRun, OtherFormat, UnknownName
from stallgate.formatting import as_text, is_text
from stallgate.model import LABEL_PART, RUN_FORMAT, Attempt, Origin, Run
from stallgate.project.decode import LARGEST_JSON, decode_json, read_bounded
from stallgate.project.paths import inside, slug

SWEEP_FILE = "sweep.json"
"""What makes a folder a sweep's."""

LATEST = "latest"
RECORDED = "recorded"

RECORD_AGAIN = "record again on a GPU with `stallgate profile --record`"


def now() -> str:
    """This moment, UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- made -------------------------------------------------------------------------------------------------------------


def create_folder(reports: Path, subject: str) -> Path:
    """A new run's folder, named by time and subject; ``latest`` points to it at once.

    Raises:
        BrokenFile: ``latest`` is not a link.
    """
    _refuse_other_latest(reports)
    folder = new_folder(reports, subject)
    (folder / "ncu").mkdir()
    _point_latest(folder)
    return folder


@contextmanager
def whole_run(reports: Path, subject: str) -> Iterator[Path]:
    """A new run's folder to be filled at once. ``latest`` points to it afterwards; after an error it is removed.

    Raises:
        BrokenFile: ``latest`` is not a link.
    """
    _refuse_other_latest(reports)
    folder = new_folder(reports, subject)
    try:
        (folder / "ncu").mkdir()
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _point_latest(folder)


def new_folder(reports: Path, subject: str) -> Path:
    """A new folder under ``reports/``, named by time and subject."""
    reports.mkdir(parents=True, exist_ok=True)
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{slug(subject)}"
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 1000))
    for name in names:
        try:
            (reports / name).mkdir()
        except FileExistsError:
            continue
        break
    return reports / name


def _refuse_other_latest(reports: Path) -> None:
    latest = reports / LATEST
    if latest.exists() and not latest.is_symlink():
        raise BrokenFile(
            f"{latest} is not a link to a run", "move it away: stallgate makes it a link to the newest run"
        )


def _point_latest(folder: Path) -> None:
    link = folder.parent / _part_name(LATEST)
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(folder.parent / LATEST)


# --- written ----------------------------------------------------------------------------------------------------------


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that a reader finds the old content or the new, never a part."""
    part = path.with_name(_part_name(path.name))
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as file:  # never through a link
            file.write(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _part_name(name: str) -> str:
    """The name of a file while it is written, by this process."""
    return f".{name}.{os.getpid()}.part"


_PART = re.compile(r"\..+\.[0-9]+\.part")


def remove_parts(folder: Path) -> None:
    """Removes what killed processes left half-written in a run's folder. Everybody else's files stay."""
    for place in (folder, folder / "ncu", folder / "ncu_metrics"):
        for path in place.glob(".*.part"):
            if _PART.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                path.unlink()


def save(folder: Path, run: Run, *, in_one_line: bool = False) -> None:
    """Writes ``run.json``: in one line it is a fifth smaller."""
    write_whole(folder / "run.json", one_line(run) if in_one_line else pretty(run))


def one_line(value: object) -> bytes:
    """A value as JSON with a newline at the end and nothing else for a reader's sake."""
    return msgspec.json.encode(value) + b"\n"


def pretty(value: object) -> bytes:
    """A value as JSON with a newline at the end, indented by one space per level because runs nest deeply."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


# --- read -------------------------------------------------------------------------------------------------------------


def load(folder: Path) -> Run:
    """The run of a folder.

    Raises:
        NoRun: there is no ``run.json``.
        OtherFormat: an older or a newer stallgate wrote it.
        BrokenFile: it is not a run that stallgate wrote.
    """
    path = folder / "run.json"
    if not path.is_file() and (folder / SWEEP_FILE).is_file():
        raise NoRun(
            f"{folder} is a sweep without counters", f"`stallgate sweep --show {shlex.quote(str(folder))}` shows it"
        )
    if not path.is_file():
        raise NoRun(f"{folder} has no run.json", "name a run's folder, or make a run with `stallgate profile`")
    again = RECORD_AGAIN if RECORDED in folder.parts else "profile again"
    run = read_versioned(path, Run, RUN_FORMAT, again=again, older={2: _from_format_2})
    _check_names(path, run)
    _check_kind(path, run)
    _check_once(path, run)
    return run


_Versioned = TypeVar("_Versioned")


_Upgrade = Callable[[bytes], _Versioned]


def read_versioned(
    path: Path,
    kind: type[_Versioned],
    known: int,
    *,
    again: str,
    older: Mapping[int, _Upgrade[_Versioned]] = MappingProxyType({}),
) -> _Versioned:
    """The content of a JSON file that stallgate wrote.

    Args:
        path: the file.
        kind: the struct to decode it as.
        known: the format that this stallgate writes.
        again: how to make such a file again, for the hint.
        older: older formats that are still read -> how to decode them.

    Raises:
        OtherFormat: an older or a newer stallgate wrote it.
        BrokenFile: it is not what stallgate writes, or too large.
    """
    try:
        content = read_bounded(path, LARGEST_JSON)
        found = decode_json(content, _Head).format
        if found in older:
            return older[found](content)
        if found != known:
            writer = "an older" if found < known else "a newer"
            raise OtherFormat(
                f"{path} was written by {writer} stallgate (format {found}; this one reads format {known})",
                f"{again}, or use the stallgate that wrote it",
            )
        return decode_json(content, kind)
    except OSError as error:
        raise BrokenFile(f"{path}: cannot be read: {error.strerror}", f"restore the file, or {again}") from None
    except ValueError as error:
        raise BrokenFile(f"{path}: {error}", f"restore the file, or {again}") from None


class _Head(msgspec.Struct):
    format: int


class _Format2(Run, frozen=True, kw_only=True):
    """A run with the keys of format 2, which knew one recording a run."""

    origin: Origin | None = None


def _from_format_2(content: bytes) -> Run:
    """A run of format 2: its recording is that of each of its problems.

    Raises:
        ValueError: it is not what stallgate wrote.
    """
    found = decode_json(content, _Format2)
    if found.origins:
        raise ValueError("origins: format 2 does not have it")
    fields = {name: getattr(found, name) for name in Run.__struct_fields__}
    origins = dict.fromkeys(found.subjects, found.origin) if found.origin is not None else {}
    return Run(**{**fields, "format": RUN_FORMAT, "origins": origins})


_RESTORE = "restore the file, or profile again"

_REPORT = r"ncu/[A-Za-z0-9_.-]{1,240}\.ncu-repz?"


def _check_names(path: Path, run: Run) -> None:
    """Refuses a run's names that would lead out of its folder: they become parts of paths.

    Raises:
        BrokenFile: a part of a case's name is not valid, or a report is not a file of ``ncu/``.
    """
    cases = [result.case for result in run.cases]
    parts = [part for case in cases for part in (case.problem, case.variant, case.configuration, case.workload)]
    for part in [*parts, *run.subjects, *run.origins]:
        if not re.fullmatch(LABEL_PART, part) or not part.strip("."):
            raise BrokenFile(f"{path}: cases: '{part}' is not a valid part of a case's name", _RESTORE)
    for attempt in run.attempts:
        if attempt.report is not None and not re.fullmatch(_REPORT, attempt.report):
            raise BrokenFile(f"{path}: attempts: '{attempt.report}' is not an ncu report of the run's folder", _RESTORE)


def _check_kind(path: Path, run: Run) -> None:
    """Refuses an imported run that says what only a measured run knows, or the reverse: the kind decides on checks.

    Raises:
        BrokenFile: the run is of two kinds, or of several GPUs although it was measured at once.
    """
    is_imported = run.kind == "imported"
    measured_here = run.subjects or run.options is not None or (run.settings is not None and run.program is None)
    kinds = {attempt.kind in ("import", "times") for attempt in run.attempts}
    if (is_imported and measured_here) or kinds - {is_imported}:
        raise BrokenFile(f"{path}: kind: the run is not {run.kind}, by its other parts", _RESTORE)
    if run.program is not None and not is_imported:
        raise BrokenFile(f"{path}: program: the run is not a capture, by its kind", _RESTORE)
    if run.origins and run.kind != "recorded":
        raise BrokenFile(f"{path}: origins: the run is not a replay, by its kind", _RESTORE)
    if run.settings is not None and any(origin.settings is not None for origin in run.origins.values()):
        raise BrokenFile(f"{path}: settings: both the run and an origin have some", _RESTORE)
    if not is_imported:
        _check_gpus(path, run)
    if run.options is not None and (run.settings is None or run.settings.samples != run.options.samples):
        raise BrokenFile(f"{path}: settings.samples and options.samples differ", _RESTORE)


def _check_gpus(path: Path, run: Run) -> None:
    """Refuses numbers of one measurement that are from several GPUs: a run's, or those of each recording of a replay.

    Raises:
        BrokenFile: a run, or a problem of a replay, is of several.
    """
    measured_at_once = [attempts_of(run, name) for name in run.origins] if len(run.origins) > 1 else [run.attempts]
    for attempts in measured_at_once:
        gpus = {attempt.environment.gpu for attempt in attempts if attempt.environment is not None}
        if len(gpus) > 1:
            raise BrokenFile(f"{path}: attempts: they are from different GPUs: {', '.join(sorted(gpus))}", _RESTORE)


def attempts_of(run: Run, problem: str) -> list[Attempt]:
    """The attempts that measured a case of a problem, or profiled it with every section."""
    names = {result.attempt for result in run.cases if result.case.problem == problem}
    return [
        attempt
        for attempt in run.attempts
        if attempt.name in names or any(detail.case.problem == problem for detail in attempt.details)
    ]


def _check_once(path: Path, run: Run) -> None:
    """Refuses a part that is there twice: it would count twice.

    Raises:
        BrokenFile: two cases, attempts or reports are the same.
    """
    parts: dict[str, list[object]] = {
        "case": [result.case for result in run.cases],
        "attempt": [attempt.name for attempt in run.attempts],
        "ncu report": [attempt.report for attempt in run.attempts if attempt.report is not None],
    }
    for noun, found in parts.items():
        if len(set(found)) < len(found):
            raise BrokenFile(f"{path}: it has the same {noun} twice", _RESTORE)


def find(reports: Path, name: str | None) -> Path:
    """The folder of a run: a path, a name under ``reports/``, or the latest.

    Raises:
        NoRun: there is no run yet.
        UnknownName: no run has the name.
        BadArgument: the folder's name is not UTF-8.
        BrokenFile: ``latest`` leads out of ``reports/``.
    """
    if name is None:
        latest = reports / LATEST
        if not latest.is_dir():
            raise NoRun("there is no run yet", "make one with `stallgate profile` (or `make profile`)")
        return inside(reports, LATEST).resolve()
    for folder in (Path(name), reports / name):
        if folder.is_dir():
            return _named_in_text(folder.resolve())
    raise UnknownName("run", as_text(name), [as_text(path.parent.name) for path in reports.glob("*/run.json")])


def as_argument(reports: Path, folder: Path) -> str:
    """A run's folder as commands take it: what it is called under ``reports/``, a path elsewhere and of an odd name.

    What ``run.json`` calls it may be another: a recording has its own folder, and people copy and rename runs.
    """
    found, within = folder.resolve(), reports.resolve()
    name = found.relative_to(within).as_posix() if found.is_relative_to(within) else ""
    return str(found) if not name or name.startswith("-") else name  # that would be read as an option


def run_folder(reports: Path, name: str) -> Path | None:
    """The folder under ``reports/`` that has exactly this name, if it is a run's; links and recordings are none."""
    folder = reports / name
    is_there = name != RECORDED and folder in reports.iterdir() and not folder.is_symlink()
    return folder if is_there and (folder / "run.json").is_file() else None


def _named_in_text(folder: Path) -> Path:
    if not is_text(folder):
        raise BadArgument(f"the name of {as_text(folder)} is not UTF-8", "rename the folder")
    return folder


def find_holding(file: str, reports: Path, name: str | None, noun: str, hint: str) -> Path:
    """The folder of a file such as ``bench.json``: a path, a name under ``reports/``, or the newest.

    Raises:
        NoRun: there is none yet; `hint` says how to make one.
        UnknownName: none has the name.
    """
    known = sorted(path.parent for path in reports.glob(f"*/{file}"))
    if name is not None:
        for folder in (Path(name), reports / name):
            if folder.is_dir():
                return folder
        raise UnknownName(noun, name, [folder.name for folder in known])
    if not known:
        raise NoRun(f"there is no {noun} yet", hint)
    return known[-1]


def missing_reports(folder: Path, run: Run) -> list[str]:
    """The ncu reports that a run names and does not have; an attempt without a report counts by its name."""
    return [a.report or a.name for a in run.attempts if a.report is None or not (folder / a.report).is_file()]


# --- recordings are read-only -----------------------------------------------------------------------------------------


def is_recording(reports: Path, folder: Path) -> bool:
    """Whether a run's folder is a committed recording: it is read, judged and replayed, and never written to."""
    return folder.resolve().is_relative_to((reports / RECORDED).resolve())


def refuse_recording(reports: Path, folder: Path) -> None:
    """Refuses to draw into a recording.

    Raises:
        BadArgument: the folder is one.
    """
    if is_recording(reports, folder):
        raise BadArgument(
            f"{folder} is a recording; recordings are read-only",
            "on a machine without a GPU, `stallgate profile --report` replays it into a new run and draws that",
        )
