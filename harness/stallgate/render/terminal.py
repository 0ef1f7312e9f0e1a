"""Two runs, lists and progress as text for a terminal; in colour only on a terminal.

The other commands have a module each: ``terminal_<what>.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from stallgate.errors import BrokenFile
from stallgate.formatting import (
    listed,
    scaled,
    spaced,
)
from stallgate.model import CaseResult
from stallgate.render.imports import about_pair, about_unpaired, longest_first, reserved, unpaired
from stallgate.render.terminal_progress import TimeLeft
from stallgate.render.terminal_text import err as err
from stallgate.render.terminal_text import hang as _hang
from stallgate.render.terminal_text import out as out
from stallgate.render.terminal_text import styled as _text

if TYPE_CHECKING:  # a progress bar is shown before they are imported
    from stallgate.compare.two_runs import Change, Pair, RunComparison, Word
    from stallgate.extract.table import Summary
    from stallgate.measure.chip import CatalogueCheck
    from stallgate.measure.doctor import Finding
    from stallgate.model import Baseline
    from stallgate.runs.bench import Entry

_MOST_IMPORTED = 40
"""Most rows of a table of imported cases."""


def show_refusal(message: str, hint: str) -> None:
    """An error, and what to do next."""
    _hang(err, _text("stallgate: ", style="bold red"), message, 2)
    if hint:
        _hang(err, _text("  hint: ", style="bold"), hint, 8)


_WORD_STYLES: dict[Word, str] = {"better": "green", "worse": "red", "same": "dim", "not_comparable": "yellow"}


def show_comparison(found: RunComparison, every: bool) -> None:
    """Two runs: a table for each workload, then what changed.

    Args:
        found: the comparison.
        every: show every metric, not only the main ones and those that are better or worse.
    """
    out.print(
        _text(f"base {found.base.name}\n  {found.base.provenance}\nrun  {found.run.name}\n  {found.run.provenance}")
    )
    for obstacle in found.obstacles:
        out.print(_text(f"not comparable: {obstacle.sentence}", "bold yellow"))
    for line in reserved(found):
        _hang(out, _text(""), line, 2)
    for note in found.notes:
        out.print(_text(note, "yellow"))
    if found.imported:
        _imported_pairs(found, every)
        out.print()
        _hang(out, _text(""), f"{found.finding}.", 0, "bold")
        return
    for problem, workload in dict.fromkeys((p.case.problem, p.case.workload) for p in found.pairs):
        pairs = [p for p in found.pairs if (p.case.problem, p.case.workload) == (problem, workload)]
        _changes(f"{problem} · {workload}", pairs, [] if every else found.main)
        for line in _obstacles(found, pairs):
            out.print(_text(f"  {line}", "yellow"))
    out.print()
    out.print(_text(f"{found.finding}.", "bold"))


def _imported_pairs(found: RunComparison, every: bool) -> None:
    """A table for each case that both imported runs have, then those that one of them has."""
    both = [pair for pair in found.pairs if pair.obstacle is None]
    for pair in longest_first(both)[:_MOST_IMPORTED] if len(both) > _MOST_IMPORTED else both:
        _imported_pair(found, pair, [] if every else found.main)
    if len(both) > _MOST_IMPORTED:
        others = f"the {_MOST_IMPORTED} of {len(both)} that took longest in the base; --report and --json have all"
        _hang(out, _text("\n"), others, 2, "dim")
    for heading, pairs in unpaired(found).items():
        out.print(_text(f"\n{heading}", "bold"))
        for pair in pairs[:_MOST_IMPORTED]:
            _hang(out, _text("  "), about_unpaired(found, pair), 4)
        if len(pairs) > _MOST_IMPORTED:
            out.print(_text(f"  and {len(pairs) - _MOST_IMPORTED} more", "dim"))


def _imported_pair(found: RunComparison, pair: Pair, main: list[str]) -> None:
    """The changes of one case: both values, and the range of the launches where there are several."""
    out.print()
    _hang(out, _text(""), pair.name, 2, "bold")
    for line in about_pair(found, pair):
        _hang(out, _text("  "), line, 4, "dim")
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("metric", overflow="fold", min_width=23)
    for heading in ("base", "run", "change %"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", min_width=6)
    for change in pair.changes:
        if not main or (change.metric in main and change.change is not None) or change.word in ("better", "worse"):
            word = _word(change) if change.word != "shown" else _text("")
            table.add_row(
                change.metric,
                *map(_over_launches, (change.base, change.run), [change.unit] * 2),
                _sides(change)[-1],
                word,
            )
    out.print(table if table.row_count else _text("  no metric that both runs have", "yellow"))


def _over_launches(summary: Summary | None, unit: str) -> str:
    """A median, and below it the range of several launches."""
    if summary is None or summary.median is None or summary.low is None or summary.high is None:
        return "–"
    shown = scaled(summary.median, unit)
    if summary.low == summary.high:
        return shown
    return f"{shown}\n{scaled(summary.low, unit)} to {scaled(summary.high, unit)}"


def _changes(title: str, pairs: list[Pair], main: list[str]) -> None:
    """The changes of comparable cases on one workload.

    Args:
        title: the table's.
        pairs: the workload's cases.
        main: metrics that are always shown; empty for all of them.
    """
    table = Table(title=f"\n{title}", title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("variant", overflow="fold")
    table.add_column("metric", overflow="fold", min_width=23)
    for heading in ("base", "run", "change %"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", min_width=10)
    rows = [(pair, change) for pair in pairs if pair.obstacle is None for change in pair.changes]
    for pair, change in rows:
        if not main or change.metric in main or change.word in ("better", "worse"):
            table.add_row(pair.name, change.metric, *_sides(change), _word(change))
    if table.row_count:
        out.print(table)


def _sides(change: Change) -> list[str]:
    values = [summary.median if summary is not None else None for summary in (change.base, change.run)]
    shown = [scaled(value, change.unit) if value is not None else "–" for value in values]
    return [*shown, f"{change.change:+.2%}".rstrip("%") if change.change is not None else "–"]


def _word(change: Change) -> Text:
    return _text(spaced(change.word), _WORD_STYLES.get(change.word, ""))


def _obstacles(found: RunComparison, pairs: list[Pair]) -> list[str]:
    """Why cases and metrics of a workload are not comparable, unless the head already says so."""
    lines = [
        f"{p.name} on {p.case.workload}: {p.obstacle.sentence}"
        for p in pairs
        if p.obstacle and p.obstacle not in found.obstacles
    ]
    for pair in pairs:
        changes = [change for change in pair.changes if change.obstacle and not pair.obstacle]
        for sentence in dict.fromkeys(change.obstacle.sentence for change in changes if change.obstacle):
            metrics = [c.metric for c in changes if c.obstacle and c.obstacle.sentence == sentence]
            lines.append(f"{pair.name}: {listed(metrics)}: {sentence}")
    return lines


def show_metrics(rows: list[dict[str, object]], names: dict[str, str]) -> None:
    """The catalogue: the short name, unit and ncu name of each metric; then the old names."""
    for row in rows:
        unit = f" [{row['unit']}]" if row["unit"] else ""
        out.print(_text(f"{row['metric']}", "bold") + _text(f"{unit}  {row['title']}"))
        computed = "only in --detail reports" if row["detail_only"] else "computed for the whole call"
        source = computed if row["computed"] else row["ncu_name"] or "not on this chip"
        out.print(_text(f"    {source}", "dim"))
    out.print()
    for old, short in names.items():
        out.print(_text(f"{old}\n    is read as {short}"))


def show_broken(faults: list[BrokenFile]) -> None:
    """Problems and stages that cannot be used, each with what to do about it."""
    for fault in faults:
        _hang(out, _text("✗ ", "red"), fault.message, 2)
        _hang(out, _text("  "), fault.hint, 2, "dim")


def show_chip(gaps: list[str], answer: CatalogueCheck | None) -> None:
    """The targets that cannot be judged on a chip, and whether the installed ncu agrees with the catalogue."""
    for gap in gaps:
        out.print(_text(gap, "bold yellow"))
    if answer is not None:
        out.print(_text(answer.text, "yellow" if answer.differs else "dim"))


def show_baselines(accepted: list[Baseline], files: list[str]) -> None:
    """Accepted numbers: each case's metrics with the spread of their runs, then the file to review."""
    for baseline, file in zip(accepted, files, strict=True):
        for name, case in baseline.cases.items():
            table = Table(title=f"{name}, {case.runs} runs", title_justify="left", box=None, padding=(0, 1, 0, 0))
            table.add_column("metric", overflow="fold")
            for heading in ("accepted", "lowest", "highest"):
                table.add_column(heading, justify="right", no_wrap=True)
            for metric, found in case.metrics.items():
                table.add_row(metric, *(scaled(value, found.unit) for value in (found.median, found.low, found.high)))
            out.print(table)
        out.print(f"baseline: {file}", soft_wrap=True)


