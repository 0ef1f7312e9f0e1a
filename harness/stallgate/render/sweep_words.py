"""A sweep in words: the same on the page, in the terminal and on the picture."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

from stallgate.formatting import beside, held_to, listed, rounded, spaced
from stallgate.judge.headroom import distance
from stallgate.judge.suggestion import Standing, SweepResult, TargetAnswer, TargetCheck, TargetsStyle
from stallgate.judge.sweep_times import Gain, TimeSpan
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.runs.sweep import Sweep, TrialState, TunableValue

ANSWER_MARKS: dict[TargetAnswer, str] = {
    "met": "✓",
    "excused": "✓",
    "missed": "✗",
    "undecided": "≈",
    "not_measured": "○",
}

_STATE_WORDS: dict[TrialState, str] = {
    "profiled": "timed, with counters",
    "timed": "timed",
    "stopped": "given up as too slow",
    "pruned": "excluded by a constraint",
    "too_much_shared_memory": "too much shared memory",
    "does_not_compile": "did not compile",
    "wrong_result": "wrong result",
    "crashed": "crashed",
    "timed_out": "timed out",
    "planned": "not reached",
}
"""In the order in which they are listed."""

_SCALES = ((1e6, "s"), (1e3, "ms"), (1.0, "µs"), (1e-3, "ns"))


def state_word(state: TrialState) -> str:
    """A state as a reader calls it."""
    return _STATE_WORDS[state]


def state_counts(result: SweepResult) -> list[tuple[str, int]]:
    """How many trials ended how, those with times first."""
    return [(words, result.states[state]) for state, words in _STATE_WORDS.items() if state in result.states]


def microseconds(value: float) -> str:
    """A time in three digits, in the unit that it is read in."""
    factor, unit = next((scale for scale in _SCALES if value >= 0.9995 * scale[0]), _SCALES[-1])
    return f"{rounded(value / factor, zeros=value / factor < 100)} {unit}"


def gain_text(gain: Gain | None) -> str:
    """A gain with half of the range that its samples allow: ``+7.98 % ± 0.07``; positive is faster."""
    if gain is None:
        return "–"
    noise = rounded(gain.noise, 1) if gain.noise >= 0.005 else "0.01"
    return f"{_signed(gain.percent)} % ± {noise}"


def gain_short(gain: Gain | None) -> str:
    """A gain without its noise; ``tie`` where it is none beyond it."""
    if gain is None:
        return "–"
    return "tie" if gain.tie else f"{_signed(gain.percent)} %"


def _signed(percent: float) -> str:
    return f"{'+' if percent >= 0 else '−'}{rounded(abs(percent), zeros=True)}"


def value_text(value: TunableValue) -> str:
    """A tunable's value as JSON and TOML write it."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool) else str(value)


def metric_text(value: float | None, unit: str) -> str:
    """A reading in three digits with its unit."""
    if value is None:
        return "–"
    return f"{rounded(value, zeros=True)} {unit}".rstrip()


def changes_from_default(sweep: Sweep, standing: Standing) -> str:
    """The tunables that differ from the default's: ``BLOCK 1024 → 2048``; all of them where its own are not known."""
    parts = []
    for name, value in standing.tunables.items():
        old = sweep.default.get(name)
        if old is None:
            parts.append(f"{name} {value_text(value)}")
        elif (type(old), old) != (type(value), value):
            parts.append(f"{name} {value_text(old)} → {value_text(value)}")
    return ", ".join(parts)


def values_text(tunables: Mapping[str, TunableValue], names: Sequence[str]) -> str:
    """The values of some tunables, in this order; a dash for one that is not known."""
    return " · ".join(value_text(tunables[name]) if name in tunables else "–" for name in names)


def label_of(configuration: str, tunables: Mapping[str, TunableValue], names: Sequence[str]) -> str:
    """What a configuration is called where its tunables are named beside: the default, or its values."""
    return configuration if configuration == "default" or not tunables else values_text(tunables, names)


def headline_of(result: SweepResult) -> str:
    """What the sweep suggests, in a sentence."""
    suggested, suggestion = result.suggested, result.suggestion
    if suggested is None:
        return "No configuration could be timed to the end"
    if suggestion.advised == "keep_default":
        return "No gain beyond noise: keep the default"
    if suggestion.advised == "no_default" or suggested.gain is None:
        return "The fastest configuration; the default has no time to compare with"
    gain = suggested.gain
    if gain.tie:
        return "A configuration as fast as the default meets the stage, and the default does not"
    word = "less" if gain.percent > 0 else "more"
    percent = rounded(abs(gain.percent), zeros=True)
    return f"A configuration takes {percent} % {word} time than the default{_unmet(suggested.unmet)}"


def _unmet(checks: list[TargetCheck]) -> str:
    """What a suggested configuration does not meet, at the end of a sentence, or ''."""
    answers = [check.answer for check in checks]
    if missed := answers.count("missed"):
        return f", and misses {'a target' if missed == 1 else f'{missed} targets'}"
    return f", and a target is {spaced(answers[0])}" if answers else ""


def evidence(sweep: Sweep, result: SweepResult) -> list[str]:
    """What speaks for the suggestion, a line for each fact."""
    standing = result.suggested
    if standing is None:
        return [f"{count} {words}" for words, count in state_counts(result)]
    facts = [_time_line(result, standing)]
    has_target = any(check.metric == ROOF_FRACTION and check.value is not None for check in standing.checks)
    if standing.of_roof is not None and not has_target:
        facts.append(f"{100 * standing.of_roof:.1f} % of the speed of {result.roof}")
    lines = ["; ".join(facts)]
    if standing.gain is not None and standing.configuration != "default":
        lines.append(gain_over_default(standing.gain))
    return [*lines, _targets_line(sweep, result, standing), *ties_line(result)]


