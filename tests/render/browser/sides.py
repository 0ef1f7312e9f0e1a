"""What is asked of every page beside the report's: narrow enough, nothing grave, in both themes."""

from __future__ import annotations

from tests.render.browser.chromium import OF_COLOURS, View, grave_violations


def assert_readable(view: View) -> None:
    """No sideways scroll, nothing that axe-core finds serious, by the rules of colours in both themes."""
    for width, scheme, rules in ((390, "dark", ()), (1200, "light", OF_COLOURS)):
        view.show(width, scheme)
        assert view.page.get_by_role("heading", level=1).is_visible()
        assert view.page.evaluate("document.documentElement.scrollWidth") <= width
        assert grave_violations(view.page, rules) == []


def assert_the_theme_changes(view: View) -> None:
    """The switch turns the page to the other theme and back."""
    background = "getComputedStyle(document.body).backgroundColor"
    seen = [view.page.evaluate(background)]
    for _ in range(2):
        view.page.locator("[data-theme-switch]").click()
        seen.append(view.page.evaluate(background))
    assert seen[0] == seen[2] != seen[1]
