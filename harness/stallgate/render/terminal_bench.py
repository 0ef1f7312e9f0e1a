"""The times of a bench in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from stallgate.formatting import listed, rounded, scaled, spaced, workload_keys
from stallgate.render.terminal_text import hang, out, styled
from stallgate.runs.distribution import distributions

if TYPE_CHECKING:  # a progress bar is shown before they are imported
    from stallgate.runs.bench import Bench, BenchRow, Entry, Method
    from stallgate.runs.distribution import Distribution, Spread, WorstCase


_MOST_REMARKS = 10
"""Remarks on drawn workloads that are shown; bench.json has them all."""

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
        hang(out, styled("  "), line, 4, "yellow")
    absent = {entry.label: entry.reason for row in found.rows for entry in row.entries if entry.outcome == "absent"}
    for label, reason in absent.items():
        hang(out, styled(""), f"{label} is absent: {reason}", 2, "yellow")
    environment = found.environment
    if environment is not None:
        about = (
            f"{environment.gpu}, driver {environment.driver}, torch {environment.torch}, triton {environment.triton}"
        )
        commit = f"commit {found.commit[:12]}" if found.commit else "an unknown commit"
        at = f"{commit}{' with local changes' if found.dirty else ''}"
        hang(out, styled(""), f"Timed on {about}, clocks not locked; {found.created}, at {at}.", 2)
    if not found.complete:
        out.print(styled("This bench is not complete.", "bold yellow"))


def _distribution(found: Bench, each: Distribution) -> None:
    """How a contender does over the drawn workloads, and where it does worst."""
    seed = found.drawn.seed if found.drawn is not None else 0
    out.print(styled(f"{each.problem} · {each.name} on drawn workloads of seed {seed}", "bold"))
    out.print(styled(f"  timed on {each.timed} of {each.workloads}; the larger a number, the faster {each.name} is"))
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold", min_width=14)
    for heading in ("worst", "5 %", "25 %", "median", "75 %", "best", "slower"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, spread in (("of roof", each.of_roof), ("of copy", each.of_copy)):
        if spread is not None:
            table.add_row(name, *_quantiles(spread), "")
    for other in each.versus:
        slower = styled(f"{other.slower} of {other.compared}", "yellow" if other.slower else "")
        table.add_row(styled(f"× {other.name}"), *_quantiles(other.speed), slower)
    out.print(table)
    if each.worst:
        out.print(styled(f"  worst {len(each.worst)}:" if len(each.worst) > 1 else "  worst:"))
    for case in each.worst:
        _worst_case(case)
    if each.worst:
        again = f"stallgate bench {each.problem}/{each.name} --seed {seed} --drawn-only {each.worst[0].number}"
        out.print(styled(f"  one of them again: {again}", "dim"), soft_wrap=True)
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
    hang(out, styled(head), f"{workload_keys(case.arguments, case.inputs)}{slower}", len(head))


def _untimed(found: Bench, drawn: set[str]) -> list[str]:
    """The contenders without a time on drawn workloads, each with its reason; at most ten."""
    rows = [row for row in found.rows if row.workload.name in drawn]
    lines = [f"{row.name}: {remark}" for row in rows for remark in _remarks(row)]
    more = (
        [f"and {len(lines) - _MOST_REMARKS} more remarks: bench.json has them all"]
        if len(lines) > _MOST_REMARKS
        else []
    )
    return [*lines[:_MOST_REMARKS], *more]


def _timed(row: BenchRow) -> None:
    """A row's table, and below it the remarks."""
    out.print(styled(row.title, "bold"))
    computed = f", {scaled(row.workload.flops, 'FLOP')} to compute" if row.limit == "roof" else ""
    hang(out, styled("  "), f"{row.workload.called_with}: {scaled(row.bytes, 'byte')} to move{computed}", 2)
    for method in dict.fromkeys(entry.method for entry in row.entries if entry.method is not None):
        calls = max(entry.calls for entry in row.entries if entry.method == method)
        hang(out, styled("  "), _WAYS[method].format(calls=calls), 2)
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold", min_width=14)
    for heading in ("time", "quartiles", "of copy" if row.limit == "copy" else "TFLOP/s", "of roof", "host µs"):
        table.add_column(heading, justify="right", no_wrap=True)
    unlike = "copy" if row.limit == "roof" else ""
    present = [entry for entry in row.entries if entry.outcome != "absent" and entry.role != unlike]
    for entry in present:
        table.add_row(styled(entry.label, "bold" if entry.role == "candidate" else ""), *_times(row, entry))
    out.print(table)
    for line in _remarks(row):
        hang(out, styled("  "), line, 4, "yellow")
    for entry in row.entries:
        if entry.role == "candidate" and entry.median_us is not None:
            hang(out, styled("  "), f"{entry.label}: {_speedups(row, entry)}", 4)
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
