"""The readings of one call, or of each of its launches, that advice stands on.

A number is the median over the samples, as every other view of a run has it. What a sample lacks is read from the
detail launch. Calls that did not launch the same kernels have no median of a launch: these are of the first sample.
"""

from __future__ import annotations

from statistics import median

from stallgate.extract.read_run import ReadRun
from stallgate.extract.table import MetricRow
from stallgate.model import DETAIL, Case, CitedReading, FrozenStruct
from stallgate.project.advice import FACT_UNITS


class LaunchReadings(FrozenStruct, frozen=True):
    """What is known of one launch, or of a call of several."""

    case: Case
    kernel: str
    """Empty of a call of several kernels."""
    share: float
    """Of the call's duration."""
    readings: dict[str, CitedReading]
    """Only those that are measured."""
    is_part: bool = False
    """Whether it is one of several launches of a call."""

    def value(self, name: str) -> float:
        """The value of a reading; KeyError where it is not measured."""
        return self.readings[name].value

    def get(self, name: str) -> float | None:
        found = self.readings.get(name)
        return found.value if found is not None else None


Launches = dict[int | None, list[MetricRow]]
"""Index of a launch, None of the whole call -> its rows."""


def readings_by_case(read: ReadRun, wanted: set[str]) -> dict[Case, list[LaunchReadings]]:
    """Case -> the readings of its call, and of each launch where the call has several."""
    calls: dict[Case, dict[str, Launches]] = {}
    for row in read.rows:
        if row.metric in wanted:
            calls.setdefault(row.case, {}).setdefault(row.sample, {}).setdefault(row.launch, []).append(row)
    return {case: _of_case(case, samples) for case, samples in calls.items()}


def with_facts(found: LaunchReadings, facts: dict[str, float]) -> LaunchReadings:
    """The readings with facts beside them."""
    cited = {
        name: CitedReading(metric=name, value=value, unit=FACT_UNITS[name], launch=None, sample="")
        for name, value in facts.items()
    }
    return LaunchReadings(found.case, found.kernel, found.share, found.readings | cited, found.is_part)


def _of_case(case: Case, samples: dict[str, Launches]) -> list[LaunchReadings]:
    detail = samples.get(DETAIL, {})
    measured = [launches for name, launches in samples.items() if name != DETAIL] or [detail]
    parts, more = _alike([_launches(call) for call in measured]), _launches(detail)
    whole = _medians([detail.get(None, [])]) | _medians([call.get(None, []) for call in measured])
    if len(parts) < 2:
        kernel = parts[0][0][0].kernel if parts else ""
        known = (_medians(more[:1]) | _medians(parts[0])) if parts else {}
        return [LaunchReadings(case=case, kernel=kernel, share=1.0, readings=whole | known)]
    total = whole["duration"].value if "duration" in whole else None
    return [
        LaunchReadings(case=case, kernel="", share=1.0, readings=whole),
        *(_part(case, found, _same(more, place, found[0]), total) for place, found in enumerate(parts)),
    ]


def _launches(call: Launches) -> list[list[MetricRow]]:
    """The rows of each launch of a call, in their order."""
    return [call[index] for index in sorted(index for index in call if index is not None)]


def _alike(calls: list[list[list[MetricRow]]]) -> list[list[list[MetricRow]]]:
    """Place of a launch in its call -> its rows in each sample; in the first alone where the others' kernels differ."""
    kernels = [[rows[0].kernel for rows in call] for call in calls]
    alike = calls if all(found == kernels[0] for found in kernels) else calls[:1]
    return [list(found) for found in zip(*alike, strict=True)]


def _same(details: list[list[MetricRow]], place: int, rows: list[MetricRow]) -> list[MetricRow]:
    """The detail rows of the launch at the same place, if it is of the same kernel."""
    found = details[place] if place < len(details) else []
    return found if found and found[0].kernel == rows[0].kernel else []


def _part(case: Case, found: list[list[MetricRow]], details: list[MetricRow], total: float | None) -> LaunchReadings:
    readings = _medians([details]) | _medians(found)
    share = readings["duration"].value / total if "duration" in readings and total else 0.0
    return LaunchReadings(case, found[0][0].kernel, share, readings, is_part=True)


def _medians(samples: list[list[MetricRow]]) -> dict[str, CitedReading]:
    """Metric -> its median over samples, of those that every sample has."""
    rows: dict[str, list[MetricRow]] = {}
    for row in (row for sample in samples for row in sample if row.state == "measured"):
        rows.setdefault(row.metric, []).append(row)
    return {metric: _median(found) for metric, found in rows.items() if len(found) == len(samples)}


def _median(rows: list[MetricRow]) -> CitedReading:
    first = rows[0]
    if len(rows) == 1:
        sample = "" if first.name else first.sample  # launches of an imported case are no samples
        return CitedReading(first.metric, first.value, first.unit, first.launch, sample)
    value = median(row.value for row in rows)
    return CitedReading(first.metric, value, first.unit, launch=None, sample="", samples=len(rows))
