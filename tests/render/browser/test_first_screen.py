"""Ten questions, each answered by a text on the visible first screen of the page, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.render.browser.pages import Make

WIDTH, HEIGHT = 1280, 720

VISIBLE = """() => {
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(walk.currentNode);
    const box = range.getBoundingClientRect();
    if (box.height && box.bottom <= innerHeight && box.right <= innerWidth) found.push(walk.currentNode.data.trim());
  }
  return found.filter(Boolean).join(' ');
}"""
"""The texts that lie whole within the window."""

TARGET = r"(points of headroom|headroom|points? short|points? too much)"
MEASURED = {
    "right": r"right: \d+ of \d+ cases?",
    "merge": r"(may be merged|not to be merged)",
    "target": TARGET,
    "distance": r"runs at [\d.]+ (% of the roof|of the library)",
    "limit": r"Limit: (memory|compute|latency)",
    "waits": r"Warps wait for .+ \(\w+\) [\d.]+ %",
    "bytes": r"times the bytes needed",
    "changed": r"Changed",
    "next": r"Next",
    "where": r"NVIDIA H100.*\d{4}-\d\d-\d\dT.*commit [0-9a-f]{12}",
}
WRONG = MEASURED | {
    "right": r"wrong: 1 of 1 cases",
    "merge": "not to be merged",
    "target": r"^Wrong result",
    "distance": "a wrong result has no speed",
    "limit": "Limit, waits of warps and bytes: not measured",
    "waits": "waits of warps and bytes: not measured",
    "bytes": "waits of warps and bytes: not measured",
    "where": r"NVIDIA H\d00, \d{4}-\d\d-\d\dT.*commit",
}
"""What was not measured has no answer: that the result is wrong stands in its place."""

IMPORTED = MEASURED | {
    "right": "not checked",
    "merge": "not judged",
    "target": "no stage was named",
    "distance": "Limit:",
    "bytes": "(bytes needed: not known|times the bytes needed)",
    "where": r"NVIDIA H100.*an ncu report does not say when",
}
PAGES = {"recorded": MEASURED, "wrong_result": WRONG, "imported_in_full": IMPORTED}


def visible(browser: Browser, page: Path) -> str:
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    try:
        opened = context.new_page()
        opened.goto(page.as_uri())
        return " ".join(opened.evaluate(VISIBLE).split())
    finally:
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_ten_questions_are_answered_on_the_first_screen(browser: Browser, make: Make, name: str) -> None:
    seen = visible(browser, make(name).page)
    assert [question for question, answer in PAGES[name].items() if not re.search(answer, seen)] == [], seen
