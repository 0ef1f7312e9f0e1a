"""Imported runs in words, the same in the terminal and on the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from stallgate.formatting import listed
from stallgate.runs.naming import extent_text, facts_of, gpu_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stallgate.compare.two_runs import Pair, RunComparison
    from stallgate.extract.table import Summaries
    from stallgate.model import Case, CaseResult, Identity

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
        lines.append(f"{base.launches} launches before, {run.launches} after: median, lowest and highest")
    if pair.differs:
        lines.append(f"differs: {'; '.join(pair.differs)}")
    sums = [change.obstacle for change in pair.changes if change.obstacle and change.obstacle.code == _SUMS]
    return [*lines, *(f"not called better or worse: {reason.sentence}" for reason in sums[:1])]


def _facts(found: RunComparison, identity: Identity) -> str:
    """What a case is; with its GPU where the two runs are of several."""
    if identity.kind == "launches":
        parts = [f"grid {extent_text(identity.grid, identity.grid_size) or 'unknown'}"]
        parts += [f"block {extent_text(identity.block, identity.block_size) or 'unknown'}"]
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
    headings = {"only_in_base": "only before", "only_in_run": "only after", "": "without numbers"}
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


# --- one imported run -------------------------------------------------------------------------------------------------

_MOST_NAMED = 4
"""Most cases that a remark names."""

_NEVER_ALIKE = (
    "duration",
    "dram_bytes_read",
    "dram_bytes_written",
    "achieved_occupancy",
    "l2_hit_rate",
    "stall_long_scoreboard",
    "stall_wait",
)
"""Metrics that differ from launch to launch."""

_TOO_ALIKE = 4
"""Cases with as many of them equal to the last digit share one measurement."""


def remarks(results: Sequence[CaseResult], summaries: Summaries, names: Mapping[Case, str]) -> list[str]:
    """What a reader has to know of imported cases: which have no time, and which share their values.

    Args:
        results: the cases of one GPU.
        summaries: the metrics of the run's cases.
        names: of every case.
    """
    profiled = [r for r in results if _is_of_launches(r) and r.outcome == "profiled"]
    states = {r.case: summary.state for r in profiled if (summary := summaries.get((r.case, "duration"))) is not None}
    absent = [names[r.case] for r in profiled if states.get(r.case, "absent") in ("absent", "no_value")]
    odd = [names[r.case] for r in profiled if states.get(r.case) in ("not_finite", "out_of_range")]
    said = []
    if absent:
        said.append(
            f"no duration of {_some(absent)} in the ncu report: ncu --metrics gpu__time_duration.sum collects it"
        )
    if odd:
        said.append(f"the ncu report has a duration of {_some(odd)} that is no time")
    shared = [_some([names[result.case] for result in alike]) for alike in sharing(profiled, summaries)]
    return said + [
        f"the ncu report has the same counter values for {some}: ncu did not tell these launches apart, and the values "
        "may be of any of them"
        for some in shared
    ]


def sharing(results: Sequence[CaseResult], summaries: Summaries) -> list[list[CaseResult]]:
    """Different cases of one report that have the same counters, as application replay can make them."""
    groups: list[list[CaseResult]] = []
    holders: dict[Hashable, list[int]] = {}  # value -> the groups whose first case has it
    for result in filter(_is_of_launches, results):
        values = _values_of(result, summaries)
        alike = Counter(number for value in values for number in holders.get(value, []))
        same = min((number for number, count in alike.items() if count >= _TOO_ALIKE), default=None)
        if same is not None:
            groups[same].append(result)
            continue
        for value in values:
            holders.setdefault(value, []).append(len(groups))
        groups.append([result])
    return [group for group in groups if len(group) > 1]


def _is_of_launches(result: CaseResult) -> bool:
    return result.identity is not None and result.identity.kind != "call"


def _values_of(result: CaseResult, summaries: Summaries) -> list[Hashable]:
    """What a case has of the metrics that differ from launch to launch, each with its report and metric."""
    found = {name: summaries.get((result.case, name)) for name in _NEVER_ALIKE}
    return [(result.attempt, name, each.median) for name, each in found.items() if each is not None and each.median]


def _some(names: list[str]) -> str:
    """Some names in words, and how many more there are."""
    more = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return listed([*names[:_MOST_NAMED], *more])
