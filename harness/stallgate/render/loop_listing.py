"""Loops among the runs: what a list says of each. The index and ``stallgate show runs`` have the same."""

from __future__ import annotations

from pathlib import Path

from stallgate.errors import StallgateError
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.render.loop_words import loop_headline
from stallgate.runs.journal import JOURNAL_FILE, Journal, StopCode, load_journal

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

    journal: Journal

    @property
    def ending(self) -> StopCode | None:
        """Why it ended; None where it is not over."""
        return self.journal.stop.code if self.journal.stop is not None else None

    @property
    def word(self) -> str:
        """How it ended, in a word or two."""
        return _ENDINGS[self.ending] if self.ending is not None else "not over"

    @property
    def headline(self) -> str:
        """What it came to, in a sentence."""
        return loop_headline(self.journal)

    @property
    def gpus(self) -> list[str]:
        """The GPU that it was measured on, where that is known."""
        reading = self.journal.versions[0].reading
        return [reading.gpu] if reading is not None and reading.gpu else []

    @property
    def accepted(self) -> str:
        """How many of its answers were accepted."""
        outcomes = [found.outcome for found in self.journal.tries()]
        return f"{outcomes.count('accepted')} of {len(outcomes)}"


def loops_listed(project: Project) -> dict[Path, LoopListed]:
    """Folder -> its loop, of every folder under ``reports/`` with a journal that can be read."""
    found: dict[Path, LoopListed] = {}
    for path in sorted(project.reports.glob(f"*/{JOURNAL_FILE}")):
        if path.parent.is_symlink():
            continue
        try:
            found[path.parent] = LoopListed(load_journal(path.parent))
        except (StallgateError, OSError):
            continue
    return found
