"""A loop in words: the same on its page and in the terminal."""

from __future__ import annotations

from collections import Counter
from math import exp, log

from stallgate.formatting import beside, held_to, percent, rounded, without_controls
from stallgate.render.sweep_words import microseconds
from stallgate.runs.journal import Journal, KeptGain, KeptObjection, LoopTarget, LoopTry, LoopVersion, TryOutcome
from stallgate.runs.ladder import RungState, is_met

_RUNG_WORDS: dict[RungState, str] = {
    "met": "met",
    "skipped": "met already",
    "roof_reached": "not met; the roof is reached",
    "no_gain": "not met; no gain any more",
    "rounds_used": "not met; rounds used up",
    "open": "at work",
    "waiting": "not begun",
}

_OUTCOME_WORDS: dict[TryOutcome, str] = {
    "accepted": "accepted",
    "refused": "refused",
    "repeated": "tried before",
    "no_answer": "no answer",
}

_MARKS: dict[str, str] = {"pass": "✓", "excused": "✓", "waived": "✓", "fail": "✗", "undecided": "≈"}


def rung_words(state: RungState) -> str:
    """What came of a stage."""
    return _RUNG_WORDS[state]


def outcome_words(found: LoopTry) -> str:
    """What became of a try."""
    return _OUTCOME_WORDS[found.outcome] if found.outcome is not None else "not judged yet"


def loop_gain(journal: Journal) -> float | None:
    """How much less time a call of the best takes than one of the start, in per cent, over all workloads."""
    before, after = journal.versions[0].reading, journal.best.reading
    if before is None or after is None:
        return None
    loads = [load for load in before.times if load in after.times and before.times[load].median > 0]
    if not loads:
        return None
    mean = sum(log(after.times[load].median / before.times[load].median) for load in loads) / len(loads)
    return 100 * (1 - exp(mean))


def loop_headline(journal: Journal) -> str:
    """What the loop came to, in a sentence."""
    subject = f"{journal.problem}/{journal.variant}"
    count = sum(each.ended for each in journal.rounds)
    rounds = f"{count} round{'' if count == 1 else 's'}"
    if journal.rehearsal:
        right = sum(each.outcome == "accepted" for each in journal.tries())
        return f"{subject}: a rehearsal of {rounds}, {right} of {len(list(journal.tries()))} answers right"
    gain = loop_gain(journal)
    if gain is None:
        return f"{subject}: not measured yet"
    if journal.best is journal.versions[0]:
        return f"{subject}: no answer was faster after {rounds}" if count else f"{subject}: {_stages_line(journal)}"
    return f"{subject}: {loop_gain_text(gain)} after {rounds}; {_stages_line(journal)}"


def _stages_line(journal: Journal) -> str:
    """How many stages the best meets; which, the page says below its heading and the terminal beside each version."""
    met, every = sum(is_met(journal.best, stage) for stage in journal.stages), len(journal.stages)
    if every == 1:
        return f"its stage is {'' if met else 'not '}met"
    return "every stage is met" if met == every else f"{met} of {every} stages met"


def loop_status(journal: Journal) -> int:
    """The exit status: 0 every stage is met or the roof is reached, 1 not, 3 not measured or not over."""
    if journal.stop is None or journal.rehearsal:
        return 3
    return 0 if journal.stop.code in ("stages_met", "roof_reached") else 1


def loop_gain_words(gain: KeptGain | None) -> str:
    """``12.3 % less time``; empty where it was not timed."""
    return loop_gain_text(gain.percent) if gain is not None else ""


def loop_gain_text(percent: float) -> str:
    """``12.3 % less time``."""
    return f"{rounded(abs(percent), zeros=True)} % {'less' if percent >= 0 else 'more'} time"


def range_in_words(gain: KeptGain) -> str:
    """What the samples of a gain allow."""
    return f"{_signed(gain.low)} to {_signed(gain.high)} % by its samples"


def _signed(percent: float) -> str:
    return f"{'+' if percent >= 0 else '−'}{rounded(abs(percent), zeros=True)}"


def objection_text(objection: KeptObjection) -> str:
    """A reason with its line and hint."""
    line = f"line {objection.line}: " if objection.line is not None else ""
    hint = f" ({objection.hint})" if objection.hint else ""
    return without_controls(f"{line}{objection.text}{hint}")


def target_text(target: LoopTarget) -> str:
    """A target and its reading: ``✓ roof_fraction on square 0.985 ≥ 0.97``, ``✗ … 0.958, wanted ≥ 0.97``."""
    mark = _MARKS.get(target.status, "○")
    if target.value is None or target.comparison is None or target.bound is None:
        return f"{mark} {target.metric} on {target.workload} not measured"
    value, bound = beside(target.value, target.bound, target.unit)
    told = held_to(value, target.comparison, bound, met=target.status == "pass")
    return f"{mark} {target.metric} on {target.workload} {told}"


def times_text(version: LoopVersion) -> str:
    """The times of a version: ``2.84 ms on square``."""
    if version.reading is None:
        return "not measured"
    return ", ".join(f"{microseconds(time.median)} on {load}" for load, time in version.reading.times.items())


def version_words(version: LoopVersion) -> str:
    """The times of a version and its distance from the roof: ``2.84 ms on square; 99.0 % of the roof's speed``."""
    if version.reading is None:
        return "not measured"
    fraction = version.reading.roof_fraction
    roof = f"{percent(fraction)} of the roof's speed" if fraction is not None else "distance from the roof not measured"
    return f"{times_text(version)}; {roof}"


def answers_in_words(journal: Journal) -> str:
    """How many answers there were, and what became of them: ``6 answers: 2 accepted, 3 refused, 1 tried before``."""
    outcomes = Counter(each.outcome for each in journal.tries())
    count = sum(outcomes.values())
    parts = [f"{outcomes[state]} {words}" for state, words in _COUNTED_WORDS.items() if outcomes[state]]
    said = f"{count} answer{'s' if count != 1 else ''}"
    return f"{said}: {', '.join(parts)}" if parts else said


_COUNTED_WORDS: dict[TryOutcome | None, str] = {
    "accepted": "accepted",
    "refused": "refused",
    "repeated": "repeated (not tried again)",
    "no_answer": "without code",
    None: "not judged yet",
}


def roof_text(version: LoopVersion) -> str:
    """The fraction of the roof on the workload that is farthest from it."""
    fraction = version.reading.roof_fraction if version.reading is not None else None
    return "not measured" if fraction is None else percent(fraction)


def provenance_of_loop(journal: Journal) -> str:
    """Where and when."""
    reading = journal.versions[0].reading
    gpu = reading.gpu if reading is not None and reading.gpu else "no GPU"
    at = f"commit {journal.commit[:12]}" if journal.commit else "an unknown commit"
    local = " with local changes" if journal.dirty else ""
    return f"{gpu}; {journal.created}, {at}{local}"


def limits_of_loop(journal: Journal) -> str:
    """What was asked of it: ``at most 5 rounds a stage, 2 answers a round, …``."""
    limits = journal.limits
    rounds = f"at most {limits.rounds} round{'s' * (limits.rounds != 1)} a stage"
    width = f"{limits.width} answer{'s' * (limits.width != 1)} a round"
    return f"{rounds}, {width}, a stage ends after {limits.patience} without a gain, seed {journal.seed}"
