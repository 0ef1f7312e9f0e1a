"""Change points: where the measurements of a series leave their level and stay off it."""

from __future__ import annotations

from statistics import median

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
    found = (_step(points, place) for place in range(_LEAST_ON_A_SIDE, len(points) - _LEAST_ON_A_SIDE + 1))
    return [step for step in found if step is not None]


def _step(points: list[Measurement], place: int) -> Step | None:
    """The step before a measurement, if there is one."""
    before, after = points[max(place - _SIDE, 0) : place], points[place : place + _SIDE]
    apart = _highest(before) < _lowest(after) or _highest(after) < _lowest(before)
    level, new = _level(before), _level(after)
    if not apart or not level or abs(new - level) < _LEAST_EFFECT * abs(level):
        return None
    return Step(at=points[place], before=level, after=new)


def _level(points: list[Measurement]) -> float:
    return median(point.median for point in points if point.median is not None)


def _lowest(points: list[Measurement]) -> float:
    return min(low for point in points for low in (point.low, point.median) if low is not None)


def _highest(points: list[Measurement]) -> float:
    return max(high for point in points for high in (point.high, point.median) if high is not None)
