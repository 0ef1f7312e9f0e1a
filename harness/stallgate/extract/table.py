"""The tidy table of a run: one row for each metric of each launch, and of each call as a whole.

No command needs it as a DataFrame, which is made for a program that asks: to import pandas takes longer than to judge.
"""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import convert
from msgspec.structs import astuple

from stallgate.extract.evidence import Call
from stallgate.extract.launches import DEVICE_INDEX, absent, checked, device_of, fact, is_read, reading
from stallgate.model import DETAIL, Case, Catalogue, Metric, Noun, Reading, Run, State, Workload
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.decode import LARGEST_TABLE, open_bounded

if TYPE_CHECKING:
    import pandas as pd


class Row(Noun, frozen=True):
    """A metric of a launch, or of a whole call."""

    problem: str
    variant: str
    role: str
    configuration: str
    workload: str
    sample: str
    kernel: str
    """Empty of a whole call."""
    launch: int | None
    """None of a whole call."""
    metric: str
    value: float
    """NaN wherever the state is not ``measured``."""
    state: State
    unit: str
    ncu_name: str
    source: str
    device: str

    @property
    def case(self) -> Case:
        return Case(self.problem, self.variant, self.configuration, self.workload)


COLUMNS = dict.fromkeys(Row.__struct_fields__, "string") | {"launch": "Int64", "value": "float64"}
"""Name -> what pandas holds it as."""

Readings = dict[str, Reading]
"""Metric -> reading."""


def rows_of(run: Run, calls: list[Call], catalogue: Catalogue) -> list[Row]:
    """The table of a run's calls, in the order of its cases."""
    whole = _whole_calls(run, calls, catalogue)
    return [row for call, launches, combined in whole for row in _rows(run, call, launches, combined, catalogue)]


def as_frame(rows: list[Row]) -> pd.DataFrame:
    """The table for pandas: what a whole call does not have is NA."""
    import pandas as pd

    return pd.DataFrame(map(astuple, rows), columns=list(COLUMNS)).astype(COLUMNS)


