"""The Content-Security-Policy of pages: it allows what stallgate put into them, and nothing else."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from html import unescape
from pathlib import Path

import pytest

from stallgate.render.policy import FILE_POLICY, page_policy, policy_tag, served_page
from tests.conftest import DrawnRun, Stallgate

OWN = page_policy(["one()", "two()"], ["a {}"])
TAG = policy_tag(OWN)


def policy_of(page: str) -> dict[str, list[str]]:
    """Directive -> what it allows."""
    (found,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    return {words[0]: words[1:] for words in (part.split() for part in unescape(found).split(";"))}


def hashed(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def pages(folder: Path) -> list[Path]:
    return [folder / "report.html", folder.parent / "index.html"]


def test_a_page_runs_its_own_scripts_and_styles_and_no_others(drawn: DrawnRun) -> None:
    for path in pages(drawn.folder):
        page = path.read_text()
        policy = policy_of(page)
        scripts, styles = (re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page, re.DOTALL) for tag in ("script", "style"))
        assert len(scripts) == (3 if path.name == "index.html" else 2), "the index has a script for its filters"
        assert {hashed(text) for text in scripts} == {*policy["script-src"]}
        assert {hashed(text) for text in styles} <= {*policy["style-src-elem"]}
        assert len(policy["style-src-elem"]) == 1, "the page's: figures have none"
        assert policy["default-src"] == ["'none'"]
        assert {*policy} == {
            *("default-src", "script-src", "style-src-elem", "style-src-attr"),
            *("img-src", "base-uri", "form-action"),
        }
        assert page.index("Content-Security-Policy") < min(page.index("<script"), page.index("<style"))
        assert not re.search(r'(src|href)="(https?:)?//', page)


def test_the_compare_page_has_the_policy_as_well(stallgate: Stallgate, replayed_square: Path) -> None:
    assert stallgate("compare", "latest", "--report").returncode == 0
    (page,) = replayed_square.glob("compare-*.html")
    assert policy_of(page.read_text())["default-src"] == ["'none'"]


# --- as it is served ---


def test_a_served_page_has_one_policy_with_the_script_that_refreshes_it() -> None:
    page, policy = served_page(f"<head>{TAG}</head>".encode(), "abc")
    assert page == b"<head></head>"
    assert f"script-src 'nonce-abc' {hashed('one()')} {hashed('two()')};" in policy
    assert policy.endswith("; connect-src 'self'; frame-ancestors 'none'")
    assert policy.replace("'nonce-abc' ", "").startswith(OWN)


@pytest.mark.parametrize(
    "tag",
    [
        "",
        policy_tag("default-src *"),
        policy_tag(OWN.replace("'none'; script-src", "*; script-src")),
        policy_tag(OWN.replace("script-src", "script-src 'unsafe-inline'")),
        policy_tag(OWN.replace("script-src", "script-src https://example.org")),
        policy_tag(f"{OWN}; report-uri https://example.org"),
        policy_tag(f"{OWN}\nX-Header: 1"),
    ],
)
def test_a_page_cannot_widen_what_it_is_served_with(tag: str) -> None:
    given = f"<head>{tag}<script>evil()</script></head>".encode()
    page, policy = served_page(given, "abc")
    assert page == given
    assert "script-src 'nonce-abc';" in policy
    assert "default-src 'none'" in policy
    assert "\n" not in policy
    assert "example.org" not in policy


def test_a_file_that_is_no_page_runs_nothing() -> None:
    assert "script-src" not in FILE_POLICY
    assert FILE_POLICY.startswith("default-src 'none';")
