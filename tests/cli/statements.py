"""What each view of a run says, as statements: a subject, what is said of it, and where.

The views are the page, its summary, the index, the page of two runs, the terminal's commands and their JSON objects.
Two statements on one subject have to be equal, and so do their numbers after one rounding: to the significant digits
of the shorter one, which has at least three.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from stallgate.formatting import status_label
from tests.render.page_text import PageText, read_page

Json = dict[str, Any]


class Statement(NamedTuple):
    """What a view says of a subject."""

    subject: tuple[str, ...]
    said: str | float | bool
    where: str
    step: float = 0.0
    """Of a number that was rounded for a reader: what its last digit counts."""


def contradictions(statements: Iterable[Statement]) -> list[str]:
    """Every subject of which two things are said, with who says what."""
    by_subject: dict[tuple[str, ...], list[Statement]] = defaultdict(list)
    for statement in statements:
        by_subject[statement.subject].append(statement)
    return [line for found in by_subject.values() for line in _disagreements(found)]


def _disagreements(found: list[Statement]) -> list[str]:
    first = next((each for each in found if each.step == 0.0), found[0])
    other = [each for each in found if not _agree(first, each)]
    return [f"{' '.join(first.subject)}: {first.where} says {first.said!r}, {o.where} says {o.said!r}" for o in other]


def _agree(one: Statement, other: Statement) -> bool:
    if isinstance(one.said, float) and isinstance(other.said, float):
        slack = (one.step + other.step) / 2 * (1 + 1e-6) + 1e-9 * abs(one.said)
        return abs(one.said - other.said) <= slack
    return one.said == other.said


# --- numbers ----------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(
    r"(?<![\w.])(?P<less><)?(?P<digits>-?\d[\d,]*(?:\.\d+)?)"
    r"[ \u00a0]?(?P<unit>(?:ns|µs|ms|s|TB|GB|MB|kB|B|T|G|M)(?![\w/]))?"
)
_FACTORS = {"": 1.0, "ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}
_FACTORS |= {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "M": 1e6, "G": 1e9, "T": 1e12}

LEAST_DIGITS = 3
"""Significant digits that a value is told in, or all that it has."""


def number_in(words: str, unit: str = "") -> tuple[float, float] | None:
    """The first number of some words in its base unit, and what its last digit counts; None where there is none.

    Args:
        words: what is said.
        unit: the unit that a heading names, where the words have none.
    """
    match = _NUMBER.search(words)
    if match is None:
        return None
    digits = match["digits"].replace(",", "")
    factor = _FACTORS[match["unit"] or unit or ""]
    step = 10.0 ** -len(digits.partition(".")[2])
    if match["less"]:
        return float(digits) * factor / 2, float(digits) * factor
    whole = len(digits.lstrip("-").replace(".", ""))
    if "." not in digits and whole > LEAST_DIGITS:
        step = 1.0
    return float(digits) * factor, step * factor


def _number(subject: tuple[str, ...], words: str, where: str, unit: str = "") -> Iterator[Statement]:
    found = number_in(words, unit)
    if found is not None:
        yield Statement(subject, found[0], where, found[1])


# --- JSON -------------------------------------------------------------------------------------------------------------

_ANSWERS = {0: "pass", 1: "fail", 3: "open", None: "plain"}


def of_gate(found: Json, status: int, where: str = "gate --json") -> Iterator[Statement]:
    """The object of ``gate``, or ``verdicts.json``."""
    yield Statement(("answer",), _ANSWERS[status], where)
    for verdict in found["verdicts"]:
        yield Statement(target_of(verdict), status_label(verdict["status"], verdict["reason"]), where)
        value = verdict["value"]
        median = value["median"] if isinstance(value, dict) else value
        if verdict["metric"] and median is not None and verdict["kernel"] is None:
            yield Statement(("value", case_of(verdict), verdict["metric"]), float(median), where)


def case_of(verdict: Json) -> str:
    return "/".join(verdict[part] for part in ("problem", "variant", "configuration", "workload"))


def target_of(verdict: Json) -> tuple[str, ...]:
    return "target", case_of(verdict), verdict["stage"] or "", verdict["metric"] or "", verdict["kernel"] or ""


_SHOWN = {"pass": "pass", "fail": "fail", "undecided": "open", "not_measured": "open", "not_judged": "plain"}


def of_show(found: Json) -> Iterator[Statement]:
    """The object of ``show run``."""
    yield Statement(("answer",), _SHOWN[found["verdict"]], "show --json")
    for case, metrics in found["metrics"].items():
        for metric, value in metrics.items():
            if value["median"] is not None:
                yield Statement(("value", case, metric), float(value["median"]), "show --json")
    for case in found["cases"]:
        yield Statement(("outcome", case["case"]), case["outcome"], "show --json")


def of_runs(found: Json, name: str) -> Iterator[Statement]:
    """The run's entry in the object of ``show runs``."""
    mine = next(run for run in found["runs"] if run["name"] == name)
    yield Statement(("answer",), _SHOWN[mine["verdict"]], "show runs --json")


