"""Every number on the page is one that the run's files have: in tables, in sentences, beside the marks of figures."""

from __future__ import annotations

import csv
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from stallgate.model import DETAIL
from tests.render.browser.pages import made
from tests.render.page_text import PageText, Text, read_page
from tests.render.sources import Files, Found, Sources, called_lines
from tests.shared import Shared


@dataclass
class Cell:
    """A cell, or a line of code, that says which number it shows."""

    attributes: dict[str, str | None]
    among_verdicts: bool


def cells_of(page: PageText) -> list[Cell]:
    """The cells of a page that carry ``data-value``, and the lines that carry ``data-samples``."""
    return [
        Cell(attributes, among_verdicts=section == "verdicts")
        for attributes, section in page.elements
        if attributes.get("data-value") or attributes.get("data-samples")
    ]


Case = str
Medians = dict[tuple[Case, str], float]
Kernels = dict[tuple[Case, str, str], float]
Samples = dict[tuple[Case, str, str], int]


@cache
def table(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["sample"] != DETAIL]


def case_of(row: dict[str, str]) -> Case:
    return "/".join(row[part] for part in ("problem", "variant", "configuration", "workload"))


def medians(rows: list[dict[str, str]]) -> Medians:
    """(case, metric) -> the median over the samples of whole calls; nothing where a sample has no value."""
    values: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        if not row["launch"]:
            values[case_of(row), row["metric"]].append(row["value"])
    return {key: median(map(float, found)) for key, found in values.items() if all(found)}


def kernel_medians(rows: list[dict[str, str]]) -> Kernels:
    """(case, kernel, metric) -> the median over its launches; ``share`` is its part of the call's time in per cent."""
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row["launch"] and row["value"]:
            values[case_of(row), row["kernel"], row["metric"]].append(float(row["value"]))
    found = {key: median(numbers) for key, numbers in values.items()}
    times = {key: value for key, value in found.items() if key[2] == "duration"}
    totals: dict[str, float] = defaultdict(float)
    for (case, _, _), value in times.items():
        totals[case] += value
    return found | {(case, kernel, "share"): 100 * t / totals[case] for (case, kernel, _), t in times.items()}


def hot_samples(run: Path) -> Samples:
    """(case, kernel, file and line) -> samples; with an empty kernel, those of all kernels of the case."""
    found: Samples = defaultdict(int)
    for case, detail in details_of(run):
        for line in detail["lines"]:
            for kernel in ("", detail["kernel"]):
                found[case, kernel, f"{line['file']}:{line['line']}"] += line["samples"]
    return found


def called_samples(run: Path) -> Samples:
    """The same of the libraries' lines that a line called."""
    found: Samples = defaultdict(int)
    for case, detail in details_of(run):
        called = called_lines(run.parents[1], case, detail)
        for line in detail["lines"]:
            caller = called.get((line["file"], line["line"]))
            for kernel in ("", detail["kernel"]) if caller is not None else ():
                found[case, kernel, ":".join(map(str, caller or ()))] += line["samples"]
    return found


def machine_samples(run: Path) -> Samples:
    """(case, kernel, offset of an instruction) -> samples."""
    found: Samples = defaultdict(int)
    for case, detail in details_of(run):
        for instruction in detail.get("instructions", []):
            found[case, detail["kernel"], str(instruction["offset"])] += instruction["samples"]
    return found


def details_of(run: Path) -> Iterator[tuple[str, Any]]:
    """Each kernel of a case with what its launch with every section said of it."""
    for attempt in json.loads((run / "run.json").read_text())["attempts"]:
        for detail in attempt["details"]:
            yield "/".join(detail["case"][part] for part in ("problem", "variant", "configuration", "workload")), detail


@cache
def _medians_of(run: Path) -> Medians:
    return medians(table(run))


