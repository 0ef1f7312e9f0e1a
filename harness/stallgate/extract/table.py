"""The tidy table of a run: one row for each metric of each launch, and of each call as a whole.

It is a list of rows, because importing pandas takes longer than judging; ``as_frame`` makes a DataFrame for programs.
"""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from msgspec import convert
from msgspec.structs import astuple

from stallgate.extract.evidence import ProfiledCall
from stallgate.extract.launches import DEVICE_INDEX, absent, checked, device_of, fact, is_read, reading
from stallgate.model import (
    DETAIL,
    Attempt,
    Case,
    CaseResult,
    Catalogue,
    FrozenStruct,
    Launch,
    Metric,
    Reading,
    Run,
    State,
    Workload,
)
from stallgate.project.catalogue import ROOF_FRACTION, TENSOR_FLOPS, TENSOR_INT8, TENSOR_PIPE, VECTOR_FLOPS
from stallgate.project.decode import LARGEST_TABLE, open_bounded
from stallgate.project.load import Project
from stallgate.project.staleness import measured_workload
from stallgate.runs.naming import case_names

if TYPE_CHECKING:
    import pandas as pd


class MetricRow(FrozenStruct, frozen=True):
    """One metric of a launch, or of a whole call."""

    problem: str
    variant: str
    role: str
    configuration: str
    workload: str
    sample: str
    kernel: str
    """Empty for a whole call."""
    launch: int | None
    """None for a whole call."""
    metric: str
    value: float
    """NaN wherever the state is not ``measured``."""
    state: State
    unit: str
    ncu_name: str
    source: str
    device: str
    name: str = ""
    """Of an imported case: its name in the report, which stands for variant and configuration."""

    @property
    def case(self) -> Case:
        return Case(self.problem, self.variant, self.configuration, self.workload)


METRIC_COLUMNS = dict.fromkeys(MetricRow.__struct_fields__, "string") | {"launch": "Int64", "value": "float64"}
"""Name -> what pandas holds it as."""

Readings = dict[str, Reading]
"""Metric -> reading."""


def rows_of(run: Run, project: Project, calls: list[ProfiledCall]) -> list[MetricRow]:
    """The table of a run's calls, in the order of its cases.

    ``roof_fraction`` is absent in every row: whether a roof is sound is not known here.
    """
    results = {result.case: result for result in run.cases}
    attempts: dict[str | None, Attempt] = {attempt.name: attempt for attempt in run.attempts}
    order = {case: number for number, case in enumerate(results)}
    needs = {case: measured_workload(run, project, case) for case in order}
    names = case_names(run)
    rows: list[MetricRow] = []
    read: dict[int, Readings] = {}  # a launch can be of several NVTX ranges

    def read_by(launch: Launch) -> Readings:
        if id(launch) not in read:
            read[id(launch)] = _readings(launch, project.catalogue)
        return read[id(launch)]

    for call in sorted(calls, key=lambda call: order[call.case]):
        result = results[call.case]
        launches = [read_by(launch) for launch in call.launches]
        combined = combine_launches(project.catalogue, launches)
        combined |= _computed(combined, needs[call.case], project.catalogue)
        name = names[call.case] if result.identity is not None else ""
        rows += _rows(result, name, attempts.get(result.attempt), call, launches, combined, project.catalogue)
    return rows


def _readings(launch: Launch, catalogue: Catalogue) -> Readings:
    return {name: reading(launch, metric) for name, metric in catalogue.metrics.items() if is_read(launch, metric)}


def as_frame(rows: list[MetricRow]) -> pd.DataFrame:
    """The table for pandas; kernel and launch of a whole call are NA."""
    import pandas as pd

    return pd.DataFrame(map(astuple, rows), columns=list(METRIC_COLUMNS)).astype(METRIC_COLUMNS)