def as_csv(rows: list[Row]) -> str:
    """The table as ``metrics.csv`` has it: what is NaN or None is left empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(["" if cell != cell else cell for cell in astuple(row)] for row in rows)  # NaN is not itself
    return file.getvalue()


def from_csv(path: Path, metrics: Collection[str]) -> list[Row]:
    """What ``metrics.csv`` says of some metrics of whole calls.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is not what stallgate writes.
    """
    columns = list(COLUMNS)
    launch, metric = columns.index("launch"), columns.index("metric")
    csv.field_size_limit(LONGEST_CELL)
    rows = []
    with io.TextIOWrapper(open_bounded(path, LARGEST_TABLE), encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        try:
            whole = next(lines, None) == columns
            for line in lines:
                whole = whole and len(line) == len(columns)
                if whole and not line[launch] and line[metric] in metrics:
                    rows.append(_from_text(line))
        except csv.Error as error:
            raise ValueError(str(error)) from None
    if not whole:
        raise ValueError("it is no table of stallgate's, or not all of one")
    return rows


LONGEST_CELL = 2**31 - 1
"""A C++ name of a kernel can be longer than the 128 KiB that csv reads of a cell by itself."""


def _from_text(line: list[str]) -> Row:
    """A row of a whole call."""
    cells = dict(zip(COLUMNS, line, strict=True))
    return convert({**cells, "launch": None, "value": cells["value"] or math.nan}, Row, strict=False)


def _whole_calls(run: Run, calls: list[Call], catalogue: Catalogue) -> list[tuple[Call, list[Readings], Readings]]:
    """Each call with the readings of its launches and of itself."""
    order = {result.case: number for number, result in enumerate(run.cases)}
    whole = []
    for call in sorted(calls, key=lambda call: order[call.case]):
        launches = [
            {name: reading(launch, metric) for name, metric in catalogue.metrics.items() if is_read(launch, metric)}
            for launch in call.launches
        ]
        whole.append((call, launches, combine_launches(catalogue, launches)))
    roofs = _roof_durations(run, [(call, combined) for call, _, combined in whole])
    for call, _, combined in whole:
        combined |= _derived(run, call, combined, roofs, catalogue)
    return whole


# --- several launches of one call -------------------------------------------------------------------------------------


def combine_launches(catalogue: Catalogue, launches: list[Readings]) -> Readings:
    """The readings of a call, from those of its launches: times and bytes add, shares are weighted."""
    names = [name for name in catalogue.metrics if all(name in readings for readings in launches)]
    return {name: _combined(catalogue.metrics[name], launches) for name in names}


def _combined(metric: Metric, launches: list[Readings]) -> Reading:
    """One metric of a call; where a part, or what weighs it, is not measured, neither is the whole."""
    parts = [readings[metric.name] for readings in launches]
    if len(parts) == 1:
        return parts[0]
    needed = parts + [readings[metric.weight] for readings in launches if metric.weight is not None]
    for part in needed:
        if part.value is None:
            return Reading(state=part.state, value=None, ncu_name=part.ncu_name, source="combined")
    values = [part.value or 0.0 for part in parts]
    if metric.weight is not None:
        weights = [readings[metric.weight].value or 0.0 for readings in launches]
        return checked(metric, _weighted(values, weights), parts[0].ncu_name, "combined")
    return checked(metric, max(values) if metric.combine == "max" else sum(values), parts[0].ncu_name, "combined")


def _weighted(values: list[float], weights: list[float]) -> float:
    total = sum(weights)
    return sum(v * w for v, w in zip(values, weights, strict=True)) / total if total else float("nan")


# --- what only a call has ---------------------------------------------------------------------------------------------


def _roof_durations(run: Run, calls: list[tuple[Call, Readings]]) -> dict[tuple[str, str], float]:
    """(problem, workload) -> the roof's duration: the median of its samples, of its fastest configuration."""
    roofs = {result.case for result in run.cases if result.role == "roof"}
    samples: dict[Case, list[float]] = {}
    for call, combined in calls:
        value = combined["duration"].value
        if call.case in roofs and call.sample != DETAIL and value is not None:
            samples.setdefault(call.case, []).append(value)
    fastest: dict[tuple[str, str], float] = {}
    for case, values in samples.items():
        key, median = (case.problem, case.workload), statistics.median(values)
        fastest[key] = min(median, fastest.get(key, median))
    return fastest


def _derived(
    run: Run, call: Call, combined: Readings, roofs: dict[tuple[str, str], float], catalogue: Catalogue
) -> Readings:
    """roof_fraction, effective_bandwidth and traffic of a call."""
    case = call.case
    needed = _needed_bytes(run, case)
    duration, roof = combined["duration"].value, roofs.get((case.problem, case.workload))
    read, written = combined["dram_bytes_read"].value, combined["dram_bytes_written"].value
    moved = read + written if read is not None and written is not None else None
    values = {
        ROOF_FRACTION: (_ratio(roof, duration), "roof duration / duration"),
        "effective_bandwidth": (_ratio(needed, duration), "bytes needed / duration"),
        "traffic": (_ratio(moved, needed), "(dram_bytes_read + dram_bytes_written) / bytes needed"),
    }
    return {
        name: absent(catalogue.metrics[name])
        if value is None
        else checked(catalogue.metrics[name], value, how, "derived")
        for name, (value, how) in values.items()
    }


def _needed_bytes(run: Run, case: Case) -> int | None:
    subject = run.subjects.get(case.problem)
    workload: Workload | None = subject.workloads.get(case.workload) if subject else None
    return workload.bytes if workload else None


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows(run: Run, call: Call, launches: list[Readings], combined: Readings, catalogue: Catalogue) -> Iterator[Row]:
    case = call.case
    shared: dict[str, Any] = {
        "problem": case.problem,
        "variant": case.variant,
        "role": next(result.role for result in run.cases if result.case == case),
        "configuration": case.configuration,
        "workload": case.workload,
        "sample": call.sample,
        "device": _device(run, call),
    }
    for launch, readings in zip(call.launches, launches, strict=True):
        yield from _rows_of(readings, {**shared, "kernel": launch.kernel or "", "launch": launch.index}, catalogue)
    yield from _rows_of(combined, {**shared, "kernel": "", "launch": None}, catalogue)


