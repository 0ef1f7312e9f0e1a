"""A verdict in few words: the metric by its title, its number, the bound, and how far they are apart."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from stallgate.formatting import rounded, scaled, shortened, status_label
from stallgate.judge.headroom import missed_by

if TYPE_CHECKING:
    from stallgate.model import Catalogue, Comparison, Verdict

_WORDS: dict[Comparison, str] = {"at_least": "at least", "at_most": "at most", "above": "above", "below": "below"}

_SCALED = ("ns", "byte", "FLOP")
"""Units that are read in multiples."""

_DIGITS, _MOST_DIGITS = 3, 7
"""Significant digits of a number; more only where it would look like its bound."""

_LONGEST_KERNEL = 40


def verdict_in_words(verdict: Verdict, catalogue: Catalogue) -> str:
    """What a verdict says of its target: number, bound and distance, then whatever else its sentence has."""
    metric = verdict.metric
    if metric is None:
        return verdict.sentence
    title = _both_names(metric, title_of(metric, catalogue))
    if verdict.value is None or verdict.bound is None or verdict.comparison is None:
        return (
            title + verdict.sentence.removeprefix(metric) if verdict.sentence.startswith(metric) else verdict.sentence
        )
    kernel = f" of {shortened(verdict.kernel, _LONGEST_KERNEL)}" if verdict.kernel is not None else ""
    words = f"{title}{kernel} is {_value(verdict)}; wanted {_wanted(verdict)}"
    return "; ".join([f"{words}{_distance(verdict)}", *_rest(verdict.sentence)])


def title_of(metric: str, catalogue: Catalogue) -> str:
    """A metric's name for readers."""
    found = catalogue.metrics.get(metric)
    return found.title if found is not None else metric


def _both_names(metric: str, title: str) -> str:
    """The title, with the short name that a stage's file has where the title does not show it."""
    return title if title.lower().replace("-", "_").replace(" ", "_") == metric else f"{title} ({metric})"


def shown(value: float, unit: str, digits: int = _DIGITS) -> str:
    """A number with its unit in so many significant digits."""
    if unit in _SCALED:
        return scaled(float(f"{value:.{digits}g}"), unit)
    return f"{rounded(value, digits)} {unit}".rstrip()


def _value(verdict: Verdict) -> str:
    assert verdict.value is not None
    return shown(verdict.value, verdict.unit or "", _digits(verdict))


def _wanted(verdict: Verdict) -> str:
    assert verdict.bound is not None
    assert verdict.comparison is not None
    limit = f"{_WORDS[verdict.comparison]} {shown(verdict.bound, verdict.unit or '', _digits(verdict))}"
    if verdict.of_roof is not None:
        return f"{limit} ({verdict.of_roof:g} of the roof's)"
    if verdict.baseline is not None:
        return f"{limit} (baseline {shown(verdict.baseline, verdict.unit or '', _digits(verdict))})"
    return limit


def _digits(verdict: Verdict) -> int:
    """Three significant digits, or as many as tell the value from its bound."""
    assert verdict.value is not None
    assert verdict.bound is not None
    if verdict.value == verdict.bound:
        return _DIGITS
    unequal = (n for n in range(_DIGITS, _MOST_DIGITS) if f"{verdict.value:.{n}g}" != f"{verdict.bound:.{n}g}")
    return next(unequal, _MOST_DIGITS)


def _distance(verdict: Verdict) -> str:
    missed = missed_by(verdict)
    if missed:
        return f": missed by {missed}"
    if verdict.status != "undecided" or verdict.low is None or verdict.high is None:
        return ""
    low, high = (shown(value, verdict.unit or "", _digits(verdict)) for value in (verdict.low, verdict.high))
    return f": its samples reach from {low} to {high}"


def _rest(sentence: str) -> list[str]:
    """What a sentence says after the number, the bound and the samples: what limits it, what waives or excuses it."""
    clauses = sentence.split("; ")
    place = next((n for n, clause in enumerate(clauses) if clause.startswith("wanted ")), None)
    after = clauses[place + 1 :] if place is not None else []
    return [clause for clause in after if not clause.startswith("its samples reach ")]


def counted(verdicts: list[Verdict]) -> str:
    """How many verdicts there are of each status, the most serious first."""
    ordered = sorted(verdicts, key=lambda verdict: SERIOUS.index(verdict.status))
    labels = Counter(status_label(verdict.status, verdict.reason) for verdict in ordered)
    found = [f"{count} {label}" for label, count in labels.items()]
    return ", ".join(found) or "nothing judged"


SERIOUS = ("fail", "undecided", "not_measured", "waived", "excused", "pass")
"""Statuses, the most serious first."""
