"""All runs of this machine, as their folders have them, and how the same measurement went from run to run.

No ncu report is read again: ``run.json``, ``verdicts.json`` and ``metrics.csv`` are enough to look back. What is
damaged or missing of one run is a gap with a reason; the others are not touched by it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from stallgate.errors import StallgateError
from stallgate.extract.table import Summaries, Summary, from_csv, summarise
from stallgate.formatting import spaced
from stallgate.model import Case, CaseResult, Environment, Noun, Role, Run, Status
from stallgate.project.decode import LARGEST_JSON, decode_json, read_bounded
from stallgate.project.digests import workload_key
from stallgate.runs.folder import RECORDED, load

LARGEST = 1e30
"""No counter comes near; a table that says more is damaged, and no axis could hold it."""


class Judged(msgspec.Struct, frozen=True):
    """What matters here of a verdict; the rest of it is let pass."""

    status: Status


class Answer(msgspec.Struct, frozen=True):
    """What the gate said when it looked last."""

    exit_status: Literal[0, 1, 3]
    verdicts: list[Judged]

    @property
    def status(self) -> Status:
        """The whole run's answer, in the words of a verdict."""
        if self.exit_status == 3:
            return "undecided" if "undecided" in self.statuses else "not_measured"
        return "pass" if self.exit_status == 0 else "fail"

    @property
    def statuses(self) -> list[Status]:
        return [verdict.status for verdict in self.verdicts]


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its folder has it; of what is None or empty, ``gaps`` says why."""

    folder: Path
    run: Run | None = None
    answer: Answer | None = None
    summaries: Summaries = {}
    gaps: list[str] = []

    @property
    def age(self) -> tuple[str, str]:
        """Sorts runs by time; a run that cannot be read by the time in its folder's name."""
        created = self.run.created if self.run is not None else self.folder.name
        return "".join(filter(str.isdigit, created))[:14], self.folder.name


def past_runs(reports: Path, metrics: Iterable[str]) -> list[Past]:
    """Every run under ``reports/``, newest first, with what its samples say of some metrics."""
    wanted = list(metrics)
    return sorted((_past(folder, wanted) for folder in run_folders(reports)), key=lambda past: past.age, reverse=True)


def run_folders(reports: Path) -> list[Path]:
    """The folders of all runs under ``reports/``, by name; recordings are none of them."""
    links = [path.parent for path in sorted(reports.glob("*/run.json"))]
    return [folder for folder in links if not folder.is_symlink() and folder.name != RECORDED]


def _past(folder: Path, metrics: list[str]) -> Past:
    try:
        run = load(folder)
    except (StallgateError, OSError) as error:
        return Past(folder=folder, gaps=[_reason(folder, "run.json", error)])
    gaps = _unmeasured(run)
    answer, summaries = None, {}
    try:
        answer = decode_json(read_bounded(folder / "verdicts.json", LARGEST_JSON), Answer)
    except (OSError, ValueError) as error:
        gaps.append(_reason(folder, "verdicts.json", error))
    try:
        summaries = read_summaries(folder / "metrics.csv", metrics)
    except (OSError, ValueError) as error:
        gaps.append(_reason(folder, "metrics.csv", error))
    return Past(folder=folder, run=run, answer=answer, summaries=summaries, gaps=gaps)


def _unmeasured(run: Run) -> list[str]:
    """How many cases became something else than measured, and what."""
    outcomes = Counter(result.outcome for result in run.cases if result.outcome != "profiled")
    found = [f"{count} {spaced(outcome)}" for outcome, count in outcomes.items()]
    return found if run.complete else ["the run did not come to its end", *found]


def _reason(folder: Path, name: str, error: Exception) -> str:
    """What is wrong with a file, in a line that names no folder of this machine."""
    if isinstance(error, FileNotFoundError):
        return f"there is no {name}"
    said = error.strerror if isinstance(error, OSError) else str(error)
    text = (said or type(error).__name__).replace(f"{folder}{os.sep}", "").removeprefix(name)
    return f"{name}: {text.lstrip(': ').strip()}"


