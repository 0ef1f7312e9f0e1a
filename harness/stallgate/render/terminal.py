"""Results as text for a terminal, 80 columns wide; in colour only on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from shlex import join as quoted
from textwrap import wrap
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from stallgate.errors import BrokenFile
from stallgate.formatting import (
    aliases,
    counted_verdicts,
    listed,
    on_several,
    percent,
    rounded,
    scaled,
    shortened,
    spaced,
    verdict_mark,
    whom,
    without_controls,
    workload_keys,
)
from stallgate.model import Case, CaseResult, Program, Run, Status, Verdict
from stallgate.project.catalogue import stage_metrics
from stallgate.render.columns import CaseColumn, case_columns, fitting_columns
from stallgate.render.imports import remarks
from stallgate.render.program import COUNTERS, gpu_time, kernel_names, untimed
from stallgate.runs.conditions import provenance
from stallgate.runs.distribution import distributions
from stallgate.runs.naming import case_names, noun_of, place_name

if TYPE_CHECKING:  # a progress bar is shown before they are imported
    from stallgate.extract.table import Summaries
    from stallgate.judge.verdicts import Judgement
    from stallgate.measure.checked import CheckedCase, CheckedVariant, CheckReport
    from stallgate.measure.chip import CatalogueCheck
    from stallgate.measure.doctor import Finding
    from stallgate.model import Baseline
    from stallgate.project.load import Project
    from stallgate.runs.bench import Bench, BenchRow, Entry, Method
    from stallgate.runs.distribution import Distribution, Spread, WorstCase

# Names and reasons come from files and other programs: brackets in them are not markup.
out = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
err = Console(highlight=False, markup=False, emoji=False, stderr=True)

_STYLES: dict[Status, str] = {
    "pass": "green",
    "fail": "red",
    "undecided": "yellow",
    "not_measured": "yellow",
    "waived": "yellow",
    "excused": "green",
}

_GAP = 2
"""Spaces before a column."""

_MOST_IMPORTED = 40
"""Most rows of a table of imported cases."""

_NAME_WIDTH = 14, 30
"""Least and most characters of the column with the variants' names; a longer name takes several lines."""


def _text(words: str, style: str = "") -> Text:
    """Styled text, without control characters: some of it comes from other programs."""
    return Text(without_controls(words), style)


def show_refusal(message: str, hint: str) -> None:
    """An error, and what to do next."""
    _hang(err, _text("stallgate: ", style="bold red"), message, 2)
    if hint:
        _hang(err, _text("  hint: ", style="bold"), hint, 8)


def _hang(console: Console, head: Text, words: str, indent: int, style: str = "") -> None:
    """Prints text after a head, with further lines indented. Paths and URLs are never broken."""
    first, *rest = wrap(
        words or " ",
        console.width,
        initial_indent=" " * head.cell_len,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=bool(words),
    )
    console.print(head + _text(first[head.cell_len :], style), soft_wrap=True)
    for line in rest:
        console.print(_text(line, style), soft_wrap=True)


def show_run(found: Run, summaries: Summaries, judged: Judgement, project: Project) -> None:
    """A run at a glance: its origin, every case, and what the gate will find missing."""
    out.print(_text(provenance(found), "yellow" if found.kind == "recorded" else ""))
    out.print()
    if found.program is not None:
        show_program(found.program)
    show_cases(found, summaries, project, judged)
    if found.kind == "imported":
        return
    several = on_several(judged.verdicts)
    for verdict in judged.verdicts:
        if verdict.status == "not_measured":
            out.print(_text(f"{whom(verdict, with_problem=several)}: {verdict.sentence}", "yellow"))
    _aliases(judged.verdicts)


