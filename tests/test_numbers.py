"""Every number on the page is one that the run's files have."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass, field
from html.parser import HTMLParser
from statistics import median

import pytest

from harness.model import DETAIL
from tests.conftest import DrawnRun

LEAST = 100
"""So many numbers a page of the recording has, or the attributes are gone and this test looks at nothing."""


@dataclass
class Cell:
    """A cell that says which number it shows."""

    attributes: dict[str, str | None]
    among_verdicts: bool
    text: str = ""


@dataclass
class Cells(HTMLParser):
    """The cells of a page that carry ``data-value``, and the page's text."""

    found: list[Cell] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._sections: list[str | None] = []
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes, self._tag = dict(attrs), tag
        if tag == "section":
            self._sections.append(attributes.get("aria-labelledby"))
        if tag in ("td", "th") and attributes.get("data-value"):
            self.found.append(Cell(attributes, among_verdicts="verdicts" in self._sections))

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._sections.pop()

    def handle_data(self, data: str) -> None:
        if self._tag not in ("script", "style"):
            self.text.append(data)


def cells_of(page: str) -> Cells:
    parser = Cells()
    parser.feed(page)
    parser.close()
    return parser


Medians = dict[tuple[str, str], float]


def medians(rows: list[dict[str, str]]) -> Medians:
    """(case, metric) -> the median over the samples of whole calls; nothing where a sample has no value."""
    values: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        if not row["launch"] and row["sample"] != DETAIL:
            case = "/".join(row[part] for part in ("problem", "variant", "configuration", "workload"))
            values[case, row["metric"]].append(row["value"])
    return {key: median(map(float, found)) for key, found in values.items() if all(found)}


def wrong_metrics(cells: list[Cell], expected: Medians) -> list[str]:
    """Cells of metrics whose number is not the one of their case and metric."""
    wrong = []
    for cell in cells:
        key = (str(cell.attributes.get("data-case")), str(cell.attributes.get("data-metric")))
        value = float(str(cell.attributes["data-value"]))
        if expected.get(key) != pytest.approx(value, rel=1e-12):
            wrong.append(f"{key}: the page has {value}, metrics.csv {expected.get(key)}")
    return wrong


def wrong_verdicts(cells: list[Cell], verdicts: list[dict[str, object]]) -> list[str]:
    """Numbers in the table of verdicts that no verdict has."""
    known = {v[name] for v in verdicts for name in ("value", "low", "high", "bound", "of_roof", "samples")}
    numbers = {float(str(cell.attributes["data-value"])) for cell in cells}
    return [f"{number} is in no verdict" for number in numbers - known]


def metric_cells(cells: Cells) -> list[Cell]:
    return [cell for cell in cells.found if "data-metric" in cell.attributes and not cell.among_verdicts]


def verdict_cells(cells: Cells) -> list[Cell]:
    return [cell for cell in cells.found if cell.among_verdicts]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_every_number_on_the_page_is_in_the_runs_files(drawn: DrawnRun) -> None:
    run = drawn.folder
    cells = cells_of((run / "report.html").read_text())
    with (run / "metrics.csv").open(newline="") as file:
        expected = medians(list(csv.DictReader(file)))
    verdicts = json.loads((run / "verdicts.json").read_text())["verdicts"]
    assert len(metric_cells(cells)) >= LEAST
    assert wrong_metrics(metric_cells(cells), expected) == []
    assert wrong_verdicts(verdict_cells(cells), verdicts) == []


def test_every_verdict_is_on_the_page_word_for_word(drawn: DrawnRun) -> None:
    run = drawn.folder
    said = " ".join(" ".join(cells_of((run / "report.html").read_text()).text).split())
    verdicts = json.loads((run / "verdicts.json").read_text())["verdicts"]
    assert [verdict["sentence"] for verdict in verdicts if verdict["sentence"] not in said] == []


# --- the test itself --------------------------------------------------------------------------------------------------

CASE = "cumprod/blocked_scan/default/square"
PAGE = f"""
<section aria-labelledby="verdicts"><table><tr><td data-value="0.987">0.987</td><td data-value="0.5">0.5</td></tr>
</table></section>
<section><table>
<tr><th>duration</th><td data-metric="duration" data-case="{CASE}" data-value="2.5">2.5 &lt; 3</td>
<td data-metric="traffic" data-case="{CASE}" data-value="1.5">1.5</td>
<td data-metric="l2_hit_rate" data-case="{CASE}" data-value="">absent</td></tr></table></section>
"""


def row(metric: str, value: str, sample: str = "0", launch: str = "") -> dict[str, str]:
    names = ("problem", "variant", "configuration", "workload")
    return {
        **dict(zip(names, CASE.split("/"), strict=True)),
        "metric": metric,
        "value": value,
        "sample": sample,
        "launch": launch,
    }


def test_a_number_that_the_files_do_not_have_is_found() -> None:
    rows = [
        row("duration", "2"),
        row("duration", "3", "1"),
        row("duration", "9", "detail"),
        row("duration", "1", "0", "4"),
    ]
    cells = cells_of(PAGE)
    assert len(metric_cells(cells)) == 2
    assert wrong_metrics(metric_cells(cells), medians(rows)) == [
        f"('{CASE}', 'traffic'): the page has 1.5, metrics.csv None"
    ]
    verdict = dict.fromkeys(("value", "low", "high", "bound", "of_roof", "samples"), 0.987)
    assert wrong_verdicts(verdict_cells(cells), [verdict]) == ["0.5 is in no verdict"]


def test_a_case_with_a_sample_that_has_no_value_has_no_number() -> None:
    assert medians([row("duration", "2"), row("duration", "", "1")]) == {}
