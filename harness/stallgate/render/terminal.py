"""Two runs, lists and progress as text for a terminal; in colour only on a terminal.

The other commands have a module each: ``terminal_<what>.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

from stallgate.errors import BrokenFile
from stallgate.formatting import (
    scaled,
)
from stallgate.model import CaseResult
from stallgate.render.terminal_progress import TimeLeft
from stallgate.render.terminal_text import err as err
from stallgate.render.terminal_text import hang as _hang
from stallgate.render.terminal_text import out as out
from stallgate.render.terminal_text import styled as _text

if TYPE_CHECKING:  # a progress bar is shown before they are imported
    from stallgate.measure.chip import CatalogueCheck
    from stallgate.measure.doctor import Finding
    from stallgate.model import Baseline
    from stallgate.runs.bench import Entry


def show_refusal(message: str, hint: str) -> None:
    """An error, and what to do next. Lines of the hint after its first can be pasted as they are."""
    _hang(err, _text("stallgate: ", style="bold red"), message, 2)
    first, *pasted = hint.split("\n")
    if first:
        _hang(err, _text("  hint: ", style="bold"), first, 8)
    for line in pasted:
        err.print(_text(line), soft_wrap=True)


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


def bars() -> Progress:
    """Bars below each other, shown for as long as it is entered; quiet without a terminal."""
    return Progress(
        SpinnerColumn(),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeLeft(),
        TextColumn("{task.description}", markup=False),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


class _Progress:
    """A progress bar with the current case, the failures so far and the time left; quiet without a terminal."""

    def __init__(self, among: Progress | None = None) -> None:
        """Takes the bars that it is one of, where several kinds of work are done at once."""
        self._is_alone = among is None
        self._progress = among or bars()
        self._task: TaskID | None = None
        self._tasks: list[TaskID] = []
        self._failed = 0

    def __enter__(self) -> Self:
        if self._is_alone:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_alone:
            self._progress.stop()
            return
        self._task = None  # steps may still be told
        for task in self._tasks:
            self._progress.remove_task(task)

    def waiting(self) -> None:
        err.print("another stallgate is measuring on this GPU; waiting")

    def at_work(self, case: str, step: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, description=f"{case.partition('/')[2]}: {step}{self._failures()}")

    def _begin(self, first: str, total: int) -> None:
        self._task = self._progress.add_task(first, total=total)
        self._tasks.append(self._task)

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


class AnswerBar(_Progress):
    """The progress of an answer's check, part by part."""

    def part(self, part: str) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._begin(part, 1)

    def begun(self, cases: int) -> None:
        """A part has so many cases or contenders."""
        if self._task is not None:
            self._progress.update(self._task, total=cases)

    def finished(self, *_: object) -> None:
        self._advance(good=True)
