"""What the commands print for a reader."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tests.cli.said_on_pages import Names, names_of
from tests.cli.statements import (
    Json,
    Statement,
    case_of,
    digits_in,
    number_said,
    of_distance,
    of_origin,
    of_results,
    tally_in,
    target_of,
    tells_of_results,
)

_CONCLUSION = re.compile(r"^(PASS|FAIL|NOT DECIDED)  (.*)$", re.MULTILINE)
_WORDS = {"PASS": "pass", "FAIL": "fail", "NOT DECIDED": "open"}
_NEXT = re.compile(r"^next \(.*?\): (.*)$", re.MULTILINE)
_WANTED = re.compile(
    r"\((?P<metric>\w+)\) is (?P<value>[^;]+); wanted (?P<bound>[^;:(]+)(?P<held>\([^)]*\))?(?P<rest>.*)"
)
_ORIGIN = re.compile(
    r"^(?:Measured on|RECORDED|Imported (?:ncu reports|the ncu report)|Captured from) .*$", re.MULTILINE
)


def of_terminal(words: str, where: str) -> Iterator[Statement]:
    """The conclusions, the origin and the next command of ``gate`` or ``show``."""
    for answer, rest in _CONCLUSION.findall(words):
        yield Statement(("answer",), _WORDS[answer], where)
        if "; stages: " in rest:
            counted = rest.partition("; stages: ")[0]
            yield Statement(("verdicts counted",), tally_in(counted), where)
    for command in _NEXT.findall(words):
        yield Statement(("next",), command.strip(), where)
    for line in _ORIGIN.findall(words):
        yield from of_origin(line, where)
    for line in re.findall(r"^Results.*$", words, re.MULTILINE):
        yield from of_results(line, where)


def of_conclusion(words: str, found: Json, where: str) -> Iterator[Statement]:
    """The first line of ``gate`` or ``show``: whether a result is wrong, and how many targets are met."""
    first = _CONCLUSION.search(words)
    if first is None:
        return
    if first[1] == "FAIL":
        said = re.search(r"\bwrong result\b", first[2]) is not None
        if said or tells_of_results(found["verdicts"]):
            yield Statement(("a candidate is wrong",), said, f"{where}'s conclusion ({first[2]})")
        yield from _misses(first[2], found["verdicts"], where)
    met = re.match(r"(?:all )?(\d+)(?: of (\d+))? targets? met", first[2])
    if met is not None:
        counted = [v["status"] for v in found["verdicts"] if not v["warning"]]
        for subject, said, known in (
            ("met", met[1], counted.count("pass")),
            ("targets", met[2] or met[1], len(counted)),
        ):
            yield Statement((subject,), float(said), where)
            yield Statement((subject,), float(known), "gate --json")


_MISS = re.compile(r"(?:(\d+) of (\d+) targets missed: .*?|missed) by ([\d.,]+ (?:points?|%)|[\d.,]+)")
"""How many targets are missed, of how many, where they are several; and how far the worst is."""


def _misses(words: str, verdicts: list[Json], where: str) -> Iterator[Statement]:
    """How many targets are missed, of how many."""
    said = _MISS.search(words)
    if said is None:
        return
    counted = [v for v in verdicts if not v["warning"]]
    missed = [
        v for v in counted if v["status"] == "fail" and v["value"]["median"] is not None and v["bound"] is not None
    ]
    yield Statement(("fails",), float(said[1] or 1), where)
    yield Statement(("fails",), float(len(missed)), "gate --json")
    if said[2]:
        yield Statement(("targets judged",), float(said[2]), where)
        yield Statement(("targets judged",), float(sum(v["metric"] is not None for v in counted)), "gate --json")


def of_headline(words: str, headline: str) -> Iterator[Statement]:
    """How far the worst target is missed, by the gate's first line and the page's headline."""
    first = _CONCLUSION.search(words)
    missed = _MISS.search(headline)
    if first is None or missed is None:
        return
    told = _MISS.search(first[2])
    yield Statement(("worst miss",), missed[0], "the page")
    yield Statement(("worst miss",), told[0] if told is not None else "", f"gate ({first[2]})")


def of_gate_lines(words: str, verdicts: list[Json]) -> Iterator[Statement]:
    """The lines of ``gate --all``, by the metric and the subject that each names."""
    several = len({verdict["problem"] for verdict in verdicts}) > 1
    for line in words.splitlines():
        for verdict in verdicts:
            whose = f"{verdict['problem']}/{verdict['variant']}" if several else verdict["variant"]
            title = f" {whose} on {verdict['workload']}: "
            if verdict["value"]["median"] is None or verdict["kernel"] or title not in line:
                continue
            found = _WANTED.search(line)
            if found is None or found["metric"] != verdict["metric"] or not _is_about(found, verdict):
                continue
            target = target_of(verdict)
            yield from number_said(("value", case_of(verdict), verdict["metric"]), found["value"], f"gate ({line})")
            yield Statement(("value in words", *target), digits_in(found["value"]), "gate")
            yield from number_said(("bound", *target), found["bound"], f"gate ({line})")
            missed = re.search(r": missed by ([^;]*)", found["rest"])
            if missed is not None:
                yield Statement(("missed by", *target), missed[1], "gate")


def _is_about(line: re.Match[str], verdict: Json) -> bool:
    """Whether a line is about a target, where several are on one metric."""
    comparison = str(verdict["comparison"] or "").replace("_", " ")
    around_baseline = "(baseline" in (line["held"] or "")
    return line["bound"].startswith(comparison) and around_baseline == (verdict["baseline"]["median"] is not None)


def of_met(words: str, verdicts: list[Json]) -> Iterator[Statement]:
    """The line of ``gate`` that counts what is met."""
    met = re.search(r"^✓ (\d+) met", words, re.MULTILINE)
    passed = sum(verdict["status"] == "pass" for verdict in verdicts)
    yield Statement(("passed",), float(met[1]) if met is not None else 0.0, "gate")
    yield Statement(("passed",), float(passed), "gate --json")


def of_runs_table(words: str, name: str) -> Iterator[Statement]:
    """The run's row in the table of ``show runs``."""
    row = next(line for line in words.splitlines() if line.startswith(f"{name} "))
    counted = re.search(r" (\d+)/(\d+) +(.*)$", row)
    assert counted is not None
    yield Statement(("measured",), f"{counted[1]} of {counted[2]}", "show runs")
    word = counted[3].strip().removesuffix(", incomplete").lstrip("✓✗≈○~ ")
    yield Statement(("word",), word, "show runs")


