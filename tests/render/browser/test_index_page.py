"""``reports/index.html`` in a real browser: runs of every kind, and trends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from stallgate.project.load import load_project
from stallgate.render.index import write_index
from tests.compare.earlier import EARLIER, earlier
from tests.conftest import small_tree
from tests.render.browser.chromium import looking
from tests.render.browser.pages import Make
from tests.render.browser.sides import assert_readable, assert_the_theme_changes

HOSTILE = "<img src=x onerror='window.hacked=1'>"


@pytest.fixture(scope="module")
def index(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replay, two earlier runs, one of them with a case that crashed, and a damaged run with a hostile name."""
    root = small_tree(tmp_path_factory.mktemp("index") / "project")
    source = make("recorded").result.folder
    run = root / "reports" / source.name
    run.mkdir()
    for name in ("run.json", "metrics.csv", "verdicts.json", "report.html"):
        shutil.copyfile(source / name, run / name)
    shutil.copyfile(run / "report.html", run / f"compare-{EARLIER}1120-090000-cumprod.html")
    earlier(run, 20, {"duration": 1.2})
    earlier(run, 21, {}, lambda found: found["cases"][1].update(outcome="crashed", reason=HOSTILE))
    damaged = root / "reports" / HOSTILE
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    return write_index(load_project(root))


def test_it_reads_well_and_leads_to_every_page_and_hostile_names_are_text(browser: Browser, index: Path) -> None:
    with looking(browser, index) as view:
        view.page.wait_for_load_state("networkidle")
        assert_readable(view)
        rows = view.page.locator("#runs tbody tr")
        assert rows.count() == 4
        links = [link.get_attribute("href") or "" for link in rows.locator("a").all()]
        assert len(links) >= 4
        assert [link for link in links if not (index.parent / link).is_file()] == []
        assert HOSTILE in view.page.locator("#runs").inner_text()
        assert view.page.evaluate("window.hacked") is None
        assert view.page.locator("[onerror], [src='x']").count() == 0
        view.page.locator("input[data-filter='runs']").fill("crashed")
        assert rows.filter(visible=True).count() == 1
        view.page.locator("input[data-filter='runs']").fill("")
        view.page.locator("#runs thead button").first.click()
        assert rows.first.inner_text().startswith(f"{EARLIER}1120-090000")
        assert_the_theme_changes(view)
        assert view.noise == []
