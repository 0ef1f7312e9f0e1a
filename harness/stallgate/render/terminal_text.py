"""Text on a terminal: the two streams, styled words, and lines that hang below their head."""

from __future__ import annotations

import re
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from stallgate.formatting import without_controls
from stallgate.runs.conditions import provenance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stallgate.model import Run

# Names and reasons come from files and other programs: brackets in them are not markup.
out = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
err = Console(highlight=False, markup=False, emoji=False, stderr=True)


_HOLD = "\u00a0"
"""Stands for a space at which no line may end."""

_UNIT = re.compile(r"(?<=\d) (%|points?\b|[nµm]?s\b|[GMk]?B\b|[TGM]?FLOP\b|[GT]B/s)")
"""The space between a number and its unit."""


def styled(words: str, style: str = "") -> Text:
    """Styled text, without control characters: some of it comes from other programs."""
    return Text(without_controls(words), style)


def hang(console: Console, head: Text, words: str, indent: int, style: str = "") -> None:
    """Prints text after a head, with further lines indented. Never breaks a path, a URL, or a number from its unit."""
    first, *rest = wrap(
        _UNIT.sub(f"{_HOLD}\\1", words) or " ",
        console.width,
        initial_indent=" " * head.cell_len,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=bool(words),
    )
    console.print(head + styled(first[head.cell_len :].replace(_HOLD, " "), style), soft_wrap=True)
    for line in rest:
        console.print(styled(line.replace(_HOLD, " "), style), soft_wrap=True)


def show_lines(lines: Iterable[Text]) -> None:
    """Prints lines; what does not fit the terminal stands below its line, two columns further in."""
    for line in lines:
        indent = len(line.plain) - len(line.plain.lstrip())
        if line.cell_len <= out.width:
            out.print(line, soft_wrap=True)
        else:
            hang(out, styled(" " * indent), line.plain.strip(), indent + 2, str(line.style or ""))


def show_origin(run: Run) -> None:
    """Where a run's numbers are from. A recording is yellow in every command."""
    hang(out, styled(""), provenance(run), 2, "yellow" if run.kind == "recorded" else "")


def show_next(purpose: str, command: str) -> None:
    """The command to run next, in one line that can be copied; where none helps, what to do."""
    said = f" ({purpose}): {command}" if command else f": {purpose}"
    out.print(styled("next", "bold") + styled(said), soft_wrap=True)
