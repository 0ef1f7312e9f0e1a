"""What ``stallgate bench --json`` prints: the statistics of the samples. ``bench.json`` has every sample."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from stallgate.cli.facts import MetricValue, unmeasured
from stallgate.model import FrozenStruct
from stallgate.runs.bench import (
    Bench,
    BenchEnvironment,
    BenchOutcome,
    BenchRow,
    ContenderRole,
    Entry,
    Gradient,
    Method,
    quartiles_of,
)
from stallgate.runs.distribution import Distribution, distributions

_TIME = "us"
"""Unit of times."""


class SampledTime(MetricValue, frozen=True):
    """A time over its samples; the five numbers are null unless the state is ``measured``."""

    lower_quartile: float | None = None
    upper_quartile: float | None = None


class EntryFacts(FrozenStruct, frozen=True):
    """One contender on one workload."""

    name: str
    role: ContenderRole
    outcome: BenchOutcome
    reason: str
    """Why it was not timed, or ''."""
    note: str
    """A remark that the reader of its time needs."""
    method: Method | None
    """How it was timed; null where it was not."""
    samples: int
    time: SampledTime
    """Of a call."""
    host_time: SampledTime
    """From a call on the host to its return, without waiting for the GPU."""
    of_copy: MetricValue
    """The copy's time divided by this one's; not measured if they were timed by different methods."""
    of_roof: MetricValue


class BenchRowFacts(FrozenStruct, frozen=True):
    """One workload and all its contenders."""

    row: str
    gradient: Gradient | None
    """What a call computes; null for the forward pass alone."""
    zeros: int
    arguments: dict[str, object]
    """What the inputs were made of; empty where the problem describes them."""
    inputs: list[object]
    """As the problem describes them; empty where the reference makes them."""
    bytes: int
    """Bytes that a call has to move."""
    entries: list[EntryFacts]


class DrawnFacts(FrozenStruct, frozen=True):
    """How times on drawn workloads are distributed."""

    seed: int
    distributions: list[Distribution]


class BenchFacts(FrozenStruct, frozen=True):
    """The times of all contenders."""

    bench: str
    """The bench's folder."""
    complete: bool
    environment: BenchEnvironment | None
    """Where it was timed; null where nothing was."""
    rows: list[BenchRowFacts]
    drawn: DrawnFacts | None = None
    """Null where no workload was drawn."""


def bench_facts(bench: Bench, folder: Path) -> BenchFacts:
    """The statistics of a bench."""
    rows = [_row(row) for row in bench.rows]
    drawn = DrawnFacts(bench.drawn.seed, distributions(bench)) if bench.drawn is not None else None
    return BenchFacts(str(folder), bench.complete, bench.environment, rows, drawn)


def _row(row: BenchRow) -> BenchRowFacts:
    entries = [_entry(row, entry) for entry in row.entries]
    return BenchRowFacts(
        row=row.name,
        gradient=row.gradient,
        zeros=row.zeros,
        arguments=row.workload.arguments,
        inputs=row.workload.inputs,
        bytes=row.bytes,
        entries=entries,
    )


def _entry(row: BenchRow, entry: Entry) -> EntryFacts:
    copy = next((other for other in row.entries if other.role == "copy"), None)
    return EntryFacts(
        name=entry.label,
        role=entry.role,
        outcome=entry.outcome,
        reason=entry.reason,
        note=entry.note,
        method=entry.method,
        samples=len(entry.samples_us),
        time=_sampled(entry.samples_us),
        host_time=_sampled(entry.host_us),
        of_copy=_fraction(row, copy, entry),
        of_roof=_fraction(row, row.roof, entry),
    )


def _sampled(samples: list[float]) -> SampledTime:
    quartiles = quartiles_of(samples)
    if quartiles is None:
        return SampledTime(state="not_measured", median=None, low=None, high=None, unit=_TIME)
    return SampledTime(
        state="measured",
        median=median(samples),
        low=min(samples),
        high=max(samples),
        unit=_TIME,
        lower_quartile=quartiles[0],
        upper_quartile=quartiles[1],
    )


def _fraction(row: BenchRow, limit: Entry | None, entry: Entry) -> MetricValue:
    """A limit's time divided by a contender's, and the range that their samples allow."""
    fraction = row.speedup(limit, entry) if limit is not None else None
    if fraction is None or limit is None:
        return unmeasured("")
    low = min(limit.samples_us) / max(entry.samples_us)
    high = max(limit.samples_us) / min(entry.samples_us)
    return MetricValue(state="measured", median=fraction, low=low, high=high, unit="")
