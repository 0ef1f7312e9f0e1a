"""The process that reads an ncu report: ``python -m stallgate.extract.reader REPORT [NAME…]``, JSON on standard output.

It prints the named metrics, or all metrics of the report if none is named. ``--details`` after the report adds
the results of NVIDIA's rules for each launch, and its hottest source lines. It reads a part of the launches, from the
first on or from ``--from=NUMBER`` on, and says how many there are: NVIDIA's library holds half a megabyte for each
launch that was looked at, and never gives it back.

A report may be anything, so its unpacked size and this process's memory are bounded before NVIDIA's library sees it.
"""

from __future__ import annotations

import ast
import json
import math
import re
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ncu_report

from stallgate.extract import DETAILS, FROM
from stallgate.extract.unpacking import LARGEST_REPORT, CannotUnpack, packings_of, unpacked
from stallgate.formatting import is_text

_GIB = 1 << 30
_MOST_MEMORY = 8 * _GIB
_LONGEST_ANSWER = _GIB // 2

_MOST_AT_ONCE = 500
"""Most launches that one process reads."""

_MOST_DETAILED = 40
"""Most launches of a report that get details: each takes 0.2 s."""

_HOTTEST_OWN, _HOTTEST_OF_LIBRARIES = 40, 8
"""Most source lines that are kept of a launch."""

_HOTTEST_INSTRUCTIONS, _LEAST_SHARE = 6, 0.01
"""Most machine instructions that are kept of a launch, and the least share of its samples that one of them has."""

_LONGEST_LINE = 200
_INSTALLED = re.compile(r".*/(?:site|dist)-packages/")
"""The folders before an installed package. For inlined code ncu names the innermost line, never its callers."""

_DEFAULT_DOMAIN = "<default domain>"
_WORKLOADS = {
    ncu_report.IAction.WorkloadType_KERNEL: "kernel",
    ncu_report.IAction.WorkloadType_RANGE: "range",
    ncu_report.IAction.WorkloadType_GRAPH: "graph",
}
_ATTRIBUTES = (
    *("breakdown:", "c2clink__", "derived__pct_occupancy_per_", "device__", "launch__", "numa__", "nvlink__"),
    *("nvtx__", "profiler__"),
)
"""How the names begin that are not of counters: they have values also where nothing was measured."""

_INNER = {
    "kernel": "launch__kernel_name",
    **{f"grid_{axis}": f"launch__grid_dim_{axis}" for axis in "xyz"},
    **{f"block_{axis}": f"launch__block_dim_{axis}" for axis in "xyz"},
    "registers": "launch__registers_per_thread",
}
"""What is known of each launch within a range or a graph, and ncu's metric for it."""

_CONSTANT = re.compile(r"__maximum_|\.(?:peak_\w+|max_rate)(?:\.|$)")
"""Limits of the hardware, which ncu writes for every launch."""

_TIME = "gpu__time_duration"
_RULE_FAILED = re.compile(
    r"^Rule .* returned an error|^<built-in function |\bMetric \S+ not found|^Required metric|\.py:\d+\s*$",
    re.MULTILINE,
)
"""A rule that found no counters, or that stopped with a traceback, tells nothing about why there are none."""

_SAMPLED = "smsp__pcsamp_warps_issue_stalled_"
_KINDS = {1: "note", 2: "optimisation", 3: "warning", 4: "error"}
_SCOPES = {1: "part", 2: "whole"}
_MARKUP = [
    (re.compile(r"@section:[^:@]*:([^@]*)@"), r"\1"),
    (re.compile(r"@url:([^:@]*):[^@]*@"), r"\1"),
    (re.compile(r"@source:[^:@]*:(?:\d+:)?([^@]*)@"), r"\1"),
]
"""Links of ncu's own user interface, and the text that they show."""