class Page:
    """A page's cells, each kind held against the files that its numbers are in; and all that it says."""

    def __init__(self, run: Path) -> None:
        self.html = (run / "report.html").read_text()
        self.read = read_page(self.html)
        self.cells = cells_of(self.read)
        self.run = run

    @cached_property
    def sources(self) -> Sources:
        """What may be said of the run, which is held against a single other one."""
        (base,) = {str(cell.attributes["data-base"]) for cell in self.cells if "data-base" in cell.attributes}
        reports = self.run.parent
        return Sources(Files(self.run, reports / base, reports.parent))

    @cached_property
    def numbers(self) -> list[tuple[Text, Found]]:
        """Every number that the page says, in its text; ticks of an axis are left out."""
        return [(text, found) for text in self.read.texts for found in self.sources.of(text)]

    def unsaid(self, texts: Iterable[Text]) -> list[str]:
        """What says a number that has no source."""
        told = [(text, self.sources.unsaid(text)) for text in texts]
        return [f"{', '.join(numbers[:5])} in <{text.tag}>: {text.words[:200]}" for text, numbers in told if numbers]

    def wrong(self) -> dict[str, list[str]]:
        """Kind -> cells whose number is not the one that the files have."""
        kinds: dict[str, list[Cell]] = defaultdict(list)
        for cell in self.cells:
            kinds[kind(cell)].append(cell)
        return {name: getattr(self, f"_{name}")(cells) for name, cells in kinds.items()}

    def _metrics(self, cells: list[Cell]) -> list[str]:
        return wrong_metrics(cells, medians(table(self.run)))

    def _bases(self, cells: list[Cell]) -> list[str]:
        return [wrong for cell in cells for wrong in wrong_metrics([cell], self._base(cell))]

    def _changes(self, cells: list[Cell]) -> list[str]:
        rows = table(self.run)
        now, units = medians(rows), {row["metric"]: row["unit"] for row in rows}
        wrong = []
        for cell in cells:
            key = (str(cell.attributes["data-case"]), str(cell.attributes["data-change"]))
            before, shown = self._base(cell)[key], float(str(cell.attributes["data-value"]))
            in_points = {"%": 1.0}.get(units[key[1]]) if key[1] != "roof_fraction" else 100.0
            wanted = (in_points or 100 / abs(before)) * (now[key] - before)
            if shown != pytest.approx(wanted, rel=1e-9, abs=1e-9):
                wrong.append(f"{key}: the page has {shown} %")
        return wrong

    def _base(self, cell: Cell) -> Medians:
        """The numbers of the run that a cell is held against."""
        return _medians_of(self.run.resolve().parent / str(cell.attributes["data-base"]))

    def _kernels(self, cells: list[Cell]) -> list[str]:
        expected = kernel_medians(table(self.run))
        return wrong_numbers(cells, expected, ("data-case", "data-kernel", "data-metric"))

    def _lines(self, cells: list[Cell]) -> list[str]:
        expected = {**dict.fromkeys(called_samples(self.run), 0), **hot_samples(self.run)}
        return wrong_numbers(cells, expected, ("data-case", "data-kernel", "data-line"))

    def _called(self, cells: list[Cell]) -> list[str]:
        return wrong_numbers(cells, called_samples(self.run), ("data-case", "data-kernel", "data-called"))

    def _machine(self, cells: list[Cell]) -> list[str]:
        return wrong_numbers(cells, machine_samples(self.run), ("data-case", "data-kernel", "data-instruction"))

    def _code(self, cells: list[Cell]) -> list[str]:
        """Marks in the code: the samples of a line of one of the variant's files over all kernels of the case."""
        expected, called, wrong = hot_samples(self.run), called_samples(self.run), []
        for cell in cells:
            case = str(cell.attributes["data-case"])
            line = f"{cell.attributes['data-file']}:{cell.attributes['data-line']}"
            said = [int(str(cell.attributes[name])) for name in ("data-samples", "data-called")]
            if [expected[case, "", line], called[case, "", line]] != said:
                wrong.append(f"{case} {line}")
        return wrong

    def _answers(self, cells: list[Cell]) -> list[str]:
        """The worst element of each output of a case."""
        results = json.loads((self.run / "run.json").read_text())["cases"]
        expected = {
            ("/".join(result["case"].values()), str(each["output"])): each["used"]
            for result in results
            for each in result["worst"]
        }
        return wrong_numbers(cells, expected, ("data-case", "data-worst"))

    def _verdicts(self, cells: list[Cell]) -> list[str]:
        return wrong_verdicts(cells, json.loads((self.run / "verdicts.json").read_text())["verdicts"])

    def _unknown(self, cells: list[Cell]) -> list[str]:
        return [f"no file is said to have {cell.attributes}" for cell in cells]


_MARKS = {
    "code": "data-samples",
    "called": "data-called",
    "machine": "data-instruction",
    "lines": "data-line",
    "changes": "data-change",
    "answers": "data-worst",
}


def kind(cell: Cell) -> str:
    """Which of the page's numbers a cell shows; ``unknown`` where it does not say."""
    has = cell.attributes.keys()
    if cell.among_verdicts:
        return "verdicts"
    for name, mark in _MARKS.items():
        if mark in has:
            return name
    if "data-metric" not in has:
        return "unknown"
    return "kernels" if "data-kernel" in has else "bases" if "data-base" in has else "metrics"


def wrong_numbers(cells: list[Cell], expected: dict[Any, Any], names: tuple[str, ...]) -> list[str]:
    """Cells whose number is not the one of the key that their attributes make."""
    keys = [tuple(str(cell.attributes[name]) for name in names) for cell in cells]
    shown = [float(str(cell.attributes["data-value"])) for cell in cells]
    return [
        f"{key}: the page has {value}, the files {expected.get(key)}"
        for key, value in zip(keys, shown, strict=True)
        if expected.get(key) != pytest.approx(value, rel=1e-9)
    ]