def of_compare(found: Json) -> Iterator[Statement]:
    """The object of ``compare --all``."""
    yield Statement(("changed",), found["word"], "compare --json")
    yield Statement(("finding",), found["finding"], "compare --json")
    for pair in found["pairs"]:
        for change in pair["changes"]:
            subject = (pair["case"], change["metric"])
            yield Statement(("changed", *subject), change["word"], "compare --json")
            yield Statement(("change", *subject), change["text"], "compare --json")
            for side, key in (("before", "base"), ("value", "run")):
                if change[key]["median"] is not None:
                    yield Statement((side, *subject), float(change[key]["median"]), "compare --json")


def of_advise(found: Json) -> Iterator[Statement]:
    """The object of ``advise``: the times of cases, and the readings that are of a whole case."""
    for case in found["cases"]:
        if case["duration_ms"] is not None:
            yield Statement(("value", case["case"], "duration"), 1e6 * case["duration_ms"], "advise --json")
        for advice in case["advice"]:
            if advice["stops"]:
                yield Statement(("left", case["case"]), 100 * float(advice["gain"]), "advise --json")
            for reading in advice["readings"]:
                if reading["sample"] == "" and reading["launch"] is None:
                    subject = ("value", case["case"], reading["metric"])
                    yield Statement(subject, float(reading["value"]), "advise --json")


# --- the page ---------------------------------------------------------------------------------------------------------

_LEFT = re.compile(r"([\d.]+) % of \S+'s speed(?: \([a-z ]+\))?(?:, ([\d.]+) % left)?")
_CHANGES = {"✓ faster": "faster", "✗ slower": "slower", "✓ better": "better", "✗ worse": "worse", "≠ moved": "moved"}
_CHANGES |= {"no change": "same", "○ not comparable": "not_comparable"}


class PageView:
    """A run's page, read."""

    def __init__(self, html: str, verdicts: list[Json]) -> None:
        self._html = html
        self._page: PageText = read_page(html)
        self._verdicts = verdicts

    def statements(self) -> Iterator[Statement]:
        yield from self._head()
        yield from self._targets()
        yield from self._values()
        yield from self._first_screen()
        yield from self._since()

    def _head(self) -> Iterator[Statement]:
        top = re.search(r'<header class="top (\w+)">', self._html)
        assert top is not None
        yield Statement(("answer",), top[1], "the page's colour")
        title = next(text.words for text in self._page.texts if text.tag == "h1")
        yield Statement(("headline",), title, "the page")
        results = re.search(r"<dt>Results</dt><dd[^>]*><span class=\"mark\">(.*?)</span>", self._html, re.DOTALL)
        if results is not None:
            yield Statement(("results",), _plain(results[1]).split(".")[0].split(",")[0], "the page")
        command = re.search(r"<dt>Next</dt><dd>(.*?)</dd>", self._html, re.DOTALL)
        assert command is not None
        code = re.search(r"<code[^>]*>(stallgate .*?)</code>", command[1], re.DOTALL)
        if code is not None:
            yield Statement(("next",), _plain(code[1]), "the page")

    def _targets(self) -> Iterator[Statement]:
        """The rows of the table of verdicts stand in the order of verdicts.json."""
        rows = re.findall(r'<tr class="is-\w+"><td class="mark">(.*?)</td><td class="long">(.*?)</td>', self._html)
        assert len(rows) == len(self._verdicts)
        for (mark, sentence), verdict in zip(rows, self._verdicts, strict=True):
            yield Statement(target_of(verdict), _plain(mark).partition(" ")[2], "the page's verdicts")
            yield Statement(("sentence", *target_of(verdict)), _plain(sentence), "the page's verdicts")

    def _values(self) -> Iterator[Statement]:
        for text in self._page.texts:
            attributes = text.attributes
            exact = attributes.get("data-value")
            if text.tag != "td" or not exact or "data-kernel" in attributes or text.attribute:
                continue
            if "data-change" in attributes:
                continue
            metric, case = attributes.get("data-metric"), attributes.get("data-case")
            if metric and case:
                side = "before" if attributes.get("data-base") else "value"
                yield Statement((side, case, metric), float(exact), "the page's cells")
                yield from _number((side, case, metric), text.words, f"the page's cells ({text.words})")

    def _first_screen(self) -> Iterator[Statement]:
        for match in re.finditer(r'<article class="judged[^"]*" data-case="(.*?)".*?</article>', self._html, re.DOTALL):
            case, article = match[1], match[0]
            time = re.search(r'<p class="time" data-metric="duration">(.*?)<span', article, re.DOTALL)
            if time is not None:
                yield from _number(("value", case, "duration"), _plain(time[1]), "the first screen")
            for target in re.findall(r'<div class="target is-.*?\n</div>', article, re.DOTALL):
                yield from self._first_screens_target(case, target)
            yield from of_distance(case, _plain(article), "the first screen")

    def _first_screens_target(self, case: str, target: str) -> Iterator[Statement]:
        metric = re.search(r'data-metric="(\w+)"', target)
        value = re.search(r"<p><strong>(.*?)</strong>", target)
        if metric is None or value is None:
            return
        kernel = [v for v in self._verdicts if case_of(v) == case and v["metric"] == metric[1] and v["kernel"]]
        if not kernel:
            yield from _number(("value", case, metric[1]), _plain(value[1]), "the first screen")
            yield Statement(("value in words", case, metric[1]), _digits(_plain(value[1])), "the first screen")

    def _since(self) -> Iterator[Statement]:
        part = re.search(r'<section aria-labelledby="since">.*?</section>', self._html, re.DOTALL)
        if part is None:
            return
        for row in re.findall(r"<tr[^>]*><td class=\"mark\">.*?</tr>", part[0], re.DOTALL):
            change = re.search(r'data-change="(\w+)" data-case="(.*?)"', row)
            mark = re.search(r'<td class="mark">(.*?)</td>', row)
            if change is not None and mark is not None:
                yield Statement(("changed", change[2], change[1]), _CHANGES[_plain(mark[1])], "the page's changes")

    @property
    def since(self) -> str:
        """The run that the page is held against, or ''."""
        found = re.search(r'since <a href="#since">(.*?)</a>', self._html)
        return found[1] if found else ""

    def changed(self) -> Iterator[Statement]:
        """What the head says that changed; of a run of one problem."""
        found = re.search(
            r'<dt>Changed</dt><dd><strong class="mark[^"]*">(.*?)</strong>(.*?)</dd>', self._html, re.DOTALL
        )
        assert found is not None
        yield Statement(("changed",), _CHANGES[_plain(found[1])], "the page's head")