def _device(run: Run, call: Call) -> str:
    """The GPU by its driver's name, and its index on its machine: two of a kind are two devices."""
    attempts = {attempt.name: attempt for attempt in run.attempts}
    result = next(result for result in run.cases if result.case == call.case)
    environment = attempts[result.attempt].environment if result.attempt in attempts else None
    index = str(environment.device) if environment is not None else fact(call.launches[0], DEVICE_INDEX)
    return f"{device_of(call.launches[0])}, device {index or 'unknown'}"


def _rows_of(readings: Readings, shared: dict[str, Any], catalogue: Catalogue) -> Iterator[Row]:
    for name, metric in catalogue.metrics.items():
        if name not in readings:
            continue
        found = readings[name]
        yield Row(
            **shared,
            metric=name,
            value=found.value if found.value is not None else math.nan,
            state=found.state,
            unit=metric.unit,
            ncu_name=found.ncu_name,
            source=found.source,
        )


# --- samples of a case ------------------------------------------------------------------------------------------------


class Summary(Noun, frozen=True):
    """A metric of a case over its samples."""

    state: State
    """``measured`` where every sample is; otherwise the first other state."""
    median: float | None
    low: float | None
    high: float | None
    samples: int
    ncu_name: str


Summaries = dict[tuple[Case, str], Summary]
"""(case, metric) -> what its samples say."""


def summarise(rows: Iterable[Row]) -> Summaries:
    """Median and spread of every metric of every case, over whole calls; detail launches count for nothing."""
    grouped: dict[tuple[Case, str], list[Row]] = {}
    for row in rows:
        if row.launch is None and row.sample != DETAIL:
            grouped.setdefault((row.case, row.metric), []).append(row)
    return {key: _summary(samples) for key, samples in grouped.items()}


Parts = dict[tuple[Case, str], dict[str, Summary]]
"""(case, metric) -> kernel -> what the samples say of that kernel alone."""


def summarise_kernels(rows: Iterable[Row], metrics: Collection[str]) -> Parts:
    """Median and spread of some metrics of every kernel of a case; the second launch of a kernel counts for itself.

    A kernel that is not in every sample is absent: that it ran in some of them says nothing of the case.
    """
    found: dict[tuple[Case, str], dict[str, list[Row]]] = {}
    seen: Counter[tuple[Case, str, str, str]] = Counter()
    samples: dict[tuple[Case, str], set[str]] = {}
    for row in rows:
        if row.launch is None or row.sample == DETAIL or row.metric not in metrics:
            continue
        key = (row.case, row.metric)
        seen[*key, row.sample, row.kernel] += 1
        nth = seen[*key, row.sample, row.kernel]
        label = row.kernel if nth == 1 else f"{row.kernel} ({nth})"
        found.setdefault(key, {}).setdefault(label, []).append(row)
        samples.setdefault(key, set()).add(row.sample)
    return {
        key: {label: _of_kernel(launches, len(samples[key])) for label, launches in kernels.items()}
        for key, kernels in found.items()
    }


def _of_kernel(rows: list[Row], samples: int) -> Summary:
    if len(rows) < samples:
        return Summary(state="absent", median=None, low=None, high=None, samples=samples, ncu_name=rows[0].ncu_name)
    return _summary(rows)


def _summary(rows: list[Row]) -> Summary:
    odd = next((row for row in rows if row.state != "measured"), None)
    if odd is not None:
        return Summary(state=odd.state, median=None, low=None, high=None, samples=len(rows), ncu_name=odd.ncu_name)
    values = [row.value for row in rows]
    return Summary(
        state="measured",
        median=statistics.median(values),
        low=min(values),
        high=max(values),
        samples=len(values),
        ncu_name=rows[0].ncu_name,
    )
