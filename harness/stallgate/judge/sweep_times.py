"""The times of a sweep beside each other: what their noise is, and which of them are ties."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, log
from statistics import fmean, median

from stallgate.model import FrozenStruct
from stallgate.runs.bench import quartiles_of
from stallgate.runs.sweep import Sweep

TIE = 0.005
"""Medians that differ by no more than this fraction are a tie, however quiet the samples are."""

_QUARTILES_FROM = 8
"""Samples from which the quartiles are the interval; of fewer, all of them are."""


class TimeSpan(FrozenStruct, frozen=True):
    """The time of a call in microseconds, with the interval that its samples lie in."""

    median: float
    low: float
    """The lower quartile; the least of fewer than eight samples."""
    high: float
    samples: int


def time_span(samples_us: Sequence[float]) -> TimeSpan | None:
    """The time of some samples; None where there are none."""
    if not samples_us:
        return None
    ends = quartiles_of(list(samples_us)) if len(samples_us) >= _QUARTILES_FROM else None
    low, high = ends or (min(samples_us), max(samples_us))
    return TimeSpan(median=median(samples_us), low=low, high=high, samples=len(samples_us))


def is_tie(one: TimeSpan, other: TimeSpan) -> bool:
    """Whether two times differ by no more than noise: their intervals overlap, or their medians lie within 0.5 %."""
    if one.low <= other.high and other.low <= one.high:
        return True
    return abs(one.median - other.median) <= TIE * min(one.median, other.median)


class Gain(FrozenStruct, frozen=True):
    """Time that one configuration takes less than another, in per cent; negative if it takes more."""

    percent: float
    low: float
    """The least gain that the samples allow."""
    high: float
    tie: bool
    """Whether it is no gain beyond noise, on any workload."""

    @property
    def noise(self) -> float:
        """Half of the range that the samples allow, in per cent."""
        return (self.high - self.low) / 2


class SweepTimes:
    """The times of a sweep, and which of them may be compared.

    Finalists were timed again in turn, at steady clocks: two of them are compared by those samples. Every other pair is
    compared by the rounds, in which all configurations were interleaved.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._rounds = {(t.configuration, t.workload): time_span(t.samples_us) for t in sweep.trials}
        finals: dict[tuple[str, str], list[float]] = {}
        for final in sweep.finals:
            finals.setdefault((final.configuration, final.workload), []).extend(final.samples_us)
        self._finals = {key: time_span(samples) for key, samples in finals.items()}

    def rounds(self, configuration: str, workload: str) -> TimeSpan | None:
        """By the rounds, which every configuration was timed in."""
        return self._rounds.get((configuration, workload))

    def is_final(self, configuration: str, workload: str) -> bool:
        """Whether a configuration was timed again among the finalists."""
        return self._finals.get((configuration, workload)) is not None

    def shown(self, configuration: str, workload: str) -> TimeSpan | None:
        """The better measurement: of the finals, where there is one."""
        return self._finals.get((configuration, workload)) or self.rounds(configuration, workload)

    def pair(self, one: str, other: str, workload: str) -> tuple[TimeSpan, TimeSpan] | None:
        """The times of two configurations that were taken under the same conditions; None where there are none."""
        kind = self._finals if self.is_final(one, workload) and self.is_final(other, workload) else self._rounds
        first, second = kind.get((one, workload)), kind.get((other, workload))
        return (first, second) if first is not None and second is not None else None

    def gain(self, one: str, other: str, workloads: Iterable[str]) -> Gain | None:
        """The gain of one configuration over another, by the geometric mean over workloads; None if one has no time."""
        pairs = [self.pair(one, other, workload) for workload in workloads]
        known = [pair for pair in pairs if pair is not None]
        if not known or len(known) < len(pairs):
            return None
        return Gain(
            percent=_less(new.median / old.median for new, old in known),
            low=_less(new.high / old.low for new, old in known),
            high=_less(new.low / old.high for new, old in known),
            tie=one == other or all(is_tie(new, old) for new, old in known),
        )


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean of positive numbers."""
    return exp(fmean(log(value) for value in values))


def _less(ratios: Iterable[float]) -> float:
    return 100 * (1 - geometric_mean(ratios))