def of_distance(case: str, words: str, where: str) -> Iterator[Statement]:
    """How near the roof a case is said to be."""
    for roof, left in _LEFT.findall(words):
        percent, step = number_in(roof) or (0.0, 0.0)
        yield Statement(("value", case, "roof_fraction"), percent / 100, where, step / 100)
        if left:
            yield from _number(("left", case), left, where)


_TAG = re.compile(r"<[^>]+>")


def _plain(html: str) -> str:
    from html import unescape

    return " ".join(unescape(_TAG.sub("", html)).split())


def _digits(words: str) -> str:
    """The number of some words as it is written."""
    found = _NUMBER.search(words)
    return found["digits"] if found is not None else ""


def of_compare_page(html: str, names: dict[tuple[str, str], str]) -> Iterator[Statement]:
    """The page of two runs.

    Args:
        html: the page.
        names: (workload, variant) as the page has them -> the case.
    """
    titles = [text.words for text in read_page(html).texts if text.tag == "h1"]
    yield Statement(("finding",), titles[0], "the compare page")
    table = re.search(r'<table id="changes".*?</table>', html, re.DOTALL)
    assert table is not None
    for row in re.findall(r"<tr[^>]*><td>.*?</tr>", table[0], re.DOTALL):
        cells = re.findall(r"<(td|th)([^>]*)>(.*?)</\1>", row, re.DOTALL)
        workload, variant, metric, unit, before, after, change, word = (_plain(cell[2]) for cell in cells[:8])
        case = names[workload, variant]
        yield Statement(("changed", case, metric), _CHANGES[word], "the compare page")
        if change != "–":
            yield Statement(("change", case, metric), change, "the compare page")
        for side, words in (("before", before), ("value", after)):
            if "data-value" in row and unit != "":
                yield from _number((side, case, metric), words, f"the compare page ({words})")


def of_index(html: str, name: str) -> Iterator[Statement]:
    """The row of a run in the list of all."""
    row = next(row for row in re.findall(r"<tr[^>]*data-verdict=.*?</tr>", html, re.DOTALL) if f">{name}<" in row)
    status = re.search(r'<tr class="is-(\w+)"', row)
    yield Statement(("answer",), _SHOWN[status[1] if status else "not_judged"], "the index")


def of_summary(text: str) -> Iterator[Statement]:
    """``summary.md``."""
    yield Statement(("headline",), text.splitlines()[0].removeprefix("## "), "summary.md")


# --- the terminal -----------------------------------------------------------------------------------------------------

