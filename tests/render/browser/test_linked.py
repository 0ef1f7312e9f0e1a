"""A scatter and its table point at each other, in a real browser."""

from __future__ import annotations

import pytest

from tests.render.browser.chromium import View

pages = pytest.mark.parametrize("opened", ["many_configurations"], indirect=True)

POINTS = "[...document.querySelectorAll('svg.wide [data-point]')]"


@pages
def test_each_configuration_is_a_dot_and_a_row(view: View) -> None:
    dots = view.page.evaluate(f"{POINTS}.map(each => each.dataset.point)")
    rows = view.page.evaluate("[...document.querySelectorAll('tr[data-row]')].map(each => each.dataset.row)")
    assert len(dots) == 137
    assert set(dots) < set(rows)


@pages
def test_a_row_marks_its_dot_and_a_dot_leads_to_its_row(view: View) -> None:
    row = view.page.locator("table.cases tr[data-row]").nth(1)
    key = row.get_attribute("data-row")
    dot = view.page.locator(f"svg.wide [data-point='{key}']")
    row.hover()
    assert "picked" in (dot.get_attribute("class") or "")
    view.page.mouse.move(0, 0)
    assert "picked" not in (dot.get_attribute("class") or "")
    dot.dispatch_event("click")
    assert row.evaluate(
        "row => { const box = row.getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight; }"
    )


@pages
def test_the_filter_leaves_the_front(view: View) -> None:
    """The rows say which configurations no other beats; the filter dims the dots of all others."""
    field = view.page.locator("input[data-filter$='ranks']")
    bright = f"{POINTS}.filter(each => !each.classList.contains('dim')).length"
    field.fill("on the front")
    rows = view.page.locator("table.cases tr[data-row]").filter(visible=True).count()
    assert 0 < rows < 137
    assert view.page.evaluate(bright) == rows
    field.fill("")
    assert view.page.evaluate(bright) == 137
