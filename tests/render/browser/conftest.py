"""The browser, and the pages that it looks at: each is made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.conftest import copy_tree
from tests.render.browser.chromium import ARGUMENTS, NAMES, executable
from tests.render.browser.pages import MAKERS, Drawn, Make
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

    def made(name: str) -> Drawn:
        return shared.get(
            f"page-{name}", lambda folder: MAKERS[name](copy_tree(folder / "project", detail=name in DETAILED))
        )

    return made


DETAILED = ("recorded", "imported_in_full", "hostile")
"""Pages that show the recording's launches with every section."""


@pytest.fixture
def page(request: pytest.FixtureRequest, make: Make) -> Path:
    """The page that a test is parametrised with."""
    return make(request.param).page
