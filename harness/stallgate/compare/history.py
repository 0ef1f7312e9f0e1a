"""All runs of this machine, and each measurement as a series over runs.

No ncu report is read again: ``run.json``, ``verdicts.json`` and ``metrics.csv`` are enough to look back. What is
damaged or missing in one run is a gap with a reason, and does not affect the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

import msgspec
from msgspec.structs import astuple

from stallgate.extract.table import Summaries, Summary, from_csv, summarise
from stallgate.formatting import MARKS, spaced, status_label
from stallgate.judge.reasons import OPEN, STATUS_OF_REASON, open_reason
from stallgate.model import Case, FrozenStruct, Metric, Role, State, Status
from stallgate.project.load import Project
from stallgate.runs.outlines import (
    CaseOutline,
    Circumstances,
    MeasurementTime,
    OutlinedRun,
    RunOutline,
    StoredJudgement,
    outlined_cases,
    outlined_runs,
    reason_in_words,
)
from stallgate.runs.store import KeptParts, Source, Store, shape_of

_LARGEST = 1e30
"""Largest plausible value: no counter comes near. A table with larger values is damaged."""


class StoredRun(FrozenStruct, frozen=True, kw_only=True):
    """A run under ``reports/``, or a sweep or loop without counters, of which nothing but the folder is known."""

    folder: Path
    outline: RunOutline | None = None
    judgement: StoredJudgement | None = None
    gaps: list[str] = []
    """What is missing or damaged, a line each."""
    cases: list[CaseOutline] = []
    summaries: dict[str, dict[Case, Summary]] = {}
    """Metric -> case -> summary, of the metrics that were asked for."""

    @property
    def answer(self) -> Status | None:
        """The gate's latest answer for the whole run, as a verdict's status; None where nothing was asked."""
        return gate_answer(self.judgement) if self.judgement is not None else None

    @property
    def mark(self) -> str:
        """The answer's mark with its word, such as stale; '' where nothing was asked."""
        if self.judgement is None or self.answer is None:
            return ""
        sign = MARKS[self.answer].partition(" ")[0]
        return f"{sign} {status_label(self.answer, _open_reason(self.judgement))}"

    @property
    def age(self) -> tuple[str, str]:
        """Sorts runs by time; for an unreadable run, the time in its folder's name."""
        created = self.outline.time.created if self.outline is not None else self.folder.name
        return "".join(filter(str.isdigit, created))[:14], self.folder.name


def gate_answer(judgement: StoredJudgement) -> Status | None:
    """The gate's answer for a whole run, as a verdict's status; None where nothing was asked."""
    if judgement.exit_status is None:
        return None
    if judgement.exit_status == 3:
        return STATUS_OF_REASON.get(_open_reason(judgement), "not_measured")
    return "pass" if judgement.exit_status == 0 else "fail"


def _open_reason(judgement: StoredJudgement) -> str:
    """What keeps a run open, as the headline of its page has it."""
    open_ = [verdict.reason for verdict in judgement.verdicts if verdict.status in OPEN and not verdict.warning]
    return open_reason(open_, is_import=judgement.kind == "imported")


def listed_runs(store: Store) -> list[StoredRun]:
    """Every run under ``reports/``, newest first, without its cases."""
    return _newest_first(_listed(folder, found, []) for folder, found in outlined_runs(store).items())


def stored_runs(store: Store, metrics: Iterable[str]) -> list[StoredRun]:
    """Every run under ``reports/``, newest first, with its cases and the summaries of some metrics."""
    tables = _tables(store, list(metrics))
    return _newest_first(
        _listed(folder, found, cases, tables.get(folder, _NO_TABLE))
        for folder, (found, cases) in outlined_cases(store).items()
    )


def targeted_metrics(project: Project, problem: str) -> list[Metric]:
    """The duration, and what a problem's stages have targets for."""
    stages = project.with_sound(project.problems[problem].stages)
    metrics = [project.catalogue.metrics["duration"], *(t.metric for stage in stages for t in stage.targets)]
    return list({metric.name: metric for metric in metrics}.values())


def _newest_first(runs: Iterable[StoredRun]) -> list[StoredRun]:
    return sorted(runs, key=lambda run: run.age, reverse=True)


