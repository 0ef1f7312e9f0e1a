"""A captured program in the terminal: where its GPU time goes."""

from __future__ import annotations

from rich.table import Table

from stallgate.formatting import percent, scaled, shortened
from stallgate.model import Program
from stallgate.render.program import COUNTERS, gpu_time, kernel_names, untimed
from stallgate.render.terminal_text import err, hang, out, styled

_MOST_KERNELS, _BAR = 15, 16
"""Most kernels of a program that the terminal shows, and the characters of a bar that stands for all of its time."""


class CaptureNotes:
    """Says which run of a program begins, between the program's own lines."""

    def waiting(self) -> None:
        err.print("another stallgate is measuring on this GPU; waiting")

    def begun(self, what: str) -> None:
        err.print(styled(f"stallgate: running the program for {what}"), soft_wrap=True)


def show_program(found: Program) -> None:
    """The kernels of a program by their share of its GPU time, and how it ended if not well."""
    for failure in [*found.failures, *untimed(found)]:
        hang(out, styled(""), failure, 2, "yellow")
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
            styled(shortened(name, 120)),
            COUNTERS[kernel.counters],
        )
    out.print(table)
    rest = found.kernels[_MOST_KERNELS:]
    if rest:
        share = percent(sum(kernel.share for kernel in rest))
        out.print(styled(f"{len(rest)} other kernels have {share}: the page and run.json list them", "dim"))
    out.print()
