"""The process that reads an ncu report: ``python -m harness.extract.reader REPORT [NAME…]``, JSON on standard output.

Given metric names it tells those; given none, all that the report has.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import ncu_report


def main(report: str, wanted: list[str]) -> None:
    """Prints ``{"reader": version, "launches": [...]}``; a report that cannot be read has no launches."""
    context = ncu_report.load_report(report)
    launches = [
        launch(action, wanted) for i in range(context.num_ranges()) for action in _actions(context.range_by_idx(i))
    ]
    json.dump({"reader": context.get_version(), "launches": launches}, sys.stdout)


def _actions(span: Any) -> list[Any]:
    return [span.action_by_idx(i) for i in range(span.num_actions())]


def launch(action: Any, wanted: list[str]) -> dict[str, Any]:
    """One launch: its kernel's name, its open NVTX ranges, its metrics."""
    present = set(action.metric_names())
    names = present.intersection(wanted) if wanted else present
    return {
        "kernel": action.name(),
        "ranges": _ranges(action),
        "metrics": {name: metric(action.metric_by_name(name)) for name in sorted(names)},
    }


def _ranges(action: Any) -> list[str]:
    state = action.nvtx_state()
    if state is None:
        return []
    return [text for key in state.domains() for text in state.domain_by_id(key).push_pop_ranges()]


def metric(entry: Any) -> dict[str, Any]:
    """One metric. JSON has no infinities: they travel as text."""
    value = entry.value() if entry.has_value() else None
    if isinstance(value, float) and not math.isfinite(value):
        value = {"not_finite": str(value)}
    return {"value": value, "unit": entry.unit() or ""}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
