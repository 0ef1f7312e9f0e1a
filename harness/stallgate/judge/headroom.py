"""How far a value is from the bound of its target, in words and as a number."""

from __future__ import annotations

from math import inf
from typing import Protocol

from stallgate.formatting import beside, difference, number, percent, quantity
from stallgate.model import FrozenStruct, Verdict
from stallgate.project.catalogue import ROOF_FRACTION

_RISING = ("at_least", "above")


class Headroom(FrozenStruct, frozen=True):
    """The distance of a value from its bound."""

    words: str
    """"6.8 points of headroom", "9.9 points short"."""
    size: float
    """The number of the words: points of a share, else per cent of the bound. Bars beside each other show it."""
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
    size = _size(value, bound, judged)
    if is_share(judged):
        return f"{difference(size)} points"
    return percent(size / 100) if bound else number(abs(value - bound))


def _size(value: float, bound: float, judged: OfTarget) -> float:
    """The same as a number; per cent of a bound of 0 are as many as the value has units."""
    if is_share(judged):
        return abs(value - bound) * (100 if judged.unit != "%" else 1)
    return 100 * abs(value - bound) / abs(bound) if bound else abs(value - bound)


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
    said = f"{distance(value, bound, verdict)} {'of headroom' if met else 'short' if rising else 'too much'}"
    return Headroom(words=said, size=_size(value, bound, verdict), met=met)


def value_and_bound(verdict: Verdict) -> tuple[str, str]:
    """A judged value and its bound, with the unit, in digits that tell them apart."""
    if verdict.value is None or verdict.bound is None:
        return (with_its_unit(verdict.value, verdict), with_its_unit(verdict.bound, verdict))
    return beside(verdict.value, verdict.bound, verdict.unit or "")


def with_its_unit(value: float | None, verdict: Verdict) -> str:
    """One of a verdict's values, or '' where it has none."""
    return quantity(value, verdict.unit or "") if value is not None else ""
