"""How far a value is from the bound of its target, in words and as the length of a bar."""

from __future__ import annotations

from math import inf
from typing import Protocol

from stallgate.formatting import beside, difference, number, percent, quantity
from stallgate.model import FrozenStruct, Verdict
from stallgate.project.catalogue import ROOF_FRACTION

_RISING = ("at_least", "above")
_BAR_MARGIN = 1.1
"""The half of a bar, over the distance that it shows: its end stays inside."""


class Headroom(FrozenStruct, frozen=True):
    """The distance of a value from its bound."""

    words: str
    """"6.8 points of headroom", "9.9 points short"."""
    width: float
    """Length of the bar in per cent of half of its axis; the bound is in the middle of it."""
    met: bool


class OfTarget(Protocol):
    """A verdict, or what a sweep holds a target against."""

    @property
    def metric(self) -> str | None: ...

    @property
    def unit(self) -> str | None: ...


def is_share(judged: OfTarget) -> bool:
    """Whether a metric is a part of something: its distances are in points, not in per cent of per cent."""
    return judged.unit == "%" or judged.metric == ROOF_FRACTION


def distance(value: float, bound: float, judged: OfTarget) -> str:
    """The distance of two values of a target's metric: points of a share, else per cent of the bound."""
    if is_share(judged):
        points = abs(value - bound) * (100 if judged.unit != "%" else 1)
        return f"{difference(points)} points"
    return percent(abs(value - bound) / abs(bound)) if bound else number(abs(value - bound))


def missed_by(verdict: Verdict) -> str:
    """By how much a target is missed, waived or not; '' for other targets."""
    if verdict.status not in ("fail", "waived") or verdict.value is None or verdict.bound is None:
        return ""
    return distance(verdict.value, verdict.bound, verdict)


def is_of_roof(verdict: Verdict) -> bool:
    """Whether a target asks for a part of the roof: where it is missed, the part that is left can be reached."""
    return verdict.metric == ROOF_FRACTION or verdict.of_roof is not None


def badness(verdict: Verdict) -> float:
    """How much a target is missed by, to be ordered by: relative to its bound. A wrong result is the worst."""
    if verdict.reason == "wrong_result":
        return inf
    if verdict.status != "fail" or verdict.value is None or not verdict.bound:
        return 0.0
    return abs(verdict.value - verdict.bound) / abs(verdict.bound)


def headroom(verdict: Verdict) -> Headroom | None:
    """How far a judged value is from its bound; None where either is not known."""
    value, bound = verdict.value, verdict.bound
    if value is None or bound is None or verdict.comparison is None:
        return None
    rising = verdict.comparison in _RISING
    met = value >= bound if rising else value <= bound
    possible = _possible(verdict, bound)
    half = max(possible, abs(value - bound) * _BAR_MARGIN) or 1.0
    said = f"{distance(value, bound, verdict)} {'of headroom' if met else 'short' if rising else 'too much'}"
    return Headroom(words=said, width=round(100 * abs(value - bound) / half, 1), met=met)


def _possible(verdict: Verdict, bound: float) -> float:
    """The largest headroom there can be: up to the roof, down to nothing; else as much as a baseline tolerates."""
    if verdict.comparison not in _RISING:
        return abs(bound) * (verdict.tolerance or 1.0)
    if verdict.of_roof:
        return abs(bound / verdict.of_roof - bound)
    if is_share(verdict):
        return max((100.0 if verdict.unit == "%" else 1.0) - bound, 0.0)
    return abs(bound) * (verdict.tolerance or 0.0)


def value_and_bound(verdict: Verdict) -> tuple[str, str]:
    """A judged value and its bound, with the unit, in digits that tell them apart."""
    if verdict.value is None or verdict.bound is None:
        return (with_its_unit(verdict.value, verdict), with_its_unit(verdict.bound, verdict))
    return beside(verdict.value, verdict.bound, verdict.unit or "")


def with_its_unit(value: float | None, verdict: Verdict) -> str:
    """One of a verdict's values, or '' where it has none."""
    return quantity(value, verdict.unit or "") if value is not None else ""
