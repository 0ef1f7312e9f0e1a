"""A number against a bound: where the bound comes from, on which side the samples lie, and the sentence for it."""

from __future__ import annotations

import operator
from collections.abc import Callable

from msgspec.structs import replace

from stallgate.extract.table import Summary
from stallgate.formatting import beside, difference, percent, quantity, rounded, telling_digits
from stallgate.judge.reasons import STATUS_OF_REASON
from stallgate.model import Accepted, Comparison, Excuse, Exemption, FrozenStruct, Metric, Target, Verdict
from stallgate.project.catalogue import points_of
from stallgate.project.load import Project

_HOLDS: dict[Comparison, Callable[[float, float], bool]] = {
    "at_least": operator.ge,
    "at_most": operator.le,
    "above": operator.gt,
    "below": operator.lt,
}

_WORDS: dict[Comparison, str] = {
    "at_least": "at least",
    "at_most": "at most",
    "above": "above",
    "below": "below",
}


class Bound(FrozenStruct, frozen=True):
    """What a number is held to."""

    comparison: Comparison
    value: float
    """In the metric's unit."""
    of_roof: float | None = None
    """Set where the bound is a fraction of the roof's value."""
    baseline: float | None = None
    """The accepted value; set where the bound is a tolerance around it."""
    slack: float | None = None
    """How far the bound lies from the baseline, in the metric's unit."""
    noisy: bool = False
    """Whether repeated runs lie further apart than the tolerance that was asked for: their spread is allowed."""


def bound_now(project: Project, problem: str, workload: str, metric: str) -> tuple[Comparison, float] | None:
    """The bound of a metric by today's stages, in its unit, where it is a value and not a fraction of the roof's."""
    stages = project.with_sound(project.problems[problem].stages)
    here = [stage for stage in stages if workload in project.judged_workloads(problem, stage.name)]
    targets = [target for stage in here for target in stage.targets if target.metric.name == metric]
    bounds = [target.bound for target in targets if target.of is None and target.scope == "call"]
    return next((bound for bound in bounds if bound is not None), None)


def around(accepted: Accepted, target: Target) -> Bound:
    """The bound for a tolerance around a baseline: never tighter than the spread of repeated runs of the same code.

    Args:
        accepted: the baseline.
        target: one with a tolerance, on a metric with a direction.
    """
    asked = _asked(accepted, target)
    slack = max(asked, accepted.spread)
    higher = target.metric.direction == "higher"
    return Bound(
        comparison="at_least" if higher else "at_most",
        value=accepted.median - slack if higher else accepted.median + slack,
        baseline=accepted.median,
        slack=slack,
        noisy=accepted.spread > asked,
    )


def _asked(accepted: Accepted, target: Target) -> float:
    """How much worse a target allows its metric to be, in the metric's unit."""
    if target.tolerance_points is not None:
        return target.tolerance_points / (points_of(target.metric.name, target.metric.unit) or 1.0)
    return (target.tolerance or 0.0) * abs(accepted.median)


def holding(summary: Summary, bound: Bound) -> list[bool]:
    """Whether the lowest sample, the median and the highest sample meet a bound; empty where nothing was measured."""
    values = (summary.low, summary.median, summary.high)
    return [_HOLDS[bound.comparison](value, bound.value) for value in values if value is not None]


def weigh(draft: Verdict, metric: Metric, summary: Summary, bound: Bound) -> Verdict:
    """A verdict by median and spread: passed if all samples meet the bound, failed if none does, else undecided."""
    assert summary.median is not None
    holds = holding(summary, bound)
    missed = "missed" if bound.baseline is None else "regressed"
    reason = "met" if all(holds) else "straddles" if any(holds) else missed
    wanted = _wanted(metric, summary, bound)
    sentence = f"{draft.metric}{_of_kernel(draft)} is {_value(metric, summary, bound)}; wanted {wanted}"
    if reason == "straddles" and summary.low is not None and summary.high is not None:
        low, high = (_beside_bound(value, metric, summary, bound) for value in (summary.low, summary.high))
        sentence += f"; its samples reach from {low} to {high}"
    return replace(
        draft,
        status=STATUS_OF_REASON[reason],
        reason=reason,
        sentence=sentence,
        comparison=bound.comparison,
        bound=bound.value,
        of_roof=bound.of_roof,
        baseline=bound.baseline,
        tolerance=None if _is_share(metric) else _relative(bound.slack, bound.baseline),
        tolerance_points=_points(metric, bound.slack),
    )


def excuse_of(exemption: Exemption, summary: Summary) -> Excuse | None:
    """The excuse, if the median and every sample meet the condition."""
    if exemption.bound is None or summary.median is None or summary.low is None or summary.high is None:
        return None
    comparison, value = exemption.bound
    if not all(holding(summary, Bound(comparison=comparison, value=value))):
        return None
    return Excuse(
        metric=exemption.metric.name,
        unit=exemption.metric.unit,
        comparison=comparison,
        bound=value,
        value=summary.median,
        low=summary.low,
        high=summary.high,
    )


