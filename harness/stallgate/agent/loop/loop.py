"""Rounds of prompt, answer and check around any program that writes kernels.

The journal is the state. ``next_loop_step`` reads from it alone what comes next. ``Looper`` does it and writes it,
whole, after each step. So a loop that was killed goes on where it stopped, and a replay takes the same decisions.

What a loop needs of the rest of the house is a ``Workshop``, and the program is an ``Answerer``: tests and replays put
others in their places.
"""

from __future__ import annotations

import random
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, assert_never

from msgspec.structs import replace

from stallgate.agent.loop.answerer import Answered, AnswererQuestion
from stallgate.agent.loop.code import code_digest, code_in
from stallgate.agent.loop.tried import TriedChange, refusal_of, seen_before, tried_so_far
from stallgate.errors import BadArgument, Interrupted
from stallgate.model import FrozenStruct
from stallgate.runs.folder import now
from stallgate.runs.journal import (
    START,
    AnswererRun,
    Journal,
    KeptGain,
    KeptObjection,
    KeptText,
    LoopRound,
    LoopStop,
    LoopTry,
    LoopVersion,
    VersionReading,
    keep_text,
    read_kept,
    save_journal,
)
from stallgate.runs.ladder import best_of, next_stage, reason_to_stop

# --- what it works with -----------------------------------------------------------------------------------------------


class PromptWish(FrozenStruct, frozen=True):
    """What a prompt is to be about."""

    stage: str
    base: LoopVersion
    """The version that is shown."""
    tried: list[TriedChange] = []
    """What was tried before, of this loop and of the evidence."""
    refused: list[KeptObjection] = []
    """Of a repair: why the answer was refused."""
    answer: str = ""
    """Of a repair: the answer that was refused."""


class CheckWish(FrozenStruct, frozen=True):
    """An answer that is to be checked."""

    stage: str
    base: LoopVersion
    """The version that it would replace."""
    text: str
    """The whole answer."""
    folder: str
    """Where its files may be written, relative to the loop's folder."""
    seed: int
    """Of what is drawn at random."""


class CheckedAnswer(FrozenStruct, frozen=True):
    """What the check says of an answer."""

    accepted: bool
    objections: list[KeptObjection] = []
    gain: KeptGain | None = None
    meets: bool = False
    run: str = ""
    """Relative to the loop's folder."""


class MeasuredVersion(FrozenStruct, frozen=True):
    """What measuring a version gave: a reading, or why it has none."""

    reading: VersionReading | None
    fault: str = ""
    """Why the version cannot be relied on, such as a wrong result while it was profiled."""


class Workshop(Protocol):
    """Writes prompts, checks answers and measures versions."""

    def measure(self, version: LoopVersion) -> MeasuredVersion: ...
    def prompt(self, wish: PromptWish) -> str: ...
    def check(self, wish: CheckWish) -> CheckedAnswer: ...


class Answerer(Protocol):
    """Answers prompts."""

    def ask(self, questions: Sequence[AnswererQuestion]) -> Iterator[Answered]: ...


class LoopWatcher(Protocol):
    """Receives progress."""

    def measuring(self, version: LoopVersion) -> None: ...
    def measured(self, version: LoopVersion) -> None: ...
    def round_begun(self, found: LoopRound) -> None: ...
    def asking(self, tries: Sequence[LoopTry]) -> None: ...
    def checking(self, found: LoopTry) -> None: ...
    def judged(self, found: LoopTry) -> None: ...
    def stopped(self, stop: LoopStop) -> None: ...


# --- what comes next --------------------------------------------------------------------------------------------------


class Measure(NamedTuple):
    """Measure the best version: the start, or what has just become the best."""

    version: LoopVersion


class BeginRound(NamedTuple):
    """Write the prompt of a new round."""

    stage: str


class AskAnswerer(NamedTuple):
    """Run the answerer for these tries."""

    tries: list[LoopTry]


class CheckTry(NamedTuple):
    """Judge an answer."""

    found: LoopTry


class Repair(NamedTuple):
    """Write the prompt for the repair of a refused answer."""

    found: LoopTry


class EndRound(NamedTuple):
    """Choose the best of a round."""

    found: LoopRound


LoopStep = Measure | BeginRound | AskAnswerer | CheckTry | Repair | EndRound | LoopStop


def next_loop_step(journal: Journal) -> LoopStep:
    """What comes next, by the journal alone."""
    if journal.best.reading is None and not journal.rehearsal:
        return Measure(journal.best)
    if journal.rounds and not journal.rounds[-1].ended:
        return _within(journal.rounds[-1])
    stop = reason_to_stop(journal)
    if stop is not None:
        return stop
    stage = next_stage(journal)
    assert stage is not None
    return BeginRound(stage)


