"""A number against a bound: where the bound comes from, on which side the samples lie, and how that is said."""

from __future__ import annotations

import operator
from collections.abc import Callable

from msgspec.structs import replace

from stallgate.extract.table import Summary
from stallgate.formatting import number, quantity
from stallgate.model import Accepted, Comparison, FrozenStruct, Metric, Status, Target, Verdict

HOLDS: dict[Comparison, Callable[[float, float], bool]] = {
    "at_least": operator.ge,
    "at_most": operator.le,
    "above": operator.gt,
    "below": operator.lt,
}

WORDS: dict[Comparison, str] = {
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
    """The fraction of the roof's value that it is, where it is one."""
    baseline: float | None = None
    """The accepted value, where the bound is a tolerance around it."""
    slack: float | None = None
    """How far the bound lies from the baseline, in the metric's unit."""
    noisy: bool = False
    """The slack is how far repeated runs lie apart, which is more than the tolerance that was asked for."""


def around(accepted: Accepted, tolerance: float, metric: Metric) -> Bound:
    """The bound of a tolerance: never tighter than repeated runs of the same code lie apart.

    Args:
        accepted: the baseline.
        tolerance: the fraction of the baseline's value that the stage allows it to be worse.
        metric: it has a direction.
    """
    asked = tolerance * abs(accepted.median)
    slack = max(asked, accepted.spread)
    higher = metric.direction == "higher"
    return Bound(
        comparison="at_least" if higher else "at_most",
        value=accepted.median - slack if higher else accepted.median + slack,
        baseline=accepted.median,
        slack=slack,
        noisy=accepted.spread > asked,
    )


def weigh(draft: Verdict, metric: Metric, summary: Summary, bound: Bound) -> Verdict:
    """Median and spread against a bound: all on the right side, none, or some."""
    assert summary.median is not None
    assert summary.low is not None
    assert summary.high is not None
    holds = [HOLDS[bound.comparison](value, bound.value) for value in (summary.low, summary.median, summary.high)]
    status: Status = "pass" if all(holds) else "undecided" if any(holds) else "fail"
    missed = "missed" if bound.baseline is None else "regressed"
    reason = {"pass": "met", "fail": missed, "undecided": "straddles"}[status]
    sentence = f"{draft.metric}{_of_kernel(draft)} is {_value(metric, summary, bound)}; wanted {_wanted(metric, bound)}"
    if status == "undecided":
        sentence += f"; its samples reach from {number(summary.low)} to {number(summary.high)}"
    return replace(
        draft,
        status=status,
        reason=reason,
        sentence=sentence,
        comparison=bound.comparison,
        bound=bound.value,
        of_roof=bound.of_roof,
        baseline=bound.baseline,
        tolerance=_relative(bound.slack, bound.baseline),
    )


def asked(target: Target) -> tuple[Comparison | None, float | None, float | None]:
    """The comparison, the absolute bound and the fraction of the roof that a target names, each where it does."""
    if target.bound is None:
        return None, None, None
    comparison, value = target.bound
    return (comparison, None, value) if target.of == "roof" else (comparison, value, None)


def _of_kernel(draft: Verdict) -> str:
    return f" of {draft.kernel}" if draft.kernel is not None else ""


def _relative(part: float | None, whole: float | None) -> float | None:
    return part / abs(whole) if part is not None and whole else None


def _value(metric: Metric, summary: Summary, bound: Bound) -> str:
    """The median, and how it stands to the baseline where there is one."""
    assert summary.median is not None
    shown = quantity(summary.median, metric.unit)
    if bound.baseline is None:
        return shown
    beside = quantity(bound.baseline, metric.unit)
    change = _relative(summary.median - bound.baseline, bound.baseline)
    if not change:
        return f"{shown}, {'the baseline' if change == 0 else f'against {beside} of the baseline'}"
    word = "better" if (change > 0) == (metric.direction == "higher") else "worse"
    return f"{shown}, {abs(change):.2%} {word} than the baseline's {beside}".replace("%", " %", 1)


def _wanted(metric: Metric, bound: Bound) -> str:
    """The bound in words."""
    limit = f"{WORDS[bound.comparison]} {quantity(bound.value, metric.unit)}"
    if bound.of_roof is not None:
        return f"{limit} ({bound.of_roof:g} of the roof's)"
    tolerance = _relative(bound.slack, bound.baseline)
    if tolerance is None:
        return limit
    noise = ", as far as its repeated runs lie apart" if bound.noisy else ""
    return f"{limit} ({100 * tolerance:.3g} % worse{noise})"
