"""What a profile would run, in lines that fit the terminal."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from stallgate.formatting import duration_in_words
from stallgate.render.terminal_text import hang, out, styled

if TYPE_CHECKING:
    from stallgate.model import Case
    from stallgate.runs.estimate import Estimate

_INDENT = "  "


def show_plan(cases: list[Case], command: list[str], time: Estimate | None) -> None:
    """The number of cases with the time that they take, each case, and the ncu command line to copy."""
    count = f"{len(cases)} case{'s' * (len(cases) != 1)}"
    hang(out, styled(count, "bold"), f", {_time(time)}", 2)
    for case in cases:
        out.print(styled(case.name), soft_wrap=True)
    out.print()
    out.print(styled(folded(command, out.width)), soft_wrap=True)


def _time(time: Estimate | None) -> str:
    if time is None:
        return "time unknown: there is no recording"
    less = f"; {time.unknown} of them were not recorded" if time.unknown else ""
    return f"about {duration_in_words(time.seconds)} by the time of the recording{less}"


def folded(command: list[str], width: int) -> str:
    """A command line for a shell, folded by backslashes before options and, in long lists, behind commas."""
    lines = [""]
    for word in map(shlex.quote, command):
        if word.startswith("--") and lines[-1]:
            lines.append(_INDENT + word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip(" " if len(lines) == 1 else "")
    return " \\\n".join(_folded_list(line, width) for line in lines)


def _folded_list(line: str, width: int) -> str:
    """A line folded behind commas. What follows a fold has no indentation: it belongs to the same word."""
    if len(line) + 2 <= width or "'" in line:
        return line
    rows = [""]
    for part in line.replace(",", ",\0").split("\0"):
        if rows[-1] and len(rows[-1]) + len(part) + 2 > width:
            rows.append("")
        rows[-1] += part
    return "\\\n".join(rows)