def of_tables(words: str, names: Names, titles: dict[str, str]) -> Iterator[Statement]:
    """The tables of ``show run``: the rows of a workload below its title; the first column of numbers is the time."""
    place: tuple[str, str] | None = None
    heads: list[str] = []
    for line in words.splitlines():
        title = re.fullmatch(r"(\S+) · (\S+)", line.strip())
        if title is not None:
            place, heads = (title[1], title[2]), []
        elif place is not None and line.startswith("variant"):
            heads = re.split(r"\s{2,}", line.strip())[1:]
        elif place is not None and heads and line and not line.startswith(" "):
            name, *cells = re.split(r"\s{2,}", line.strip())
            case = names.get((*place, name))
            unit = next((u for u in ("ms", "µs", "s") if f"[{u}]" in heads[0]), "")
            if case is not None and cells and cells[0] != "–":
                yield from number_said(("value", case, "duration"), f"{cells[0]} {unit}", f"show ({cells[0]} {unit})")
        elif not line.strip():
            place = None


def of_digest(words: str, names: Names) -> Iterator[Statement]:
    """The cases below the conclusion of ``show run``: the time, its spread, the limit, waits and bytes."""
    several = len({problem for problem, _, _ in names}) > 1
    heads = {
        f"{f'{problem}/' if several else ''}{name} on {workload}": case
        for (problem, workload, name), case in names.items()
    }
    case = ""
    for line in words.splitlines():
        head = re.match(r"  (\S+(?: \(\w+\))? on \S+)  (.*)", line)
        if head is not None:
            case = heads.get(head[1], "")
            ended = re.match(r"(fail|not measured|not judged): [a-z ]+$", head[2])
            if case and ended is not None:
                yield Statement(("word", case), ended[1], "show's cases")
            met = re.search(r"targets met \((\d+)\)", head[2])
            if case and met is not None:
                yield Statement(("targets met", case), float(met[1]), "show's cases")
            if case and re.match(r"[\d.,]+ (ns|µs|ms|s)\b", head[2]):
                yield from number_said(("value", case, "duration"), head[2], "show's cases")
                spread = re.search(r"± [^ ]+ %", head[2])
                if spread is not None:
                    yield Statement(("spread", case), spread[0], "show's cases")
        elif case and line.startswith("    "):
            said = line.strip()
            if not said.startswith("What its warps"):
                yield Statement(("why", case, said.partition(" ")[0].strip(":")), said, "show's cases")
        if case and line.startswith("  "):
            yield from of_distance(case, line, "show's cases")


