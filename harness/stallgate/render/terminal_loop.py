"""A loop in the terminal: its rounds as they happen, and what it came to."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from rich.text import Text

from stallgate.formatting import without_controls
from stallgate.model import CaseResult
from stallgate.render.loop_screen import loop_step
from stallgate.render.loop_words import (
    answers_in_words,
    limits_of_loop,
    loop_gain_words,
    loop_headline,
    loop_status,
    objection_text,
    outcome_words,
    provenance_of_loop,
    rung_words,
    target_text,
    version_words,
)
from stallgate.render.terminal_text import err, out, show_next
from stallgate.runs.journal import Journal, LoopRound, LoopStop, LoopTry, LoopVersion
from stallgate.runs.ladder import ladder

_STYLES = {"accepted": "green", "refused": "red", "repeated": "yellow", "no_answer": "yellow"}
_MOST_REASONS = 3


class LoopLines:
    """Says each step of a loop in a line on standard error."""

    def measuring(self, version: LoopVersion) -> None:
        """A version is about to be measured."""
        _say(err, f"measuring {'the start' if version.name == 'start' else version.name}", "dim")

    def measured(self, version: LoopVersion) -> None:
        """A version was measured."""
        met = version.reading.met if version.reading is not None else []
        _say(err, f"  {version_words(version)}; stages met: {', '.join(met) or 'none'}")

    def round_begun(self, found: LoopRound) -> None:
        """A round begins."""
        _say(err, f"round {found.number}, stage {found.stage}, from {found.base}", "bold")

    def asking(self, tries: Sequence[LoopTry]) -> None:
        """The answerer runs."""
        _say(err, f"  asking for {', '.join(each.name for each in tries)}", "dim")

    def checking(self, found: LoopTry) -> None:
        """An answer is being checked."""
        _say(err, f"  checking {found.name}", "dim")

    def judged(self, found: LoopTry) -> None:
        """An answer was judged."""
        for line, style in _try_lines(found):
            _say(err, line, style)

    def stopped(self, stop: LoopStop) -> None:
        """The loop is over; why is said with its result."""

    # --- of the runs ---

    def begun(self, cases: int) -> None:
        """A run of so many cases begins."""

    def waiting(self) -> None:
        """Somebody else measures on the GPU."""
        _say(err, "  another stallgate is measuring on this GPU; waiting", "dim")

    def at_work(self, case: str, step: str) -> None:
        """A case has come to a step."""

    def finished(self, result: CaseResult) -> None:
        """A case has its outcome."""


def show_loop(journal: Journal, page: Path, *, with_tries: bool) -> None:
    """What a loop came to: the ladder and the versions; the tries too where they were not told as they happened."""
    style = {0: "green", 1: "yellow"}.get(loop_status(journal), "yellow")
    _say(out, loop_headline(journal), f"bold {style}")
    if journal.stop is not None:
        _say(out, f"  {journal.stop.sentence}")
    else:
        _say(out, f"  Not over: `stallgate loop --resume {shlex.quote(journal.name)}` goes on.", "yellow")
    for rung in ladder(journal):
        numbers = ", ".join(str(each.number) for each in rung.rounds)
        _say(out, f"  {rung.stage}: {rung_words(rung.state)}{f' (rounds {numbers})' if numbers else ''}")
    _say(out, "")
    for version in journal.versions:
        _version(version)
    _say(out, "")
    for found in journal.tries() if with_tries else ():
        for line, color in _try_lines(found):
            _say(out, line, color)
    _say(out, answers_in_words(journal))
    _say(out, f"{provenance_of_loop(journal)}; {limits_of_loop(journal)}", "dim")
    step = loop_step(journal)
    show_next(step.words, step.command)
    out.print(Text(without_controls(str(page))), soft_wrap=True)


def show_written(path: str, hint: str) -> None:
    """What --apply wrote, and the lines that make it a variant."""
    out.print(Text(without_controls(f"written: {path}")), soft_wrap=True)
    for line in hint.splitlines():
        out.print(Text(without_controls(line)), soft_wrap=True)


def _version(version: LoopVersion) -> None:
    name = "the start" if version.name == "start" else version.name
    _say(out, f"{name}: {version_words(version)}", "bold")
    for target in version.reading.targets if version.reading is not None else []:
        _say(out, f"  {target_text(target)}")


def _try_lines(found: LoopTry) -> list[tuple[str, str]]:
    """A try with its reasons, each line with its style."""
    gain = f", {loop_gain_words(found.gain)}" if found.gain is not None else ""
    style = _STYLES.get(found.outcome or "", "")
    lines = [(f"  {found.name}: {outcome_words(found)}{gain}", style)]
    lines += [(f"    {objection_text(each)}", "") for each in found.objections[:_MOST_REASONS]]
    left = len(found.objections) - _MOST_REASONS
    return [*lines, *([(f"    and {left} more", "dim")] if left > 0 else [])]


def _say(console: object, words: str, style: str = "") -> None:
    """Prints a line; what does not fit stands below, indented."""
    stream = out if console is out else err
    head = " " * (len(words) - len(words.lstrip()))
    text = without_controls(" ".join(words.split()))
    lines = wrap(text, stream.width, initial_indent=head, subsequent_indent=f"{head}  ", break_on_hyphens=False)
    for line in lines or [""]:
        stream.print(Text(line, style), soft_wrap=True)
