"""What changed since the last measurement of a problem, for the head of the page and the summary."""

from __future__ import annotations

from collections.abc import Sequence

from stallgate.compare.since import ChangesSinceLast
from stallgate.compare.words import WORD_ORDER
from stallgate.model import FrozenStruct, Verdict
from stallgate.render.compare_page import WORD_CLASSES, WORD_MARKS, ChangeLine, line_of

MOST_CHANGES = 40
"""Most rows of the table. With more, changes come first; ``stallgate compare`` shows the rest."""


class Changes(FrozenStruct, frozen=True):
    """A problem of a run beside its base."""

    mark: str
    style: str
    """A class of the page's style."""
    base: str
    """Empty where there is nothing to compare with."""
    provenance: str
    """The base's."""
    words: str
    """What changed, or why nothing can be compared; a sentence without full stop."""
    allowed: str
    """Why the gate lets pass what became slower or worse; '' where it does not, or where nothing did."""
    tally: str
    notes: list[str]
    lines: list[ChangeLine]
    left_out: int
    """Number of rows left out of the table."""

    @property
    def moved(self) -> bool:
        return any(line.mark not in (WORD_MARKS["same"], WORD_MARKS["not_comparable"]) for line in self.lines)

    @property
    def is_gappy(self) -> bool:
        """Whether any row says why it is not comparable."""
        return any(line.why for line in self.lines)


def changes_of(since: ChangesSinceLast, verdicts: Sequence[Verdict] = (), *, named: bool = False) -> Changes:
    """The changes of one problem, as text.

    Args:
        since: the problem beside its base.
        verdicts: on the problem.
        named: whether the run has other problems too.
    """
    if since.found is None:
        return Changes(
            mark="○ nothing to compare with",
            style="",
            base="",
            provenance="",
            words=since.because,
            allowed="",
            tally="",
            notes=[],
            lines=[],
            left_out=0,
        )
    told = since.changes
    word = since.found.word
    if len(told) > MOST_CHANGES:
        told = sorted(told, key=lambda pair: WORD_ORDER.index(pair[1].word))
    return Changes(
        mark=WORD_MARKS[word],
        style=WORD_CLASSES.get(word, ""),
        base=since.base,
        provenance=since.found.base.provenance,
        words=f"{since.problem}: {since.found.finding}" if named else since.found.finding,
        allowed=why_allowed(verdicts) if word in ("slower", "worse") else "",
        tally=since.tally,
        notes=since.found.notes,
        lines=[line_of(*pair) for pair in told[:MOST_CHANGES]],
        left_out=max(0, len(told) - MOST_CHANGES),
    )


def why_allowed(verdicts: Sequence[Verdict]) -> str:
    """Why verdicts let a loss pass, in words; '' where there are none, or where one that counts does not."""
    statuses = {verdict.status for verdict in verdicts if not verdict.warning}
    if not statuses or not statuses <= {"pass", "excused", "waived"}:
        return ""
    if "waived" in statuses:
        return "what is missed is waived"
    return "what is missed is excused" if "excused" in statuses else "no target forbids it"
