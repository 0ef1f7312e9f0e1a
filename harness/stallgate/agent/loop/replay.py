"""Goes through a loop again from its journal: the same decisions, with nothing run and nothing measured.

What the answerer printed, what the check said and what was measured are taken from the journal. Everything else is
done again: the code of each answer, which were tried before, the best of each round, the stages, the end.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from stallgate.agent.loop.answerer import Answered, AnswererQuestion
from stallgate.agent.loop.loop import CheckedAnswer, CheckWish, Looper, MeasuredVersion, PromptWish, try_folder
from stallgate.errors import BrokenFile
from stallgate.project.paths import inside
from stallgate.runs.journal import (
    JOURNAL_FILE,
    Journal,
    LoopRound,
    LoopStop,
    LoopTry,
    LoopVersion,
    read_kept,
    save_journal,
)

REFUSED_LATER = "refused_when_profiled"
"""The objection to an answer that was accepted, and could then not be measured as the best version."""


def check_replay(folder: Path, journal: Journal) -> None:
    """Goes through a loop again, and refuses a journal that does not follow from its parts.

    Raises:
        BrokenFile: another decision follows from what the journal says, or a file of the loop is missing or changed.
    """
    with tempfile.TemporaryDirectory(prefix="stallgate-replay-") as name:
        place = Path(name)
        start = journal.versions[0].source
        _copy(folder, place, start.path)
        again = _replayed(folder, place, journal)
    if again is not None:
        raise BrokenFile(
            f"{folder / JOURNAL_FILE}: {_first_difference(again, journal)} does not follow from what is before it",
            "restore the file, or begin a new loop",
        )


def _replayed(folder: Path, place: Path, journal: Journal) -> Journal | None:
    """Where a replay came to; None where it came to what the journal says."""
    begun = replace(journal, rounds=[], versions=[replace(journal.versions[0], reading=None)], stop=None)
    save_journal(place, begun)
    recorded = _Recorded(folder, journal)
    looper = Looper(place, begun, recorded, recorded, _Silence())
    recorded.looper = looper
    with suppress(_EndOfRecord):
        while looper.journal.stop is None and _timeless(looper.journal) != _timeless(journal):
            looper.step()
    return None if _timeless(looper.journal) == _timeless(journal) else looper.journal


def _copy(folder: Path, place: Path, path: str) -> None:
    target = inside(place, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(inside(folder, path), target)


def _timeless(journal: Journal) -> Journal:
    """A journal without when its rounds began."""
    return replace(journal, rounds=[replace(each, begun="") for each in journal.rounds])


def _first_difference(again: Journal, journal: Journal) -> str:
    for one, other in zip(_timeless(again).rounds, _timeless(journal).rounds, strict=False):
        if one != other:
            return f"round {other.number}"
    return "the end"


class _EndOfRecord(Exception):
    """The journal goes no further."""


class _Recorded:
    """A workshop and an answerer that play a journal."""

    looper: Looper

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder = folder
        self._journal = journal
        self._tries = {each.name: each for each in journal.tries()}
        self._by_folder = {try_folder(each): each for each in journal.tries()}
        self._versions = {each.name: each for each in journal.versions}

    def measure(self, version: LoopVersion) -> MeasuredVersion:
        """The reading that was taken, or why there is none."""
        kept = self._versions.get(version.name)
        if kept is not None and kept.reading is not None:
            return MeasuredVersion(kept.reading)
        tried = self._tries.get(version.name)
        for objection in tried.objections if tried is not None else []:
            if objection.code == REFUSED_LATER:
                return MeasuredVersion(None, objection.text)
        raise _EndOfRecord

    def prompt(self, wish: PromptWish) -> str:
        """The prompt that was written: of the round that begins, or of the repair."""
        rounds = self.looper.journal.rounds
        if not wish.refused:
            return self._prompt_of_round(len(rounds))
        for each in rounds[-1].tries:
            repair = self._tries.get(f"{each.name} repair")
            known = {other.name for other in rounds[-1].tries}
            if each.is_mendable and repair is not None and repair.name not in known:
                return read_kept(self._folder, repair.prompt)
        raise _EndOfRecord

    def _prompt_of_round(self, index: int) -> str:
        if index >= len(self._journal.rounds) or not self._journal.rounds[index].tries:
            raise _EndOfRecord
        return read_kept(self._folder, self._journal.rounds[index].tries[0].prompt)

    def ask(self, questions: Sequence[AnswererQuestion]) -> Iterator[Answered]:
        """What the answerer printed."""
        for question in questions:
            repair = " repair" if question.variables["STALLGATE_ATTEMPT"] == "2" else ""
            name = f"{question.variables['STALLGATE_ROUND']}.{question.variables['STALLGATE_ANSWER']}{repair}"
            asked = self._tries[name].asked if name in self._tries else None
            if asked is None:
                raise _EndOfRecord
            text = read_kept_bytes(self._folder, asked.answer.path) if asked.answer is not None else b""
            yield Answered(asked.outcome, text, asked.complaint, asked.status, asked.seconds)

    def check(self, wish: CheckWish) -> CheckedAnswer:
        """What the check said."""
        kept = self._by_folder[wish.folder.removesuffix("/check")]
        if kept.outcome is None:
            raise _EndOfRecord
        if kept.outcome not in ("accepted", "refused"):
            raise BrokenFile(
                f"{self._folder / JOURNAL_FILE}: try {kept.name} was judged without the check", "restore the file"
            )
        objections = [each for each in kept.objections if each.code != REFUSED_LATER]
        was_accepted = kept.outcome == "accepted" or len(objections) < len(kept.objections)
        return CheckedAnswer(was_accepted, objections, kept.gain, kept.meets, kept.run)


def read_kept_bytes(folder: Path, path: str) -> bytes:
    """The bytes of a loop's file.

    Raises:
        BrokenFile: it is missing.
    """
    found = inside(folder, path)
    if not found.is_file():
        raise BrokenFile(f"{found} is missing", "restore the loop's folder: it is needed whole")
    return found.read_bytes()


class _Silence:
    """Watches, and says nothing."""

    def measuring(self, version: LoopVersion) -> None: ...
    def measured(self, version: LoopVersion) -> None: ...
    def round_begun(self, found: LoopRound) -> None: ...
    def asking(self, tries: Sequence[LoopTry]) -> None: ...
    def checking(self, found: LoopTry) -> None: ...
    def judged(self, found: LoopTry) -> None: ...
    def stopped(self, stop: LoopStop) -> None: ...