def main(report: str, wanted: list[str]) -> None:
    """Prints ``{"reader": version, "total": number, "launches": [...]}``; a report that cannot be read has none."""
    with _readable(report) as path:
        found = _found(ncu_report.load_report(path), wanted)
    sys.stdout.write(_answer(found))


def _found(context: Any, wanted: list[str]) -> dict[str, Any]:
    """The launches of a loaded report. The library reads the file lazily, so it has to exist until then."""
    names = [name for name in wanted if not name.startswith("--")]
    first = next((int(name.removeprefix(FROM)) for name in wanted if name.startswith(FROM)), 0)
    spans = [context.range_by_idx(i) for i in range(context.num_ranges())]
    places = [(span, i) for span in spans for i in range(span.num_actions())]
    actions = [span.action_by_idx(i) for span, i in places[first : first + _MOST_AT_ONCE]]
    launches = [launch(action, names) for action in actions]
    if DETAILS in wanted:
        measured = [(entry, action) for entry, action in zip(launches, actions, strict=True) if entry["has_counters"]]
        for entry, action in measured[:_MOST_DETAILED]:
            entry.update(details(action))
    return {"reader": context.get_version(), "total": len(places), "launches": launches}


def _bound_memory() -> None:
    """Limits this process's memory, so that it is ended before the machine runs out."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = _MOST_MEMORY if hard == resource.RLIM_INFINITY else min(_MOST_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


@contextmanager
def _readable(report: str) -> Iterator[str]:
    """A path under which NVIDIA's library reads the report: in UTF-8, with the suffix of its content.

    Exits if a compressed report cannot be unpacked, or unpacks to more than the limit.
    """
    packed = packings_of(Path(report)) if Path(report).is_file() else []
    if packed:
        _check_unpacked_size(report)
    suffix = ".ncu-repz" if packed == ["zstd"] else ".ncu-rep"
    if is_text(report) and report.endswith(suffix) and packed in ([], ["zstd"]):
        yield report
        return
    with TemporaryDirectory(prefix="stallgate-") as folder:
        path = Path(folder) / f"report{suffix}"
        if packed in ([], ["zstd"]):
            path.symlink_to(Path(report).absolute())
        else:
            with path.open("wb") as file:
                file.writelines(unpacked(Path(report)))
        yield str(path)


def _check_unpacked_size(report: str) -> None:
    try:
        for _ in unpacked(Path(report), LARGEST_REPORT):
            pass
    except CannotUnpack as error:
        sys.exit(str(error))


def _answer(found: dict[str, Any]) -> str:
    """JSON in ASCII; bytes of a report that are not UTF-8 become question marks."""
    text = json.dumps(found)  # dumps and write are five times as fast as dump
    if "\\ud" in text:
        text = json.dumps(json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace")))
    if len(text) > _LONGEST_ANSWER:
        sys.exit(f"it has {len(found['launches'])} launches, more than can be read in one answer")
    return text


def launch(action: Any, wanted: list[str]) -> dict[str, Any]:
    """One launch: its kernel's name, its open NVTX ranges, its metrics."""
    present = set(action.metric_names())
    names = present.intersection(wanted) if wanted else present
    has_counters = _has_counters(action, present)
    kind = _WORKLOADS.get(action.workload_type(), "other")
    read = metric if kind == "kernel" else _metric_of_whole
    return {
        "kernel": action.name(),
        "signature": action.name(action.NameBase_DEMANGLED),
        "kind": kind,
        "inner": [] if kind == "kernel" else _inner(action, present),
        "domains": _domains(action),
        "has_counters": has_counters,
        "has_statistics_alone": not has_counters and _has_statistics_alone(action, present),
        "reason": "" if has_counters else _reason(action),
        "metrics": {name: read(action.metric_by_name(name)) for name in sorted(names)},
    }


