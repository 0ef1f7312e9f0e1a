"""The columns of a table of cases: the time, then the metrics of the stages, targets first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Literal

from msgspec.structs import replace

from stallgate.formatting import measured, rounded, scaled, share
from stallgate.model import Catalogue, FrozenStruct, Metric
from stallgate.project.catalogue import ROOF_FRACTION

_WITHOUT_STAGES = (ROOF_FRACTION, "dram_throughput", "l2_hit_rate", "memory_dependency_stall")
"""The metrics of a table that no stage is for."""

_HEADING_WIDTH = 11
"""Characters of a heading's line; a longer word keeps its own."""

_GAP = 2
"""Spaces between two columns of a terminal."""


class CaseColumn(FrozenStruct, frozen=True):
    """One metric of a table of cases."""

    metric: Metric
    time_unit: Literal["µs", "ms", "s"] = "ms"
    """Of a column of times: all of them are in one unit."""

    @property
    def heading(self) -> str:
        unit = self.time_unit if self.metric.unit == "ns" else self.metric.unit
        return f"{self.metric.title} [{unit}]" if _in_heading(self.metric.unit) else self.metric.title

    @property
    def wrapped(self) -> str:
        """The heading in lines of a terminal."""
        return "\n".join(wrap(self.heading, _HEADING_WIDTH, break_long_words=False))

    def text(self, median: float | None) -> str:
        """A value as the table shows it."""
        if median is None:
            return "–"
        if not _in_heading(self.metric.unit) and self.metric.unit:
            return scaled(median, self.metric.unit)
        if self.metric.unit == "ns":
            return rounded(median / _NANOSECONDS[self.time_unit], zeros=True)
        return share(median) if self.metric.unit == "%" else measured(median, self.metric.unit)

    def holding(self, medians: Iterable[float | None]) -> CaseColumn:
        """The column in the unit that its values are read in: times that are all short in µs, all long in s."""
        times = [median for median in medians if median is not None]
        if self.metric.unit != "ns" or not times:
            return self
        short = min(times) < _SHORT_NS and max(times) < _MIDDLE_NS
        return replace(self, time_unit="µs" if short else "s" if min(times) >= _LONG_NS else "ms")


_NANOSECONDS = {"µs": 1e3, "ms": 1e6, "s": 1e9}

_SHORT_NS, _MIDDLE_NS, _LONG_NS = 1e4, 1e6, 1e10
"""A column with a time below the first and none from the second on is in µs, one of times from the third on in s."""


def _in_heading(unit: str) -> bool:
    """Whether the heading has the unit. Numbers of bytes and of other things have it, or a G or M, in each cell."""
    return unit in ("ns", "%") or "/" in unit


def case_columns(catalogue: Catalogue, of_stages: Sequence[Metric], *, imported: bool = False) -> list[CaseColumn]:
    """The columns for the metrics of some stages; the usual ones where there is no stage.

    Args:
        catalogue: the metrics.
        of_stages: those of the stages.
        imported: whether the cases are of an imported run, which has no roof.
    """
    shown = list(of_stages) or [catalogue.metrics[name] for name in _WITHOUT_STAGES]
    shown = [metric for metric in shown if not (imported and metric.name == ROOF_FRACTION)]
    metrics = {metric.name: metric for metric in [catalogue.metrics["duration"], *shown]}
    return [CaseColumn(metric) for metric in metrics.values()]


def fitting_columns(columns: Sequence[CaseColumn], cells: Sequence[Sequence[str]], room: int) -> int:
    """How many columns, from the left, fit into so many characters; at least one.

    Args:
        columns: the columns.
        cells: the texts of each row, column by column.
        room: characters beside the rows' names.
    """
    used = 0
    for place, column in enumerate(columns):
        lines = [*column.wrapped.splitlines(), *(row[place] for row in cells)]
        used += _GAP + max(map(len, lines))
        if used > room:
            return max(1, place)
    return len(columns)
