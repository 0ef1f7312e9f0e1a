"""What a loop has tried: told in prompts, and never judged twice."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from stallgate.errors import BadArgument
from stallgate.model import FrozenStruct
from stallgate.project.code_changes import CodeDifference, code_difference
from stallgate.project.digests import REFERENCE_KEY
from stallgate.runs.journal import (
    AnswererOutcome,
    AnswererRun,
    Journal,
    KeptGain,
    KeptObjection,
    LoopEvidence,
    LoopRound,
    LoopTry,
    LoopVersion,
    TryOutcome,
    read_kept,
)

_MOST_CHANGES = 6
"""Changes that are named of one answer."""

_LONGEST_CHANGE = 80

_NO_ANSWER: dict[AnswererOutcome, str] = {
    "empty": "The answerer printed nothing.",
    "failed": "The answerer failed.",
    "timed_out": "The answerer took too long and was ended.",
    "too_long": "The answerer printed too much and was ended.",
    "answered": "",
}


class TriedChange(FrozenStruct, frozen=True):
    """Something that was tried, and its effect."""

    name: str
    """The try, with its loop where that is another."""
    stage: str
    change: str
    """What it changed, in a line."""
    outcome: TryOutcome
    gain: KeptGain | None
    reasons: list[str]
    """Why it was not accepted."""

    @property
    def effect(self) -> str:
        """What came of it, in words."""
        if self.gain is not None:
            word = "less" if self.gain.percent >= 0 else "more"
            timed = f"{abs(self.gain.percent):.3g} % {word} time"
            return timed if self.outcome == "accepted" else f"refused: {timed}"
        if self.outcome == "accepted":
            return "accepted"
        return f"refused: {self.reasons[0]}" if self.reasons else "refused"


class SeenSource(FrozenStruct, frozen=True):
    """A source that is known already."""

    name: str
    """The version or try that has it."""
    objections: list[KeptObjection]
    """Why it is not judged again."""


def refusal_of(asked: AnswererRun | None) -> KeptObjection:
    """Why there is no answer."""
    outcome = asked.outcome if asked is not None else "empty"
    hint = asked.complaint.strip().splitlines()[-1] if asked is not None and asked.complaint.strip() else ""
    return KeptObjection("loop", f"answerer_{outcome}", _NO_ANSWER[outcome], hint)


# --- never twice ------------------------------------------------------------------------------------------------------


def seen_before(journal: Journal, found: LoopTry, current: LoopRound) -> SeenSource | None:
    """The version or try that has the source of a try; None where it is new, or was refused for what no longer holds.

    The rules of a stage are held against the version that an answer replaces. So a source that only these refused may
    be tried again in another stage, or once another version is the best.
    """
    for version in journal.versions:
        if version.digest == found.digest:
            return SeenSource(version.name, [_known(f"This is the code of {version.name}, unchanged.")])
    for round_, earlier in _judged(journal):
        if earlier.digest == found.digest and earlier.name != found.name and _still_holds(round_, earlier, current):
            return SeenSource(earlier.name, _reasons(earlier.name, earlier.outcome, earlier.objections))
    for known in journal.evidence:
        if known.digest == found.digest and known.outcome == "refused" and _is_wrong(known.objections):
            name = f"{known.journal} {known.name}"
            return SeenSource(name, _reasons(name, known.outcome, known.objections))
    return None


def _judged(journal: Journal) -> Iterator[tuple[LoopRound, LoopTry]]:
    for round_ in journal.rounds:
        for each in round_.tries:
            if each.outcome in ("accepted", "refused"):
                yield round_, each


def _still_holds(round_: LoopRound, earlier: LoopTry, current: LoopRound) -> bool:
    """Whether what was found of a try is true in the current round as well."""
    same = (round_.stage, round_.base) == (current.stage, current.base)
    return same or any(each.part != "stage" for each in earlier.objections) or earlier.outcome == "accepted"


def _is_wrong(objections: list[KeptObjection]) -> bool:
    """Whether an answer was refused for what it is; how fast it is depends on what it was compared with."""
    return any(each.part in ("form", "right") for each in objections)


def _known(text: str) -> KeptObjection:
    return KeptObjection("loop", "tried_before", text, "Change something that was not tried yet.")


def _reasons(name: str, outcome: TryOutcome | None, objections: list[KeptObjection]) -> list[KeptObjection]:
    word = "accepted" if outcome == "accepted" else "refused"
    return [_known(f"The same code was {word} before, as {name}."), *objections]


# --- told in prompts --------------------------------------------------------------------------------------------------


def tried_so_far(folder: Path, journal: Journal) -> list[TriedChange]:
    """What was tried, the evidence first; each change is named against the version that it was compared with."""
    told = [
        TriedChange(f"{each.journal} {each.name}", each.stage, each.change, each.outcome, each.gain, _texts(each))
        for each in journal.evidence
    ]
    for round_, found in _judged(journal):
        change = change_of(folder, journal, round_, found)
        told.append(
            TriedChange(found.name, round_.stage, change, found.outcome or "refused", found.gain, _texts(found))
        )
    return told


def _texts(found: LoopTry | LoopEvidence) -> list[str]:
    return [each.text for each in found.objections]


def change_of(folder: Path, journal: Journal, round_: LoopRound, found: LoopTry) -> str:
    """What a try changed in the version that its round began with, in a line."""
    base: LoopVersion = journal.version(round_.base)
    if found.source is None:
        return "an answer without code"
    before, after = read_kept(folder, base.source), read_kept(folder, found.source)
    difference = _difference(before, after)
    named = [each.sentence for each in difference.changes[:_MOST_CHANGES]]
    named = [each if len(each) <= _LONGEST_CHANGE else f"{each[: _LONGEST_CHANGE - 1]}…" for each in named]
    more = len(difference.changes) - len(named)
    return "; ".join([*named, *([f"{more} more"] if more > 0 else [])]) or "nothing that a rule knows"


@lru_cache(maxsize=256)
def _difference(before: str, after: str) -> CodeDifference:
    """Kept, because it takes seconds and every prompt of a loop tells all changes so far."""
    return code_difference({"a.py": before}, {"a.py": after})


# --- evidence ---------------------------------------------------------------------------------------------------------


def evidence_of(folder: Path, earlier: Journal, journal: Journal) -> list[LoopEvidence]:
    """The judged tries of an earlier journal, as evidence for another; what that imported is passed on.

    Raises:
        BadArgument: it is of another problem, or of another reference.
    """
    if earlier.problem != journal.problem:
        raise BadArgument(f"{earlier.name} is a loop on {earlier.problem}, not {journal.problem}", "leave it out")
    if earlier.digests.get(REFERENCE_KEY) != journal.digests.get(REFERENCE_KEY):
        raise BadArgument(
            f"{REFERENCE_KEY} of {journal.problem} has changed since {earlier.name}: what it found may no longer hold",
            "leave it out",
        )
    own = [
        LoopEvidence(
            journal=earlier.name,
            name=found.name,
            stage=round_.stage,
            digest=found.digest,
            outcome=found.outcome or "refused",
            change=change_of(folder, earlier, round_, found),
            objections=found.objections,
            gain=found.gain,
        )
        for round_, found in _judged(earlier)
    ]
    return [*earlier.evidence, *own]


def merged_evidence(found: list[LoopEvidence]) -> list[LoopEvidence]:
    """Each source once: what was found of it last."""
    return list({each.digest: each for each in found}.values())
