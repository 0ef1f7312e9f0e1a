"""The calls in a run's ncu reports, checked against the run's plan."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from stallgate.errors import DamagedReport
from stallgate.extract.foreign import ForeignCase, foreign_cases
from stallgate.extract.launches import Report, read_report
from stallgate.model import Attempt, Case, CaseResult, Catalogue, Detail, FrozenStruct, Label, Launch, Run
from stallgate.project.catalogue import readable
from stallgate.project.digests import file_digest
from stallgate.runs.conditions import settings_of

CUT_SHORT = "the ncu report has a launch without a name: it was cut short or damaged, and more may be missing"

IMPORTED_OTHERWISE = "an older stallgate told its launches apart in another way: import the ncu report again"


class ProfiledCall(FrozenStruct, frozen=True):
    """One sample of a case: every launch within its range, in order."""

    case: Case
    sample: str
    launches: list[Launch]


class Evidence(FrozenStruct, frozen=True):
    """The usable calls, and why others are not usable."""

    calls: list[ProfiledCall]
    faults: dict[str, str]
    """Case name -> why its launches cannot be used."""
    reader: str
    """Version of ncu_report; empty where nothing was read."""


def gather(folder: Path, run: Run, catalogue: Catalogue) -> Evidence:
    """Reads a run's ncu reports. A case with a fault has no calls. A damaged detail report affects nothing else."""
    calls: list[ProfiledCall] = []
    faults = _unattempted(run)
    reader = ""
    for attempt in run.attempts:
        if attempt.kind == "times":
            continue
        found = read_attempt(folder, run, attempt, catalogue)
        calls += found.calls
        faults |= found.faults
        reader = found.reader or reader
    return Evidence(calls=[call for call in calls if call.case.name not in faults], faults=faults, reader=reader)


def _unattempted(run: Run) -> dict[str, str]:
    """Case name -> fault, for each profiled case whose attempt the run does not have."""
    attempts = {attempt.name for attempt in run.attempts if attempt.kind != "detail"}
    lost = [result for result in run.cases if result.outcome == "profiled" and result.attempt not in attempts]
    return {result.case.name: "the run does not say which attempt measured it: run.json is damaged" for result in lost}


def read_attempt(folder: Path, run: Run, attempt: Attempt, catalogue: Catalogue) -> Evidence:
    """The calls of one attempt, checked against its planned cases."""
    try:
        report = _intact_report(folder, attempt, catalogue)
    except DamagedReport as error:
        return Evidence(calls=[], faults=dict.fromkeys(_names(_measured_by(run, attempt)), error.message), reader="")
    calls = calls_of(attempt, report.launches)
    if attempt.kind == "detail":
        return _of_details(run, calls, report.reader)
    return _of_samples(run, attempt, calls, report)


def mislabelled(launches: list[Launch]) -> dict[str, str]:
    """Case name -> why its launches cannot be told from those of others.

    Each launch that stallgate profiles has one label. One with two would count for two cases. One with none would
    count for no case, although it is work of the case before or after it.
    """
    labels = [[label for text in launch.ranges if (label := Label.parse(text)) is not None] for launch in launches]
    faults: dict[str, str] = {}
    for number, own in enumerate(labels):
        if len(own) > 1:
            faults |= dict.fromkeys((label.case.name for label in own), "a launch has the labels of two calls")
        elif not own:
            before = next((found for found in reversed(labels[:number]) if found), [])
            after = next((found for found in labels[number:] if found), [])
            names = (label.case.name for label in (*before, *after))
            faults |= dict.fromkeys(names, "a launch before or after its own has no label")
    return faults


def _measured_by(run: Run, attempt: Attempt) -> list[CaseResult]:
    return [result for result in run.cases if result.attempt == attempt.name and result.outcome == "profiled"]


def _names(results: list[CaseResult]) -> list[str]:
    return [result.case.name for result in results]


def _of_details(run: Run, calls: list[ProfiledCall], reader: str) -> Evidence:
    """The detail launches of profiled cases. They are shown, never judged: a missing one is not a fault."""
    profiled = {result.case for result in run.cases if result.outcome == "profiled"}
    return Evidence(calls=[call for call in calls if call.case in profiled], faults={}, reader=reader)


def _of_samples(run: Run, attempt: Attempt, calls: list[ProfiledCall], report: Report) -> Evidence:
    """The calls of the cases that the attempt measured; a report says nothing about cases measured by others."""
    results = _measured_by(run, attempt)
    faults: dict[str, str] = {}
    for problem in dict.fromkeys(result.case.problem for result in results):
        settings, mine = settings_of(run, problem), [r for r in results if r.case.problem == problem]
        planned = settings.samples if settings is not None and attempt.kind != "import" else None
        faults |= check_calls(calls, mine, planned)
    if attempt.kind == "import":
        found = {call.case for call in calls}
        faults |= {result.case.name: IMPORTED_OTHERWISE for result in results if result.case not in found}
    if attempt.kind != "import":
        strays = mislabelled(report.launches)
        faults = {name: strays[name] for name in _names(results) if name in strays} | faults
    measured = {result.case for result in results if result.case.name not in faults}
    return Evidence(calls=[call for call in calls if call.case in measured], faults=faults, reader=report.reader)