def show_findings(found: list[Finding], able: bool) -> None:
    """The findings about this machine, each with what to do about it."""
    for finding in found:
        mark, style = {"ok": ("✓", "green"), "missing": ("✗", "red"), "note": ("·", "")}[finding.state]
        _hang(out, _text(f"{mark} {finding.name}: ", style), finding.text, 4)
        if finding.hint:
            _hang(out, _text("    "), finding.hint, 4, "dim")
    out.print(_text("this machine can measure" if able else "this machine cannot measure; it replays recordings"))


class _Progress:
    """A progress bar with the current case, the failures so far and the time left; quiet without a terminal."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeLeft(),
            TextColumn("{task.description}", markup=False),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._task: TaskID | None = None
        self._failed = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def waiting(self) -> None:
        err.print("another stallgate is measuring on this GPU; waiting")

    def at_work(self, case: str, step: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, description=f"{case.partition('/')[2]}: {step}{self._failures()}")

    def _begin(self, first: str, total: int) -> None:
        self._task = self._progress.add_task(first, total=total)

    def _advance(self, *, good: bool) -> None:
        """Counts a part. Why one failed is told once, when the results are shown."""
        self._failed += not good
        if self._task is not None:
            self._progress.advance(self._task)

    def _failures(self) -> str:
        return f" ({self._failed} failed)" if self._failed else ""


class ProfileBar(_Progress):
    """The progress of a profile, by cases."""

    def begun(self, cases: int) -> None:
        self._begin("starting ncu", cases)

    def finished(self, result: CaseResult) -> None:
        self._advance(good=result.outcome == "profiled")


class BenchBar(_Progress):
    """The progress of a bench, by contenders."""

    def begun(self, contenders: int) -> None:
        self._begin("starting", contenders)

    def finished(self, row: str, entry: Entry) -> None:  # noqa: ARG002
        self._advance(good=entry.outcome in ("timed", "absent"))


class CheckBar(_Progress):
    """The progress of a check, by cases."""

    def begun(self, cases: int) -> None:
        self._begin("starting", cases)

    def finished(self, result: CaseResult) -> None:
        """Counts the case; what became of it is in the report."""
        if self._task is not None:
            self._progress.update(self._task, advance=1, description=result.case.variant)
