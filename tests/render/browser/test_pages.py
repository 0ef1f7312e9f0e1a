"""Every kind of page in a real browser: quiet, readable, operable, and whole without scripts."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.render.browser.chromium import View, grave_violations, looking
from tests.render.browser.pages import GAPS, HOSTILE, LOOKED_AT, Make, hostile_text


def pages(*names: str) -> pytest.MarkDecorator:
    """Parametrises a test with pages, or with all that are looked at."""
    return pytest.mark.parametrize("opened", names or [maker.__name__ for maker in LOOKED_AT], indirect=True)


NARROW, WIDE = (390, "light"), (1200, "dark")

Look = tuple[int, str]


@pages()
def test_a_page_reads_well_narrow_and_wide(view: View) -> None:
    for width, scheme in (NARROW, WIDE):
        view.show(width, scheme)
        assert view.page.get_by_role("heading", level=1).is_visible()
        wide = view.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, view.page.evaluate(STICKING_OUT, width)


@pytest.mark.parametrize(
    ("opened", "look"),
    [
        ("recorded", NARROW),
        ("recorded", WIDE),
        ("imported_in_full", WIDE),
        ("wrong_result", NARROW),
        ("with_gaps", WIDE),
        ("hostile", NARROW),
        ("climbed", NARROW),
        ("climbed", WIDE),
    ],
    indirect=["opened"],
    ids=str,
)
def test_axe_finds_nothing_grave_in_any_kind_of_page(view: View, look: Look) -> None:
    """Other pages are made of the same parts."""
    view.show(*look)
    assert grave_violations(view.page) == []


@pytest.mark.long
@pytest.mark.parametrize("look", [NARROW, WIDE, (390, "dark"), (1200, "light")], ids=str)
@pages()
def test_axe_finds_nothing_grave_in_any_page(view: View, look: Look) -> None:
    view.show(*look)
    assert grave_violations(view.page) == []


STICKING_OUT = """width => {
  const scrolls = each => each && (getComputedStyle(each).overflowX !== 'visible' || scrolls(each.parentElement));
  return [...document.querySelectorAll('main *')]
    .filter(each => each.getBoundingClientRect().right > width && !scrolls(each.parentElement))
    .slice(0, 5).map(each => each.outerHTML.slice(0, 150));
}"""
"""The elements that make a page too wide, for the message of a failure."""


# --- the theme --------------------------------------------------------------------------------------------------------

BACKGROUND = "getComputedStyle(document.body).backgroundColor"


def test_the_theme_is_the_systems_until_it_is_switched_by_keyboard(browser: Browser, make: Make) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        with looking(browser, make("crashed").page, color_scheme=scheme) as view:
            switch = view.page.locator("[data-theme-switch]").first
            switch.focus()
            backgrounds = [view.page.evaluate(BACKGROUND)]
            for key in ("Enter", "Space"):
                view.page.keyboard.press(key)
                backgrounds.append(view.page.evaluate(BACKGROUND))
            seen[scheme] = backgrounds
            assert view.noise == []
    light, dark = seen["light"][0], seen["dark"][0]
    assert light != dark
    assert seen == {"light": [light, dark, light], "dark": [dark, light, dark]}


# --- tables -----------------------------------------------------------------------------------------------------------

SORTABLE = "table[data-sortable]"
VALUES = """const values = (table, column) => [...table.tBodies[0].rows]
  .filter(row => row.className !== 'group').map(row => row.cells[column])
  .map(cell => cell.dataset.value ?? cell.textContent.trim());
const headings = table => [...[...table.tHead.rows].at(-1).cells];"""
COLUMNS = (
    f"tables => {{ {VALUES} return tables.map(table => headings(table).map((_, column) => values(table, column))); }}"
)
SORT = f"""(tables, places) => {{ {VALUES} return places.map(([number, column]) => {{
  const heading = headings(tables[number])[column];
  heading.querySelector('button').click();
  return [heading.ariaSort, values(tables[number], column)];
}}); }}"""
"""What clicks is a script, on everything at once: a mouse is scrolled and waited for at every heading."""


def number(text: str) -> float | None:
    """A cell as a number; None where it is a gap."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def assert_sorted(texts: list[str], *, descending: bool) -> None:
    """Numbers in order, gaps after them."""
    found = [number(text) for text in texts]
    numbers = [value for value in found if value is not None]
    assert found == sorted(numbers, reverse=descending) + [None] * (len(found) - len(numbers))


def is_number(texts: list[str]) -> bool:
    """Whether a column is sorted by number: where half of the cells are numbers, or more."""
    numbers = [number(text) for text in texts]
    return len(numbers) > 1 and numbers.count(None) * 2 <= len(numbers)


def sort_everything(page: Page) -> list[str]:
    """Sorts every table by its columns of numbers, as far as four go, up and down; gives all their cells."""
    tables = page.locator(SORTABLE)
    numeric = [
        [i for i, texts in enumerate(columns) if is_number(texts)][:4] for columns in tables.evaluate_all(COLUMNS)
    ]
    clicks = [(table, column) for table, columns in enumerate(numeric) for column in columns for _ in range(2)]
    found = tables.evaluate_all(SORT, clicks)
    for (shown, texts), direction in zip(found, cycle(["ascending", "descending"])):
        assert shown == direction
        assert_sorted(texts, descending=direction == "descending")
    return [text for _, texts in found for text in texts]