def show_cases(run: Run, summaries: Summaries, project: Project, judged: Judgement) -> None:
    """A table for each workload of a problem: every variant with its outcome, its time and the stages' metrics."""
    names_of = case_names(run)
    places: dict[tuple[str, str], list[CaseResult]] = {}
    for result in run.cases:
        places.setdefault((result.case.problem, result.case.workload), []).append(result)
    for (problem, workload), results in places.items():
        imported = run.kind == "imported"
        metrics = stage_metrics(map(project.stage, judged.stages)) if imported else project.metrics_of([problem])
        columns = case_columns(project.catalogue, metrics, imported=imported)
        identity = results[0].identity
        title = place_name(identity) if identity is not None else f"{problem} · {workload}"
        _cases_table(title, results, names_of, columns, summaries)
        for outcome, reason in dict.fromkeys((r.outcome, r.reason) for r in results if r.outcome != "profiled"):
            told = [r for r in results if (r.outcome, r.reason) == (outcome, reason)]
            names = [r.case.variant if r.identity is None else names_of[r.case] for r in told]
            _hang(out, _text("  "), f"{listed(list(dict.fromkeys(names)))}: {spaced(outcome)}: {reason}", 4, "yellow")
        for remark in remarks(results, summaries, names_of):
            _hang(out, _text("  "), remark, 4, "yellow")
        out.print()


def _cases_table(
    title: str,
    results: list[CaseResult],
    names_of: Mapping[Case, str],
    columns: Sequence[CaseColumn],
    summaries: Summaries,
) -> None:
    """The cases of a workload with as many columns as the terminal has room for, and which were left out.

    Of very many imported cases it has those that took longest.
    """
    known, results = len(results), _longest(results, summaries)
    columns = [column.holding(_median(summaries, result, column) for result in results) for column in columns]
    rows = [[column.text(_median(summaries, result, column)) for column in columns] for result in results]
    kinds = {result.identity.kind for result in results if result.identity is not None}
    is_imported = bool(kinds)
    noun = noun_of(kinds) if is_imported else "variant"
    counts_head = "ranges" if kinds == {"range"} else "launches"
    name_width = _name_width(names_of[result.case] for result in results)
    counts = [_launched(result, summaries) for result in results] if is_imported else []
    counted = [len(line) for count in counts for line in [counts_head, *count.splitlines()]]
    counts_width = max(counted, default=-_GAP) + _GAP
    shown = fitting_columns(columns, rows, out.width - name_width - counts_width)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(noun, overflow="fold", min_width=name_width, max_width=name_width)
    if is_imported:
        table.add_column(counts_head, no_wrap=True)
    for column in columns[:shown]:
        table.add_column(column.wrapped, justify="right", no_wrap=True)
    for number, (result, row) in enumerate(zip(results, rows, strict=True)):
        name = _text(names_of[result.case], style="bold" if result.role == "candidate" else "")
        table.add_row(name, *counts[number : number + 1], *row[:shown])
    out.print(table)
    if len(results) < known:
        others = f"the {len(results)} of {known} that took longest; the page and metrics.csv have all"
        _hang(out, _text(""), others, 2, "dim")
    if shown < len(columns):
        left_out = listed([column.metric.name for column in columns[shown:]])
        _hang(out, _text(""), f"no room for {left_out}: a wider terminal, the page and metrics.csv have them", 2, "dim")


def _name_width(names: Iterable[str]) -> int:
    """Characters of the column with the names."""
    least, most = _NAME_WIDTH
    return min(max(least, *map(len, names)), most)


def _longest(results: list[CaseResult], summaries: Summaries) -> list[CaseResult]:
    """All cases; of many imported ones those whose launches took longest together, in their order."""
    if len(results) <= _MOST_IMPORTED or results[0].identity is None:
        return results
    times = {result.case: _time_together(result, summaries) for result in results}
    kept = sorted(results, key=lambda result: -times[result.case])[:_MOST_IMPORTED]
    return [result for result in results if result in kept]


def _time_together(result: CaseResult, summaries: Summaries) -> float:
    time = summaries.get((result.case, "duration"))
    return time.median * time.samples if time is not None and time.median is not None else 0.0


def _launched(result: CaseResult, summaries: Summaries) -> str:
    """How often an imported case was launched, and from the shortest to the longest of several launches."""
    if result.identity is None:
        return ""
    time = summaries.get((result.case, "duration"))
    if time is None or time.samples < 2 or time.low is None or time.high is None:
        return str(result.identity.launches)
    return f"{result.identity.launches}\n{scaled(time.low, 'ns')}\nto {scaled(time.high, 'ns')}"


