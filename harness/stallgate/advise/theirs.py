"""NVIDIA's own rule results and hot lines of the launch that an advice is on, and where the two disagree."""

from __future__ import annotations

from stallgate.formatting import difference
from stallgate.model import AdviceRule, Case, Detail, HotLine, RuleResult, Run

_LEAST_DISAGREEMENT = 2.0
"""How far apart two estimates have to be to contradict each other, as a factor."""

_LEAST_ESTIMATE = 3.0
"""Per cent: smaller estimates are no advice."""


def details_by_case(run: Run) -> dict[Case, list[Detail]]:
    """Case -> what a report with every section says of its launches."""
    found: dict[Case, list[Detail]] = {}
    for attempt in run.attempts:
        for detail in attempt.details:
            found.setdefault(detail.case, []).append(detail)
    return found


def of_kernel(details: list[Detail], kernel: str) -> list[Detail]:
    """The details of one kernel of a call; of the whole call, all."""
    return [detail for detail in details if kernel in ("", detail.kernel)]


def results_on(rule: AdviceRule, details: list[Detail]) -> list[RuleResult]:
    """NVIDIA's results on the cause of a rule; of those that say the same of many instructions, the first."""
    named = [result for detail in details for result in detail.advice if is_named(rule, result)]
    alike = {(result.title, result.speedup, result.scope): result for result in reversed(named) if is_finding(result)}
    estimated = {title for title, speedup, _ in alike if speedup is not None}
    return [found for found in reversed(alike.values()) if found.speedup is not None or found.title not in estimated]


def is_finding(result: RuleResult) -> bool:
    """Whether a result says that something is to be gained: notes and failures of NVIDIA's rules do not."""
    return result.kind in ("optimisation", "warning")


def is_named(rule: AdviceRule, result: RuleResult) -> bool:
    """Whether a rule names one of NVIDIA's as its counterpart."""
    return result.rule in rule.ncu_rules or f"{result.rule}: {result.title}" in rule.ncu_rules


def hottest_line(rule: AdviceRule, details: list[Detail]) -> HotLine | None:
    """The hottest line of the kernel's own whose warps mostly were in a state of the rule."""
    lines = [line for detail in details for line in detail.lines if not line.library and line.reason in rule.states]
    return max(lines, key=lambda line: line.samples, default=None)


def contradictions(rule: AdviceRule, details: list[Detail], above_roof: float | None, gain: float) -> list[str]:
    """The estimates for the whole launch that the roof or the readings speak against, a sentence each.

    Args:
        rule: of one that stops, all of NVIDIA's estimates are held against the roof; else those on its cause.
        details: those of the launch.
        above_roof: the share of the time above the roof; None where there is no roof.
        gain: the share of the time that the rule can explain.
    """
    results = [found for detail in details for found in detail.advice if rule.stops or is_named(rule, found)]
    said = (_contradiction(found, rule, above_roof, gain) for found in results if found.scope == "whole")
    return list(dict.fromkeys(filter(None, said)))


def _contradiction(found: RuleResult, rule: AdviceRule, above_roof: float | None, gain: float) -> str:
    """Why an estimate is not to be believed, or ''."""
    estimate = found.speedup or 0.0
    begin = f"NVIDIA's rule estimates {difference(estimate)} % for '{found.title}'"
    left = 100 * max(0.0, above_roof) if above_roof is not None else None
    if left is not None and estimate >= _LEAST_ESTIMATE and estimate > _LEAST_DISAGREEMENT * left:
        return f"{begin}, and only {difference(left)} % of the time is above the roof"
    own = 100 * gain
    if rule.stops or max(estimate, own) < _LEAST_ESTIMATE:
        return ""
    if estimate > _LEAST_DISAGREEMENT * own:
        return f"{begin}; by these readings the cause explains at most {difference(own)} %"
    if own > _LEAST_DISAGREEMENT * estimate:
        return f"{begin}; by these readings the cause explains up to {difference(own)} %"
    return ""
