"""The stages of a loop as a ladder: which are met, which is open, and why a loop ends. All from its journal alone."""

from __future__ import annotations

from typing import Literal

from stallgate.model import FrozenStruct
from stallgate.runs.journal import Journal, LoopRound, LoopStop, LoopTry, LoopVersion

RungState = Literal["skipped", "met", "no_gain", "rounds_used", "roof_reached", "open", "waiting"]
"""skipped: it was met when its turn came. met: by an answer of its rounds. waiting: its turn did not come."""


class Rung(FrozenStruct, frozen=True):
    """A stage of a loop, and what came of it."""

    stage: str
    state: RungState
    rounds: list[LoopRound]


def ladder(journal: Journal) -> list[Rung]:
    """The stages in order, each with its rounds."""
    return [
        Rung(stage, _state(journal, index), _rounds_of(journal, stage)) for index, stage in enumerate(journal.stages)
    ]


def _state(journal: Journal, index: int) -> RungState:
    stage, reached = journal.stages[index], _reached(journal)
    rounds = _rounds_of(journal, stage)
    if not rounds:
        is_passed = index < reached or (journal.stop is not None and is_met(journal.best, stage))
        return "skipped" if is_passed else "waiting"
    if is_met(_after(journal, rounds[-1]), stage):
        return "met"
    if index == reached and journal.stop is None:
        return _exhausted(journal, rounds) or "open"
    if index == reached and journal.stop is not None and journal.stop.code == "roof_reached":
        return "roof_reached"
    return _exhausted(journal, rounds) or "rounds_used"


def _reached(journal: Journal) -> int:
    """The place of the stage of the last round; -1 before the first."""
    return journal.stages.index(journal.rounds[-1].stage) if journal.rounds else -1


def _rounds_of(journal: Journal, stage: str) -> list[LoopRound]:
    return [each for each in journal.rounds if each.stage == stage]


def _after(journal: Journal, last: LoopRound) -> LoopVersion:
    """The best version after a round."""
    return journal.version(last.best if last.best is not None else last.base)


def is_met(version: LoopVersion, stage: str) -> bool:
    """Whether a version meets a stage, as far as it was measured."""
    return version.reading is not None and stage in version.reading.met


def _exhausted(journal: Journal, rounds: list[LoopRound]) -> Literal["no_gain", "rounds_used"] | None:
    """Why a stage has no further round; None where it has."""
    gains = [each.best is not None for each in rounds if each.ended]
    patience = journal.limits.patience
    if len(gains) >= patience and not any(gains[-patience:]):
        return "no_gain"
    return "rounds_used" if len(gains) >= journal.limits.rounds else None


def next_stage(journal: Journal) -> str | None:
    """The stage of the next round; None where there is none. The loop never goes back to an earlier stage."""
    for stage in journal.stages[max(_reached(journal), 0) :]:
        if not is_met(journal.best, stage) and _exhausted(journal, _rounds_of(journal, stage)) is None:
            return stage
    return None


def reason_to_stop(journal: Journal) -> LoopStop | None:
    """Why the loop ends now, after a round or before the first; None where another round follows."""
    reading = journal.best.reading
    missed = [stage for stage in journal.stages if not is_met(journal.best, stage)]
    if not missed:
        return LoopStop("stages_met", "Every stage is met.")
    if reading is not None and reading.at_roof:
        return LoopStop("roof_reached", f"The roof is reached: no round can gain time. Not met: {', '.join(missed)}.")
    if next_stage(journal) is not None:
        return None
    if journal.rehearsal:
        return LoopStop("rehearsed", "The rehearsal is over. Nothing was measured, so no answer became the best.")
    last = _rounds_of(journal, journal.rounds[-1].stage)
    left = f"Not met: {', '.join(missed)}."
    if _exhausted(journal, last) == "no_gain":
        some = "round brought no gain" if journal.limits.patience == 1 else "rounds in a row brought no gain"
        return LoopStop("no_gain", f"The last {_counted(journal.limits.patience)}{some}. {left}")
    return LoopStop("rounds_used", f"The rounds are used up: {journal.limits.rounds} a stage. {left}")


def _counted(number: int) -> str:
    return "" if number == 1 else f"{number} "


def best_of(found: LoopRound) -> LoopTry | None:
    """The try of a round that becomes the best: the greatest gain; within its noise, one that meets the stage."""
    accepted = [each for each in found.tries if each.outcome == "accepted"]
    if not accepted:
        return None
    first = max(accepted, key=_percent)  # of equals the earlier
    ties = [each for each in accepted if _high(each) >= _low(first)]
    return next((each for each in sorted(ties, key=_percent, reverse=True) if each.meets), first)


def _percent(found: LoopTry) -> float:
    return found.gain.percent if found.gain is not None else 0.0


def _low(found: LoopTry) -> float:
    return found.gain.low if found.gain is not None else 0.0


def _high(found: LoopTry) -> float:
    return found.gain.high if found.gain is not None else 0.0
