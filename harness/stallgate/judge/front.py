"""The Pareto front of a sweep: configurations that no other one beats in one metric without losing in the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stallgate.judge.sweep_times import TIE, TimeSpan, time_span
from stallgate.model import Catalogue, Direction, FrozenStruct
from stallgate.runs.sweep import CounterReading, Sweep, Trial

_TIME = "time"
"""The name of the unprofiled time among a front's metrics."""

_FACTS: dict[str, Callable[[Trial], float | None]] = {
    "registers": lambda trial: trial.registers,
    "shared_memory": lambda trial: trial.shared_bytes,
    "spills": lambda trial: trial.spills,
    "compile_time": lambda trial: trial.compile_s,
}
"""What a trial has without counters."""


class FrontAxis(FrozenStruct, frozen=True):
    """A metric that configurations are weighed by."""

    metric: str
    title: str
    unit: str
    direction: Direction = "lower"


TIME_AXIS = FrontAxis(metric=_TIME, title="Time of a call", unit="us")


class FrontPoint(FrozenStruct, frozen=True):
    """A configuration in the plane of two metrics."""

    configuration: str
    x: TimeSpan
    y: TimeSpan
    on_front: bool = True
    ties_with: list[str] = []
    """Configurations of the front that beat this one by no more than noise."""


class ParetoFront(FrozenStruct, frozen=True):
    """All configurations that have both metrics on a workload."""

    workload: str
    x: FrontAxis
    y: FrontAxis
    points: list[FrontPoint]
    """By their x, the best first; then by their y."""

    @property
    def front(self) -> list[FrontPoint]:
        return [point for point in self.points if point.on_front]


def axis_named(catalogue: Catalogue, name: str) -> FrontAxis:
    """The axis of a metric of the catalogue, or of what a trial has without counters.

    A metric of which neither direction is better is taken as one that had better be low: shares of waiting are.
    """
    metric = catalogue.metrics.get(catalogue.aliases.get(name, name))
    if name == _TIME:
        return TIME_AXIS
    if metric is None:
        return FrontAxis(metric=name, title=name.replace("_", " "), unit="")
    direction = "lower" if metric.direction == "neither" else metric.direction
    return FrontAxis(metric=metric.name, title=metric.title, unit=metric.unit, direction=direction)


def pareto_front(sweep: Sweep, workload: str, x: FrontAxis, y: FrontAxis) -> ParetoFront:
    """The front of two metrics among the configurations of a workload that were timed to the end.

    All times are those of the rounds, in which every configuration was timed under the same conditions.
    """
    trials = [t for t in sweep.trials if t.workload == workload and t.state in ("timed", "profiled")]
    found = [(t.configuration, reading_of(t, x.metric), reading_of(t, y.metric)) for t in trials]
    points = [FrontPoint(configuration=name, x=a, y=b) for name, a, b in found if a is not None and b is not None]
    points.sort(key=lambda point: (*_cost(point, x, y), point.configuration))
    return ParetoFront(workload=workload, x=x, y=y, points=_placed(points, x, y))


def reading_of(trial: Trial, metric: str) -> TimeSpan | None:
    """A metric of a trial with the interval of its samples; None where it has none."""
    if metric == _TIME:
        return time_span(trial.samples_us)
    if metric in trial.counters:
        return _span(trial.counters[metric])
    value = _FACTS[metric](trial) if metric in _FACTS else None
    return None if value is None else TimeSpan(median=value, low=value, high=value, samples=1)


def _span(reading: CounterReading) -> TimeSpan:
    return TimeSpan(median=reading.median, low=reading.least, high=reading.most, samples=reading.samples)


def _cost(point: FrontPoint, x: FrontAxis, y: FrontAxis) -> tuple[float, float]:
    """Both metrics so that less is better."""
    signs = [-1 if axis.direction == "higher" else 1 for axis in (x, y)]
    return signs[0] * point.x.median, signs[1] * point.y.median


def dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether one pair of costs is nowhere worse than another, and somewhere better."""
    return one[0] <= other[0] and one[1] <= other[1] and one != other


def _placed(points: Sequence[FrontPoint], x: FrontAxis, y: FrontAxis) -> list[FrontPoint]:
    """Points, sorted by their costs, each with its place: on the front, a tie with some of it, or dominated."""
    least = float("inf")
    front: list[FrontPoint] = []
    placed: list[FrontPoint] = []
    for point in points:
        cost = _cost(point, x, y)
        if cost[1] < least or (front and cost == _cost(front[-1], x, y)):
            least = cost[1]
            front.append(point)
            placed.append(point)
            continue
        ties = [f.configuration for f in front if dominates(_cost(f, x, y), cost) and _ties(f, point)]
        placed.append(
            FrontPoint(configuration=point.configuration, x=point.x, y=point.y, on_front=False, ties_with=sorted(ties))
        )
    return placed


def _ties(one: FrontPoint, other: FrontPoint) -> bool:
    return _alike(one.x, other.x) and _alike(one.y, other.y)


def _alike(one: TimeSpan, other: TimeSpan) -> bool:
    """Whether two readings differ by no more than their samples do, or than 0.5 %."""
    if one.low <= other.high and other.low <= one.high:
        return True
    return abs(one.median - other.median) <= TIE * min(abs(one.median), abs(other.median))