def _median(summaries: Summaries, result: CaseResult, column: CaseColumn) -> float | None:
    summary = summaries.get((result.case, column.metric.name))
    return summary.median if summary is not None else None


def show_judgement(found: Judgement) -> None:
    """Every verdict with its sentence, then the answer in one line."""
    several = on_several(found.verdicts)
    for verdict in found.verdicts:
        _judged(verdict, with_problem=several)
    _aliases(found.verdicts)
    _answered(found)


_MOST_UNMET = 20
"""Verdicts of an imported run that are told where it is imported."""


def show_unmet(found: Judgement) -> None:
    """The verdicts of an imported run that are not met, and the answer in one line."""
    unmet = [verdict for verdict in found.verdicts if verdict.status not in ("pass", "waived", "excused")]
    for verdict in unmet[:_MOST_UNMET]:
        _judged(verdict, with_problem=on_several(found.verdicts))
    if len(unmet) > _MOST_UNMET:
        out.print(_text(f"{'':15}and {len(unmet) - _MOST_UNMET} more: `stallgate gate` tells them all"))
    _answered(found)


def _judged(verdict: Verdict, *, with_problem: bool) -> None:
    about = whom(verdict, with_problem=with_problem)
    out.print(_text(f"{verdict_mark(verdict):<15}", _STYLES[verdict.status]) + _text(about))
    _hang(out, _text(" " * 15), verdict.sentence, 15)


def _answered(found: Judgement) -> None:
    """Notes, how to collect what is missing, and the answer in one line."""
    for note in found.notes:
        out.print(_text(note, "yellow"))
    for missing in found.uncollected:
        _hang(out, _text(""), f"what {missing.stage} needs is collected by", 2)
        out.print(_text(f"  {quoted(missing.command)}"), soft_wrap=True)
    word, style = {0: ("PASS", "bold green"), 1: ("FAIL", "bold red")}.get(
        3 if found.exit_status is None else found.exit_status, ("NOT DECIDED", "bold yellow")
    )
    out.print(_text(word, style) + _text(f"  {_count(found.verdicts)}; stages: {', '.join(found.stages) or 'none'}"))


def _aliases(verdicts: list[Verdict]) -> None:
    for old, meaning in aliases(verdicts):
        out.print(_text(old, "dim"))
        _hang(out, _text("  "), meaning, 4, "dim")


def _count(verdicts: list[Verdict]) -> str:
    return counted_verdicts((verdict.status, verdict.reason) for verdict in verdicts) or "nothing judged"


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
    """A progress bar with the current case; plain lines without a terminal."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def waiting(self) -> None:
        err.print("another stallgate is measuring on this GPU; waiting")

    def at_work(self, case: str, step: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, description=f"{case.partition('/')[2]}: {step}")

    def _begin(self, first: str, total: int) -> None:
        self._task = self._progress.add_task(first, total=total)

    def _advance(self, name: str, outcome: str, reason: str, *, good: bool) -> None:
        if self._task is not None:
            self._progress.advance(self._task)
        if not err.is_terminal or not good:
            err.print(_text(f"{name}: {spaced(outcome)}{f': {reason}' if reason else ''}"))


class ProfileBar(_Progress):
    """The progress of a profile, by cases."""

    def begun(self, cases: int) -> None:
        self._begin("starting ncu", cases)

    def finished(self, result: CaseResult) -> None:
        self._advance(result.case.name, result.outcome, result.reason, good=result.outcome == "profiled")


class BenchBar(_Progress):
    """The progress of a bench, by contenders."""

    def begun(self, contenders: int) -> None:
        self._begin("starting", contenders)

    def finished(self, row: str, entry: Entry) -> None:
        good = entry.outcome in ("timed", "absent")
        self._advance(f"{row}: {entry.label}", entry.outcome, entry.reason, good=good)


class CheckBar(_Progress):
    """The progress of a check, by cases."""

    def begun(self, cases: int) -> None:
        self._begin("starting", cases)

    def finished(self, result: CaseResult) -> None:
        """Counts the case; what became of it is in the report."""
        if self._task is not None:
            self._progress.update(self._task, advance=1, description=result.case.variant)


# --- checks -----------------------------------------------------------------------------------------------------------

_ANSWERS = {"right": ("right", "green"), "wrong": ("WRONG", "bold red"), "not_checked": ("not checked", "yellow")}

_MOST_CASES = 10
"""Cases of a variant whose reasons are shown; `--json` has them all."""


def show_check(found: CheckReport) -> None:
    """Where the variants ran, then each variant's answer, with the reasons where it is not right."""
    if found.gpu is None:
        where = "Triton's interpreter on the CPU: small inputs in the place of the workloads'"
    else:
        where = f"{found.gpu}: whole workloads"
    drawn = f", and drawn ones of seed {found.seed}" if found.seed is not None else ""
    _hang(out, _text(""), f"{where}{drawn}", 2, "yellow" if found.small else "")
    for left_out, same in found.stand_ins.items():
        out.print(_text(f"  {left_out} is the same as {same} once it is small", "dim"), soft_wrap=True)
    for variant in found.variants:
        _checked_variant(variant, found)


