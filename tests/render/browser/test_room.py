"""Pages are as short as can be scrolled, and their tables as wide as the window."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from stallgate.project.load import load_project
from stallgate.render.index import write_index
from tests.render.browser.pages import Make

SCREENS, SCREEN = 6, 720

CUT = """[...document.querySelectorAll('.scroll')]
  .filter(each => each.querySelector('table') && each.scrollWidth > each.clientWidth + 1)
  .filter(each => !each.closest('details:not([open])'))
  .map(each => each.getAttribute('aria-label') || each.getAttribute('aria-labelledby'))"""
"""Tables in sight that are wider than their place. Folded ones scroll sideways: they have every metric."""


def asked(browser: Browser, page: Path, width: int, script: str) -> object:
    """What a script says of a page as it is opened."""
    context = browser.new_context(viewport={"width": width, "height": SCREEN})
    try:
        opened = context.new_page()
        opened.goto(page.as_uri())
        return opened.evaluate(script)
    finally:
        context.close()


@pytest.mark.parametrize("name", ["imported_launches", "many_configurations"])
def test_137_launches_take_less_than_six_screens(browser: Browser, make: Make, name: str) -> None:
    drawn = make(name)
    assert sum(len(call.launches) for call in drawn.result.calls) >= 137
    height = asked(browser, drawn.page, 1280, "document.documentElement.scrollHeight")
    assert isinstance(height, int)
    assert height < SCREENS * SCREEN


@pytest.mark.parametrize("name", ["matmul", "rmsnorm", "recorded", "swept", "climbed", "imported_launches"])
def test_no_table_in_sight_is_wider_than_the_page(browser: Browser, make: Make, name: str) -> None:
    assert asked(browser, make(name).page, 1280, CUT) == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    ("name", "kind", "word"), [("swept", "sweep", "suggests a change"), ("climbed", "loop", "stopped without gain")]
)
def test_the_list_of_runs_is_not_cut_and_has_sweeps_and_loops(
    browser: Browser, make: Make, width: int, name: str, kind: str, word: str
) -> None:
    index = write_index(load_project(make(name).page.parents[2]))
    assert asked(browser, index, width, CUT) == []
    rows = "[...document.querySelectorAll('#runs tbody tr')].map(each => each.innerText).join()"
    said = str(asked(browser, index, width, rows))
    assert kind in said
    assert word in said


WIDER = """[...document.querySelectorAll('figure svg')].filter(each => each.checkVisibility())
  .map(each => [each.getBoundingClientRect().right, each.closest('.scroll') !== null])"""
"""Where each figure in sight ends, and whether its place may scroll."""


def test_the_front_of_a_sweep_does_not_scroll_sideways_on_a_phone(browser: Browser, make: Make) -> None:
    found = asked(browser, make("swept").page, 390, WIDER)
    assert isinstance(found, list)
    assert found
    assert all(right <= 390 and not scrolls for right, scrolls in found)


def test_no_table_of_a_loop_is_cut_on_a_phone(browser: Browser, make: Make) -> None:
    assert asked(browser, make("climbed").page, 390, CUT) == []


def test_the_best_of_a_sweep_are_not_cut_on_a_phone(browser: Browser, make: Make) -> None:
    cut = asked(browser, make("swept").page, 390, CUT)
    assert "Best configurations" not in str(cut)