def _listed(folder: Path, found: OutlinedRun, cases: list[CaseOutline], table: _Table | None = None) -> StoredRun:
    known = table if table is not None and found.outline is not None else _Table()
    return StoredRun(
        folder=folder,
        outline=found.outline,
        judgement=found.judgement,
        gaps=[*found.gaps, *known.gaps],
        cases=cases,
        summaries=known.summaries,
    )


class _Table(FrozenStruct, frozen=True):
    """A run's ``metrics.csv``, or what is wrong with it."""

    gaps: list[str] = []
    summaries: dict[str, dict[Case, Summary]] = {}


_NO_TABLE = _Table(gaps=["there is no metrics.csv"])

_GAPS, _CASES = "gaps", "cases"
_METRIC = "metric/"

_SummaryCells = tuple[State, float | None, float | None, float | None, int, str]
"""The fields of a summary: without their names, the store is half as large."""

_gaps_decoder = msgspec.msgpack.Decoder(list[str])
_cases_decoder = msgspec.msgpack.Decoder(list[Case])
_metric_decoder = msgspec.msgpack.Decoder(list[_SummaryCells | None])


def _tables(store: Store, metrics: list[str]) -> dict[Path, _Table]:
    """Folder -> its table, of every folder that has one."""
    found = store.parts(_table_source(), [_GAPS, _CASES, *(_METRIC + metric for metric in metrics)])
    decoded: dict[bytes, list[Case]] = {}  # most runs have the same cases
    for parts in found.values():
        if parts[_CASES] not in decoded:
            decoded[parts[_CASES]] = _cases_decoder.decode(parts[_CASES])
    return {
        folder: _Table(
            gaps=_gaps_decoder.decode(parts[_GAPS]),
            summaries={
                name.removeprefix(_METRIC): _by_case(decoded[parts[_CASES]], content)
                for name, content in parts.items()
                if name.startswith(_METRIC)
            },
        )
        for folder, parts in found.items()
    }


def _by_case(cases: list[Case], content: bytes) -> dict[Case, Summary]:
    """Case -> its summary, of the cases that have one."""
    known = zip(cases, _metric_decoder.decode(content), strict=True)
    return {case: Summary(*cells) for case, cells in known if cells is not None}


@cache
def _table_source() -> Source:
    return Source(
        name="table", files=("metrics.csv",), read=_read_table, version=shape_of(Case, Summary, _SummaryCells)
    )


def _read_table(folder: Path) -> KeptParts:
    """All metrics of whole calls: which ones a page needs changes with the stages."""
    try:
        summaries = read_summaries(folder / "metrics.csv", None)
    except (OSError, ValueError) as error:
        gaps = [reason_in_words(folder, "metrics.csv", error)]
        return {_GAPS: msgspec.msgpack.encode(gaps), _CASES: msgspec.msgpack.encode([])}
    cases = list(dict.fromkeys(case for case, _ in summaries))
    kept = {_GAPS: msgspec.msgpack.encode([]), _CASES: msgspec.msgpack.encode(cases)}
    for metric in dict.fromkeys(metric for _, metric in summaries):
        found = [summaries.get((case, metric)) for case in cases]
        kept[_METRIC + metric] = msgspec.msgpack.encode([each and astuple(each) for each in found])
    return kept


def read_summaries(path: Path, metrics: Collection[str] | None) -> Summaries:
    """Medians and spreads of some metrics, or of all, over the samples of whole calls.

    Raises:
        OSError: the table cannot be opened.
        ValueError: it is not what stallgate writes.
    """
    rows = from_csv(path, metrics)
    if any((abs(row.value) < _LARGEST) != (row.state == "measured") for row in rows):
        raise ValueError("a value and its state contradict each other")
    return summarise(rows)


# --- through time -----------------------------------------------------------------------------------------------------


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
    outline = stored.outline
    if outline is None:
        return
    for found in stored.cases:
        if found.circumstances is None or found.role == "unknown":
            continue
        time = outline.measured.get(found.case.problem, outline.time)
        for metric in metrics:
            key = SeriesKey(case=found.case, metric=metric, circumstances=found.circumstances)
            yield key, _measurement(found, time, stored.summaries.get(metric, {}).get(found.case))


def _measurement(found: CaseOutline, time: MeasurementTime, summary: Summary | None) -> Measurement:
    usable = summary if found.outcome == "profiled" else None
    gap = found.outcome if found.outcome != "profiled" else usable.state if usable is not None else "no_value"
    return Measurement(time=time, role=found.role, summary=usable, gap=spaced(gap))