_CONCLUSION = re.compile(r"^(PASS|FAIL|NOT DECIDED)\b", re.MULTILINE)
_WORDS = {"PASS": "pass", "FAIL": "fail", "NOT DECIDED": "open"}
_NEXT = re.compile(r"^next \(.*?\): (.*)$", re.MULTILINE)
_WANTED = re.compile(r"\((?P<metric>\w+)\) is (?P<value>[^;]+); wanted")


def of_terminal(words: str, where: str) -> Iterator[Statement]:
    """The conclusions and the next command of ``gate`` or ``show``."""
    for answer in _CONCLUSION.findall(words):
        yield Statement(("answer",), _WORDS[answer], where)
    for command in _NEXT.findall(words):
        yield Statement(("next",), command.strip(), where)


def of_gate_lines(words: str, verdicts: list[Json]) -> Iterator[Statement]:
    """The lines of ``gate --all``, by the metric and the subject that each names."""
    for line in words.splitlines():
        for verdict in verdicts:
            title = f"{verdict['variant']} on {verdict['workload']}: "
            if verdict["value"]["median"] is None or verdict["kernel"] or title not in line:
                continue
            found = _WANTED.search(line)
            if found is not None and found["metric"] == verdict["metric"]:
                subject = (case_of(verdict), verdict["metric"])
                yield from _number(("value", *subject), found["value"], f"gate ({found['value']})")
                yield Statement(("value in words", *subject), _digits(found["value"]), "gate")


def of_tables(words: str, cases: Iterable[str]) -> Iterator[Statement]:
    """The tables of ``show run``: the rows of a workload below its title."""
    known = {tuple(case.split("/")): case for case in cases}
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
            case = known.get((place[0], name, "default", place[1]))
            unit = next((u for u in ("ms", "µs", "s") if f"[{u}]" in heads[0]), "")
            if case is not None and cells and cells[0] != "–":
                yield from _number(("value", case, "duration"), f"{cells[0]} {unit}", f"show ({cells[0]} {unit})")
        elif not line.strip():
            place = None


def of_digest(words: str, names: dict[str, str]) -> Iterator[Statement]:
    """The cases below the conclusion of ``show run``: the time, and the distance from the roof."""
    case = ""
    for line in words.splitlines():
        head = re.match(r"  (\S+ on \S+)  (.*)", line)
        if head is not None and head[1] in names:
            case = names[head[1]]
            if re.match(r"[\d.,]+ (ns|µs|ms|s)\b", head[2]):
                yield from _number(("value", case, "duration"), head[2], "show's cases")
        if case and line.startswith("  "):
            yield from of_distance(case, line, "show's cases")


def of_advice_text(words: str, names: dict[str, str]) -> Iterator[Statement]:
    """The heads of ``advise``, and what it says is left."""
    case = ""
    for line in words.splitlines():
        head = re.match(r"(\S+): (\S+ on [^,]+)(?:, (.*))?$", line)
        if head is not None and f"{head[1]}: {head[2]}" in names:
            case = names[f"{head[1]}: {head[2]}"]
            if head[3]:
                yield from _number(("value", case, "duration"), head[3], "advise")
        left = re.search(r"([\d.]+) % of the time is (?:left|above the roof)", line)
        if case and left is not None:
            yield from _number(("left", case), left[1], f"advise ({line.strip()[:60]})")
        reaches = re.search(r"reaches ([\d.]+) of the (?:roof|library)", line)
        if case and reaches is not None:
            yield from _number(("value", case, "roof_fraction"), reaches[1], "advise")


def of_compare_text(words: str, found: Json) -> Iterator[Statement]:
    """The rows of ``compare --all``, and its conclusion, first and last."""
    lines = [line for line in words.splitlines() if line.strip()]
    for line in (lines[0],):
        yield Statement(("finding",), line.removesuffix("."), "compare")
    place, case = ("", ""), ""
    known = {tuple(pair["case"].split("/")): pair["case"] for pair in found["pairs"]}
    for line in words.splitlines():
        title = re.fullmatch(r"(\S+) · (\S+)", line.strip())
        if title is not None:
            place = (title[1], title[2])
        name = re.fullmatch(r"  (\S+)", line)
        if name is not None:
            case = known.get((place[0], name[1], "default", place[1]), "")
        row = re.match(r"    (\w+) +(\S.*?) → +(.*?)  +(\S.*?)  +(\S.*)$", line)
        if row is None or not case:
            continue
        metric, before, after, change, word = row.groups()
        yield Statement(("changed", case, metric), "same" if word == "no change" else word.replace(" ", "_"), "compare")
        yield Statement(("change", case, metric), change, "compare")
        for side, value in (("before", before), ("value", after)):
            if value != "–":
                yield from _number((side, case, metric), value, f"compare ({value})")