def as_csv(rows: list[MetricRow]) -> str:
    """The table as ``metrics.csv``; NaN and None are empty cells."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(METRIC_COLUMNS)
    writer.writerows(["" if cell != cell else cell for cell in astuple(row)] for row in rows)  # NaN is not itself
    return file.getvalue()


def from_csv(path: Path, metrics: Collection[str] | None) -> list[MetricRow]:
    """The rows of ``metrics.csv`` for some metrics of whole calls, or for all.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is not what stallgate writes.
    """
    columns = list(METRIC_COLUMNS)
    known = (columns, columns[: columns.index("name")])  # before imported cases had names, the table had none
    metric = columns.index("metric")
    csv.field_size_limit(_LONGEST_CELL)
    rows = []
    with io.TextIOWrapper(open_bounded(path, LARGEST_TABLE), encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        try:
            heads = next(lines, [])
            whole = heads in known
            for line in lines:
                whole = whole and len(line) == len(heads)
                if whole and not line[_LAUNCH] and (metrics is None or line[metric] in metrics):
                    rows.append(_from_text(line))
        except csv.Error as error:
            raise ValueError(str(error)) from None
    if not whole:
        raise ValueError("it is not a table that stallgate wrote, or it is incomplete")
    return rows


_LONGEST_CELL = 2**31 - 1
"""The C++ name of a kernel can be longer than 128 KiB, the limit that csv sets by default."""


def _from_text(line: list[str]) -> MetricRow:
    """A row of a whole call; cells other than value and state may be any text.

    Raises:
        ValueError: the value is no number, or there is no such state.
    """
    cells: list[Any] = list(line)
    cells[_LAUNCH] = None
    cells[_VALUE] = convert(line[_VALUE], float, strict=False) if line[_VALUE] else math.nan
    if line[_STATE] not in _STATES:
        raise ValueError(f"there is no state {line[_STATE]!r}")
    return MetricRow(*cells)


_LAUNCH, _VALUE, _STATE = (list(METRIC_COLUMNS).index(name) for name in ("launch", "value", "state"))
_STATES = frozenset(get_args(State))


# --- several launches of one call -------------------------------------------------------------------------------------


def combine_launches(catalogue: Catalogue, launches: list[Readings]) -> Readings:
    """The readings of a call, from those of its launches: times and bytes add, shares are weighted."""
    names = [name for name in catalogue.metrics if all(name in readings for readings in launches)]
    return {name: _combined(catalogue.metrics[name], launches) for name in names}


def _combined(metric: Metric, launches: list[Readings]) -> Reading:
    """One metric of a call; not measured where a launch, or its weight, is not measured."""
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


def _computed(combined: Readings, workload: Workload | None, catalogue: Catalogue) -> Readings:
    """What is computed for a whole call; roof_fraction is not known yet.

    Args:
        combined: the readings of the call.
        workload: what the call computes, where that is known.
        catalogue: the metrics.
    """
    duration = _value(combined, "duration")
    needed = workload.bytes if workload is not None else None
    moved = _sum(combined, ["dram_bytes_read", "dram_bytes_written"])
    done = flops_done(combined)
    asked = workload.flops or None if workload is not None else None
    conflicts, wavefronts = _value(combined, "shared_conflicts"), _value(combined, "shared_wavefronts")
    values = {
        "effective_bandwidth": (_ratio(needed, duration), "bytes needed / duration"),
        "traffic": (_ratio(moved, needed), "(dram_bytes_read + dram_bytes_written) / bytes needed"),
        "tflops": (_ratio(done, duration, _TERA_PER_NS), "operations by counters / duration"),
        "tflops_needed": (_ratio(asked, duration, _TERA_PER_NS), "operations needed / duration"),
        "arithmetic_intensity": (
            _ratio(done, moved),
            "operations by counters / (dram_bytes_read + dram_bytes_written)",
        ),
        "shared_bank_conflicts": (
            0.0 if wavefronts == 0 else _ratio(conflicts, wavefronts, 100),
            "100 * shared_conflicts / shared_wavefronts",
        ),
    }
    found = {name: _derived(catalogue.metrics[name], value, how) for name, (value, how) in values.items()}
    return {**found, ROOF_FRACTION: absent(catalogue.metrics[ROOF_FRACTION])}


def _derived(metric: Metric, value: float | None, how: str) -> Reading:
    return absent(metric) if value is None else checked(metric, value, how, "derived")


_TERA_PER_NS = 1e-3
"""Operations a nanosecond -> 10^12 operations a second."""


def flops_done(readings: Readings) -> float | None:
    """Floating-point operations by counters; None where some of them may not have been counted.

    The counters of the tensor cores are needed only where the tensor pipe was busy. Where it was and none of them
    counted anything, it worked on a type that has no counter here.
    """
    vector = _sum(readings, VECTOR_FLOPS)
    if vector is None or _value(readings, TENSOR_PIPE) == 0:
        return vector
    counted = {name: readings[name].value for name in (*TENSOR_FLOPS, TENSOR_INT8) if name in readings}
    values = [value for value in counted.values() if value is not None]
    if not values or len(values) < len(counted):
        return None
    busy = _value(readings, TENSOR_PIPE)
    if busy and not any(values):
        return None
    return vector + sum(counted[name] or 0.0 for name in TENSOR_FLOPS if name in counted)


def _value(readings: Readings, name: str) -> float | None:
    return readings[name].value if name in readings else None


def _sum(readings: Readings, names: Iterable[str]) -> float | None:
    """The sum of some readings; None where one is not measured."""
    values = [_value(readings, name) for name in names]
    return None if None in values else sum(value or 0.0 for value in values)


def _ratio(above: float | None, below: float | None, factor: float = 1.0) -> float | None:
    return factor * above / below if above is not None and below else None


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows(
    result: CaseResult,
    name: str,
    attempt: Attempt | None,
    call: ProfiledCall,
    launches: list[Readings],
    combined: Readings,
    catalogue: Catalogue,
) -> Iterator[MetricRow]:
    case = call.case
    shared: dict[str, Any] = {
        "problem": case.problem,
        "variant": case.variant,
        "role": result.role,
        "configuration": case.configuration,
        "workload": case.workload,
        "sample": call.sample,
        "name": name,
    }
    devices = [_device(launch, attempt) for launch in call.launches]
    if result.identity is None or result.identity.kind != "call":  # the launches of an NVTX range are their own cases'
        for launch, device, readings in zip(call.launches, devices, launches, strict=True):
            kernel = launch.kernel if launch.kind == "kernel" else ""  # a range's numbers are of no single kernel
            own = {"kernel": kernel or "", "launch": launch.index, "device": device}
            yield from _rows_of(readings, {**shared, **own}, catalogue)
    whole = {"kernel": "", "launch": None, "device": "; ".join(dict.fromkeys(devices))}
    yield from _rows_of(combined, {**shared, **whole}, catalogue)


def _device(launch: Launch, attempt: Attempt | None) -> str:
    """The GPU of a launch by its driver's name, and its index: two of a kind are two devices.

    The index is that on its machine, where the measuring child knew it, else the one that the program saw.
    """
    known = attempt.environment if attempt is not None and attempt.kind != "import" else None
    index = str(known.device) if known is not None else fact(launch, DEVICE_INDEX)
    return f"{device_of(launch)}, device {index or 'unknown'}"


def _rows_of(readings: Readings, shared: dict[str, Any], catalogue: Catalogue) -> Iterator[MetricRow]:
    for name, metric in catalogue.metrics.items():
        if name not in readings:
            continue
        found = readings[name]
        yield MetricRow(
            **shared,
            metric=name,
            value=found.value if found.value is not None else math.nan,
            state=found.state,
            unit=metric.unit,
            ncu_name=found.ncu_name,
            source=found.source,
        )


# --- samples of a case ------------------------------------------------------------------------------------------------


class Summary(FrozenStruct, frozen=True):
    """A metric of a case over its samples."""

    state: State
    """``measured`` where every sample is; otherwise the first other state."""
    median: float | None
    low: float | None
    high: float | None
    samples: int
    ncu_name: str


Summaries = dict[tuple[Case, str], Summary]
"""(case, metric) -> summary of its samples."""


def summarise(rows: Iterable[MetricRow]) -> Summaries:
    """Median and spread of every metric of every case, over whole calls without detail launches.

    A metric that some of the calls do not have is absent.
    """
    grouped: dict[tuple[Case, str], list[MetricRow]] = {}
    samples: dict[Case, set[str]] = {}
    for row in rows:
        if row.launch is None and row.sample != DETAIL:
            case = row.case
            grouped.setdefault((case, row.metric), []).append(row)
            samples.setdefault(case, set()).add(row.sample)
    return {(case, metric): _summary(found, len(samples[case])) for (case, metric), found in grouped.items()}


Parts = dict[tuple[Case, str], dict[str, Summary]]
"""(case, metric) -> kernel -> summary of that kernel alone."""


def summarise_kernels(rows: Iterable[MetricRow], metrics: Collection[str]) -> Parts:
    """Median and spread of some metrics of every kernel of a case; a second launch of a kernel is a part of its own.

    A kernel that is not in every sample is absent.
    """
    launches = [row for row in rows if row.launch is not None and row.sample != DETAIL]
    labels = _kernel_labels(launches)
    kernels: dict[Case, dict[str, None]] = {}
    samples: dict[Case, set[str]] = {}
    found: dict[tuple[Case, str], dict[str, list[MetricRow]]] = {}
    for row in launches:
        case = row.case
        label = labels[case, row.sample, row.launch]
        kernels.setdefault(case, {})[label] = None
        samples.setdefault(case, set()).add(row.sample)
        if row.metric in metrics:
            found.setdefault((case, row.metric), {}).setdefault(label, []).append(row)
    return {
        (case, metric): {label: _summary(of_kernel.get(label, []), len(samples[case])) for label in kernels[case]}
        for (case, metric), of_kernel in found.items()
    }


def _kernel_labels(launches: list[MetricRow]) -> dict[tuple[Case, str, int | None], str]:
    """(case, sample, launch) -> the kernel's name, numbered where the call launches it again."""
    seen: Counter[tuple[Case, str, str]] = Counter()
    labels: dict[tuple[Case, str, int | None], str] = {}
    for row in launches:
        case = row.case
        key = (case, row.sample, row.launch)
        if key not in labels:
            seen[case, row.sample, row.kernel] += 1
            nth = seen[case, row.sample, row.kernel]
            labels[key] = row.kernel if nth == 1 else f"{row.kernel} ({nth})"
    return labels


def _summary(rows: list[MetricRow], samples: int) -> Summary:
    """The summary of a metric's rows, which have to be one for each sample."""
    odd = next((row for row in rows if row.state != "measured"), None)
    if odd is not None or len(rows) < samples:
        state, name = (odd.state, odd.ncu_name) if odd is not None else ("absent", rows[0].ncu_name if rows else "")
        return Summary(state=state, median=None, low=None, high=None, samples=samples, ncu_name=name)
    values = [row.value for row in rows]
    return Summary(
        state="measured",
        median=statistics.median(values),
        low=min(values),
        high=max(values),
        samples=len(values),
        ncu_name=rows[0].ncu_name,
    )