def wrong_metrics(cells: list[Cell], expected: Medians) -> list[str]:
    """Cells of metrics whose number is not the one of their case and metric."""
    return wrong_numbers(cells, expected, ("data-case", "data-metric"))


def wrong_verdicts(cells: list[Cell], verdicts: list[dict[str, object]]) -> list[str]:
    """Numbers in the table of verdicts that no verdict has."""
    known = {v[name] for v in verdicts for name in ("value", "low", "high", "bound", "of_roof", "samples")}
    numbers = {float(str(cell.attributes["data-value"])) for cell in cells}
    return [f"{number} is in no verdict" for number in numbers - known]


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def page(shared: Shared) -> Page:
    """The recording with every section, held against a run that was faster and waited more."""
    return Page(shared.get("page-recorded", lambda folder: made("recorded", folder)).page.parent)


LEAST = {
    "metrics": 100,
    "verdicts": 6,
    "bases": 10,
    "changes": 10,
    "kernels": 20,
    "lines": 50,
    "code": 50,
    "called": 2,
    "machine": 15,
    "answers": 5,
}
"""So many numbers of each kind the page has, or the attributes are gone and this test looks at nothing."""


def test_every_number_on_the_page_is_in_the_runs_files(page: Page) -> None:
    wrong = page.wrong()
    assert wrong == {name: [] for name in LEAST}
    counted = Counter(kind(cell) for cell in page.cells)
    assert {name: counted[name] for name in LEAST if counted[name] < LEAST[name]} == {}


def test_every_verdict_is_on_the_page_word_for_word(page: Page) -> None:
    said = {text.words for text in page.read.texts}
    verdicts = json.loads((page.run / "verdicts.json").read_text())["verdicts"]
    assert [verdict["sentence"] for verdict in verdicts if verdict["sentence"] not in said] == []


SAID = {
    "cell": 500,
    "code": 1000,
    "hot line": 200,
    "metric": 150,
    "quoted": 150,
    "label": 30,
    "estimate": 20,
    "state": 10,
    "roof": 8,
    "roofline": 8,
    "setting": 5,
    "change": 4,
    "count": 3,
    "need": 2,
    "bound": 2,
    "worst": 2,
}
"""So many numbers of each kind of source the page has in what it says."""


def test_every_number_that_the_page_says_has_a_source(page: Page) -> None:
    assert page.unsaid(page.read.texts) == []
    counted = Counter(found.kind for _, found in page.numbers)
    assert {kind: counted[kind] for kind in SAID if counted[kind] < SAID[kind]} == {}


# --- the test itself --------------------------------------------------------------------------------------------------

CASE = "cumprod/blocked_scan/default/square"
PAGE = f"""
<section aria-labelledby="verdicts"><table><tr><td data-value="0.987">0.987</td><td data-value="0.5">0.5</td></tr>
</table></section>
<section><table>
<tr><th>duration</th><td data-metric="duration" data-case="{CASE}" data-value="2.5">2.5 &lt; 3</td>
<td data-metric="traffic" data-case="{CASE}" data-value="1.5">1.5</td>
<td data-metric="l2_hit_rate" data-case="{CASE}" data-value="">absent</td>
<td data-value="7">7</td></tr></table></section>
"""


@pytest.mark.parametrize("name", LEAST)
def test_a_wrong_number_of_each_kind_is_found(page: Page, name: str) -> None:
    cell = next(cell for cell in page.cells if kind(cell) == name)
    shown = "data-samples" if name == "code" else "data-value"
    altered = replace(cell, attributes={**cell.attributes, shown: str(1 + round(float(str(cell.attributes[shown]))))})
    assert len(getattr(page, f"_{name}")([altered])) == 1


def altered(text: Text, found: Found, digit: int) -> Text:
    """A text in which a digit of a number is another one: not the next, since bounds lie close to what they judge."""
    number = found.number
    places = [place for place in range(number.start, number.end) if text.words[place].isdigit()]
    at = places[digit]
    return replace(text, words=f"{text.words[:at]}{(int(text.words[at]) + 4) % 10}{text.words[at + 1 :]}")


@pytest.mark.parametrize("digit", [0, -1], ids=["first", "last"])
@pytest.mark.parametrize("kind", SAID)
def test_a_wrong_number_of_each_kind_of_source_is_found(page: Page, kind: str, digit: int) -> None:
    """Another number may be right by chance: what a rule estimates of one kernel it may say of the next."""
    every = [(text, found) for text, found in page.numbers if found.kind == kind]
    said = random.Random(1).sample(every, min(len(every), 50))
    changed = [altered(text, found, digit) for text, found in said]
    unnoticed = [text.words for text in changed if not page.unsaid([text])]
    assert len(unnoticed) <= len(said) / 4, unnoticed


