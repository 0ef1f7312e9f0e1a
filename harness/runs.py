"""A run's folder: where its files stand, and ``run.json`` written whole or not at all."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from harness.errors import BrokenFile, NoRun, UnknownName
from harness.model import RUN_FORMAT, Attempt, Run

LATEST = "latest"
RECORDED = "recorded"


def now() -> str:
    """This moment, UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def create_folder(reports: Path, subject: str) -> Path:
    """A new run's folder, named by time and subject; ``latest`` points to it from here on."""
    reports.mkdir(parents=True, exist_ok=True)
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{subject}"
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 1000))
    for name in names:
        try:
            (reports / name).mkdir()
        except FileExistsError:
            continue
        break
    folder = reports / name
    (folder / "ncu").mkdir()
    _point_latest(folder)
    return folder


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


def save(folder: Path, run: Run) -> None:
    """Writes ``run.json``."""
    write_whole(folder / "run.json", pretty(run))


def pretty(value: object) -> bytes:
    """A value as indented JSON, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def load(folder: Path) -> Run:
    """The run of a folder.

    Raises:
        NoRun: there is no ``run.json``.
        BrokenFile: it is not what stallgate writes, or of another format.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise NoRun(f"{folder} holds no run.json", "name a run's folder, or make a run with `stallgate profile`")
    try:
        head = msgspec.json.decode(path.read_bytes(), type=_Head)
        if head.format != RUN_FORMAT:
            raise BrokenFile(
                f"{path} has format {head.format}; this stallgate reads format {RUN_FORMAT}",
                "use the stallgate that wrote it, or profile again",
            )
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenFile(f"{path}: {error}", "restore the file, or profile again") from None


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


def report_path(folder: Path, attempt: Attempt) -> Path | None:
    """The ncu report of an attempt; None where it left none."""
    return folder / attempt.report if attempt.report else None
