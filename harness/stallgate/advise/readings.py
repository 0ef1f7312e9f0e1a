"""The readings of one launch that advice stands on.

Every number is of one launch of one sample, so that a reader finds it again: the sample of the median duration, or of
an imported report the first, which NVIDIA's rule results are of. What the samples lack is read from the detail launch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
    is_import = read.run.kind == "imported"
    return {case: _of_case(case, samples, is_import=is_import) for case, samples in calls.items()}


def with_facts(found: LaunchReadings, facts: dict[str, float]) -> LaunchReadings:
    """The readings with facts beside them."""
    cited = {
        name: CitedReading(metric=name, value=value, unit=FACT_UNITS[name], launch=None, sample="")
        for name, value in facts.items()
    }
    return LaunchReadings(found.case, found.kernel, found.share, found.readings | cited, found.is_part)


def _of_case(case: Case, samples: dict[str, Launches], *, is_import: bool) -> list[LaunchReadings]:
    measured = {name: launches for name, launches in samples.items() if name != DETAIL}
    detail = samples.get(DETAIL, {})
    if not measured:
        measured = {DETAIL: detail}
    chosen = next(iter(measured.values())) if is_import else measured[_median_sample(measured)]
    parts, more = _launches(chosen), _launches(detail)
    whole = _cited([*detail.get(None, []), *chosen.get(None, [])])
    if len(parts) < 2:
        known = _cited(rows for found in (more, parts) for rows in found[:1]) if parts else {}
        kernel = parts[0][0].kernel if parts else ""
        return [LaunchReadings(case=case, kernel=kernel, share=1.0, readings=whole | known)]
    total = _duration(chosen.get(None, []))
    return [
        LaunchReadings(case=case, kernel="", share=1.0, readings=whole),
        *(_part(case, rows, _same(more, place, rows), total) for place, rows in enumerate(parts)),
    ]


def _launches(call: Launches) -> list[list[MetricRow]]:
    """The rows of each launch of a call, in their order."""
    return [call[index] for index in sorted(index for index in call if index is not None)]


def _same(details: list[list[MetricRow]], place: int, rows: list[MetricRow]) -> list[MetricRow]:
    """The detail rows of the launch at the same place, if it is of the same kernel."""
    found = details[place] if place < len(details) else []
    return found if found and found[0].kernel == rows[0].kernel else []


def _part(case: Case, rows: list[MetricRow], details: list[MetricRow], total: float | None) -> LaunchReadings:
    own = _duration(rows)
    share = own / total if own is not None and total else 0.0
    return LaunchReadings(case, rows[0].kernel, share, _cited([*details, *rows]), is_part=True)


def _cited(rows: Iterable[MetricRow] | Iterable[list[MetricRow]]) -> dict[str, CitedReading]:
    """Metric -> its reading; of two, the later."""
    flat = [row for found in rows for row in (found if isinstance(found, list) else [found])]
    return {
        row.metric: CitedReading(row.metric, row.value, row.unit, row.launch, row.sample)
        for row in flat
        if row.state == "measured"
    }


def _median_sample(measured: dict[str, Launches]) -> str:
    """The sample of the median duration; of an even number, the faster of the two in the middle."""
    key: Callable[[str], float] = lambda name: _duration(measured[name].get(None, [])) or 0.0  # noqa: E731
    ordered = sorted(measured, key=key)
    return ordered[(len(ordered) - 1) // 2]


def _duration(rows: list[MetricRow]) -> float | None:
    return next((row.value for row in rows if row.metric == "duration" and row.state == "measured"), None)
