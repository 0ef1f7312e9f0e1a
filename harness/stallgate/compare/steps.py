"""Change points: where the measurements of a series leave their level and stay off it."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from stallgate.compare.history import Measurement, Series
from stallgate.model import FrozenStruct

_SIDE, _LEAST_ON_A_SIDE = 3, 2
"""Most measurements that are looked at on either side, and the least: a single odd run is no change."""

_LEAST_EFFECT = 0.005
"""Smaller steps of the median are not marked, however little noise there is."""


class Step(FrozenStruct, frozen=True):
    """A change point of a series."""

    at: Measurement
    """The first measurement of the new level."""
    before: float
    """The median of the measurements before it."""
    after: float


def steps_of(series: Series) -> list[Step]:
    """The change points of a series, oldest first.

    Between two neighbouring measurements there is a step if no sample of up to three measurements before it reaches
    the range of the samples of up to three after it, and the medians of both sides differ by half a per cent. Either
    side needs two measurements.
    """
    points = series.measured
    spans = [span for point in points if (span := _span(point)) is not None]
    found = (_step(points, spans, place) for place in range(_LEAST_ON_A_SIDE, len(points) - _LEAST_ON_A_SIDE + 1))
    return [step for step in found if step is not None]


class _Span(NamedTuple):
    """The range of a measurement's samples, and their median."""

    low: float
    high: float
    median: float


def _span(point: Measurement) -> _Span | None:
    middle = point.median
    if middle is None:
        return None
    low, high = point.low, point.high
    return _Span(
        low=middle if low is None else min(low, middle),
        high=middle if high is None else max(high, middle),
        median=middle,
    )


def _step(points: list[Measurement], spans: list[_Span], place: int) -> Step | None:
    """The step before a measurement, if there is one."""
    left, right = spans[place - 1], spans[place]
    if left.high >= right.low and right.high >= left.low:
        return None  # most places: there is no need to look further
    before, after = spans[max(place - _SIDE, 0) : place], spans[place : place + _SIDE]
    if not _apart(before, after) and not _apart(after, before):
        return None
    level, new = _level(before), _level(after)
    if not level or abs(new - level) < _LEAST_EFFECT * abs(level):
        return None
    return Step(at=points[place], before=level, after=new)


def _apart(below: list[_Span], above: list[_Span]) -> bool:
    """Whether all samples of some measurements are less than all of others."""
    return max([span.high for span in below]) < min([span.low for span in above])


def _level(spans: list[_Span]) -> float:
    return median(span.median for span in spans)
