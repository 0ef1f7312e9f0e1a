"""A verdict in few words: the metric by its title, its number, the bound, and how far they are apart."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from stallgate.formatting import listed, quantity, shortened, status_label, telling_digits
from stallgate.judge.headroom import missed_by, value_and_bound

if TYPE_CHECKING:
    from stallgate.model import Catalogue, Comparison, Verdict
    from stallgate.project.load import Project

_WORDS: dict[Comparison, str] = {"at_least": "at least", "at_most": "at most", "above": "above", "below": "below"}

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


def _both_names(name: str, title: str) -> str:
    """The title, with the name that files have where the title does not show it."""
    return title if title.lower().replace("-", "_").replace(" ", "_") == name else f"{title} ({name})"


def stage_label(project: Project, stage: str) -> str:
    """A stage by its title, with the name that commands and files have; the name alone of one that is not there."""
    found = project.stages.get(stage)
    return _both_names(stage, found.title) if found is not None else stage


def _value(verdict: Verdict) -> str:
    return value_and_bound(verdict)[0]


def _wanted(verdict: Verdict) -> str:
    assert verdict.comparison is not None
    words = f"{_WORDS[verdict.comparison]} {value_and_bound(verdict)[1]}"
    if verdict.of_roof is not None:
        return f"{words} ({verdict.of_roof:g} of the roof's)"
    if verdict.baseline is not None:
        return f"{words} (baseline {_like_value(verdict, verdict.baseline)})"
    return words


def _like_value(verdict: Verdict, value: float) -> str:
    """Another value of the verdict's metric, in as many digits."""
    assert verdict.value is not None
    assert verdict.bound is not None
    return quantity(value, verdict.unit or "", telling_digits(verdict.value, verdict.bound))


def _distance(verdict: Verdict) -> str:
    missed = missed_by(verdict)
    if missed:
        return f": missed by {missed}"
    if verdict.status != "undecided" or verdict.low is None or verdict.high is None:
        return ""
    low, high = (_like_value(verdict, value) for value in (verdict.low, verdict.high))
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


def covered_in_words(verdicts: list[Verdict]) -> str:
    """How many targets are not met but waived or excused, which does not keep a run from being merged; '' for none."""
    found = Counter(verdict.status for verdict in verdicts)
    return listed([f"{found[status]} {status}" for status in ("waived", "excused") if found[status]])


SERIOUS = ("fail", "undecided", "not_measured", "waived", "excused", "pass")
"""Statuses, the most serious first."""
