"""The browser, and the pages that it looks at: each is made once, and opened once for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.render.browser.chromium import ARGUMENTS, NAMES, View, executable, looking
from tests.render.browser.pages import Drawn, Make, made
from tests.shared import Shared


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = executable()
    if path is None:
        pytest.skip(f"NO BROWSER: none of {', '.join(NAMES)} is on PATH; `make browser` installs Debian's chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def make(shared: Shared) -> Make:
    """Makes a page by the name of its maker, in a tree of its own: once for all tests of a session."""

    def make_once(name: str) -> Drawn:
        return shared.get(f"page-{name}", lambda folder: made(name, folder))

    return make_once


@pytest.fixture(scope="session")
def opened(request: pytest.FixtureRequest, browser: Browser, make: Make) -> Iterator[View]:
    """The page that tests are parametrised with; pytest lets those of one page follow each other."""
    with looking(browser, make(request.param).page) as view:
        view.page.wait_for_load_state("networkidle")
        yield view


@pytest.fixture
def view(opened: View) -> Iterator[View]:
    """That page, wide and light. A test may sort its tables, leaves all else as it was, and makes no noise."""
    opened.show(1200, "light")
    yield opened
    assert opened.noise == []
