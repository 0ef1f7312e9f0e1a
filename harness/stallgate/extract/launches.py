"""The launches of an ncu report, and each one's readings."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from stallgate.errors import DamagedReport
from stallgate.extract import DETAILS, FROM
from stallgate.model import (
    FrozenStruct,
    HotInstruction,
    HotLine,
    InnerLaunch,
    Launch,
    Metric,
    RawMetric,
    Reading,
    RuleResult,
)
from stallgate.project.catalogue import formula_value, formulas, is_measured, names_in

DEVICE_NAME = "device__attribute_display_name"
DEVICE_INDEX = "launch__device_id"
CAPABILITY = ("device__attribute_compute_capability_major", "device__attribute_compute_capability_minor")
GRID_DIMENSIONS = ("launch__grid_dim_x", "launch__grid_dim_y", "launch__grid_dim_z")
BLOCK_DIMENSIONS = ("launch__block_dim_x", "launch__block_dim_y", "launch__block_dim_z")
GRID_SIZE, BLOCK_SIZE = "launch__grid_size", "launch__block_size"
REGISTERS = "launch__registers_per_thread"
STATIC_SHARED, DYNAMIC_SHARED = "launch__shared_mem_per_block_static", "launch__shared_mem_per_block_dynamic"
CHIP_NUMBER = "device__attribute_chip"
FACTS = [
    DEVICE_NAME,
    DEVICE_INDEX,
    CHIP_NUMBER,
    *CAPABILITY,
    *GRID_DIMENSIONS,
    *BLOCK_DIMENSIONS,
    GRID_SIZE,
    BLOCK_SIZE,
    REGISTERS,
    STATIC_SHARED,
    DYNAMIC_SHARED,
]

READER_TIMEOUT_S = 300


class Report(FrozenStruct, frozen=True):
    """The content of an ncu report."""

    reader: str
    """Version of ncu_report."""
    launches: list[Launch]


def read_report(path: Path, names: list[str], details: bool = False) -> Report:
    """Reads an ncu report (``.ncu-rep``, or ``.ncu-repz`` through zstd) in a separate process.

    Args:
        path: the report.
        names: ncu metrics to read.
        details: also read NVIDIA's rule results and the hottest source lines, which takes 0.2 s per launch.

    Raises:
        DamagedReport: it has no launches, or it cannot be read.
    """
    if not path.is_file():
        raise _damaged(path, "does not exist" if not path.exists() else "is not a file")
    launches: list[Launch] = []
    while True:
        asked = [DETAILS] * (details and not launches)  # there is a limit of them, and the first launches have them
        answer = _answer(path, [*asked, f"{FROM}{len(launches)}", *names, *FACTS])
        part = answer["launches"]
        launches += [_launch(index, entry) for index, entry in enumerate(part, len(launches))]
        if not part or len(launches) >= answer["total"]:
            break
    if not launches:
        raise _damaged(path, "has no launches")
    return Report(reader=answer["reader"], launches=launches)


def _answer(path: Path, arguments: list[str]) -> dict[str, Any]:
    """What a process that reads the report says.

    Raises:
        DamagedReport: it does not end well, or not in time.
    """
    command = [sys.executable, "-P", "-m", "stallgate.extract.reader", str(path), *arguments]
    try:
        done = subprocess.run(
            command,
            env=_environment(),
            capture_output=True,
            text=True,
            errors="replace",  # a reader that dies may print anything
            timeout=READER_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _damaged(path, f"could not be read within {READER_TIMEOUT_S} s") from None
    if done.returncode != 0:
        raise _damaged(path, f"could not be read (status {done.returncode}): {_last_line(done.stderr)}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _environment() -> dict[str, str]:
    """The reader finds this package where it stands, installed or not."""
    package = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}


def _damaged(path: Path, what: str) -> DamagedReport:
    return DamagedReport(f"the ncu report {path.name} {what}", "profile again, or restore the file")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no output"


def _launch(index: int, entry: dict[str, Any]) -> Launch:
    metrics = {name: _raw(raw) for name, raw in entry["metrics"].items()}
    return Launch(
        index=index,
        kernel=entry["kernel"],
        ranges=[text for domain in entry["domains"] for text in domain],
        metrics=metrics,
        domains=entry["domains"] if len(entry["domains"]) > 1 else [],
        kind=entry.get("kind", "kernel"),
        inner=[_inner(found) for found in entry.get("inner", [])],
        has_counters=entry.get("has_counters", True),
        has_statistics_alone=entry.get("has_statistics_alone", False),
        reason=entry.get("reason", ""),
        signature=entry["signature"] or "",
        samples=entry.get("samples", 0),
        advice=msgspec.convert(entry.get("advice", []), list[RuleResult]),
        lines=msgspec.convert(entry.get("lines", []), list[HotLine]),
        instructions=msgspec.convert(entry.get("instructions", []), list[HotInstruction]),
    )


def _inner(entry: dict[str, Any]) -> InnerLaunch:
    return InnerLaunch(
        kernel=entry["kernel"],
        grid=_inner_extent(entry, "grid"),
        block=_inner_extent(entry, "block"),
        registers=entry.get("registers"),
    )


def _inner_extent(entry: dict[str, Any], what: str) -> tuple[int, int, int] | None:
    x, y, z = (entry.get(f"{what}_{axis}") for axis in "xyz")
    return None if x is None or y is None or z is None else (x, y, z)


def _raw(raw: dict[str, Any]) -> RawMetric:
    value = raw["value"]
    if isinstance(value, dict):
        return RawMetric(has_value=True, value=math.nan, unit=raw["unit"])
    return RawMetric(has_value=value is not None, value=value, unit=raw["unit"])


def fact(launch: Launch, name: str) -> str:
    """A fact of a launch as text; empty where the report does not have it."""
    raw = launch.metrics.get(name)
    if raw is None or raw.value is None:
        return ""
    return f"{raw.value:g}" if isinstance(raw.value, float) else str(raw.value)


def whole(launch: Launch, name: str) -> int | None:
    """A fact of a launch that is a whole number; None where the report does not have it."""
    raw = launch.metrics.get(name)
    value = raw.value if raw is not None else None
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value)


def extent(launch: Launch, names: tuple[str, str, str]) -> tuple[int, int, int] | None:
    """The size of a grid or a block in x, y and z; None where the report does not have all three."""
    x, y, z = (whole(launch, name) for name in names)
    return None if x is None or y is None or z is None else (x, y, z)


def device_of(launch: Launch) -> str:
    """The GPU of a launch, by the name that its driver reports."""
    return fact(launch, DEVICE_NAME) or "unknown"


def chip_in(launch: Launch) -> str | None:
    """The chip of a launch as ncu names it; None where the report does not say, or says a number that is unknown."""
    number = fact(launch, CHIP_NUMBER)
    return _CHIPS.get(int(number)) if number.isascii() and number.isdecimal() else None


_CHIPS = {
    0x130: "GP100",
    0x132: "GP102",
    0x134: "GP104",
    0x136: "GP106",
    0x137: "GP107",
    0x138: "GP108",
    0x13B: "GP10B",
    0x140: "GV100",
    0x15B: "GV11B",
    0x162: "TU102",
    0x164: "TU104",
    0x166: "TU106",
    0x167: "TU117",
    0x168: "TU116",
    0x170: "GA100",
    0x172: "GA102",
    0x173: "GA103",
    0x174: "GA104",
    0x176: "GA106",
    0x177: "GA107",
    0x17B: "GA10B",
    0x180: "GH100",
    0x192: "AD102",
    0x193: "AD103",
    0x194: "AD104",
    0x196: "AD106",
    0x197: "AD107",
    0x1A0: "GB100",
    0x1A2: "GB102",
    0x1B2: "GB202",
    0x1B3: "GB203",
    0x1B5: "GB205",
    0x1B6: "GB206",
    0x1B7: "GB207",
}
"""The number by which NVIDIA's driver knows a chip, and its name."""