def of_advice_text(words: str, names: Names) -> Iterator[Statement]:
    """The heads of ``advise``, and what it says is left."""
    heads = {f"{problem}: {name} on {workload}": case for (problem, workload, name), case in names.items()}
    case = ""
    for line in words.splitlines():
        head = re.match(r"(\S+): (\S+(?: \(\w+\))? on [^,]+)(?:, (.*))?$", line)
        if head is not None and f"{head[1]}: {head[2]}" in heads:
            case = heads[f"{head[1]}: {head[2]}"]
            if head[3]:
                yield from number_said(("value", case, "duration"), head[3], "advise")
        left = re.search(r"([\d.]+) % of the time is (?:left|above the roof)", line)
        if case and left is not None:
            yield from number_said(("left", case), left[1], f"advise ({line.strip()[:60]})")
        reaches = re.search(r"reaches ([\d.]+) of the (?:roof|library)", line)
        if case and reaches is not None:
            yield from number_said(("value", case, "roof_fraction"), reaches[1], "advise")


def of_compare_text(words: str, found: Json) -> Iterator[Statement]:
    """The rows of ``compare --all``, its two origins, and its conclusion, first and last."""
    lines = [line for line in words.splitlines() if line.strip()]
    yield Statement(("finding",), lines[0].removesuffix("."), "compare")
    ends = [line for line in lines if line == lines[0]]
    yield Statement(("conclusions",), float(len(ends)), "compare")
    yield Statement(("conclusions",), 2.0, "first and last")
    origins = [line.strip() for line in lines if re.match(r"        \S", line)]
    yield Statement(("origin before",), origins[0], "compare")
    yield from of_origin(origins[1], "compare")
    yield from of_compare_rows(words, found)


def of_compare_rows(words: str, found: Json) -> Iterator[Statement]:
    """The rows of ``compare``, below the workload and the variant that they are of."""
    place, case = ("", ""), ""
    known = names_of(pair["case"] for pair in found["pairs"])
    for line in words.splitlines():
        title = re.fullmatch(r"(\S+) · (\S+)", line.strip())
        if title is not None:
            place = (title[1], title[2])
        name = re.fullmatch(r"  (\S+(?: \(\w+\))?)", line)
        if name is not None:
            case = known.get((*place, name[1]), "")
        row = re.match(r"    (\w+) +(\S.*?) → +(.*?)  +(\S.*?)  +(\S.*)$", line)
        if row is None or not case:
            continue
        metric, before, after, change, word = row.groups()
        yield Statement(("changed", case, metric), "same" if word == "no change" else word.replace(" ", "_"), "compare")
        yield Statement(("change", case, metric), change, "compare")
        for side, value in (("before", before), ("value", after)):
            if value != "–":
                yield from number_said((side, case, metric), value, f"compare ({value})")


def of_unchanged(words: str, found: Json) -> Iterator[Statement]:
    """The line of ``compare`` that counts what did not change, of the metrics that are looked at."""
    counted = re.search(r"^no change: ([\d,]+) metrics? of ([\d,]+) case", words, re.MULTILINE)
    main = found["main"]
    same = [p["case"] for p in found["pairs"] for c in p["changes"] if c["word"] == "same" and c["metric"] in main]
    told = f"{counted[1]} of {counted[2]}".replace(",", "") if counted is not None else "0 of 0"
    yield Statement(("unchanged of the stages",), told, "compare")
    yield Statement(("unchanged of the stages",), f"{len(same)} of {len(set(same))}", "compare --json")


def cases_in(found: Json) -> Iterable[str]:
    """The cases of the object of ``show run``."""
    return (case["case"] for case in found["cases"])