@pytest.mark.parametrize(
    ("opened", "has_gaps"),
    [("recorded", False), ("with_gaps", True), ("many_configurations", False)],
    indirect=["opened"],
)
def test_a_heading_sorts_up_then_down_and_gaps_last(view: View, has_gaps: bool) -> None:
    """Everything by script, the first column of every table by mouse, and that of the first by keyboard."""
    texts = sort_everything(view.page)
    assert texts
    assert None in map(number, texts) or not has_gaps
    headings = [table.locator("thead th").first for table in view.page.locator(SORTABLE).all()]
    for heading in headings:
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == "ascending"
    for key, order in (("Enter", "descending"), ("Space", "ascending"), ("Enter", "descending")):
        headings[0].locator("button").focus()
        view.page.keyboard.press(key)
        assert headings[0].get_attribute("aria-sort") == order


@pages("recorded", "with_gaps", "many_configurations")
def test_the_filter_narrows_and_clearing_restores(view: View) -> None:
    inputs = view.page.locator("input[data-filter]").all()
    assert inputs
    for field in inputs:
        rows = view.page.locator(f"#{field.get_attribute('data-filter')} tbody tr")
        shown = rows.filter(visible=True)
        everything = shown.count()
        word = view.page.evaluate("text => text.trim().split(/\\s+/)[0]", rows.last.text_content())
        field.fill(word.upper())
        assert 0 < shown.count() <= everything
        assert all(word.lower() in text.lower() for text in shown.all_text_contents())
        field.fill("no row says this")
        assert shown.count() == 0
        field.fill("")
        assert shown.count() == everything == rows.count()


# --- what a page has to say -------------------------------------------------------------------------------------------


@pages("with_gaps")
def test_a_gap_says_why(view: View) -> None:
    text = view.page.locator("main").inner_text()
    assert len(GAPS) == 4
    for state in ("absent", "out of range", "not finite", "no value", "3 of its 5 samples"):
        assert state in text


@pytest.mark.parametrize(
    ("opened", "title", "reason"),
    [("wrong_result", "Wrong result", "3 of 1073741824 elements are wrong"), ("crashed", "Crashed", "status 9")],
    indirect=["opened"],
)
def test_a_failure_is_the_first_thing_said(view: View, title: str, reason: str) -> None:
    assert title in view.page.get_by_role("heading", level=1).inner_text()
    assert reason in view.page.locator("main").inner_text()


@pages("recorded")
def test_every_kernel_of_a_call_is_shown(view: View, make: Make) -> None:
    table = make("recorded").result.table
    kernels = set(table[(table["variant"] == "two_pass_scan") & table["launch"].notna()]["kernel"])
    assert len(kernels) == 3
    text = view.page.locator("main").inner_text()
    assert [kernel for kernel in kernels if kernel not in text] == []


# --- hostile text -----------------------------------------------------------------------------------------------------


@pages("hostile")
def test_hostile_text_is_text(view: View) -> None:
    text = " ".join(view.page.locator("main").inner_text().split())
    assert " ".join(HOSTILE.split()) in text
    assert " ".join(hostile_text("reason").split()) in text, "the reason is there to its end"
    view.page.mouse.move(300, 300)
    assert view.page.evaluate("window.hacked") is None
    assert view.page.locator("[onmouseover], [onfocus], [onerror], [src='x']").count() == 0


# --- the test itself --------------------------------------------------------------------------------------------------

FAULTY = """<!doctype html><html lang="en"><head><title>x</title></head><body><main><h1 style="color: #ccc">faint</h1>
<div style="width: 2000px">wide</div><details><summary>more</summary><img src="https://example.org/x.png"></details>
<table hidden><tr><td>1</td></tr></table><script>console.warn("loud"); throw new Error("thrown")</script>
</main></body></html>"""


def test_every_fault_of_a_faulty_page_is_found(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "faulty.html"
    file.write_text(FAULTY)
    with looking(browser, file, 390) as view:
        view.page.wait_for_load_state("networkidle")
        heard = "\n".join(view.noise)
        for word in ("loud", "thrown", "request: https://example.org/x.png"):
            assert word in heard
        assert {fault.split()[0] for fault in grave_violations(view.page)} >= {"color-contrast", "image-alt"}
        assert view.page.evaluate("document.documentElement.scrollWidth") > 390
        assert "wide" in view.page.evaluate(STICKING_OUT, 390)[0]
        assert view.page.evaluate(HIDDEN)[0].startswith("<table hidden")


# --- without scripts --------------------------------------------------------------------------------------------------

SHOWN = (
    "[...document.querySelectorAll('tbody tr')].filter(row => row.checkVisibility()).map(row => row.innerText.trim())"
)
HIDDEN = """[...document.querySelectorAll('body *')].filter(each => !each.checkVisibility({visibilityProperty: true}))
  .filter(each => each.matches('table, tr, td, th, svg, figure, p, pre, li, dt, dd, h1, h2, h3, h4, section'))
  .filter(each => !each.closest('defs, metadata'))
  .filter(each => !(each.matches('svg') && [...each.parentElement.children].some(other => other.checkVisibility())))
  .map(each => each.outerHTML.slice(0, 150))"""
"""Content that is laid out nowhere; what is folded in <details> opens without scripts, and is open here. A figure has
two layouts, for wide windows and for phones, of which one is shown."""


@pages("recorded", "with_gaps", "crashed", "climbed")
def test_without_scripts_everything_is_there(browser: Browser, view: View) -> None:
    with_scripts = sorted(view.page.evaluate(SHOWN))
    assert with_scripts
    with looking(browser, view.file, java_script_enabled=False) as plain:
        assert sorted(plain.page.evaluate(SHOWN)) == with_scripts
        assert plain.page.evaluate(HIDDEN) == []
        assert plain.noise == []
