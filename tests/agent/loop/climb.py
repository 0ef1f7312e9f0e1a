"""The versions of a climb from ``naive_serial`` to the stage: recorded answers, and two scans after them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

RECORDED = Path(__file__).with_name("recorded_answers")
SCAN = Path(__file__).with_name("pipelined_scan.py")
"""It loads ahead to shared memory, is one file, and meets ``memory_access`` on an H100."""

_IN_REGISTERS = {
    "    for start in tl.range(0, vectors, BLOCK // VECTOR, num_stages=STAGES):\n": (
        "    ahead = _tile(x_ptr, n, inner, BLOCK)\n    for start in range(0, vectors, BLOCK // VECTOR):\n"
    ),
    "        x = _tile(x_ptr + skip * inner, n - skip, inner, BLOCK)\n        y, following": (
        "        x = ahead\n"
        "        ahead = _tile(x_ptr + (skip + BLOCK) * inner, n - skip - BLOCK, inner, BLOCK)\n"
        "        y, following"
    ),
    "inner, *constants, num_warps=num_warps)": "inner, *constants, num_warps=num_warps, maxnreg=registers)",
    "    constants = (_accumulator": (
        "    registers = 64 if y.element_size() < 8 and n > BLOCK else None\n    constants = (_accumulator"
    ),
}


def scan_in_registers() -> str:
    """The same scan, loading ahead to registers: what an H200 needs, whose memory is faster."""
    return rewritten(SCAN.read_text(), _IN_REGISTERS)


def rewritten(text: str, changes: Mapping[str, str]) -> str:
    """A text with places written otherwise, each of which it has once."""
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text
