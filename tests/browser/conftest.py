"""The browser, and the pages that it looks at: each is made once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.chromium import ARGUMENTS, NAMES, executable
from tests.browser.pages import MAKERS, Drawn, Make
from tests.conftest import copy_tree


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
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes a page by the name of its maker, in a tree of its own."""

    @cache
    def made(name: str) -> Drawn:
        detail = name in ("recorded", "imported_in_full", "hostile")
        return MAKERS[name](copy_tree(tmp_path_factory.mktemp(name) / "project", detail=detail))

    return made


@pytest.fixture
def page(request: pytest.FixtureRequest, make: Make) -> Path:
    """The page that a test is parametrised with."""
    return make(request.param).page
