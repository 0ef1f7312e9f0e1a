"""A run of ncu reports that were made elsewhere."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

from msgspec.structs import replace

from stallgate import __version__
from stallgate.errors import BadArgument, BrokenFile, DamagedReport
from stallgate.extract.evidence import CUT_SHORT, calls_of, details_of
from stallgate.extract.foreign import IMPORTED, slug
from stallgate.extract.launches import CAPABILITY, DEVICE_INDEX, Report, device_of, fact, read_report
from stallgate.model import RUN_FORMAT, Attempt, CaseResult, Environment, Launch, Run
from stallgate.project.digests import file_digest
from stallgate.runs.folder import create_folder, now, save

SUFFIXES = (".ncu-rep", ".ncu-repz")

UNKNOWN = "unknown"


def import_reports(paths: list[Path], reports: Path, arguments: list[str]) -> Path:
    """Copies ncu reports into the folder of a new run and names what they hold; returns that folder.

    Raises:
        BadArgument: there is no such file.
        BrokenFile: a file is no ncu report by its name.
        DamagedReport: a report holds no launch, or cannot be read.
    """
    for path in paths:
        if path.suffix not in SUFFIXES:
            raise BrokenFile(f"{path} is no ncu report", f"its name has to end in {' or '.join(SUFFIXES)}")
        if not path.exists():
            raise BadArgument(f"{path} is not there", "give the path of an ncu report")
    paths = [path.resolve() for path in paths]  # reports/latest is about to be another folder
    read = [(path, read_report(path, [], details=True)) for path in paths]
    for path, report in read:
        if any(launch.kernel is None for launch in report.launches):
            raise DamagedReport(f"{path.name}: {CUT_SHORT}", "make the report again, or copy it again")
    folder = create_folder(reports, IMPORTED)
    run = _empty(folder, arguments)
    for path, report in read:
        run = _add(run, path, report, folder)
    save(folder, run)
    return folder


def _empty(folder: Path, arguments: list[str]) -> Run:
    return Run(
        format=RUN_FORMAT,
        name=folder.name,
        kind="imported",
        created=now(),
        stallgate=__version__,
        reader="",
        commit=None,
        dirty=False,
        arguments=arguments,
        settings=None,
        subjects={},
        cases=[],
        complete=True,
    )


def _add(run: Run, path: Path, report: Report, folder: Path) -> Run:
    """The run with one more report, its cases and the GPU that it was made on."""
    name = _unused(slug(path.stem), [attempt.name for attempt in run.attempts])
    kept = folder / "ncu" / f"{name}{path.suffix}"
    shutil.copyfile(path, kept)
    attempt = Attempt(
        name=name,
        kind="import",
        command=[],
        started=now(),
        report=f"ncu/{kept.name}",
        sha256=file_digest(kept),
        environment=_environment(report.launches[0]),
    )
    calls = calls_of(attempt, report.launches)
    attempt = replace(attempt, details=details_of(calls))
    cases = dict.fromkeys(call.case for call in calls)
    results = [CaseResult(case=case, role="unknown", outcome="profiled", attempt=name) for case in cases]
    return replace(run, reader=report.reader, attempts=[*run.attempts, attempt], cases=[*run.cases, *results])


def _unused(name: str, used: list[str]) -> str:
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(candidate for candidate in names if candidate not in used)


def _environment(launch: Launch) -> Environment:
    """What an ncu report says of its machine; the rest it does not know."""
    return Environment(
        gpu=device_of(launch),
        device=int(fact(launch, DEVICE_INDEX) or 0),
        compute_capability=".".join(fact(launch, name) or "?" for name in CAPABILITY),
        chip=None,
        driver=UNKNOWN,
        ncu=UNKNOWN,
        python=UNKNOWN,
        torch=UNKNOWN,
        triton=UNKNOWN,
        cuda=UNKNOWN,
    )