def _inner(action: Any, names: set[str]) -> list[dict[str, Any]]:
    """The launches within a range or a graph; ncu has each as an instance of the metrics of launches.

    Empty where the report does not name the kernels.
    """
    if _INNER["kernel"] not in names:
        return []
    columns = {key: _instances(action.metric_by_name(name)) for key, name in _INNER.items() if name in names}
    count = len(columns["kernel"])
    columns = {key: values for key, values in columns.items() if len(values) == count}
    return [{key: values[number] for key, values in columns.items()} for number in range(count)]


def _instances(entry: Any) -> list[Any]:
    return [entry.value(number) for number in range(entry.num_instances())]


def _has_counters(action: Any, names: set[str]) -> bool:
    """Whether any hardware counter of a launch has a finite value.

    Where the time was asked for and has none, a zero is no value: of a launch that failed, ncu writes some.
    """
    counters = sorted((name for name in names if _is_counter(name)), key=lambda name: not name.startswith(_TIME))
    entries = map(action.metric_by_name, counters)
    first = next(entries, None)
    if first is None or _is_number(first):
        return first is not None
    failed = counters[0].startswith(_TIME)
    return any(_is_number(entry) and not (failed and _is_zero(entry)) for entry in entries)


def _is_counter(name: str) -> bool:
    return not name.startswith(_ATTRIBUTES) and _CONSTANT.search(name) is None


def _has_statistics_alone(action: Any, names: set[str]) -> bool:
    """Whether a launch was profiled without any hardware counter, as ``--section LaunchStats`` does."""
    facts = (name for name in names if name.startswith("launch__"))
    return not any(map(_is_counter, names)) and any(_is_number(action.metric_by_name(name)) for name in facts)


def _is_zero(entry: Any) -> bool:
    return entry.has_value() and not entry.value()


def _is_number(entry: Any) -> bool:
    """Whether a metric has a finite number, or one for each instruction or unit."""
    if not entry.has_value():
        return bool(entry.num_instances())
    value = entry.value()
    return isinstance(value, int | float) and math.isfinite(value)


def _reason(action: Any) -> str:
    """The first error that ncu reports of a launch, unless a rule only missed what was not measured."""
    messages = (rule["rule_message"] for rule in action.rule_results_as_dicts())
    errors = (_plain(said["message"]) for said in messages if _KINDS.get(said["type"]) == "error")
    return next((" ".join(error.split()) for error in errors if error and not _RULE_FAILED.search(error)), "")


def _domains(action: Any) -> list[list[str]]:
    """The open push/pop ranges of each NVTX domain, outermost first."""
    state = action.nvtx_state()
    if state is None:
        return []
    found = (_ranges(state.domain_by_id(key)) for key in state.domains())
    return [ranges for ranges in found if ranges]


def _ranges(domain: Any) -> list[str]:
    """The open push/pop ranges of an NVTX domain, as ncu writes them: ``domain@range`` but for the default domain."""
    name = domain.name()
    prefix = "" if name in ("", None, _DEFAULT_DOMAIN) else f"{name}@"
    return [prefix + text for text in domain.push_pop_ranges()]


def metric(entry: Any) -> dict[str, Any]:
    """One metric. JSON has no infinities, so they are sent as text."""
    value = entry.value() if entry.has_value() else None
    if isinstance(value, float) and not math.isfinite(value):
        value = {"not_finite": str(value)}
    return {"value": value, "unit": entry.unit() or ""}


def _metric_of_whole(entry: Any) -> dict[str, Any]:
    """One metric of a range or a graph. A fact of its launches has no value where they differ.

    ncu gives the largest, the mean or that of one launch then.
    """
    found = metric(entry)
    is_of_launches = entry.name().startswith("launch__") or "__maximum_" in entry.name()
    differ = is_of_launches and len(set(_instances(entry))) > 1
    return {**found, "value": None} if differ else found


# --- details ----------------------------------------------------------------------------------------------------------


