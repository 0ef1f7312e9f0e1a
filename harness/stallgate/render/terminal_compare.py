"""Two runs as text for a terminal: the conclusion first and last, and between them what is not the same.

No word is broken and no number is cropped: a row that has no room for its columns takes two lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import NamedTuple

from rich.text import Text

from stallgate.compare.two_runs import Pair, RunComparison
from stallgate.compare.words import CHANGED_WORDS, Change, Word, word_label
from stallgate.extract.table import Summary
from stallgate.formatting import listed, with_unit, without_controls
from stallgate.project.catalogue import DURATION
from stallgate.render.imports import about_pair, about_unpaired, longest_first, reserved, unpaired
from stallgate.render.terminal_text import out

_STYLES: dict[Word, str] = {
    "faster": "green",
    "better": "green",
    "slower": "red",
    "worse": "red",
    "same": "dim",
    "not_comparable": "yellow",
}

_MOST_IMPORTED = 40
"""Most cases of two imported runs that are shown, and most that only one of them has."""


class _Row(NamedTuple):
    """A line of the table; `below` has the ranges of several launches."""

    metric: str
    before: str
    after: str
    change: str
    word: Word
    below: str = ""


def show_comparison(found: RunComparison, every: bool) -> None:
    """Two runs: the conclusion, the origin of both, what is not the same, and the conclusion again.

    Args:
        found: the comparison.
        every: show every metric, not only the main ones and those that changed; also those without a change.
    """
    _say(f"{found.finding}.", style=_conclusion_style(found))
    out.print()
    for name, side in (("before", found.base), ("after", found.run)):
        _say(f"{name:<7} {side.name}", indent=8)
        _say(f"        {side.provenance}", indent=8, style="dim")
    for obstacle in found.obstacles:
        _say(f"not comparable: {obstacle.sentence}", style="bold yellow")
    for line in reserved(found):
        _say(line)
    for note in found.notes:
        _say(note, style="yellow")
    if found.imported:
        _imported_pairs(found, every)
    else:
        _workloads(found, every)
    unchanged = _unchanged(found, every)
    out.print()
    if unchanged:
        _say(unchanged, style="dim")
    _say(f"{found.finding}.", style=_conclusion_style(found))


def _conclusion_style(found: RunComparison) -> str:
    colour = _STYLES.get(found.word, "")
    return f"bold {colour}" if colour in ("green", "red") else "bold"


def _unchanged(found: RunComparison, every: bool) -> str:
    """How many of the metrics that are looked at did not change; empty where each has a row of its own."""
    if every:
        return ""
    same = [(pair, c) for pair in found.pairs for c in pair.changes if c.word == "same" and c.metric in found.main]
    if not same:
        return ""
    cases = {pair.case for pair, _ in same}
    counted = f"{len(same):,} metric{'s' * (len(same) != 1)} of {len(cases):,} case{'s' * (len(cases) != 1)}"
    return f"{word_label('same')}: {counted}; --all has every metric"


# --- two runs of one problem ------------------------------------------------------------------------------------------


def _workloads(found: RunComparison, every: bool) -> None:
    for problem, workload in dict.fromkeys((p.case.problem, p.case.workload) for p in found.pairs):
        pairs = [p for p in found.pairs if (p.case.problem, p.case.workload) == (problem, workload)]
        rows = {pair.name: _rows_of(pair, every) for pair in pairs if pair.obstacle is None}
        obstacles = _obstacles(found, pairs, every=every)
        if not obstacles and not any(rows.values()):
            continue
        out.print()
        _say(f"{problem} · {workload}", style="bold")
        widths = _widths([row for mine in rows.values() for row in mine])
        for name, mine in rows.items():
            if mine:
                _say(f"  {name}", indent=4)
                _print_rows(mine, widths)
        for line in obstacles:
            _say(f"  {line}", indent=4, style="yellow")


def _rows_of(pair: Pair, every: bool) -> list[_Row]:
    """What changed, the largest change of a word first; every metric where that is asked for."""
    if every:
        return [_row_of(change) for change in pair.changes]
    changed = [change for change in pair.changes if change.word in CHANGED_WORDS]
    changed.sort(key=lambda change: (CHANGED_WORDS.index(change.word), -abs(change.effect or 0.0)))
    return [_row_of(change) for change in changed]


def _row_of(change: Change) -> _Row:
    before, after = (_median(summary, change.unit) for summary in (change.base, change.run))
    return _Row(change.metric, before, after, change.text, change.word)


def _median(summary: Summary | None, unit: str) -> str:
    return "–" if summary is None or summary.median is None else with_unit(summary.median, unit)


def _obstacles(found: RunComparison, pairs: list[Pair], *, every: bool) -> list[str]:
    """Why cases and metrics of a workload are not comparable, unless the head already says so.

    That neither run has a metric is worth a line only where every metric is asked for.
    """
    apart = [p for p in pairs if p.obstacle and p.obstacle not in found.obstacles]
    lines = []
    for sentence in dict.fromkeys(p.obstacle.sentence for p in apart if p.obstacle):
        names = [p.name for p in apart if p.obstacle and p.obstacle.sentence == sentence]
        lines.append(f"{listed(names)} on {apart[0].case.workload}: {sentence}")
    for pair in pairs:
        changes = [change for change in pair.changes if change.obstacle and not pair.obstacle]
        changes = [change for change in changes if every or _is_measured(change.base) or _is_measured(change.run)]
        for sentence in dict.fromkeys(change.obstacle.sentence for change in changes if change.obstacle):
            metrics = [c.metric for c in changes if c.obstacle and c.obstacle.sentence == sentence]
            lines.append(f"{pair.name}: {listed(metrics)}: {sentence}")
    return lines


def _is_measured(summary: Summary | None) -> bool:
    return summary is not None and summary.median is not None


# --- two imported runs ------------------------------------------------------------------------------------------------


def _imported_pairs(found: RunComparison, every: bool) -> None:
    """What changed in each case that both imported runs have, then the cases that one of them has."""
    both = [pair for pair in found.pairs if pair.obstacle is None]
    for pair in longest_first(both)[:_MOST_IMPORTED] if len(both) > _MOST_IMPORTED else both:
        _imported_pair(found, pair, every)
    if len(both) > _MOST_IMPORTED:
        out.print()
        shown = f"the {_MOST_IMPORTED} of {len(both)} that took longest before"
        _say(f"{shown}; --report and --json have all", style="dim")
    for heading, pairs in unpaired(found).items():
        out.print()
        _say(heading, style="bold")
        for pair in pairs[:_MOST_IMPORTED]:
            _say(f"  {about_unpaired(found, pair)}", indent=4)
        if len(pairs) > _MOST_IMPORTED:
            _say(f"  and {len(pairs) - _MOST_IMPORTED} more", style="dim")


def _imported_pair(found: RunComparison, pair: Pair, every: bool) -> None:
    """The changes of one case: both values, and the range of the launches where there are several."""
    shown = [c for c in pair.changes if every or c.word in CHANGED_WORDS or _is_shown(c, found.main)]
    out.print()
    _say(pair.name, style="bold")
    for line in about_pair(found, pair):
        _say(f"  {line}", indent=4, style="dim")
    rows = [_row_of(change)._replace(below=_ranges(change)) for change in shown]
    _print_rows(rows, _widths(rows))
    if not any(change.change is not None for change in pair.changes):
        _say("  no metric that both runs have", style="yellow")


def _is_shown(change: Change, main: list[str]) -> bool:
    """Whether a change without a word of its own has a row: the time always has."""
    is_main = change.word == "shown" and change.metric in main
    return change.change is not None and (is_main or change.metric == DURATION)


def _ranges(change: Change) -> str:
    """The lowest and the highest of several launches on either side."""
    named = [("before", change.base), ("after", change.run)]
    told = [f"{name} {span}" for name, summary in named if (span := _span(summary, change.unit))]
    return ", ".join(told)


def _span(summary: Summary | None, unit: str) -> str:
    if summary is None or summary.low is None or summary.high is None or summary.low == summary.high:
        return ""
    return f"{with_unit(summary.low, unit)} to {with_unit(summary.high, unit)}"


# --- lines ------------------------------------------------------------------------------------------------------------

_INDENT = 4


def _widths(rows: Sequence[_Row]) -> list[int]:
    """The widths of the columns: the metric, before, after, the change and the word."""
    cells = [(*row[:4], word_label(row.word)) for row in rows]
    return [max(map(len, column)) for column in zip(*cells, strict=True)]


def _print_rows(rows: Sequence[_Row], widths: Sequence[int]) -> None:
    """Rows in columns; each in two lines where the terminal has no room for them."""
    needed = _INDENT + sum(widths) + len("  " + " → " + 2 * "  ")
    for row in rows:
        style = _STYLES.get(row.word, "")
        word = "" if row.word == "shown" else word_label(row.word)
        sides = f"{row.before.rjust(widths[1])} → {row.after.rjust(widths[2])}"
        if needed <= out.width:
            cells = [row.metric.ljust(widths[0]), sides, row.change.rjust(widths[3])]
            _line(Text(" " * _INDENT + "  ".join(cells) + "  ") + Text(word, style))
        else:
            _line(Text(" " * _INDENT + row.metric + "  ") + Text(word, style))
            _line(Text(" " * (_INDENT + 2) + f"{row.before} → {row.after}, {row.change}"))
        if row.below:
            _say(" " * (_INDENT + 2) + row.below, indent=_INDENT + 4, style="dim")


def _line(text: Text) -> None:
    text.rstrip()
    out.print(text, soft_wrap=True)


def _say(words: str, *, indent: int = 2, style: str = "") -> None:
    """A paragraph at the terminal's width; no word is broken."""
    start = words[: len(words) - len(words.lstrip())]
    for line in _lines(without_controls(words.strip()), start, " " * indent):
        out.print(Text(line, style), soft_wrap=True)


def _lines(words: str, first: str, rest: str) -> Iterable[str]:
    lines = wrap(
        _BEFORE_UNIT.sub("\u00a0", words),
        out.width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return (line.replace("\u00a0", " ") for line in lines)


_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|points|[mµn]?s|[kMG]?B)(?!\w))")
"""The space between a number and its unit: no line ends there."""