def no_slower(accepted: Accepted, duration: Metric, summary: Summary) -> Excuse | None:
    """What makes a counter's regression a note: the median time is above the baseline's by no more than the noise.

    Args:
        accepted: the accepted time.
        duration: the metric of the time.
        summary: the time in the run.
    """
    limit = accepted.median + max(accepted.spread, _LEAST_MOVE * accepted.median)
    median = summary.median
    if median is None or median > limit:
        return None
    return Excuse(
        metric=duration.name,
        unit=duration.unit,
        comparison="at_most",
        bound=limit,
        value=median,
        low=median if summary.low is None else summary.low,
        high=median if summary.high is None else summary.high,
    )


_LEAST_MOVE = 0.005
"""A smaller relative change, or one of half a point of a share, is none, however small the noise is."""


def noted(verdict: Verdict, excuse: Excuse) -> Verdict:
    """A verdict on a counter that is worse than the baseline's, while the time is not."""
    time, most = beside(excuse.value, excuse.bound, excuse.unit)
    sentence = f"{verdict.sentence}; a note only: the time is no worse, {time} against at most {most}"
    reason = "no_slower"
    return replace(verdict, status=STATUS_OF_REASON[reason], reason=reason, sentence=sentence, excuse=excuse)


def excused(verdict: Verdict, excuse: Excuse) -> Verdict:
    """A verdict on a target that is not met, excused."""
    found, wanted = beside(excuse.value, excuse.bound, excuse.unit)
    sentence = f"{verdict.sentence}; excused: {excuse.metric} is {found}, {_WORDS[excuse.comparison]} {wanted}"
    reason = "at_the_roof"
    return replace(verdict, status=STATUS_OF_REASON[reason], reason=reason, sentence=sentence, excuse=excuse)


def terms_of(target: Target) -> tuple[Comparison | None, float | None, float | None]:
    """A target's comparison, absolute bound and fraction of the roof; None for what it does not have."""
    if target.bound is None:
        return None, None, None
    comparison, value = target.bound
    return (comparison, None, value) if target.of == "roof" else (comparison, value, None)


def _of_kernel(draft: Verdict) -> str:
    return f" of {draft.kernel}" if draft.kernel is not None else ""


def _relative(part: float | None, whole: float | None) -> float | None:
    return part / abs(whole) if part is not None and whole else None


def _is_share(metric: Metric) -> bool:
    return points_of(metric.name, metric.unit) is not None


def _points(metric: Metric, difference: float | None) -> float | None:
    """A difference of a share in percentage points; None of anything else."""
    scale = points_of(metric.name, metric.unit)
    return scale * difference if scale is not None and difference is not None else None


def _value(metric: Metric, summary: Summary, bound: Bound) -> str:
    """The median, beside the baseline where there is one."""
    assert summary.median is not None
    shown, _ = beside(summary.median, bound.value, metric.unit)
    if bound.baseline is None:
        return shown
    accepted = _beside_bound(bound.baseline, metric, summary, bound)
    change = _relative(summary.median - bound.baseline, bound.baseline)
    if not change:
        return f"{shown}, {'equal to the baseline' if change == 0 else f'baseline {accepted}'}"
    word = "better" if (change > 0) == (metric.direction == "higher") else "worse"
    points = _points(metric, summary.median - bound.baseline)
    moved = abs(change) if points is None else abs(points) / 100
    if moved < _LEAST_MOVE and abs(summary.median - bound.baseline) <= (bound.slack or 0.0):
        return f"{shown}, no change from the baseline's {accepted}"
    size = percent(abs(change)) if points is None else f"{difference(abs(points))} points"
    return f"{shown}, {size} {word} than the baseline's {accepted}"


def _beside_bound(value: float, metric: Metric, summary: Summary, bound: Bound) -> str:
    """Another value of the metric, in as many digits as its median has beside the bound."""
    assert summary.median is not None
    return quantity(value, metric.unit, telling_digits(summary.median, bound.value))


def _wanted(metric: Metric, summary: Summary, bound: Bound) -> str:
    """The bound in words."""
    assert summary.median is not None
    limit = f"{_WORDS[bound.comparison]} {beside(summary.median, bound.value, metric.unit)[1]}"
    if bound.of_roof is not None:
        return f"{limit} ({bound.of_roof:g} of the roof's)"
    tolerance, points = _relative(bound.slack, bound.baseline), _points(metric, bound.slack)
    if tolerance is None and points is None:
        return limit
    noise = ", the spread of its repeated runs" if bound.noisy else ""
    size = f"{rounded(100 * (tolerance or 0.0))} %" if points is None else f"{rounded(points)} points"
    return f"{limit} ({size} worse{noise})"