def details(action: Any) -> dict[str, Any]:
    """The results of NVIDIA's rules for a launch, and where its warps were sampled; empty if the report has neither."""
    samples = _samples(action)
    return {
        "advice": [advice(rule) for rule in action.rule_results_as_dicts()],
        "samples": sum(sum(states.values()) for states in samples.values()),
        "lines": _hottest(action, samples),
        "instructions": _hottest_instructions(action, samples),
    }


def advice(rule: dict[str, Any]) -> dict[str, Any]:
    """The result of a rule, without the markup of ncu's user interface."""
    said, estimate = rule["rule_message"], rule.get("speedup_estimation", {})
    return {
        "rule": rule["rule_identifier"],
        "section": rule["section_identifier"],
        "title": said["title"] or rule["name"],
        "message": _plain(said["message"]),
        "kind": _KINDS.get(said["type"], "note"),
        "speedup": estimate.get("speedup"),
        "scope": _SCOPES.get(estimate.get("type", 0)),
    }


def _plain(message: str) -> str:
    """A message without the markup."""
    for link, text in _MARKUP:
        message = link.sub(text, message)
    return message


def _samples(action: Any) -> dict[int, Counter[str]]:
    """Program counter -> warp state -> samples."""
    found: dict[int, Counter[str]] = {}
    for name in action.metric_names():
        if not name.startswith(_SAMPLED) or name.endswith("_not_issued"):
            continue
        entry = action.metric_by_name(name)
        if entry.has_correlation_ids():
            places = entry.correlation_ids()
            for i in range(entry.num_instances()):
                found.setdefault(places.value(i), Counter())[name.removeprefix(_SAMPLED)] += int(entry.value(i))
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
    lines_of = [_line(path, number, states, sources.get(path, "")) for (path, number), states in hottest]
    own = [line for line in lines_of if not line["library"]]
    return own[:_HOTTEST_OWN] + [line for line in lines_of if line["library"]][:_HOTTEST_OF_LIBRARIES]


def _hottest_instructions(action: Any, samples: dict[int, Counter[str]]) -> list[dict[str, Any]]:
    """The machine instructions with most samples; none where the report has no machine code."""
    counts = {place: sum(states.values()) for place, states in samples.items()}
    least = _LEAST_SHARE * sum(counts.values())
    hottest = sorted((place for place in counts if counts[place] >= least), key=lambda place: (-counts[place], place))
    hottest = hottest[:_HOTTEST_INSTRUCTIONS]
    start = _start(action, hottest[0]) if hottest else 0
    found = [_instruction(action, place, samples[place], start) for place in hottest]
    return [instruction for instruction in found if instruction["text"]]


_INSTRUCTION = 16
"""Bytes of a machine instruction, of every architecture since Volta."""


def _start(action: Any, place: int) -> int:
    """The address of a kernel's first instruction."""
    while action.sass_by_pc(place - _INSTRUCTION):
        place -= _INSTRUCTION
    return place


def _instruction(action: Any, place: int, states: Counter[str], start: int) -> dict[str, Any]:
    reason, most = states.most_common(1)[0]
    info = action.source_info(place)
    return {
        "offset": place - start,
        "text": " ".join(action.sass_by_pc(place).split())[:_LONGEST_LINE],
        "samples": sum(states.values()),
        "reason": reason,
        "reason_samples": most,
        "file": _file(info.file_name()) if info is not None else "",
        "line": info.line() if info is not None else 0,
    }


def _file(path: str) -> str:
    """A file without its folders; of an installed package from the package on."""
    return _INSTALLED.sub("", path) if _INSTALLED.match(path) else path.rsplit("/", 1)[-1]


def _line(path: str, number: int, states: Counter[str], source: str) -> dict[str, Any]:
    reason, most = states.most_common(1)[0]
    library = _INSTALLED.match(path) is not None
    return {
        "file": _file(path),
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
    return lines[number - 1].rstrip()[:_LONGEST_LINE] if 0 < number <= len(lines) else ""


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
    _bound_memory()
    main(sys.argv[1], sys.argv[2:])