def _checked_variant(variant: CheckedVariant, found: CheckReport) -> None:
    word, style = _ANSWERS[variant.answer]
    line = f" on {variant.right} of {len(variant.cases)}" if variant.answer == "right" else ""
    if variant.answer != "right":
        line = f": right on {variant.right} of {len(variant.cases)}"
    worst = ""
    if variant.worst is not None and variant.answer == "right":
        worst = f", worst error {variant.worst.used:.2f} of its tolerance"
    out.print(_text(f"{word:<12}", style) + _text(f"{variant.name}{line}{worst}"), soft_wrap=True)
    faulty = [case for case in variant.cases if case.outcome != "right"]
    for case in faulty[:_MOST_CASES]:
        _checked_case(case, found, variant)
    if len(faulty) > _MOST_CASES:
        out.print(_text(f"{'':12}and on {len(faulty) - _MOST_CASES} more; --json has them all"))
    for note in dict.fromkeys(case.note for case in variant.cases if case.note):
        _hang(out, _text(f"{'':12}edge cases: "), note, 14, "yellow")


def _checked_case(case: CheckedCase, found: CheckReport, variant: CheckedVariant) -> None:
    """Why a case is not right, and for a drawn one how to run it again alone."""
    _hang(out, _text(f"{'':12}{case.workload}: "), f"{spaced(case.outcome)}: {case.reason}", 14)
    if case.number is not None:
        _hang(out, _text(" " * 14), workload_keys(case.arguments, case.inputs), 16, "dim")
        again = f"stallgate check {variant.problem}/{variant.variant} --seed {found.seed} --drawn-only {case.number}"
        out.print(_text(f"{'':14}{again}", "dim"), soft_wrap=True)


# --- times ------------------------------------------------------------------------------------------------------------

_WAYS: dict[Method, str] = {
    "events": "single calls, the L2 overwritten before each",
    "graph": "CUDA graphs of {calls} calls, the L2 overwritten before each graph",
}

_NOTABLE_DRIFT = 0.01
"""A larger drift of the copy's or the roof's time within a row is reported."""


def show_bench(found: Bench) -> None:
    """A table for each row, one for all that were drawn, and the origin of the numbers."""
    drawn = set(found.drawn.names) if found.drawn is not None else set()
    for row in found.rows:
        if row.workload.name not in drawn:
            _timed(row)
    for each in distributions(found):
        _distribution(found, each)
    for line in _untimed(found, drawn):
        _hang(out, _text("  "), line, 4, "yellow")
    absent = {entry.label: entry.reason for row in found.rows for entry in row.entries if entry.outcome == "absent"}
    for label, reason in absent.items():
        _hang(out, _text(""), f"{label} is absent: {reason}", 2, "yellow")
    environment = found.environment
    if environment is not None:
        about = (
            f"{environment.gpu}, driver {environment.driver}, torch {environment.torch}, triton {environment.triton}"
        )
        commit = f"commit {found.commit[:12]}" if found.commit else "an unknown commit"
        at = f"{commit}{' with local changes' if found.dirty else ''}"
        _hang(out, _text(""), f"Timed on {about}, clocks not locked; {found.created}, at {at}.", 2)
    if not found.complete:
        out.print(_text("This bench is not complete.", "bold yellow"))


