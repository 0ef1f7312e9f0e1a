"""The rules of a stage that a change broke, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.text import Text

from stallgate.compare.rules import decided_by
from stallgate.formatting import listed, without_controls
from stallgate.render.terminal_text import out

if TYPE_CHECKING:
    from stallgate.compare.rules import RuleFinding, VariantRules
    from stallgate.project.code_changes import CodeChange

_MOST = 4
"""Changes of one rule that are listed; the others are counted."""

_LONGEST = 60
"""Characters of code on each side of a change."""


def show_rules(found: Iterable[VariantRules]) -> None:
    """For each changed candidate the rules that it broke, those that cannot be told, and how many changes there are."""
    for variant in found:
        out.print()
        held = f"held to the rules of {listed(variant.stages)}" if variant.stages else "no stage has rules for it"
        out.print(_line(0, f"{variant.problem}/{variant.variant} changed; {held}", "bold"))
        for finding in variant.broken:
            _show(finding, "broken", "red")
        for finding in variant.untold:
            _show(finding, "cannot be told", "yellow")
        if not variant.broken and not variant.untold and variant.stages:
            out.print(_line(2, "no rule broken", "green"))
        for why in variant.unread:
            out.print(_line(2, f"not read: {why}", "yellow"))
        count = len(variant.changes)
        out.print(_line(2, f"{count} change{'s' if count != 1 else ''} seen; --json lists them"))


def _show(finding: RuleFinding, word: str, style: str) -> None:
    out.print(_line(2, f"{word}: {finding.text}", style))
    for change in finding.changes[:_MOST]:
        out.print(_line(4, _change(change)))
    if len(finding.changes) > _MOST:
        out.print(_line(4, f"and {len(finding.changes) - _MOST} more"))
    out.print(_line(4, decided_by(finding)))


def _change(change: CodeChange) -> str:
    """A change with where it is, in one version or both."""
    places = [place for place in (change.before_place, change.after_place) if place]
    before, after = _short(change.before), _short(change.after)
    return f"{change.title} {change.verb}: {before or 'nothing'} -> {after or 'nothing'} ({' -> '.join(places)})"


def _short(code: str) -> str:
    """Code on one line, cut at its end."""
    line = " ".join(code.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _line(indent: int, words: str, style: str = "") -> Text:
    """A sentence, its later lines further in than its first."""
    first, later = " " * indent, " " * (indent + 2)
    lines = wrap(without_controls(words), out.width, initial_indent=first, subsequent_indent=later)
    return Text("\n".join(lines), style=style)