def test_hardly_any_number_can_be_altered_unnoticed(page: Page) -> None:
    said = random.Random(2).sample([(text, found) for text, found in page.numbers if found.kind != "code"], 600)
    unnoticed = [text for text, found in said if not page.unsaid([altered(text, found, -1)])]
    assert len(unnoticed) < len(said) / 50


OTHER_UNITS = {" ms": " µs", " µs": " ms", " GB/s": " MB/s", " GB": " MB", " TFLOP/s": " GFLOP/s"}


@pytest.mark.parametrize("unit", OTHER_UNITS)
def test_a_number_with_another_unit_is_found(page: Page, unit: str) -> None:
    said = [
        text for text in page.read.texts if f"{unit} " in f"{text.words} " and text.tag not in ("pre", "blockquote")
    ]
    changed = [replace(text, words=f"{text.words} ".replace(f"{unit} ", f"{OTHER_UNITS[unit]} ")) for text in said]
    assert said
    assert [text.words for text in changed if not page.unsaid([text])] == []


def test_a_number_of_another_case_workload_or_metric_is_found(page: Page) -> None:
    """Each text says something else where one name in it is another, but for what is the same of both by chance."""
    for one, other in (("blocked_scan", "two_pass_scan"), ("page", "square"), ("long_scoreboard", "barrier")):
        said = [t for t, found in page.numbers if found.kind in ("metric", "roof", "wait", "worst") and one in t.words]
        changed = [replace(text, words=text.words.replace(one, other)) for text in said if other not in text.words]
        moved = [text for text in changed if not (one == "page" and text.section.startswith("workload"))]
        assert moved
        assert len([text for text in moved if not page.unsaid([text])]) <= len(moved) / 10


def test_how_a_sentence_is_worded_does_not_matter(page: Page) -> None:
    """What is left is names, numbers and units."""
    verbs = re.compile(r"\b(takes|runs|moves|meets|is|its|of|the|at|on|than|longer|slower|most|for|with|needs)\b")
    said = [text for text, found in page.numbers if found.kind in ("metric", "roof", "change", "count", "need")]
    assert page.unsaid([replace(text, words=verbs.sub("so", text.words)) for text in said]) == []


def test_a_page_with_wrong_numbers_is_found(page: Page) -> None:
    """As a reader would see it: in a sentence at the top, and beside a mark of a figure."""
    sentence, number = next(
        (t, f) for t, f in page.numbers if f.kind in ("metric", "roof") and t.tag == "p" and t.words in page.html
    )
    label = next(text for text, found in page.numbers if found.kind == "label")
    beside_its_mark = rf"(<title>{re.escape(str(label.hover))}</title>(?:(?!<title>).)*?>){label.words}(</text>)"
    for html in (
        page.html.replace(sentence.words, altered(sentence, number, -1).words),
        re.sub(beside_its_mark, r"\g<1>987\2", page.html, count=1, flags=re.DOTALL),
    ):
        assert len(page.unsaid(read_page(html).texts)) == 1


def row(metric: str, value: str, sample: str = "0", launch: str = "") -> dict[str, str]:
    names = ("problem", "variant", "configuration", "workload")
    said = {"metric": metric, "value": value, "sample": sample, "launch": launch, "kernel": f"k{launch}"}
    return {**dict(zip(names, CASE.split("/"), strict=True)), **said}


def test_a_number_that_the_files_do_not_have_is_found() -> None:
    rows = [row("duration", "2"), row("duration", "3", "1"), row("duration", "1", "0", "4")]
    cells = cells_of(read_page(PAGE))
    assert [kind(cell) for cell in cells] == ["verdicts", "verdicts", "metrics", "metrics", "unknown"]
    assert wrong_metrics(cells[2:4], medians(rows)) == [f"('{CASE}', 'traffic'): the page has 1.5, the files None"]
    verdict = dict.fromkeys(("value", "low", "high", "bound", "of_roof", "samples"), 0.987)
    assert wrong_verdicts(cells[:2], [verdict]) == ["0.5 is in no verdict"]


def test_a_case_with_a_sample_that_has_no_value_has_no_number() -> None:
    assert medians([row("duration", "2"), row("duration", "", "1")]) == {}


def test_a_kernels_share_is_of_the_time_of_its_call() -> None:
    found = kernel_medians([row("duration", "1", "0", "4"), row("duration", "3", "0", "5")])
    assert found[CASE, "k4", "share"] == 25