def _distribution(found: Bench, each: Distribution) -> None:
    """How a contender does over the drawn workloads, and where it does worst."""
    seed = found.drawn.seed if found.drawn is not None else 0
    out.print(_text(f"{each.problem} · {each.name} on drawn workloads of seed {seed}", "bold"))
    out.print(_text(f"  timed on {each.timed} of {each.workloads}; the larger a number, the faster {each.name} is"))
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold", min_width=14)
    for heading in ("worst", "5 %", "25 %", "median", "75 %", "best", "slower"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, spread in (("of roof", each.of_roof), ("of copy", each.of_copy)):
        if spread is not None:
            table.add_row(name, *_quantiles(spread), "")
    for other in each.versus:
        slower = _text(f"{other.slower} of {other.compared}", "yellow" if other.slower else "")
        table.add_row(_text(f"× {other.name}"), *_quantiles(other.speed), slower)
    out.print(table)
    if each.worst:
        out.print(_text(f"  worst {len(each.worst)}:" if len(each.worst) > 1 else "  worst:"))
    for case in each.worst:
        _worst_case(case)
    if each.worst:
        again = f"stallgate bench {each.problem}/{each.name} --seed {seed} --drawn-only {each.worst[0].number}"
        out.print(_text(f"  one of them again: {again}", "dim"), soft_wrap=True)
    out.print()


def _quantiles(spread: Spread) -> list[str]:
    return [
        f"{value:.3f}" if value < 100 else f"{value:.0f}"
        for value in (spread.worst, spread.p5, spread.p25, spread.median, spread.p75, spread.best)
    ]


def _worst_case(case: WorstCase) -> None:
    """A drawn workload: its number, the fraction of the limit, the time, the arguments, and who is faster on it."""
    head = f"  {case.number:>5} {case.of_limit:6.3f} {scaled(1e3 * case.median_us, 'ns'):>9}  "
    slower = f", slower than {listed(case.slower_than)}" if case.slower_than else ""
    _hang(out, _text(head), f"{workload_keys(case.arguments, case.inputs)}{slower}", len(head))


def _untimed(found: Bench, drawn: set[str]) -> list[str]:
    """The contenders without a time on drawn workloads, each with its reason; at most ten."""
    rows = [row for row in found.rows if row.workload.name in drawn]
    lines = [f"{row.name}: {remark}" for row in rows for remark in _remarks(row)]
    more = [f"and {len(lines) - _MOST_CASES} more remarks: bench.json has them all"] if len(lines) > _MOST_CASES else []
    return [*lines[:_MOST_CASES], *more]


def _timed(row: BenchRow) -> None:
    """A row's table, and below it the remarks."""
    out.print(_text(row.title, "bold"))
    computed = f", {scaled(row.workload.flops, 'FLOP')} to compute" if row.limit == "roof" else ""
    _hang(out, _text("  "), f"{row.workload.called_with}: {scaled(row.bytes, 'byte')} to move{computed}", 2)
    for method in dict.fromkeys(entry.method for entry in row.entries if entry.method is not None):
        calls = max(entry.calls for entry in row.entries if entry.method == method)
        _hang(out, _text("  "), _WAYS[method].format(calls=calls), 2)
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold", min_width=14)
    for heading in ("time", "quartiles", "of copy" if row.limit == "copy" else "TFLOP/s", "of roof", "host µs"):
        table.add_column(heading, justify="right", no_wrap=True)
    unlike = "copy" if row.limit == "roof" else ""
    present = [entry for entry in row.entries if entry.outcome != "absent" and entry.role != unlike]
    for entry in present:
        table.add_row(_text(entry.label, "bold" if entry.role == "candidate" else ""), *_times(row, entry))
    out.print(table)
    for line in _remarks(row):
        _hang(out, _text("  "), line, 4, "yellow")
    for entry in row.entries:
        if entry.role == "candidate" and entry.median_us is not None:
            _hang(out, _text("  "), f"{entry.label}: {_speedups(row, entry)}", 4)
    out.print()


def _times(row: BenchRow, entry: Entry) -> list[str]:
    """The cells of a contender, column by column."""
    if entry.median_us is None or entry.quartiles_us is None:
        return ["–"] * 5
    low, high = (f"{quartile / entry.median_us - 1:+.2%}".rstrip("%") for quartile in entry.quartiles_us)
    of_copy, of_roof, tflops = row.fraction(entry, "copy"), row.fraction(entry, "roof"), row.tflops(entry)
    host = entry.host_median_us
    return [
        scaled(1e3 * entry.median_us, "ns"),
        f"{low} {high} %",
        _three_digits(of_copy) if row.limit == "copy" else _four_digits(tflops),
        _three_digits(of_roof),
        f"{host:.1f}" if host is not None else "–",
    ]


def _four_digits(tflops: float | None) -> str:
    return rounded(tflops, 4, zeros=True) if tflops is not None else "–"


def _three_digits(fraction: float | None) -> str:
    return f"{fraction:.3f}" if fraction is not None else "–"


def _remarks(row: BenchRow) -> list[str]:
    """Why a contender was not timed, notes on times, and whether the GPU was steady."""
    lines = [f"{e.label}: not reached" for e in row.entries if e.outcome == "planned"]
    lines += [f"{e.label}: {spaced(e.outcome)}: {e.reason}" for e in row.entries if e.reason and e.outcome != "absent"]
    lines += [f"{e.label}: {e.note}" for e in row.entries if e.note]
    for entry in row.entries:
        if entry.role in ("copy", "roof") and entry.drift is not None and abs(entry.drift) > _NOTABLE_DRIFT:
            longer = "longer" if entry.drift > 0 else "shorter"
            half = f"the later half of the {entry.role}'s own times is {abs(entry.drift):.1%} {longer}"
            lines.append(f"not steady: {half}")
    return lines


def _speedups(row: BenchRow, entry: Entry) -> str:
    """The speed of a candidate relative to every other contender that solves the problem."""
    others = [other for other in row.entries if other.role not in ("copy", "roof") and other is not entry]
    found = [(other.label, row.speedup(other, entry)) for other in others]
    times = [f"{speedup:.2f} × {label}" for label, speedup in found if speedup is not None]
    return f"speed {', '.join(times)}" if times else "no other contender was timed"


# --- captured programs ------------------------------------------------------------------------------------------------

_MOST_KERNELS, _BAR = 15, 16
"""Most kernels of a program that the terminal shows, and the characters of a bar that stands for all of its time."""


class CaptureNotes:
    """Says which run of a program begins, between the program's own lines."""

    def waiting(self) -> None:
        err.print("another stallgate is measuring on this GPU; waiting")

    def begun(self, what: str) -> None:
        err.print(_text(f"stallgate: running the program for {what}"), soft_wrap=True)


def show_program(found: Program) -> None:
    """The kernels of a program by their share of its GPU time, and how it ended if not well."""
    for failure in [*found.failures, *untimed(found)]:
        _hang(out, _text(""), failure, 2, "yellow")
    if not found.kernels:
        return
    table = Table(title=gpu_time(found), title_justify="left", box=None, pad_edge=False)
    table.add_column("share of GPU time", no_wrap=True)
    for heading in ("time", "launches"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("kernel", overflow="fold")
    table.add_column("counters", no_wrap=True)
    for name, kernel in zip(kernel_names(found.kernels), found.kernels[:_MOST_KERNELS], strict=False):
        bar = "█" * round(kernel.share * _BAR)
        table.add_row(
            f"{100 * kernel.share:5.1f} % {bar}",
            scaled(kernel.time_ns, "ns"),
            str(kernel.launches),
            _text(shortened(name, 120)),
            COUNTERS[kernel.counters],
        )
    out.print(table)
    rest = found.kernels[_MOST_KERNELS:]
    if rest:
        share = percent(sum(kernel.share for kernel in rest))
        out.print(_text(f"{len(rest)} other kernels have {share}: the page and run.json list them", "dim"))
    out.print()
