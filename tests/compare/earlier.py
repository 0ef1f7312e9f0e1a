"""Runs that were measured before another: copies of it, on another day, with other numbers."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

EARLIER = 2020
"""A year before any recording."""


def earlier(
    folder: Path, day: int, factors: dict[str, float], change: Callable[[Any], None] = lambda run: None
) -> Path:
    """A copy of a run as a live one of a day in November, years before the recording was made.

    Args:
        folder: the run.
        day: of the month.
        factors: metric -> what the candidate's values are multiplied by.
        change: what else to change in its ``run.json``.
    """
    copy = folder.parent / f"{EARLIER}11{day:02}-090000-cumprod"
    shutil.copytree(folder, copy)
    run = json.loads((copy / "run.json").read_text())
    run |= {"name": copy.name, "kind": "live", "created": f"{EARLIER}-11-{day:02}T09:00:00Z", "origins": {}}
    run |= {"commit": f"{day:02}" * 20, "dirty": False}
    change(run)
    (copy / "run.json").write_text(json.dumps(run))
    _multiply(copy / "metrics.csv", factors)
    return copy


def _multiply(table: Path, factors: dict[str, float]) -> None:
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["variant"] == "blocked_scan" and row["value"]:
            row["value"] = repr(float(row["value"]) * factors.get(row["metric"], 1.0))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
