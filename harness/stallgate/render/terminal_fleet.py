"""The workers of a fleet in the terminal."""

from __future__ import annotations

from rich.table import Table

from stallgate.fleet.hosts import WorkerFacts, differing_versions, faults_of, worker_remarks
from stallgate.fleet.losses import MOST_LOSSES
from stallgate.formatting import listed
from stallgate.render.terminal_text import hang, out, styled

_UUID = 12
"""Characters of a GPU's UUID that tell it from others."""


def show_workers(workers: list[WorkerFacts], allowed_failures: int) -> None:
    """A row for each worker, what keeps some from measuring, and what differs between them.

    Args:
        workers: by host and GPU.
        allowed_failures: workers that a task may lose before the scheduler gives it up at the next.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("host", "GPU", "UUID", "driver", "ncu", "counters"):
        table.add_column(heading, overflow="fold")
    for facts in workers:
        style = "red" if faults_of(facts) else ""
        table.add_row(*(styled(cell, style) for cell in _cells(facts)))
    out.print(table)
    for facts in workers:
        where = f"{facts.host}, {facts.worker}: "
        for fault in faults_of(facts):
            hang(out, styled("✗ ", "red"), f"{where}{fault}", 2)
        for remark in worker_remarks(facts):
            hang(out, styled("· "), f"{where}{remark}", 2)
    for sentence in differing_versions(workers):
        hang(out, styled("· "), sentence, 2)
    if allowed_failures >= MOST_LOSSES:
        told = f"the scheduler tries a task on {allowed_failures + 1} workers before it is given up; {_SETTING}"
        hang(out, styled("· "), told, 2)
    able = sum(not faults_of(facts) for facts in workers)
    out.print(styled(f"{able} of {len(workers)} workers can measure", "" if able == len(workers) else "bold red"))


_SETTING = "start it with DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=1 for two"


def _cells(facts: WorkerFacts) -> list[str]:
    device = facts.device
    if device is None:
        return [facts.host, "none", "", "", facts.ncu or "none", facts.counters]
    kinds = [name for name, there in (("MIG", facts.mig), ("vGPU", facts.vgpu)) if there]
    name = f"{device.name} ({listed(kinds)})" if kinds else device.name
    return [facts.host, name, device.uuid[:_UUID], device.driver, facts.ncu or "none", facts.counters]
