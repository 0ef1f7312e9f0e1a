"""All runs of this machine, and each measurement as a series over runs.

No ncu report is read again: ``run.json``, ``verdicts.json`` and ``metrics.csv`` are enough to look back. What is
damaged or missing in one run is a gap with a reason, and does not affect the others.
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
from stallgate.formatting import MARKS, spaced, status_label
from stallgate.judge.reasons import OPEN, STATUS_OF_REASON, open_reason
from stallgate.model import Case, CaseResult, FrozenStruct, Role, Run, Status
from stallgate.project.decode import LARGEST_JSON, decode_json, read_bounded
from stallgate.project.digests import workload_key
from stallgate.runs.conditions import Conditions, environment_of, origin_of, settings_of
from stallgate.runs.folder import RECORDED, load

_LARGEST = 1e30
"""Largest plausible value: no counter comes near. A table with larger values is damaged."""


class StoredVerdict(msgspec.Struct, frozen=True):
    """The part of a verdict that is needed here; other keys are ignored."""

    status: Status
    reason: str = ""
    warning: bool = False


class StoredJudgement(msgspec.Struct, frozen=True):
    """The gate's latest answer."""

    exit_status: Literal[0, 1, 3] | None
    """None where nothing was asked of an imported run."""
    verdicts: list[StoredVerdict]
    kind: str = ""
    """Of the run."""

    @property
    def status(self) -> Status | None:
        """The answer for the whole run, as a verdict's status; None where nothing was asked."""
        if self.exit_status is None:
            return None
        if self.exit_status == 3:
            return STATUS_OF_REASON.get(self._open_reason, "not_measured")
        return "pass" if self.exit_status == 0 else "fail"

    @property
    def mark(self) -> str:
        """The answer's mark with its word, such as stale; '' where nothing was asked."""
        if self.status is None:
            return ""
        sign = MARKS[self.status].partition(" ")[0]
        return f"{sign} {status_label(self.status, self._open_reason)}"

    @property
    def _open_reason(self) -> str:
        """What keeps the run open, as the headline of its page has it."""
        open_ = [verdict.reason for verdict in self.verdicts if verdict.status in OPEN and not verdict.warning]
        return open_reason(open_, is_import=self.kind == "imported")


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A stored run; `gaps` explains missing fields."""

    folder: Path
    run: Run | None = None
    judgement: StoredJudgement | None = None
    summaries: Summaries = {}
    gaps: list[str] = []

    @property
    def age(self) -> tuple[str, str]:
        """Sorts runs by time; for an unreadable run, the time in its folder's name."""
        created = self.run.created if self.run is not None else self.folder.name
        return "".join(filter(str.isdigit, created))[:14], self.folder.name


def stored_runs(reports: Path, metrics: Iterable[str]) -> list[StoredRun]:
    """Every run under ``reports/``, newest first, with the summaries of some metrics; of none, no table is read."""
    wanted = list(metrics)
    return sorted(
        (_stored_run(folder, wanted) for folder in run_folders(reports)), key=lambda run: run.age, reverse=True
    )


def run_folders(reports: Path) -> list[Path]:
    """The folders of all runs under ``reports/``, by name; without recordings."""
    links = [path.parent for path in sorted(reports.glob("*/run.json"))]
    return [folder for folder in links if not folder.is_symlink() and folder.name != RECORDED]


def _stored_run(folder: Path, metrics: list[str]) -> StoredRun:
    try:
        run = load(folder)
    except (StallgateError, OSError) as error:
        return StoredRun(folder=folder, gaps=[_reason(folder, "run.json", error)])
    gaps = _unmeasured(run)
    judgement, summaries = None, {}
    try:
        judgement = _judgement(folder / "verdicts.json", run)
    except (OSError, ValueError) as error:
        gaps.append(_reason(folder, "verdicts.json", error))
    try:
        summaries = read_summaries(folder / "metrics.csv", metrics) if metrics else {}
    except (OSError, ValueError) as error:
        gaps.append(_reason(folder, "metrics.csv", error))
    return StoredRun(folder=folder, run=run, judgement=judgement, summaries=summaries, gaps=gaps)


def _judgement(path: Path, run: Run) -> StoredJudgement:
    """The gate's latest answer. An imported run without a verdict was asked nothing, whatever an older stallgate says.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is not what stallgate writes.
    """
    found = decode_json(read_bounded(path, LARGEST_JSON), StoredJudgement)
    return found if found.verdicts or run.kind != "imported" else StoredJudgement(exit_status=None, verdicts=[])


