"""Makes a run from ncu reports made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import msgspec
from msgspec.structs import replace

from stallgate import __version__
from stallgate.errors import BadArgument, DamagedReport
from stallgate.extract.content import content_digest, report_name, store_report, stored_digest, stored_suffix
from stallgate.extract.evidence import CUT_SHORT, details_of, foreign_calls
from stallgate.extract.file_kind import check_is_report
from stallgate.extract.foreign import IMPORTED, ForeignCase, foreign_cases
from stallgate.extract.launches import CAPABILITY, DEVICE_INDEX, Report, chip_in, device_of, fact, read_report
from stallgate.formatting import as_text
from stallgate.model import RUN_FORMAT, Attempt, CaseResult, Environment, Launch, Run
from stallgate.project.digests import file_digest
from stallgate.project.paths import inside, slug
from stallgate.runs.folder import now, save, whole_run

_UNKNOWN = "unknown"


def import_reports(paths: list[Path], reports: Path, arguments: list[str], *, stages: Sequence[str] = ()) -> Path:
    """Copies ncu reports into the folder of a new run and names their launches; returns that folder.

    Nothing is made before every report was read.

    Args:
        paths: the ncu reports.
        reports: where the run's folder is made.
        arguments: the command line, for a reader.
        stages: the stages that the run is to be judged by.

    Raises:
        BadArgument: there is no such file, or two have the same content.
        BrokenFile: a file is no ncu report.
        DamagedReport: a report holds no launch, cannot be read, or changes meanwhile.
    """
    for path in paths:
        check_is_report(path)
    sources = [_read(path) for path in paths]
    if len(sources) > 1:
        _refuse_twice(sources)
    with whole_run(reports, IMPORTED) as folder:
        run = replace(empty_import(folder.name, arguments), stages=list(stages))
        for source in sources:
            run = _add(run, source, folder)
        save(folder, run)
    return folder


class _Source(msgspec.Struct, frozen=True):
    """An ncu report that is imported. Its name is the one that the user gave, also where that is a link's."""

    path: Path
    digest: str
    report: Report


def _read(path: Path) -> _Source:
    digest = stored_digest(path)
    report = read_report(path.absolute(), [], details=True)
    if any(launch.kernel is None for launch in report.launches):
        raise DamagedReport(f"{as_text(path.name)}: {CUT_SHORT}", "make the report again, or copy it again")
    return _Source(path=path, digest=digest, report=report)


def _refuse_twice(sources: list[_Source]) -> None:
    """Refuses a report that is given twice, however its copies are packed: its launches would count twice."""
    known: dict[str, Path] = {}
    for source in sources:
        first = known.setdefault(content_digest(source.path), source.path)
        if first is not source.path:
            raise BadArgument(f"{as_text(str(source.path))} has the content of {as_text(str(first))}", _ONCE)


_ONCE = "name each report once: its launches would count twice"


def empty_import(name: str, arguments: list[str]) -> Run:
    """An imported run without any report."""
    return Run(
        format=RUN_FORMAT,
        name=name,
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


def _add(run: Run, source: _Source, folder: Path) -> Run:
    """The run with one more report, its cases and the GPU that it was made on."""
    name = _unused(slug(report_name(source.path)), [attempt.name for attempt in run.attempts])
    kept = inside(folder, "ncu", f"{name}{stored_suffix(source.path)}")
    store_report(source.path, kept)
    if file_digest(kept) != source.digest:
        raise DamagedReport(
            f"{as_text(source.path.name)} changed while it was imported", "import it once it is complete"
        )
    attempt = Attempt(
        name=name,
        kind="import",
        command=[],
        started=now(),
        report=f"ncu/{kept.name}",
        sha256=source.digest,
        environment=machine_in(source.report.launches[0]),
    )
    return with_report(run, attempt, source.report, as_text(source.path.name))


def with_report(run: Run, attempt: Attempt, report: Report, file: str) -> Run:
    """The run with one more attempt, and the cases of its ncu report.

    Args:
        run: an imported run.
        attempt: what the report is of.
        report: the report as it was read.
        file: its name as the user gave it.
    """
    cases = foreign_cases(report.launches, attempt.name, file, attempt.warm_up)
    attempt = replace(attempt, details=details_of(foreign_calls(cases)))
    results = [_result(found, attempt.name) for found in cases]
    return replace(run, reader=report.reader, attempts=[*run.attempts, attempt], cases=[*run.cases, *results])


def _result(found: ForeignCase, attempt: str) -> CaseResult:
    missing = found.missing
    return CaseResult(
        case=found.case,
        role="unknown",
        outcome="not_profiled" if missing else "profiled",
        reason=missing,
        attempt=attempt,
        identity=found.identity,
    )


def _unused(name: str, used: list[str]) -> str:
    """The name, or the first of ``name-2``, ``name-3`` … that is not used."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(candidate for candidate in names if candidate not in used)


def machine_in(launch: Launch) -> Environment:
    """The machine of a launch, as far as an ncu report knows it."""
    return Environment(
        gpu=device_of(launch),
        device=_index(fact(launch, DEVICE_INDEX)),
        compute_capability=".".join(fact(launch, name) or "?" for name in CAPABILITY),
        chip=chip_in(launch),
        driver=_UNKNOWN,
        ncu=_UNKNOWN,
        python=_UNKNOWN,
        torch=_UNKNOWN,
        triton=_UNKNOWN,
        cuda=_UNKNOWN,
    )


def _index(text: str) -> int:
    """The index of a GPU; 0 where a report has no number there."""
    return int(text) if text.isdecimal() and len(text) < 10 else 0
