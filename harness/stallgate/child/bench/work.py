"""The timing child's work: every row of a plan, one after the other."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from stallgate.child.channel import PARENT_GONE, ParentChannel
from stallgate.child.parent_watchdog import end_with_parent
from stallgate.child.work import DEVICE_LOST, UNABLE


def main(plan_path: Path, channel: int, lifeline: int) -> int:
    """Times a plan; the exit status is 0 if every contender has an outcome.

    torch and triton are imported here, not above, so that their absence can be reported as an event. Then it waits for
    the parent's word: before, there may be no plan, and another process may measure on the GPU, which is not touched.
    """
    end_with_parent(lifeline)
    parent = ParentChannel(channel)
    try:
        from stallgate.child.bench.clock import GpuClock
        from stallgate.child.bench.order import ContenderOrder
        from stallgate.child.bench.row import DeviceLost, TimedRow
        from stallgate.child.device import CannotMeasure, open_device
        from stallgate.child.load import ProjectModules
    except ImportError as error:
        parent.tell("unable", reason=f"{sys.executable} cannot import {error.name}")
        return UNABLE
    if parent.receive() is None:
        return PARENT_GONE
    plan = json.loads(plan_path.read_text(encoding="utf-8"))
    try:
        device = open_device("cuda")
    except CannotMeasure as error:
        parent.tell("unable", reason=f"{sys.executable}: {error}")
        return UNABLE
    clock = GpuClock()
    parent.tell("environment", **device.describe(), **clock.describe())
    modules = ProjectModules(plan["root"], plan["import_paths"])
    modules.install()
    order = ContenderOrder(plan.get("compiled"))
    try:
        measure(TimedRow(plan, row, device, clock, parent, modules, order) for row in plan["rows"])
    except DeviceLost:
        parent.tell("lost")
        return DEVICE_LOST
    parent.tell("end")
    return 0


class Measurable(Protocol):
    """A row, as far as its turn depends on it."""

    def fits(self) -> bool: ...
    def measure(self) -> None: ...


def measure(rows: Iterable[Measurable]) -> None:
    """Measures row after row, but for the first only where it fits in the memory that is free.

    Libraries keep what earlier rows took of it, and give it back with the process: what is left is for a fresh one.
    """
    for number, row in enumerate(rows):
        if number and not row.fits():
            return
        row.measure()
