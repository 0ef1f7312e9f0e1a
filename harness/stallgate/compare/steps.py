"""Change points: where the measurements of a series leave their level and stay off it."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from stallgate.compare.history import Measurement, Series
from stallgate.extract.table import Summary
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
    spans = [_span(point.summary) for point in points if point.summary is not None]
    left, places = spans[_LEAST_ON_A_SIDE - 1 :], range(_LEAST_ON_A_SIDE, len(spans) - _LEAST_ON_A_SIDE + 1)
    apart = [  # at most places they are not: there is no need to look further
        place
        for place, below, above in zip(places, left, left[1:], strict=False)
        if below.high < above.low or above.high < below.low
    ]
    found = (_step(points, spans, place) for place in apart)
    return [step for step in found if step is not None]


class _Span(NamedTuple):
    """The range of a measurement's samples, and their median."""

    low: float
    high: float
    median: float


def _span(summary: Summary) -> _Span:
    """The span of a measurement that has a median."""
    middle, low, high = summary.median or 0.0, summary.low, summary.high
    return _Span(
        low=middle if low is None or low > middle else low,
        high=middle if high is None or high < middle else high,
        median=middle,
    )


def _step(points: list[Measurement], spans: list[_Span], place: int) -> Step | None:
    """The step before a measurement whose span does not touch the one before, if there is one."""
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
