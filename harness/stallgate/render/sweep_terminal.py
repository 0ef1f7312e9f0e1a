"""A sweep's result for a terminal, 80 columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from rich.table import Table
from rich.text import Text

from stallgate.formatting import shortened, without_controls
from stallgate.judge.suggestion import Standing, SweepResult
from stallgate.project.apply import AppliedChange
from stallgate.project.load import Project
from stallgate.render.sweep_screen import sweep_screen
from stallgate.render.sweep_words import (
    changes_from_default,
    effect_text,
    evidence,
    gain_short,
    headline_of,
    metric_text,
    microseconds,
    provenance_of,
    remarks_on,
    share_text,
    state_counts,
    targets_short,
    value_text,
    values_text,
)
from stallgate.render.terminal_text import out, show_next
from stallgate.runs.sweep import Sweep

_ROWS = 10
_LONGEST_VALUES = 40
"""Characters of a configuration's values in the table."""


def show_sweep(project: Project, sweep: Sweep, result: SweepResult, *, with_next: bool = True) -> None:
    """The suggestion with its evidence, the best, what each tunable explains, and what became of the rest.

    Args:
        project: the catalogue.
        sweep: the sweep.
        result: what it found.
        with_next: tell what to do next; not where it is being done.
    """
    screen = sweep_screen(project, sweep, result)
    style = "green" if result.suggestion.meets else "yellow"
    _say(headline_of(result), f"bold {style}")
    suggested = result.suggested
    if suggested is not None and (changed := changes_from_default(sweep, suggested)):
        _say(f"  {changed}", "bold")
    for line in evidence(sweep, result):
        _say(f"  {line}")
    for row in screen.rows:
        _say(f"  {row.name} {row.workload}")
        for line in (row.limit, row.waits, row.memory):
            _say(f"    {line}", "dim")
    for line in remarks_on(sweep, result):
        _say(f"  {line}", "yellow")
    if result.standings:
        _best(sweep, result)
    if result.effects:
        _effects(result)
    _say("")
    _say(", ".join(f"{words} {count}" for words, count in state_counts(result)))
    _say(screen.results.words, {"fail": "bold red", "open": "yellow"}.get(screen.results.style, ""))
    _say(provenance_of(sweep), "dim")
    if with_next:
        show_next(screen.step.words, screen.step.command)


def show_applied(changes: Sequence[AppliedChange]) -> None:
    """What was written where."""
    for change in changes:
        out.print(Text(without_controls(change.text)), soft_wrap=True)
    if not changes:
        _say("nothing to apply: the files have these values already")


def _say(words: str, style: str = "") -> None:
    """Prints a line; what does not fit stands below, indented."""
    head = " " * (len(words) - len(words.lstrip()))
    lines = wrap(words.strip(), out.width, initial_indent=head, subsequent_indent=f"{head}  ", break_on_hyphens=False)
    for line in lines or [""]:
        out.print(Text(without_controls(line), style), soft_wrap=True)


def _best(sweep: Sweep, result: SweepResult) -> None:
    names = list(sweep.space.tunables)
    _say("")
    _say(f"{' · '.join(names)}", "dim")
    table = Table(box=None, pad_edge=False)
    table.add_column("the best", overflow="fold", max_width=_LONGEST_VALUES)
    for heading in ("time", "gain", *(["stall"] if result.axis is not None else []), "targets", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in _rows(result):
        table.add_row(*_row(result, each, names))
    out.print(table)


def _rows(result: SweepResult) -> list[Standing]:
    """The best, the suggested one among them; the default last."""
    others = [each for each in result.standings if each.configuration != "default"]
    chosen = [each for each in others[_ROWS:] if each.configuration == result.suggestion.configuration]
    return [*others[: _ROWS - len(chosen)], *chosen, *([result.default] if result.default is not None else [])]


def _row(result: SweepResult, each: Standing, names: Sequence[str]) -> list[Text]:
    is_default = each.configuration == "default"
    is_chosen = each.configuration == result.suggestion.configuration
    values = f"{'default: ' * is_default}{values_text(each.tunables, names)}"
    found = [
        values,
        microseconds(each.score),
        "" if is_default else gain_short(each.gain),
        *([_stall(result, each)] if result.axis is not None else []),
        targets_short(each),
        "suggested" if is_chosen else "tie" if each.tie else "",
    ]
    return [Text(without_controls(words), "bold" if is_chosen else "") for words in found]


def _stall(result: SweepResult, each: Standing) -> str:
    points = [p for front in result.fronts for p in front.points if p.configuration == each.configuration]
    return metric_text(points[0].y.median, result.fronts[0].y.unit) if points else "–"


def _effects(result: SweepResult) -> None:
    _say("")
    table = Table(box=None, pad_edge=False)
    table.add_column("tunable", overflow="fold", max_width=40)
    for heading in ("explains", "best", "worst"):
        table.add_column(heading, justify="right", no_wrap=True)
    for effect in result.effects:
        best = shortened(value_text(effect.best), 16)
        table.add_row(effect.tunable, share_text(effect.share), best, effect_text(effect.reach))
    out.print(table)
