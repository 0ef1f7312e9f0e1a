"""A run's folder: where its files stand, and ``run.json`` written whole or not at all."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from stallgate.errors import BadArgument, BrokenFile, NoRun, UnknownName
from stallgate.model import LABEL_PART, RUN_FORMAT, Run

LATEST = "latest"
RECORDED = "recorded"


def now() -> str:
    """This moment, UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def create_folder(reports: Path, subject: str) -> Path:
    """A new run's folder, named by time and subject; ``latest`` points to it from here on.

    Raises:
        BrokenFile: ``latest`` is something else than a link.
    """
    latest = reports / LATEST
    if latest.exists() and not latest.is_symlink():
        raise BrokenFile(f"{latest} is no link to a run", "move it away: stallgate points it to the newest run")
    folder = new_folder(reports, subject)
    (folder / "ncu").mkdir()
    _point_latest(folder)
    return folder


def new_folder(reports: Path, subject: str) -> Path:
    """A new folder under ``reports/``, named by time and subject."""
    reports.mkdir(parents=True, exist_ok=True)
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{subject}"
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 1000))
    for name in names:
        try:
            (reports / name).mkdir()
        except FileExistsError:
            continue
        break
    return reports / name


def _point_latest(folder: Path) -> None:
    link = folder.parent / f".{LATEST}-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(folder.parent / LATEST)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that a reader finds the old content or the new, never a part."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)


def save(folder: Path, run: Run, *, in_one_line: bool = False) -> None:
    """Writes ``run.json``: in one line it is a fifth smaller."""
    write_whole(folder / "run.json", msgspec.json.encode(run) + b"\n" if in_one_line else pretty(run))


def pretty(value: object) -> bytes:
    """A value as JSON, with a newline at its end, indented by one space a level: most lines of a run are deep."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def load(folder: Path) -> Run:
    """The run of a folder.

    Raises:
        NoRun: there is no ``run.json``.
        BrokenFile: it is not what stallgate writes, or of another format.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise NoRun(f"{folder} holds no run.json", "name a run's folder, or make a run with `stallgate profile`")
    run = read_versioned(path, Run, RUN_FORMAT, again="profile again")
    _check_names(path, run)
    return run


Versioned = TypeVar("Versioned")


def read_versioned(path: Path, kind: type[Versioned], known: int, *, again: str) -> Versioned:
    """What a JSON file of ours holds.

    Args:
        path: the file.
        kind: what it is decoded as.
        known: the format that this stallgate reads.
        again: how such a file is made anew, for the hint.

    Raises:
        BrokenFile: it is not what stallgate writes, or of another format.
    """
    try:
        content = path.read_bytes()
        found = msgspec.json.decode(content, type=_Head).format
        if found != known:
            raise BrokenFile(
                f"{path} has format {found}; this stallgate reads format {known}",
                f"use the stallgate that wrote it, or {again}",
            )
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenFile(f"{path}: {error}", f"restore the file, or {again}") from None


_RESTORE = "restore the file, or profile again"

_REPORT = r"ncu/[A-Za-z0-9_.-]{1,240}\.ncu-repz?"


def _check_names(path: Path, run: Run) -> None:
    """Refuses names of a run that lead out of its folder: files are read and written by them.

    Raises:
        BrokenFile: a case's part cannot stand in a label, or a report is no file of ``ncu/``.
    """
    for case in (result.case for result in run.cases):
        for part in (case.problem, case.variant, case.configuration, case.workload):
            if not re.fullmatch(LABEL_PART, part):
                raise BrokenFile(f"{path}: cases: '{part}' cannot stand in a case's name", _RESTORE)
    for attempt in run.attempts:
        if attempt.report is not None and not re.fullmatch(_REPORT, attempt.report):
            raise BrokenFile(f"{path}: attempts: '{attempt.report}' is no ncu report of the run's folder", _RESTORE)


class _Head(msgspec.Struct):
    format: int


def find(reports: Path, name: str | None) -> Path:
    """The folder of a run: a path, a name under ``reports/``, or the latest.

    Raises:
        NoRun: there is no run yet.
        UnknownName: no run has the name.
    """
    if name is None:
        latest = reports / LATEST
        if not latest.is_dir():
            raise NoRun("there is no run yet", "make one with `stallgate profile` (or `make profile`)")
        return latest.resolve()
    for folder in (Path(name), reports / name):
        if folder.is_dir():
            return folder.resolve()
    raise UnknownName("run", name, [path.parent.name for path in reports.glob("*/run.json")])


def missing_reports(folder: Path, run: Run) -> list[str]:
    """The ncu reports that a run names and does not have; an attempt without one counts by its name."""
    return [a.report or a.name for a in run.attempts if a.report is None or not (folder / a.report).is_file()]


def is_recording(reports: Path, folder: Path) -> bool:
    """Whether a run's folder is a committed recording: it is read, judged and replayed, and never written to."""
    return folder.resolve().is_relative_to(reports.resolve() / RECORDED)


def refuse_recording(reports: Path, folder: Path) -> None:
    """Refuses to draw into a recording.

    Raises:
        BadArgument: the folder is one.
    """
    if is_recording(reports, folder):
        raise BadArgument(
            f"{folder} is a recording, which nothing is written into",
            "where there is no GPU, `stallgate profile --report` replays it into a run of its own and draws that",
        )
