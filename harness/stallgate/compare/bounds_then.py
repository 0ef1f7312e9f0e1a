"""Whether a stage asks for something else now than when a run was judged last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from stallgate.formatting import limit, percent
from stallgate.judge.bounds import terms_of
from stallgate.model import Comparison, Stage, Target
from stallgate.project.decode import LARGEST_JSON, decode_json, read_bounded
from stallgate.project.load import Project
from stallgate.runs.folder import as_argument


class _Asked(msgspec.Struct, frozen=True):
    """What a stored verdict was held to; other keys are ignored."""

    stage: str | None = None
    metric: str | None = None
    comparison: Comparison | None = None
    bound: float | None = None
    of_roof: float | None = None
    baseline: float | None = None


class _Stored(msgspec.Struct, frozen=True):
    verdicts: list[_Asked]


Terms = tuple[Comparison, float, bool]
"""How a value is compared, with what number, and whether that is a fraction of the roof's."""


def changed_bounds(project: Project, folder: Path, stages: Sequence[str]) -> list[str]:
    """The targets of stages whose bound is another one now than in a run's ``verdicts.json``, a sentence each.

    Args:
        project: the stages as they are now.
        folder: the run's; without a ``verdicts.json`` that can be read, nothing is known of then.
        stages: the stages to look at; those that they include too.
    """
    then, name = _then(folder / "verdicts.json"), as_argument(project.reports, folder)
    return [
        f"the bound of {target.metric.name} in {stage.name} changed since {name} was judged: "
        f"{_in_words(before, target)} then, {_in_words(now, target)} now; both runs are held to the one of now"
        for stage in project.with_included(stages)
        for target in stage.targets
        if (now := _now(target)) is not None
        and (before := _other(then.get((stage.name, target.metric.name), []), now, stage)) is not None
    ]


def _other(then: Sequence[Terms], now: Terms, stage: Stage) -> Terms | None:
    """What a target asked then, where that was something else; None of one that is new, or the same.

    A stage may have several targets of a metric: what another of them still asks is no other bound of this one. A
    bound of the same direction is taken for it before one that was turned round.
    """
    kept = [_now(target) for target in stage.targets]
    gone = [terms for terms in then if terms not in kept]
    if now in then or not gone:
        return None
    return next((terms for terms in gone if terms[0] == now[0]), gone[0])


def _then(path: Path) -> dict[tuple[str, str], list[Terms]]:
    """(stage, metric) -> what was asked; tolerances around a baseline are not among them."""
    try:
        stored = decode_json(read_bounded(path, LARGEST_JSON), _Stored)
    except (OSError, ValueError):
        return {}
    found: dict[tuple[str, str], list[Terms]] = {}
    for asked in stored.verdicts:
        if asked.stage and asked.metric and asked.comparison and asked.bound is not None and asked.baseline is None:
            number = asked.bound if asked.of_roof is None else asked.of_roof
            terms = (asked.comparison, number, asked.of_roof is not None)
            if terms not in found.setdefault((asked.stage, asked.metric), []):
                found[asked.stage, asked.metric].append(terms)
    return found


def _now(target: Target) -> Terms | None:
    comparison, bound, of_roof = terms_of(target)
    if comparison is None:
        return None
    number = bound if of_roof is None else of_roof
    return (comparison, number, of_roof is not None) if number is not None else None


def _in_words(terms: Terms, target: Target) -> str:
    comparison, number, is_of_roof = terms
    told = f"{percent(number)} of the roof's" if is_of_roof else limit(number, target.metric.unit)
    return f"{comparison.replace('_', ' ')} {told}"
