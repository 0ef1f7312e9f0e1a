"""A served page in a real browser: its policy lets it do all that it does, and stops what is put into it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page

from stallgate.render.serve import Server
from tests.render.browser.pages import Make
from tests.render.test_serve import land

INJECTED = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
    "<style>h1 { display: none }</style><iframe src='data:text/html,x'></iframe>"
    "<script src='/first/evil.js'></script><a id=evil href='javascript:window.hacked = 3'>x</a>"
)


@pytest.fixture
def reports(tmp_path: Path, make: Make) -> Path:
    """A folder with one real page."""
    found = tmp_path / "reports"
    folder = land(found, "first")
    shutil.copyfile(make("recorded").page, folder / "report.html")
    return found


@pytest.fixture
def server(reports: Path) -> Iterator[Server]:
    with Server(reports, 0, lambda _: None) as found:
        thread = Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


def listened(page: Page) -> list[str]:
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    return noise


def test_a_served_page_works_and_refreshes_without_a_word(server: Server, reports: Path, page: Page) -> None:
    noise = listened(page)
    page.goto(server.url)
    heading = page.locator("table[data-sortable] thead th").first
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    background = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(background)
    page.locator("[data-theme-switch]").first.click()
    assert page.evaluate(background) != before
    assert page.locator("figure svg [style*=fill]").first.evaluate("each => each.style.fill") != ""
    second = land(reports, "second", page=False)
    shutil.copyfile(reports / "first/report.html", second / "report.html")
    page.wait_for_url("**/second/report.html")
    assert noise == []


@pytest.mark.parametrize("from_disk", [True, False])
def test_what_is_put_into_a_page_does_not_run(server: Server, reports: Path, page: Page, from_disk: bool) -> None:
    file = reports / "first/report.html"
    file.write_text(file.read_text().replace("</header>", f"{INJECTED}</header>", 1))
    (file.parent / "evil.js").write_text("window.hacked = 4")
    page.goto(file.as_uri() if from_disk else server.url)
    page.locator("#evil").click()
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert page.locator("h1").is_visible()
    assert page.locator("thead th button").count() > 0, "its own scripts do"


def test_a_picture_that_is_served_runs_no_script(server: Server, reports: Path, page: Page) -> None:
    (reports / "first/evil.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "hacked"</script></svg>'
    )
    page.goto(f"{server.url}first/evil.svg")
    assert page.title() != "hacked"
