"""Two imported runs in words, the same in the terminal and on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stallgate.compare.pairing import extent_text
from stallgate.runs.naming import facts_of, gpu_name

if TYPE_CHECKING:
    from stallgate.compare.two_runs import Pair, RunComparison
    from stallgate.model import Identity

_UNKNOWN, _SUMS = "conditions_unknown", "other_launches"


def reserved(found: RunComparison) -> list[str]:
    """What is not known, or not alike, of the conditions of two imported runs; and whose word it is that they were."""
    lines = []
    if found.same_conditions:
        lines.append(
            "Conditions alike by your word (--same-conditions): ncu reports do not say how they were controlled."
        )
    unknown = [reason.sentence for reason in found.reservations if reason.code == _UNKNOWN]
    lines += [
        f"Conditions unknown: {sentence}. Both values are shown, and none is called better or worse; "
        "--same-conditions is your word that conditions were alike."
        for sentence in unknown[:1]
    ]
    others = [
        reason.sentence for reason in found.reservations if reason.code.startswith("other_") and reason.code != _SUMS
    ]
    return lines + [f"Shown, and not called better or worse: {sentence}." for sentence in others]


def about_pair(found: RunComparison, pair: Pair) -> list[str]:
    """What a case is that both imported runs have, and what differs between the two."""
    base, run = pair.base_identity, pair.run_identity
    if base is None or run is None:
        return []
    lines = [_facts(found, run)]
    if run.kind != "call" and max(base.launches, run.launches) > 1:
        lines.append(f"{base.launches} launches in the base, {run.launches} in the run: median, lowest and highest")
    if pair.differs:
        lines.append(f"differs: {'; '.join(pair.differs)}")
    sums = [change.obstacle for change in pair.changes if change.obstacle and change.obstacle.code == _SUMS]
    return [*lines, *(f"not called better or worse: {reason.sentence}" for reason in sums[:1])]


def _facts(found: RunComparison, identity: Identity) -> str:
    """What a case is; with its GPU where the two runs are of several."""
    if identity.kind == "launches":
        parts = [f"grid {extent_text(identity.grid, identity.grid_size)}"]
        parts += [f"block {extent_text(identity.block, identity.block_size)}"]
        parts += [f"in {' > '.join(identity.ranges)}"] if identity.ranges else []
    else:
        parts = [facts_of(identity)]
    return ", ".join([*parts, *([gpu_name(identity)] if found.several_gpus else [])])


def longest_first(pairs: list[Pair]) -> list[Pair]:
    """Cases by their time in the base."""

    def time(pair: Pair) -> float:
        base = pair.duration.base
        return base.median or 0.0 if base is not None else 0.0

    return sorted(pairs, key=time, reverse=True)


def unpaired(found: RunComparison) -> dict[str, list[Pair]]:
    """Heading -> the cases that cannot be compared for that reason."""
    headings = {"only_in_base": "only in the base", "only_in_run": "only in the run", "": "without numbers"}
    lists: dict[str, list[Pair]] = {heading: [] for heading in headings.values()}
    for pair in found.pairs:
        if pair.obstacle is not None:
            lists[headings.get(pair.obstacle.code, headings[""])].append(pair)
    return {heading: pairs for heading, pairs in lists.items() if pairs}


def about_unpaired(found: RunComparison, pair: Pair) -> str:
    """A case that is not compared, with its reason where the heading does not give it."""
    facts = f": {_facts(found, pair.identity)}" if pair.identity is not None else ""
    told = pair.obstacle is None or pair.obstacle.code.startswith("only_in")
    return f"{pair.name}{facts}" + (f": {pair.obstacle.sentence}" if pair.obstacle is not None and not told else "")