def gain_over_default(gain: Gain) -> str:
    """The gain over the default, and the range that its samples allow."""
    word = "less" if gain.percent >= 0 else "more"
    beyond = "; no more than noise" if gain.tie else ""
    said = f"{rounded(abs(gain.percent), zeros=True)} % {word} time than the default"
    return f"{said} (its samples: {_range(gain.low, gain.high)}){beyond}"


def _range(low: float, high: float) -> str:
    """The ends of a gain: ``7.88 to 8.06 % less``; with their words where one is a loss."""
    few, many = (rounded(abs(end), zeros=True) for end in (low, high))
    if low >= 0:
        return f"{few} to {many} % less"
    return f"{many} to {few} % more" if high <= 0 else f"{few} % more to {many} % less"


def _time_line(result: SweepResult, standing: Standing) -> str:
    parts = [f"{span_text(standing.times[load])} on {load}" for load in result.workloads]
    return f"{', '.join(parts)}{', timed again among the finalists' if standing.final else ''}"


def span_text(span: TimeSpan) -> str:
    """A time with the interval of its samples."""
    return f"{microseconds(span.median)} ({samples_text(span)})"


def samples_text(span: TimeSpan) -> str:
    """The interval of a time's samples, and how many there are."""
    count = f"{span.samples} sample{'s' if span.samples != 1 else ''}"
    factor, unit = next((scale for scale in _SCALES if span.high >= scale[0]), _SCALES[-1])
    return f"{rounded(span.low / factor, 4)} to {rounded(span.high / factor, 4)} {unit}, {count}"


def _targets_line(sweep: Sweep, result: SweepResult, standing: Standing) -> str:
    stage = sweep.stage or "no stage"
    if not standing.checks:
        return f"Targets of {stage}: none was measured"
    met = sum(check.holds for check in standing.checks)
    several = len(result.workloads) > 1
    told = [check_text(check, with_workload=several) for check in standing.checks]
    unknown = f"; not measured: {listed(result.unmeasured)}" if result.unmeasured else ""
    return f"Targets of {stage}: {met} of {len(standing.checks)} met: {', '.join(told)}{unknown}"


def check_text(check: TargetCheck, *, with_workload: bool = False) -> str:
    """A target and its reading: ``✓ memory_dependency_stall 7.68 % < 20 %``; with the distance where it is missed."""
    where = f" on {check.workload}" if with_workload else ""
    if check.value is None or check.comparison is None or check.bound is None:
        return f"{ANSWER_MARKS[check.answer]} {check.metric}{where} not measured"
    value, bound = beside(check.value, check.bound, check.unit)
    told = held_to(value, check.comparison, bound, met=check.answer == "met")
    off = ""
    if check.answer == "missed":
        off = f" (missed by {distance(check.value, check.bound, check)})"
    elif check.answer in ("undecided", "excused"):
        off = f" ({check.answer})"
    return f"{ANSWER_MARKS[check.answer]} {check.metric}{where} {told}{off}"


def ties_line(result: SweepResult) -> list[str]:
    """How many configurations are as good in time."""
    ties = sum(each.tie for each in result.standings)
    if not ties:
        return []
    return [f"{ties} other configuration{'s are' if ties > 1 else ' is'} a tie in time: no difference beyond noise"]


def targets_short(standing: Standing) -> str:
    """How many targets a configuration meets: ``✓ 3/3``."""
    if not standing.checks:
        return "–"
    met = sum(check.holds for check in standing.checks)
    if not standing.profiled and met < len(standing.checks):
        return "no counters"
    return f"{_SIGNS_OF[standing.style]} {met}/{len(standing.checks)}"


_SIGNS_OF: dict[TargetsStyle, str] = {"pass": "✓", "fail": "✗", "open": "≈", "plain": ""}


def effect_text(reach: float) -> str:
    """The time that the worst value takes more: per cent, or a factor where it is large."""
    if reach < 0.001:
        return "< 0.1 %"
    return f"+{rounded(100 * reach)} %" if reach < 1 else f"×{rounded(1 + reach)}"


def share_text(share: float) -> str:
    """A part of the spread in whole per cent."""
    return f"{100 * share:.0f} %" if share >= 0.005 else "< 1 %"


def remarks_on(sweep: Sweep, result: SweepResult) -> list[str]:
    """What a reader of the result has to know."""
    again = f"`stallgate sweep --resume {shlex.quote(sweep.name)}`"
    found = [] if sweep.complete else [f"This sweep is not complete: {again} goes on with it."]
    if result.default is None and result.standings:
        found.append("The default was not timed on every workload.")
    if not sweep.enumerated:
        found.append(f"Of {sweep.space.size:,} configurations those were tried that Optuna suggested.")
    at_the_end = [*sweep.clocks_after, *(final.clock for final in sweep.finals if final.clock is not None)]
    throttled = sorted({reason for clock in at_the_end for reason in clock.throttle if reason != "idle"})
    if throttled:
        found.append(f"The clocks were held back at the end: {listed([spaced(each) for each in throttled])}.")
    return [*found, *sweep.notes]


def provenance_of(sweep: Sweep) -> str:
    """Where and when it was measured."""
    at = f"commit {sweep.commit[:12]}" if sweep.commit else "an unknown commit"
    local = " with local changes" if sweep.dirty else ""
    gpu = sweep.model or "an unknown GPU"
    several = f", {len(sweep.devices)} of them" if len(sweep.devices) > 1 else ""
    return f"{gpu}{several}; {sweep.created}, {at}{local}; effort {sweep.effort}, seed {sweep.seed}; clocks not locked"
