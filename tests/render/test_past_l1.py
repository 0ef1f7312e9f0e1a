"""Bytes pass L1 by only where its counters say that it saw none; old GPUs and reports have no such counters."""

from __future__ import annotations

import pytest

from stallgate.render.memory_chart import Link, MemoryPath, memory_figure


def said(read: float | None, written: float | None, beyond: tuple[float | None, float | None] = (4e9, 2e9)) -> str:
    """What the chart says of bytes between SM and L1, of a kernel with traffic between L1 and L2."""
    links = [Link("SM to L1", read, written, 50.0), Link("L1 to L2", *beyond, 50.0), Link("L2 to DRAM", 4e9, 2e9, 60.0)]
    sheet = memory_figure("title", [MemoryPath("scan", "unknown", links, [94.9, 47.8], None, None)], "")
    return " ".join(f"{text.words} ({text.hover})" for text in sheet.texts)


def test_loads_that_were_not_counted_are_not_said_to_pass_l1_by() -> None:
    found = said(None, 2e9)
    assert "past L1" not in found
    assert "? (scan: Bytes loaded through L1 not measured)" in found


@pytest.mark.parametrize(("read", "written", "which"), [(0.0, 2e9, "loads"), (4e9, 0.0, "stores")])
def test_what_l1_saw_none_of_passed_it_by(read: float, written: float, which: str) -> None:
    assert f"past L1 (scan: {which} pass L1 by" in said(read, written)


def test_a_kernel_that_stores_nothing_sends_nothing_past_l1() -> None:
    assert "past L1" not in said(4e9, 0.0, (4e9, 0.0))
