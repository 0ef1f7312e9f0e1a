"""How results are put into words, in the terminal and on the page alike."""

from __future__ import annotations

from collections.abc import Iterable

from stallgate.model import Comparison, Status, Verdict

MARKS: dict[Status, str] = {
    "pass": "✓ pass",
    "fail": "✗ fail",
    "undecided": "≈ undecided",
    "not_measured": "○ not measured",
    "waived": "~ waived",
}


SIGNS: dict[Comparison, str] = {"at_least": "≥", "above": ">", "at_most": "≤", "below": "<"}


def spaced(code: str) -> str:
    """A code as words."""
    return code.replace("_", " ")


def listed(names: list[str]) -> str:
    """``a``; ``a and b``; ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def shortened(name: str, length: int) -> str:
    """A name of at most so many characters."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def whom(verdict: Verdict) -> str:
    """Whom a verdict is about, and where."""
    return f"{verdict.variant} on {verdict.workload}" if verdict.workload else verdict.variant


def number(value: float) -> str:
    """A value for a reader: four digits, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def percent(fraction: float) -> str:
    """A part of 1 for a reader."""
    return f"{100 * fraction:.1f} %"


def quantity(value: float, unit: str) -> str:
    """A value with its unit."""
    return f"{number(value)} {unit}".rstrip()


SCALES = {
    "ns": ((1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1, " ns")),
    "byte": ((1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1, " B")),
}
COUNTS = ((1e9, " G"), (1e6, " M"), (1, ""))


def scaled(value: float, unit: str) -> str:
    """A value in few characters: times and bytes in a multiple of their unit, counts without one."""
    if unit == "%":
        return f"{value:.2f} %"
    scales = SCALES.get(unit, COUNTS)
    factor, sign = next((scale for scale in scales if abs(value) >= scale[0]), scales[-1])
    return f"{number(value / factor)}{sign}"


def aliases(verdicts: Iterable[Verdict]) -> list[tuple[str, str]]:
    """Names that a stage's file writes, and what each of them was read as."""
    found = {v.written_as: v for v in verdicts if v.written_as}
    return [(old, f"is read as {v.metric}: {v.ncu_name or 'not measured'}") for old, v in found.items()]
