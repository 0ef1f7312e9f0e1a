"""A real Chromium that looks at a page from disk, and remembers everything that the page should not have done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Route

NAMES = ("chromium", "chromium-browser", "google-chrome")

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
"""axe-core 4.12.1; the package's wrapper hides impacts in prose, so its script is used as it is."""

KINDS = """() => {
  const looks = ['color', 'backgroundColor', 'backgroundImage', 'opacity', 'filter', 'mixBlendMode', 'textShadow',
    'fontSize', 'fontWeight', 'display', 'visibility', 'position', 'zIndex'];
  const numbers = new Map(), known = new Map();
  const number = each => {
    if (!each) return 0;
    if (!known.has(each)) {
      const style = getComputedStyle(each);
      const kind = [number(each.parentElement), each.localName, ...looks.map(name => style[name])].join();
      if (!numbers.has(kind)) numbers.set(kind, numbers.size + 1);
      known.set(each, numbers.get(kind));
    }
    return known.get(each);
  };
  document.querySelectorAll('[data-kind]').forEach(each => delete each.dataset.kind);
  const seen = new Set();
  for (const each of document.body.querySelectorAll('*')) {
    const speaks = [...each.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!speaks && !each.matches('input, select, textarea') || seen.has(number(each))) continue;
    seen.add(number(each));
    each.dataset.kind = number(each);
  }
}"""
"""Marks one text of every kind. A kind is all that contrast comes from: colours, sizes, and those of what is around it.

Contrast is nine tenths of what axe takes, and a page has thousands of cells and words of code that are of one kind.
"""

VIOLATIONS = """rules => {
  axe.configure({rules: [{id: 'color-contrast', selector: '[data-kind]'}]});
  const chosen = rules ? {runOnly: {type: 'rule', values: rules}} : {};
  return axe.run(document, {resultTypes: ['violations'], ...chosen}).then(found => found.violations);
}"""

OF_COLOURS = ("color-contrast", "link-in-text-block")
"""The rules that a theme can break; what the others look at is the same in both."""


def executable() -> str | None:
    """The machine's own Chromium."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


PATIENCE_MS = 5_000
"""What is on a page is there at once; what is not there is not waited for."""

LOADING_MS = 60_000

HEIGHT = 900


class View:
    """A page in the browser, with what it did that a quiet page from one file does not do."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page = page
        self.file = file
        self.noise: list[str] = []
        self._address = file.as_uri()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.noise.append(f"uncaught: {error}"))
        page.on("request", self._requested)
        page.on("websocket", lambda socket: self.noise.append(f"websocket: {socket.url}"))
        page.context.route("**/*", self._only_the_file)

    def open(self) -> None:
        """Loads the page and unfolds what is folded: nobody finds a fault in what is not laid out."""
        self.page.goto(self._address, timeout=LOADING_MS)
        self.unfold()

    def unfold(self) -> None:
        self.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")

    def show(self, width: int, scheme: str) -> None:
        """The page as it is at a width and in the system's theme: a script hears of both, a style obeys both."""
        self.page.set_viewport_size({"width": width, "height": HEIGHT})
        self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.noise.append(f"console {message.type}: {message.text}")

    def _own(self, url: str) -> bool:
        return url.split("#")[0] == self._address or url.startswith(("data:", "blob:"))

    def _requested(self, request: Request) -> None:
        if not self._own(request.url):
            self.noise.append(f"request: {request.url[:200]}")

    def _only_the_file(self, route: Route) -> None:
        if self._own(route.request.url):
            route.continue_()
        else:
            route.abort()


@contextmanager
def looking(browser: Browser, file: Path, width: int = 1200, **settings: Any) -> Iterator[View]:
    """A page opened in a context of its own; settings are Playwright's: ``color_scheme``, ``java_script_enabled``."""
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, **settings)
    context.set_default_timeout(PATIENCE_MS)
    try:
        view = View(context.new_page(), file)
        view.open()
        yield view
    finally:
        context.close()


def grave_violations(page: Page, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe-core finds that is serious or critical, by all rules or some: rule, element, what axe says of it."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    page.evaluate(KINDS)
    violations = [v for v in page.evaluate(VIOLATIONS, list(rules) or None) if v["impact"] in ("serious", "critical")]
    return [_said(violation) for violation in violations]


def _said(violation: dict[str, Any]) -> str:
    """A rule, where it is broken, and the first element with what axe says of it."""
    nodes = violation["nodes"]
    places = ", ".join(" ".join(map(str, node["target"])) for node in nodes[:8])
    why = " ".join(nodes[0]["failureSummary"].split())
    return f"{violation['id']} in {len(nodes)} places ({places}): {nodes[0]['html'][:200]} {why}"
