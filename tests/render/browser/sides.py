"""What is asked of every page beside the report's: quiet, narrow enough, nothing grave, in both themes."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from tests.render.browser.chromium import View, grave_violations, looking

LOOKS = ((390, "dark"), (1200, "light"))


def assert_quiet_and_readable(browser: Browser, page: Path) -> None:
    """No message, no request, no sideways scroll, nothing that axe-core finds serious."""
    with looking(browser, page) as view:
        view.page.wait_for_load_state("networkidle")
        for width, scheme in LOOKS:
            view.show(width, scheme)
            assert view.page.get_by_role("heading", level=1).is_visible()
            assert view.page.evaluate("document.documentElement.scrollWidth") <= width
            assert grave_violations(view.page) == []
        assert view.noise == []


def assert_the_theme_changes(view: View) -> None:
    """The switch turns the page to the other theme and back."""
    background = "getComputedStyle(document.body).backgroundColor"
    seen = [view.page.evaluate(background)]
    for _ in range(2):
        view.page.locator("[data-theme-switch]").click()
        seen.append(view.page.evaluate(background))
    assert seen[0] == seen[2] != seen[1]