def is_read(launch: Launch, metric: Metric) -> bool:
    """Whether a launch has a reading of a metric, if only of why there is no value.

    A metric that is not asked for always needs what it is read from.
    """
    if metric.collect == "always" and is_measured(metric):
        return True
    return any(name in launch.metrics for name in metric.names) or _formula_of(launch, metric) is not None


def _formula_of(launch: Launch, metric: Metric) -> str | None:
    """The first formula of a metric whose parts a launch has."""
    known = (formula for formula in formulas(metric) if all(name in launch.metrics for name in names_in(formula)))
    return next(known, None)


def reading(launch: Launch, metric: Metric) -> Reading:
    """A metric of a launch: by the first of its names that has a value, else by the first formula that has its parts.

    Without either, the state is that of the preferred name.
    """
    direct = [_by_name(launch, metric, name) for name in metric.names]
    for found in direct:
        if found.state != "absent" and found.state != "no_value":
            return found
    formula = _formula_of(launch, metric)
    if formula is not None:
        return _by_formula(launch, metric, formula)
    without_value = [found for found in direct if found.state == "no_value"]
    return (without_value or direct or [absent(metric)])[0]


def absent(metric: Metric) -> Reading:
    """The reading of a metric that a report does not have."""
    name = metric.names[0] if metric.names else metric.name
    return Reading(state="absent", value=None, ncu_name=name, source="ncu" if metric.names else "derived")


def checked(metric: Metric, value: float, ncu_name: str, source: Any) -> Reading:
    """The reading of a number, which may be not finite or out of the metric's range."""
    if not math.isfinite(value):
        return Reading(state="not_finite", value=None, ncu_name=ncu_name, source=source)
    too_small = metric.least is not None and value < metric.least
    too_large = metric.most is not None and value > metric.most
    if too_small or too_large:
        return Reading(state="out_of_range", value=None, ncu_name=ncu_name, source=source)
    return Reading(state="measured", value=value, ncu_name=ncu_name, source=source)


def _by_name(launch: Launch, metric: Metric, name: str) -> Reading:
    raw = launch.metrics.get(name)
    if raw is None:
        return Reading(state="absent", value=None, ncu_name=name, source="ncu")
    if not isinstance(raw.value, int | float):
        return Reading(state="no_value", value=None, ncu_name=name, source="ncu")
    return checked(metric, float(raw.value), name, "ncu")


def _by_formula(launch: Launch, metric: Metric, formula: str) -> Reading:
    if names_in(formula) == (formula,):
        return _by_name(launch, metric, formula)
    readings = {name: _by_name(launch, _PART, name) for name in names_in(formula)}
    for part in readings.values():
        if part.value is None:
            return Reading(state=part.state, value=None, ncu_name=part.ncu_name, source="formula")
    value_of: Callable[[str], float] = lambda name: readings[name].value or 0.0  # noqa: E731
    try:
        return checked(metric, formula_value(formula, value_of), formula, "formula")
    except ZeroDivisionError:
        return Reading(state="not_finite", value=None, ncu_name=formula, source="formula")


_PART = Metric(name="part of a formula", title="", unit="")
