"""The process that reads an ncu report: ``python -m stallgate.extract.reader REPORT [NAME…]``, JSON on standard output.

Given metric names it tells those; given none, all that the report has. ``--details`` after the report adds what
NVIDIA's rules say of each launch, and its hottest source lines.
"""

from __future__ import annotations

import ast
import json
import math
import re
import sys
from collections import Counter
from functools import cache
from typing import Any

import ncu_report

from stallgate.extract import DETAILS

MOST_DETAILED = 40
"""Launches of a report whose details are told: each takes a fifth of a second."""

HOTTEST_OWN, HOTTEST_OF_LIBRARIES = 40, 8
"""Source lines told of a launch."""

LONGEST_LINE = 200
INSTALLED = re.compile(r".*/(?:site|dist)-packages/")
"""The folders before an installed package. Of inlined code ncu names the innermost line; its callers it does not."""

SAMPLED = "smsp__pcsamp_warps_issue_stalled_"
KINDS = {1: "note", 2: "optimisation", 3: "warning", 4: "error"}
SCOPES = {1: "part", 2: "whole"}
MARKUP = [
    (re.compile(r"@section:[^:@]*:([^@]*)@"), r"\1"),
    (re.compile(r"@url:([^:@]*):[^@]*@"), r"\1"),
    (re.compile(r"@source:[^:@]*:\d+:([^@]*)@"), r"\1"),
]
"""Links of ncu's own user interface, and the text that they show."""


def main(report: str, wanted: list[str]) -> None:
    """Prints ``{"reader": version, "launches": [...]}``; a report that cannot be read has no launches."""
    context = ncu_report.load_report(report)
    names = [name for name in wanted if name != DETAILS]
    actions = [action for i in range(context.num_ranges()) for action in _actions(context.range_by_idx(i))]
    launches = [launch(action, names) for action in actions]
    if DETAILS in wanted:
        for told, action in zip(launches[:MOST_DETAILED], actions, strict=False):
            told.update(details(action))
    sys.stdout.write(json.dumps({"reader": context.get_version(), "launches": launches}))  # five times as fast as dump


def _actions(span: Any) -> list[Any]:
    return [span.action_by_idx(i) for i in range(span.num_actions())]


def launch(action: Any, wanted: list[str]) -> dict[str, Any]:
    """One launch: its kernel's name, its open NVTX ranges, its metrics."""
    present = set(action.metric_names())
    names = present.intersection(wanted) if wanted else present
    return {
        "kernel": action.name(),
        "signature": action.name(action.NameBase_DEMANGLED),
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


# --- details ----------------------------------------------------------------------------------------------------------


def details(action: Any) -> dict[str, Any]:
    """What NVIDIA's rules say of a launch, and where its warps were sampled; empty where the report has neither."""
    samples = _samples(action)
    return {
        "advice": [advice(rule) for rule in action.rule_results_as_dicts()],
        "samples": sum(sum(states.values()) for states in samples.values()),
        "lines": _hottest(action, samples),
    }


def advice(rule: dict[str, Any]) -> dict[str, Any]:
    """The result of a rule, without the markup of ncu's user interface."""
    said, estimate = rule["rule_message"], rule.get("speedup_estimation", {})
    return {
        "rule": rule["rule_identifier"],
        "section": rule["section_identifier"],
        "title": said["title"] or rule["name"],
        "message": plain(said["message"]),
        "kind": KINDS.get(said["type"], "note"),
        "speedup": estimate.get("speedup"),
        "scope": SCOPES.get(estimate.get("type", 0)),
    }


def plain(message: str) -> str:
    """A message as text."""
    for link, text in MARKUP:
        message = link.sub(text, message)
    return message


def _samples(action: Any) -> dict[int, Counter[str]]:
    """Program counter -> warp state -> samples."""
    found: dict[int, Counter[str]] = {}
    for name in action.metric_names():
        if not name.startswith(SAMPLED) or name.endswith("_not_issued"):
            continue
        entry = action.metric_by_name(name)
        if entry.has_correlation_ids():
            places = entry.correlation_ids()
            for i in range(entry.num_instances()):
                found.setdefault(places.value(i), Counter())[name.removeprefix(SAMPLED)] += int(entry.value(i))
    return found


def _hottest(action: Any, samples: dict[int, Counter[str]]) -> list[dict[str, Any]]:
    """The kernel's own hottest lines, then those of libraries."""
    lines: dict[tuple[str, int], Counter[str]] = {}
    for place, states in samples.items():
        info = action.source_info(place)
        if info is not None:
            lines.setdefault((info.file_name(), info.line()), Counter()).update(states)
    hottest = sorted(lines.items(), key=lambda line: -sum(line[1].values()))
    sources = dict(action.source_files().items()) if hottest else {}
    told = [_line(path, number, states, sources.get(path, "")) for (path, number), states in hottest]
    own = [line for line in told if not line["library"]]
    return own[:HOTTEST_OWN] + [line for line in told if line["library"]][:HOTTEST_OF_LIBRARIES]


def _line(path: str, number: int, states: Counter[str], source: str) -> dict[str, Any]:
    reason, most = states.most_common(1)[0]
    library = INSTALLED.match(path) is not None
    return {
        "file": INSTALLED.sub("", path) if library else path.rsplit("/", 1)[-1],
        "line": number,
        "text": "" if library else _text(source, number),
        "samples": sum(states.values()),
        "reason": reason,
        "reason_samples": most,
        "library": library,
        "function": function_of(source, number) if library else "",
    }


def _text(source: str, number: int) -> str:
    lines = source.splitlines()
    return lines[number - 1].rstrip()[:LONGEST_LINE] if 0 < number <= len(lines) else ""


def function_of(source: str, number: int) -> str:
    """The name of the innermost function that a line of Python is in; empty where it is in none."""
    return next((name for first, last, name in reversed(_functions(source)) if first <= number <= last), "")


@cache
def _functions(source: str) -> list[tuple[int, int, str]]:
    """First line, last line and name of every function, the inner ones after those around them."""
    try:
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # not Python, or not of this version
        return []
    return sorted((node.lineno, node.end_lineno or node.lineno, node.name) for node in nodes)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
