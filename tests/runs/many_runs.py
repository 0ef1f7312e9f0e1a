"""Many runs from one: copies with dates, commits and durations of their own, as years of measurements would leave them.

Ncu reports are not among them: lists and trends never read one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

_FIRST = datetime(2026, 1, 1, tzinfo=UTC)

_DURATION = re.compile(r"(?<=,,duration,)[\d.]+")
"""The duration of a whole call in ``metrics.csv``."""


def make_runs(original: Path, count: int, *, first: int = 0) -> list[Path]:
    """Copies a run beside itself; each copy is a live one, an hour after the one before it.

    Every hundredth commit makes the kernels 2 % faster, and every thousandth undoes that; in between, durations differ
    by up to 0.5 %.

    Args:
        original: the folder of a run with its table and verdicts.
        count: how many.
        first: the number of the first.
    """
    run = msgspec.json.decode((original / "run.json").read_bytes())
    table = (original / "metrics.csv").read_text()
    verdicts = (original / "verdicts.json").read_bytes()
    pieces, durations = _DURATION.split(table), [float(value) for value in _DURATION.findall(table)]
    folders = []
    for number in range(first, first + count):
        made = _FIRST + timedelta(hours=number)
        folder = original.parent / f"{made:%Y%m%d-%H%M%S}-copy-{number}"
        folder.mkdir()
        own = {"name": folder.name, "kind": "live", "origins": {}, "created": f"{made:%Y-%m-%dT%H:%M:%SZ}"}
        own |= {"commit": f"{number:040x}", "dirty": False}
        (folder / "run.json").write_bytes(msgspec.json.encode(run | own))
        factor = 0.98 ** (number // 100 % 10) * (1 + 0.001 * (number * 7 % 11 - 5))
        changed = [*(f"{value * factor:.6f}" for value in durations), ""]
        rows = (text for pair in zip(pieces, changed, strict=True) for text in pair)
        (folder / "metrics.csv").write_text("".join(rows))
        (folder / "verdicts.json").write_bytes(verdicts)
        folders.append(folder)
    return folders