def _within(current: LoopRound) -> LoopStep:
    """The next step of a round: answers are asked for together, then judged in their order, then repaired."""
    unasked = [each for each in current.tries if each.asked is None]
    if unasked:
        return AskAnswerer(unasked)
    for each in current.tries:
        if each.outcome is None:
            return CheckTry(each)
    repaired = {each.number for each in current.tries if each.repair}
    for each in current.tries:
        if each.is_mendable and each.number not in repaired:
            return Repair(each)
    return EndRound(current)


# --- the work ---------------------------------------------------------------------------------------------------------


class Looper:
    """A loop: it goes on until a reason to stop."""

    def __init__(
        self, folder: Path, journal: Journal, workshop: Workshop, answerer: Answerer, watcher: LoopWatcher
    ) -> None:
        self.journal = journal
        self._folder = folder
        self._workshop = workshop
        self._answerer = answerer
        self._watcher = watcher

    def run(self) -> Journal:
        """Does every step that is left.

        Raises:
            Interrupted: the user ended it; the journal is whole.
            StallgateError: something could not be measured; the journal is whole, and the loop can go on.
        """
        try:
            while self.journal.stop is None:
                self.step()
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted; the journal of {self.journal.name} is whole",
                f"`stallgate loop --resume {shlex.quote(self.journal.name)}` goes on",
            ) from None
        return self.journal

    def step(self) -> None:
        """Does the next step, and writes the journal."""
        step = next_loop_step(self.journal)
        match step:
            case Measure(version):
                self._measure(version)
            case BeginRound(stage):
                self._begin_round(stage)
            case AskAnswerer(tries):
                self._ask(tries)
            case CheckTry(found):
                self._check(found)
            case Repair(found):
                self._repair(found)
            case EndRound(found):
                self._end_round(found)
            case LoopStop():
                self._write(replace(self.journal, stop=step))
                self._watcher.stopped(step)
            case _:
                assert_never(step)

    def _write(self, journal: Journal) -> None:
        save_journal(self._folder, journal)
        self.journal = journal

    def _write_round(self, changed: LoopRound) -> None:
        self._write(replace(self.journal, rounds=[*self.journal.rounds[:-1], changed]))

    def _write_try(self, changed: LoopTry) -> None:
        current = self.journal.rounds[-1]
        tries = [changed if each.name == changed.name else each for each in current.tries]
        self._write_round(replace(current, tries=tries))

    # --- versions ---

    def _measure(self, version: LoopVersion) -> None:
        self._watcher.measuring(version)
        found = self._workshop.measure(version)
        if found.reading is None and version.name == START:
            raise BadArgument(
                f"{self.journal.problem}/{self.journal.variant} cannot be the start: {found.fault}",
                "a loop begins with a version that is right and can be measured",
            )
        journal = self.journal
        if found.reading is None:
            self._write(demoted(journal, found.fault))
            return
        measured = replace(version, reading=found.reading)
        self._write(replace(journal, versions=[*journal.versions[:-1], measured]))
        self._watcher.measured(measured)

    # --- rounds ---

    def _begin_round(self, stage: str) -> None:
        number, base = len(self.journal.rounds) + 1, self.journal.best
        wish = PromptWish(stage=stage, base=base, tried=self._tried())
        prompt = self._keep(f"rounds/{number:03}/prompt.md", self._workshop.prompt(wish))
        seeds = [try_seed(self.journal.seed, number, k) for k in range(1, self.journal.limits.width + 1)]
        tries = [LoopTry(round=number, number=k, seed=seed, prompt=prompt) for k, seed in enumerate(seeds, 1)]
        begun = LoopRound(number=number, stage=stage, base=base.name, tries=tries, begun=now())
        self._write(replace(self.journal, rounds=[*self.journal.rounds, begun]))
        self._watcher.round_begun(begun)

    def _repair(self, found: LoopTry) -> None:
        current = self.journal.rounds[-1]
        wish = PromptWish(
            stage=current.stage,
            base=self.journal.version(current.base),
            tried=self._tried(),
            refused=found.objections,
            answer=self._answer_text(found),
        )
        prompt = self._keep(f"{try_folder(found)}-repair/prompt.md", self._workshop.prompt(wish))
        seed = try_seed(self.journal.seed, found.round, found.number, repair=True)
        repair = LoopTry(round=found.round, number=found.number, seed=seed, prompt=prompt, repair=True)
        self._write_round(replace(current, tries=[*current.tries, repair]))

    def _end_round(self, found: LoopRound) -> None:
        best = best_of(found) if not self.journal.rehearsal else None
        ended = replace(found, ended=True, best=best.name if best is not None else None)
        versions = self.journal.versions
        if best is not None and best.source is not None:
            versions = [*versions, LoopVersion(name=best.name, digest=best.digest, source=best.source)]
        self._write(replace(self.journal, rounds=[*self.journal.rounds[:-1], ended], versions=versions))

    def _tried(self) -> list[TriedChange]:
        return tried_so_far(self._folder, self.journal)

    # --- answers ---

    def _ask(self, tries: list[LoopTry]) -> None:
        self._watcher.asking(tries)
        questions = [AnswererQuestion(self._folder / each.prompt.path, self._variables(each)) for each in tries]
        for each, answered in zip(tries, self._answerer.ask(questions), strict=True):
            kept = self._keep(f"{try_folder(each)}/answer.txt", answered.text) if answered.text else None
            asked = AnswererRun(answered.outcome, round(answered.seconds, 3), answered.status, kept, answered.complaint)
            self._write_try(replace(each, asked=asked))

    def _variables(self, found: LoopTry) -> dict[str, str]:
        journal = self.journal
        return {
            "STALLGATE_PROBLEM": journal.problem,
            "STALLGATE_VARIANT": journal.variant,
            "STALLGATE_STAGE": journal.rounds[-1].stage,
            "STALLGATE_ROUND": str(found.round),
            "STALLGATE_ANSWER": str(found.number),
            "STALLGATE_ATTEMPT": "2" if found.repair else "1",
            "STALLGATE_SEED": str(found.seed),
        }

    def _check(self, found: LoopTry) -> None:
        self._watcher.checking(found)
        judged = self._judged(found)
        self._write_try(judged)
        self._watcher.judged(judged)

    def _judged(self, found: LoopTry) -> LoopTry:
        if found.asked is None or found.asked.outcome != "answered":
            return replace(found, outcome="no_answer", objections=[refusal_of(found.asked)])
        text = self._answer_text(found)
        code = code_in(text)
        digest = code_digest(code if code is not None else text)
        source = self._keep(f"{try_folder(found)}/answer.py", code) if code is not None else None
        known = replace(found, digest=digest, source=source)
        current = self.journal.rounds[-1]
        seen = seen_before(self.journal, known, current)
        if seen is not None:
            return replace(known, outcome="repeated", repeats=seen.name, objections=seen.objections)
        return self._checked(known, current, text)

    def _checked(self, known: LoopTry, current: LoopRound, text: str) -> LoopTry:
        base = self.journal.version(current.base)
        wish = CheckWish(
            stage=current.stage, base=base, text=text, folder=f"{try_folder(known)}/check", seed=known.seed
        )
        found = self._workshop.check(wish)
        return replace(
            known,
            outcome="accepted" if found.accepted and known.source is not None else "refused",
            objections=found.objections,
            gain=found.gain,
            meets=found.meets,
            run=found.run,
        )

    def _answer_text(self, found: LoopTry) -> str:
        kept = found.asked.answer if found.asked is not None else None
        return read_kept(self._folder, kept) if kept is not None else ""

    def _keep(self, path: str, content: str | bytes) -> KeptText:
        return keep_text(self._folder, path, content.encode() if isinstance(content, str) else content)


def demoted(journal: Journal, fault: str) -> Journal:
    """A journal whose newest version is refused after all: it could not be measured as what it was accepted for."""
    last = journal.rounds[-1]
    name = journal.best.name
    objection = KeptObjection("right", "refused_when_profiled", fault)
    tries = [
        replace(each, outcome="refused", objections=[*each.objections, objection]) if each.name == name else each
        for each in last.tries
    ]
    rounds = [*journal.rounds[:-1], replace(last, tries=tries, best=None, ended=False)]
    return replace(journal, rounds=rounds, versions=journal.versions[:-1])


def try_folder(found: LoopTry) -> str:
    """Where a try's files stand, relative to the loop's folder."""
    return f"rounds/{found.round:03}/{found.number}{'-repair' if found.repair else ''}"


def try_seed(seed: int, number: int, answer: int, *, repair: bool = False) -> int:
    """The seed of a try: another one for each, and the same whenever it is asked again."""
    return random.Random(f"{seed}/{number}/{answer}/{int(repair)}").randrange(2**31)
