"""``compare-<base>.html`` in a real browser: two runs that can be compared, and two that cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser

from stallgate.compare.two_runs import compare
from stallgate.extract.table import Summary
from stallgate.judge.evaluate import JudgedRun
from stallgate.model import Environment
from stallgate.project.load import load_project
from stallgate.render.compare_page import draw_comparison
from tests.render.browser.chromium import looking
from tests.render.browser.pages import HOSTILE, Make
from tests.render.browser.sides import assert_readable, assert_the_theme_changes

VARIANTS = ("blocked_scan", "two_pass_scan")


@pytest.fixture(scope="module")
def run(make: Make) -> JudgedRun:
    """Two cases of the recording: axe takes its time for every row."""
    result = make("recorded").result
    cases = [case for case in result.run.cases if case.case.variant in VARIANTS and case.case.workload == "square"]
    return replace(result, run=replace(result.run, cases=cases))


def drawn(run: JudgedRun, base: JudgedRun, folder: Path) -> Path:
    return draw_comparison(compare(load_project(run.folder.parents[1]), base, run), folder)


@pytest.fixture(scope="module")
def moved(run: JudgedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base in which the candidate was faster, and one case failed."""
    summaries = {key: _scaled(found, 0.9 if key[0].variant == "blocked_scan" else 1) for key, found in _known(run)}
    cases = [replace(c, outcome="crashed") if c.case.variant == "two_pass_scan" else c for c in run.run.cases]
    base = replace(run, folder=Path("base"), run=replace(run.run, cases=cases), summaries=summaries)
    return drawn(run, base, tmp_path_factory.mktemp("moved"))


def _known(run: JudgedRun) -> list[tuple[tuple[object, str], Summary]]:
    return [(key, found) for key, found in run.summaries.items() if found.median is not None]  # type: ignore[misc]


def _scaled(found: Summary, factor: float) -> Summary:
    low, median, high = (factor * (value or 0.0) for value in (found.low, found.median, found.high))
    return replace(found, low=low, median=median, high=high)


@pytest.fixture(scope="module")
def apart(run: JudgedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of another GPU, whose name is hostile."""
    attempts = [replace(each, environment=_on(each.environment, HOSTILE)) for each in run.run.attempts]
    base = replace(run, folder=Path("base"), run=replace(run.run, attempts=attempts))
    return drawn(run, base, tmp_path_factory.mktemp("apart"))


def _on(environment: Environment | None, gpu: str) -> Environment | None:
    return replace(environment, gpu=gpu) if environment is not None else None


def test_it_reads_well_in_both_themes_and_says_first_what_moved(browser: Browser, moved: Path) -> None:
    with looking(browser, moved) as view:
        view.page.wait_for_load_state("networkidle")
        assert_readable(view)
        assert "blocked_scan is 11.1 % slower on square" in view.page.get_by_role("heading", level=1).inner_text()
        assert "two_pass_scan: crashed in the run before" in view.page.locator("main").inner_text()
        view.page.locator("details:has(#changes)").evaluate("folded => { folded.open = true }")
        rows = view.page.locator("#changes tbody tr")
        assert "✗ slower" in rows.first.inner_text()
        view.page.locator("input[data-filter]").fill("slower duration")
        shown = rows.filter(visible=True)
        assert shown.count() == 1
        assert all("✗ slower" in text and "blocked_scan" in text for text in shown.all_inner_texts())
        assert_the_theme_changes(view)
        assert view.noise == []


def test_why_nothing_is_compared_is_said_as_text(browser: Browser, apart: Path) -> None:
    with looking(browser, apart, 390) as view:
        assert view.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert view.noise == []
        text = " ".join(view.page.locator("header").first.inner_text().split())
        assert f"Not comparable: different GPU: {' '.join(HOSTILE.split())} and" in text
        assert view.page.evaluate("window.hacked") is None
        assert view.page.locator("[onmouseover], [onfocus], [onerror], [src='x']").count() == 0
