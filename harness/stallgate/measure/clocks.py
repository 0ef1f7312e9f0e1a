"""The clocks of GPUs as the driver's tool reports them: recorded beside times, never set and never judged."""

from __future__ import annotations

import re
import shutil
import subprocess

from stallgate.measure.device import Device
from stallgate.runs.clocks import ClockState
from stallgate.runs.folder import now

_THROTTLE_BITS = {
    0x1: "idle",
    0x2: "application clocks",
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clocks",
}
"""Bit of the driver's mask of reasons -> the reason."""

_QUERIES = ("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw")
_REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""What newer and older drivers call the mask of reasons."""


def clock_state(device: Device) -> ClockState:
    """The clocks of a GPU now; what the driver does not tell is None."""
    cells = _answer(device)
    sm, memory, temperature = (_whole(cell) for cell in cells[:3])
    power = float(cells[3]) if re.fullmatch(r"\d+(\.\d+)?", cells[3]) else None
    return ClockState(
        device=device.index,
        sm_mhz=sm,
        memory_mhz=memory,
        temperature_c=temperature,
        power_w=power,
        throttle=throttle_reasons(cells[4]),
        at=now(),
    )


def _answer(device: Device) -> list[str]:
    """The cells of the tool's answer; empty texts where it gives none."""
    tool = shutil.which("nvidia-smi")
    found = (_cells(tool, device, [*_QUERIES, reasons]) for reasons in _REASONS) if tool is not None else iter(())
    return next((cells for cells in found if cells), [""] * (len(_QUERIES) + 1))


def _cells(tool: str, device: Device, names: list[str]) -> list[str]:
    """One question's answer; empty where the driver does not know a name."""
    query = [tool, f"--query-gpu={','.join(names)}", "--format=csv,noheader,nounits", f"--id={device.uuid}"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, errors="replace", timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    cells = [cell.strip() for cell in answer.stdout.strip().split(",")]
    return cells if answer.returncode == 0 and len(cells) == len(names) else []


def _whole(cell: str) -> int | None:
    return int(cell) if re.fullmatch(r"\d{1,6}", cell) else None


def throttle_reasons(mask: str) -> list[str]:
    """The reasons of a mask such as ``0x0000000000000004``."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}", mask):
        return []
    bits = int(mask, 16)
    named = [reason for bit, reason in _THROTTLE_BITS.items() if bits & bit]
    other = bits & ~sum(_THROTTLE_BITS)
    return named + ([f"another reason ({other:#x})"] if other else [])
