"""Loops among the runs: what a list says of each. The index and ``stallgate show runs`` have the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from stallgate.errors import StallgateError
from stallgate.model import FrozenStruct
from stallgate.render.loop_words import loop_headline
from stallgate.runs.journal import JOURNAL_FILE, Journal, StopCode, load_journal
from stallgate.runs.outlines import MeasurementTime
from stallgate.runs.store import KeptParts, Source, Store, shape_of

_ENDINGS: dict[StopCode, str] = {
    "stages_met": "meets every stage",
    "roof_reached": "reached the roof",
    "no_gain": "stopped without gain",
    "rounds_used": "used its rounds up",
    "rehearsed": "rehearsed",
}
"""How a loop ended, in a word or two: the gate does not judge it."""


class LoopListed(FrozenStruct, frozen=True):
    """A loop in a list."""

    time: MeasurementTime
    problem: str
    gpus: list[str]
    """The GPU that it was measured on, where that is known."""
    ending: StopCode | None
    """Why it ended; None where it is not over."""
    headline: str
    """What it came to, in a sentence."""
    accepted: str
    """How many of its answers were accepted."""

    @property
    def word(self) -> str:
        """How it ended, in a word or two."""
        return _ENDINGS[self.ending] if self.ending is not None else "not over"


def loops_listed(store: Store) -> dict[Path, LoopListed]:
    """Folder -> its loop, of every folder under ``reports/`` with a journal that can be read."""
    found = store.parts(_loops(), [_LOOP])
    return {folder: _decoder.decode(parts[_LOOP]) for folder, parts in found.items() if parts}


_LOOP = "loop"
_decoder = msgspec.msgpack.Decoder(LoopListed)


@cache
def _loops() -> Source:
    return Source(name=_LOOP, files=(JOURNAL_FILE,), read=_read, version=shape_of(LoopListed))


def _read(folder: Path) -> KeptParts:
    try:
        journal = load_journal(folder)
    except (StallgateError, OSError):
        return {}
    return {_LOOP: msgspec.msgpack.encode(_listed(journal))}


def _listed(journal: Journal) -> LoopListed:
    reading = journal.versions[0].reading
    outcomes = [found.outcome for found in journal.tries()]
    return LoopListed(
        time=MeasurementTime(created=journal.created, commit=journal.commit or "", dirty=journal.dirty),
        problem=journal.problem,
        gpus=[reading.gpu] if reading is not None and reading.gpu else [],
        ending=journal.stop.code if journal.stop is not None else None,
        headline=loop_headline(journal),
        accepted=f"{outcomes.count('accepted')} of {len(outcomes)}",
    )