def read_summaries(path: Path, metrics: list[str]) -> Summaries:
    """Medians and spreads over the samples of whole calls, of some metrics.

    Raises:
        OSError: the table cannot be opened.
        ValueError: it is not what stallgate writes.
    """
    rows = from_csv(path, metrics)
    if any((abs(row.value) < LARGEST) != (row.state == "measured") for row in rows):
        raise ValueError("a value and its state contradict each other")
    return summarise(rows)


# --- lines through time -----------------------------------------------------------------------------------------------


class Moment(Noun, frozen=True, order=True):
    """When, and of what code, something was measured: a replay has its recording's, so that it counts once."""

    created: str
    commit: str
    """Empty where nobody knows."""
    dirty: bool

    @property
    def label(self) -> str:
        """The short commit, ``+`` for local changes; the day where no commit is known."""
        return self.commit[:7] + ("+" if self.dirty else "") if self.commit else self.created[:10]


class Conditions(Noun, frozen=True):
    """What has to be the same before two numbers are compared."""

    device: str
    clock_control: str
    cache_control: str
    workload_digest: str
    """A workload may keep its name and become another."""


class Strand(Noun, frozen=True):
    """What a line follows through time."""

    case: Case
    metric: str
    conditions: Conditions


class Point(Noun, frozen=True):
    """One measurement on a line, or why there is none."""

    moment: Moment
    role: Role
    summary: Summary | None
    """None where the case has no numbers."""
    gap: str

    @property
    def median(self) -> float | None:
        return self.summary.median if self.summary is not None else None

    @property
    def low(self) -> float | None:
        return self.summary.low if self.summary is not None else None

    @property
    def high(self) -> float | None:
        return self.summary.high if self.summary is not None else None


class Line(Noun, frozen=True):
    """A strand's points in the order of time."""

    strand: Strand
    points: list[Point]

    @property
    def measured(self) -> list[Point]:
        return [point for point in self.points if point.median is not None]


def lines(pasts: Iterable[Past], metrics: Iterable[str]) -> list[Line]:
    """Every line that runs draw. Imported runs draw none: nobody knows how, or of what code, they were measured."""
    wanted = list(metrics)
    found: dict[Strand, dict[Moment, Point]] = {}
    for past in sorted(pasts, key=lambda past: past.age):
        for strand, point in _points(past, wanted):
            points = found.setdefault(strand, {})
            if point.median is not None or point.moment not in points:
                points[point.moment] = point
    return [Line(strand=strand, points=[points[m] for m in sorted(points)]) for strand, points in found.items()]


def _points(past: Past, metrics: list[str]) -> Iterator[tuple[Strand, Point]]:
    run = past.run
    if run is None:
        return
    for result in run.cases:
        conditions = _conditions(run, result)
        if conditions is None or result.role == "unknown":
            continue
        for metric in metrics:
            summary = past.summaries.get((result.case, metric))
            yield Strand(case=result.case, metric=metric, conditions=conditions), _point(run, result, summary)


def _point(run: Run, result: CaseResult, summary: Summary | None) -> Point:
    usable = summary if result.outcome == "profiled" else None
    gap = result.outcome if result.outcome != "profiled" else usable.state if usable is not None else "no_value"
    return Point(
        moment=moment_of(run),
        role=result.role,
        summary=usable,
        gap=spaced(gap),
    )


def moment_of(run: Run) -> Moment:
    """When a run's numbers were measured, which for a replay is when its recording was made."""
    made = run.origin if run.origin is not None else run
    return Moment(created=made.created, commit=made.commit or "", dirty=made.dirty)


def _conditions(run: Run, result: CaseResult) -> Conditions | None:
    environment, subject = environment_of(run, result), run.subjects.get(result.case.problem)
    if environment is None or subject is None or run.settings is None:
        return None
    return Conditions(
        device=f"{environment.gpu}, device {environment.device}",
        clock_control=run.settings.clock_control,
        cache_control=run.settings.cache_control,
        workload_digest=subject.digests.get(workload_key(result.case.workload), ""),
    )


def environment_of(run: Run, result: CaseResult | None = None) -> Environment | None:
    """Where a case was measured; where it was to be, for one that never was."""
    mine = [attempt for attempt in run.attempts if result is not None and attempt.name == result.attempt]
    return next((a.environment for a in [*mine, *run.attempts] if a.environment is not None), None)