def _intact_report(folder: Path, attempt: Attempt, catalogue: Catalogue) -> Report:
    """The report of an attempt, if it is the one that was written.

    Raises:
        DamagedReport: there is none, it has changed, it was cut short, or it cannot be read.
    """
    if attempt.report is None:
        what = attempt.errors[0] if attempt.errors else "ncu wrote no report"
        raise DamagedReport(f"there is no ncu report of attempt {attempt.name}: {what}", "see the attempt's log")
    path = folder / attempt.report
    digest = file_digest(path) if path.is_file() else ""
    if digest and attempt.sha256 != digest:
        raise DamagedReport(
            f"the ncu report {path.name} is not the one that was written (its SHA-256 differs)",
            "restore the file, or profile again",
        )
    report = _read_once(path, digest, tuple(readable(catalogue)))
    may_be_cut = attempt.warm_up is not None or attempt.errors  # a program's crash is told elsewhere
    if attempt.kind == "import" and not may_be_cut and any(launch.kernel is None for launch in report.launches):
        raise DamagedReport(CUT_SHORT, "make the report again, or copy it again")
    return report


@lru_cache(maxsize=16)
def _read_once(path: Path, digest: str, names: tuple[str, ...]) -> Report:  # noqa: ARG001  (the digest is the key)
    """Reads a report once, both for checking it against the plan and for evaluating it."""
    return read_report(path, list(names))


def calls_of(attempt: Attempt, launches: list[Launch]) -> list[ProfiledCall]:
    """The launches of a report, grouped into calls by their labels."""
    if attempt.kind == "import":
        return foreign_calls(foreign_cases(launches, attempt.name, warm_up=attempt.warm_up))
    grouped: dict[tuple[Case, str], list[Launch]] = {}
    for label, launch in _identify(launches):
        grouped.setdefault((label.case, label.sample), []).append(launch)
    return [ProfiledCall(case=case, sample=sample, launches=group) for (case, sample), group in grouped.items()]


def foreign_calls(cases: list[ForeignCase]) -> list[ProfiledCall]:
    """The samples of the cases of an imported report."""
    return [
        ProfiledCall(case=found.case, sample=sample, launches=launches)
        for found in cases
        for sample, launches in found.samples.items()
    ]


def details_of(calls: list[ProfiledCall]) -> list[Detail]:
    """Advice, hot lines and hot instructions of the launches of each case's first call."""
    first = {call.case: call for call in reversed(calls)}
    return [
        Detail(
            case=case,
            kernel=launch.kernel or "",
            samples=launch.samples,
            advice=launch.advice,
            lines=launch.lines,
            instructions=launch.instructions,
        )
        for case in dict.fromkeys(call.case for call in calls)
        for launch in first[case].launches
        if launch.advice or launch.lines or launch.instructions
    ]


def read_details(folder: Path, attempt: Attempt) -> list[Detail]:
    """The details of a ``--detail`` attempt; none if its report cannot be read."""
    if attempt.report is None:
        return []
    try:
        report = read_report(folder / attempt.report, [], details=True)
    except DamagedReport:
        return []
    return details_of(calls_of(attempt, report.launches))


def _identify(launches: list[Launch]) -> Iterator[tuple[Label, Launch]]:
    for launch in launches:
        for text in launch.ranges:
            label = Label.parse(text)
            if label is not None:
                yield label, launch


def check_calls(calls: list[ProfiledCall], results: list[CaseResult], samples: int | None) -> dict[str, str]:
    """Checks that each case has all samples, each launch has a name, and all samples have equally many launches.

    Args:
        calls: what the report has.
        results: the cases that the attempt had to measure.
        samples: how many of each were planned; None where the plan is not known (an import).

    Returns:
        Case name -> what is missing or wrong.
    """
    faults = {}
    by_case: dict[Case, list[ProfiledCall]] = {}
    for call in calls:
        by_case.setdefault(call.case, []).append(call)
    for result in results:
        mine = by_case.get(result.case, [])
        fault = _fault(mine, len(mine) if samples is None else samples)
        if fault is not None:
            faults[result.case.name] = fault
    return faults


def _fault(calls: list[ProfiledCall], wanted: int) -> str | None:
    """A sentence about what is missing or wrong in a case's calls; None if nothing is."""
    if len(calls) != wanted or not calls:
        return f"the ncu report has {len(calls)} of its {wanted} samples"
    if any(launch.kernel is None for call in calls for launch in call.launches):
        return "the ncu report has a launch without a name: it is damaged, or the launch faulted"
    counts = sorted({len(call.launches) for call in calls})
    if len(counts) > 1:
        return f"its samples have different numbers of launches ({', '.join(map(str, counts))})"
    return None