def _unmeasured(run: Run) -> list[str]:
    """How many cases were not measured, by outcome."""
    outcomes = Counter(result.outcome for result in run.cases if result.outcome != "profiled")
    found = [f"{count} {spaced(outcome)}" for outcome, count in outcomes.items()]
    return found if run.complete else ["the run did not come to its end", *found]


def _reason(folder: Path, name: str, error: Exception) -> str:
    """A line about what is wrong with a file, without the folders of this machine."""
    if isinstance(error, FileNotFoundError):
        return f"there is no {name}"
    said = error.strerror if isinstance(error, OSError) else str(error)
    text = (said or type(error).__name__).replace(f"{folder}{os.sep}", "").removeprefix(name)
    return f"{name}: {text.lstrip(': ').strip()}"


def read_summaries(path: Path, metrics: Iterable[str]) -> Summaries:
    """Medians and spreads of some metrics over the samples of whole calls.

    Raises:
        OSError: the table cannot be opened.
        ValueError: it is not what stallgate writes.
    """
    rows = from_csv(path, list(metrics))
    if any((abs(row.value) < _LARGEST) != (row.state == "measured") for row in rows):
        raise ValueError("a value and its state contradict each other")
    return summarise(rows)


# --- through time -----------------------------------------------------------------------------------------------------


class MeasurementTime(FrozenStruct, frozen=True, order=True):
    """Time and commit of a measurement; replays use the recording's."""

    created: str
    commit: str
    """Empty where it is unknown."""
    dirty: bool

    @property
    def label(self) -> str:
        """The short commit, ``+`` for local changes; the day where no commit is known."""
        return self.commit[:7] + ("+" if self.dirty else "") if self.commit else self.created[:10]


class Circumstances(FrozenStruct, frozen=True):
    """What the measurements of a series have in common."""

    conditions: Conditions
    workload_digest: str
    """A workload may keep its name and change."""


class SeriesKey(FrozenStruct, frozen=True):
    """Identifies a series: the case, the metric and its circumstances."""

    case: Case
    metric: str
    circumstances: Circumstances


class Measurement(FrozenStruct, frozen=True):
    """One measurement of a series, or why there is none."""

    time: MeasurementTime
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


class Series(FrozenStruct, frozen=True):
    """Measurements of the same thing, oldest first."""

    key: SeriesKey
    points: list[Measurement]

    @property
    def measured(self) -> list[Measurement]:
        return [point for point in self.points if point.median is not None]


def series_of(runs: Iterable[StoredRun], metrics: Iterable[str]) -> list[Series]:
    """Every series of the runs. Imported runs have none: their code and conditions are not known."""
    wanted = list(metrics)
    found: dict[SeriesKey, dict[MeasurementTime, Measurement]] = {}
    for stored in sorted(runs, key=lambda run: run.age):
        for key, point in _points(stored, wanted):
            points = found.setdefault(key, {})
            if point.median is not None or point.time not in points:
                points[point.time] = point
    return [Series(key=key, points=[points[time] for time in sorted(points)]) for key, points in found.items()]


def _points(stored: StoredRun, metrics: list[str]) -> Iterator[tuple[SeriesKey, Measurement]]:
    run = stored.run
    if run is None:
        return
    for result in run.cases:
        circumstances = _circumstances(run, result)
        if circumstances is None or result.role == "unknown":
            continue
        for metric in metrics:
            key = SeriesKey(case=result.case, metric=metric, circumstances=circumstances)
            yield key, _measurement(run, result, stored.summaries.get((result.case, metric)))


def _measurement(run: Run, result: CaseResult, summary: Summary | None) -> Measurement:
    usable = summary if result.outcome == "profiled" else None
    gap = result.outcome if result.outcome != "profiled" else usable.state if usable is not None else "no_value"
    return Measurement(time=time_of(run, result.case.problem), role=result.role, summary=usable, gap=spaced(gap))


def time_of(run: Run, problem: str) -> MeasurementTime:
    """When a problem's numbers were measured: in a replay, when its recording was made."""
    made = origin_of(run, problem)
    return MeasurementTime(created=made.created, commit=made.commit or "", dirty=made.dirty)


def _circumstances(run: Run, result: CaseResult) -> Circumstances | None:
    """The circumstances of a case; None if unknown. An unmeasured case has those of the run's other cases."""
    problem = result.case.problem
    environment, settings = environment_of(run, problem, result), settings_of(run, problem)
    subject = run.subjects.get(problem)
    if environment is None or subject is None or settings is None:
        return None
    return Circumstances(
        conditions=Conditions(
            gpu=environment.gpu,
            device=environment.device,
            clock_control=settings.clock_control,
            cache_control=settings.cache_control,
        ),
        workload_digest=subject.digests.get(workload_key(result.case.workload), ""),
    )
