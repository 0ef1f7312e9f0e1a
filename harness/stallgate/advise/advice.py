"""The advice on a run: which rules hold on which launch, ranked by the time that each cause can explain."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from stallgate.advise.facts import facts_of_case, facts_of_code, facts_of_launch
from stallgate.advise.readings import LaunchReadings, readings_by_case, with_facts
from stallgate.advise.theirs import contradictions, details_by_case, hottest_line, of_kernel, results_on
from stallgate.advise.tree import OF_TREE, ancestors, explained, own_share
from stallgate.extract.read_run import ReadRun
from stallgate.formatting import listed, quantity, rounded, scaled
from stallgate.judge.evaluate import JudgedRun
from stallgate.judge.roof import Roofs, find_roofs, with_roof_fractions
from stallgate.judge.soundness import unsound_cases
from stallgate.model import Advice, AdviceRule, Case, CaseResult, CitedReading, Detail, FrozenStruct, Reason, Verdict
from stallgate.project.advice import LIMITER, filled, places_in, read_advice_rules, readings_of
from stallgate.project.catalogue import COMPUTED, ROOF_FRACTION
from stallgate.project.comparisons import parse_condition
from stallgate.project.load import Project

LEAST_GAIN = 0.02
"""The share of the time from which a cause is worth a sentence."""

OCCUPANCY = "achieved_occupancy"


class CaseAdvice(FrozenStruct, frozen=True):
    """The advice on one case, what stands on most time first."""

    case: Case
    duration_ms: float | None
    advice: list[Advice]
    silent: dict[str, list[str]]
    """Rule that could not be asked -> the readings that it lacks."""
    unsound: Reason | None = None
    """Why its numbers cannot be relied on: there is no advice then."""


class _Ground(FrozenStruct, frozen=True):
    """What the rules are asked about a case with."""

    project: Project
    rules: Mapping[str, AdviceRule]
    details: list[Detail]
    above_roof: float | None


def advice_of(read: ReadRun, project: Project, verdicts: Iterable[Verdict] | None = None) -> list[Advice]:
    """The advice on a run's cases, the most time first within each.

    Args:
        read: the run.
        project: the rules, and the code that the numbers are of.
        verdicts: only cases with a verdict among these that is not met; None: every case but roofs.

    Raises:
        BrokenFile: a rule's file is invalid.
    """
    cases = None if verdicts is None else {_case_of(verdict) for verdict in verdicts if verdict.status == "fail"}
    return [advice for found in advice_by_case(read, project, cases) for advice in found.advice]


def _case_of(verdict: Verdict) -> Case:
    return Case(verdict.problem, verdict.variant, verdict.configuration, verdict.workload)


def advice_by_case(read: ReadRun, project: Project, cases: Collection[Case] | None = None) -> list[CaseAdvice]:
    """The advice on each case that was measured: candidates first, those that take most time first.

    Args:
        read: the run.
        project: the rules, and the code that the numbers are of.
        cases: those that are wanted; None: every case but roofs.

    Raises:
        BrokenFile: a rule's file is invalid.
    """
    rules = read_advice_rules(project.root, project.catalogue)
    unsound = unsound_cases(read, project)
    whole, roofs = _with_roofs(read, project, unsound)
    wanted = {name for rule in rules.values() for name in readings_of(rule)} | {*OF_TREE}
    limits = project.catalogue.metrics[OCCUPANCY].limiters if OCCUPANCY in project.catalogue.metrics else {}
    readings = readings_by_case(whole, wanted | {*limits})
    details = details_by_case(whole.run)
    found = []
    for result in whole.run.cases:
        case = result.case
        if result.outcome != "profiled" or not _is_wanted(result, cases):
            continue
        if case in unsound or case not in readings:
            found.append(CaseAdvice(case=case, duration_ms=None, advice=[], silent={}, unsound=unsound.get(case)))
            continue
        parts = _with_facts(whole, project, roofs, result, readings[case])
        fraction = parts[0].get(ROOF_FRACTION)
        above = 1.0 - fraction if fraction is not None else None
        ground = _Ground(project=project, rules=rules, details=details.get(case, []), above_roof=above)
        found.append(_on_case(ground, case, parts))
    roles = {result.case: result.role for result in whole.run.cases}
    return sorted(found, key=lambda each: (roles[each.case] != "candidate", -(each.duration_ms or 0.0)))


def _with_roofs(read: ReadRun, project: Project, unsound: dict[Case, Reason]) -> tuple[ReadRun, Roofs]:
    """The run with its fractions of the roof, which a judged run has."""
    if isinstance(read, JudgedRun):
        return read, read.roofs
    roofs = find_roofs(read, project, unsound)
    return with_roof_fractions(read, roofs, project.catalogue.metrics[ROOF_FRACTION]), roofs


def _is_wanted(result: CaseResult, cases: Collection[Case] | None) -> bool:
    return result.role != "roof" if cases is None else result.case in cases


def _with_facts(
    read: ReadRun, project: Project, roofs: Roofs, result: CaseResult, parts: list[LaunchReadings]
) -> list[LaunchReadings]:
    """The readings with the case's facts; a part of a call has none that are of the whole call's time."""
    facts = facts_of_case(read, project, roofs, result)
    of_part = {name: value for name, value in facts.items() if name != "call_time"}
    found = []
    for part in parts:
        code = facts_of_code(project, result, part.kernel)
        found.append(
            with_facts(part, (of_part if part.is_part else facts) | code | facts_of_launch(_values(part.readings)))
        )
    return found


def _values(readings: Mapping[str, CitedReading]) -> dict[str, float]:
    return {name: found.value for name, found in readings.items()}


# --- one case ---------------------------------------------------------------------------------------------------------


def _on_case(ground: _Ground, case: Case, parts: list[LaunchReadings]) -> CaseAdvice:
    call, several = parts[0], len(parts) > 1
    asked = [(rule, part) for rule in ground.rules.values() for part in _asked(rule, parts, several=several)]
    ranked = sorted(filter(None, (_ranked(ground, rule, part) for rule, part in asked)), key=lambda pair: pair[0])
    advice = _most_specific(ground.rules, _each_cause_once(ground.rules, [advice for _, advice in ranked]))
    stop = next((found for found in advice if found.stops), None)
    kept = [stop, *(found for found in advice if _is_left(found, stop))] if stop is not None else advice
    duration = call.get("duration")
    return CaseAdvice(
        case=case,
        duration_ms=duration / 1e6 if duration is not None else None,
        advice=[found for found in kept if found.stops or found.gain >= LEAST_GAIN],
        silent=_silent(ground.rules, parts),
    )


def _each_cause_once(rules: Mapping[str, AdviceRule], ranked: list[Advice]) -> list[Advice]:
    """The advice without that of rules which yield to another one that is given for the same launch."""
    given = {(advice.rule, advice.kernel) for advice in ranked if advice.gain >= LEAST_GAIN}
    return [
        advice
        for advice in ranked
        if not any((better, advice.kernel) in given for better in rules[advice.rule].yields_to)
    ]


def _most_specific(rules: Mapping[str, AdviceRule], ranked: list[Advice]) -> list[Advice]:
    """The advice without causes that a cause under them on the same launch explains as well: it says more."""
    implied = {
        (above, advice.kernel, round(advice.gain, 4)) for advice in ranked for above in ancestors(rules, advice.rule)
    }
    return [advice for advice in ranked if (advice.rule, advice.kernel, round(advice.gain, 4)) not in implied]


def _asked(rule: AdviceRule, parts: list[LaunchReadings], *, several: bool) -> list[LaunchReadings]:
    """The launches that a rule is asked about: the call where it reads what only a call has, else each of several."""
    of_call = any(name in COMPUTED or name == "call_time" for name in readings_of(rule))
    return parts[:1] if of_call or not several else parts[1:]


def _is_left(found: Advice, stop: Advice) -> bool:
    """Whether advice stays beside one to stop: what it explains is not of the time that the stop is about."""
    return not found.stops and found.gain > max(stop.gain, LEAST_GAIN)


def _silent(rules: Mapping[str, AdviceRule], parts: list[LaunchReadings]) -> dict[str, list[str]]:
    several = len(parts) > 1
    missing = {
        rule.name: [name for name in readings_of(rule) if name not in _asked(rule, parts, several=several)[0].readings]
        for rule in rules.values()
    }
    return {name: lacking for name, lacking in missing.items() if lacking}


# --- one rule on one launch -------------------------------------------------------------------------------------------

_Rank = tuple[float, int, float, str]
"""Of two causes that explain as much within their bounds: the deeper one first, then that of the larger estimate."""


def _ranked(ground: _Ground, rule: AdviceRule, found: LaunchReadings) -> tuple[_Rank, Advice] | None:
    """The advice of a rule on a launch with its rank; None where it does not hold or lacks a reading."""
    if not holds(rule, found):
        return None
    gain = found.share * explained(rule, ground.rules, found)
    is_of_gpu = rule.of == "duration"
    if ground.above_roof is not None and is_of_gpu:
        gain = min(gain, max(0.0, ground.above_roof))
    rank = (-round(gain, 4), -len(ancestors(ground.rules, rule.name)), -own_share(rule, found), rule.name)
    return rank, _advice(ground, rule, found, gain)


def holds(rule: AdviceRule, found: LaunchReadings) -> bool:
    """Whether every condition of a rule holds, on readings that are all there."""
    if any(name not in found.readings for name in readings_of(rule)):
        return False
    return all(parse_condition(text).holds(found.value) for text in rule.when)


def _advice(ground: _Ground, rule: AdviceRule, found: LaunchReadings, gain: float) -> Advice:
    details = of_kernel(ground.details, found.kernel)
    share = found.share if found.share else 1.0
    return Advice(
        rule=rule.name,
        title=rule.title,
        case=found.case,
        kernel=found.kernel,
        text=_said(ground, rule, found),
        readings=[found.readings[name] for name in readings_of(rule)],
        gain=gain,
        gain_ms=gain / share * found.value(rule.of) / 1e6,
        tries=rule.tries,
        disproved_by=rule.disproved_by,
        trap=rule.never_for,
        source=rule.source,
        line=hottest_line(rule, details),
        theirs=results_on(rule, details),
        contradictions=contradictions(rule, details, ground.above_roof, gain),
        stops=rule.stops,
    )


def _said(ground: _Ground, rule: AdviceRule, found: LaunchReadings) -> str:
    words = {name: spelled(reading) for name, reading in found.readings.items()}
    names = places_in(rule.says)
    return filled(rule.says, words | ({LIMITER: _limiter(ground.project, found)} if LIMITER in names else {}))


_LARGE = 10_000
"""From here on, counts and bytes are told in thousands, millions or billions."""

_WORDS = {
    "inst": ("instruction", "instructions"),
    "SM": ("multiprocessor", "multiprocessors"),
    "inst/cycle": ("instruction a cycle", "instructions a cycle"),
    "register": ("register", "registers"),
}
"""Unit -> what a sentence calls one and several of it; of others, the unit with an s."""

_EXACT = {"block", "SM"}
"""Units of counts that a reader compares to the launch, told in all digits."""


def spelled(reading: CitedReading) -> str:
    """A reading in a sentence, in three digits: ``4 bytes``, ``77.3 %``, ``2.84 ms``."""
    value, unit = reading.value, reading.unit
    short = float(f"{value:.3g}")
    if unit == "ns" or (unit == "byte" and abs(value) >= _LARGE):
        return scaled(short, unit)
    if unit in ("", "%") and not _is_plain(reading):
        return quantity(value, unit)
    if unit in ("", "%"):
        return f"{rounded(value)} {unit}".rstrip()
    one, several = _WORDS.get(unit, (unit, f"{unit}s"))
    return f"{_counted(value, short, unit)} {one if value == 1 else several}"


def _is_plain(reading: CitedReading) -> bool:
    """Whether a number is written somewhere, and not measured: a count, a yes or no, a bound."""
    return reading.launch is None and not reading.sample and reading.samples == 1


def _counted(value: float, short: float, unit: str) -> str:
    if unit in _EXACT:
        return f"{value:,.0f}"
    if abs(value) >= _LARGE:
        return scaled(short, unit)
    return f"{value:,.0f}" if value == int(value) else rounded(value)


def _limiter(project: Project, found: LaunchReadings) -> str:
    """What limits the occupancy of a launch, in words."""
    limits = project.catalogue.metrics[OCCUPANCY].limiters
    known = {words: value for name, words in limits.items() if (value := found.get(name)) is not None}
    least = min(known.values(), default=None)
    return listed([words for words, value in known.items() if value == least]) or "what was not measured"
