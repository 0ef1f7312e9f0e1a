"""The Content-Security-Policy of pages: a browser runs and loads what stallgate put into a page, and nothing else.

A page is a file, so it carries its policy in a meta tag, with the hashes of its scripts and styles. They are taken from
the templates, never from the finished page: injected markup therefore has no hash.
``stallgate report --serve`` sends the same policy as a header, widened for the script that refreshes the page.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable
from html import escape, unescape

_FIXED = "img-src data:; base-uri 'none'; form-action 'none'"

FILE_POLICY = f"default-src 'none'; style-src 'unsafe-inline'; {_FIXED}; frame-ancestors 'none'"
"""For served files other than pages: they run no scripts, not even in SVG."""

_HASHES = r"(?: 'sha256-[A-Za-z0-9+/]{43}=')+"
_OWN = re.compile(
    rf"default-src 'none'; script-src({_HASHES}); style-src-elem{_HASHES}; style-src-attr 'unsafe-inline'; "
    + re.escape(_FIXED)
)
_TAG = re.compile(rb'<meta http-equiv="Content-Security-Policy" content="([^"]*)">\n?')


def page_policy(scripts: Iterable[str], styles: Iterable[str]) -> str:
    """The policy of a page with these scripts and styles, each as it stands between its tags.

    Style attributes are allowed, as every line of a figure has one; they can load nothing.
    """
    allowed = {"script-src": scripts, "style-src-elem": styles}
    inline = "; ".join(f"{name} {' '.join(map(_hash, texts))}" for name, texts in allowed.items())
    return f"default-src 'none'; {inline}; style-src-attr 'unsafe-inline'; {_FIXED}"


def policy_tag(policy: str) -> str:
    """The policy as a page carries it."""
    return f'<meta http-equiv="Content-Security-Policy" content="{escape(policy, quote=False)}">'


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def served_page(page: bytes, nonce: str) -> tuple[bytes, str]:
    """A page without its tag, and the policy to send with it, which also allows the script with the nonce.

    Two policies would both have to allow the script. The scripts of a page without stallgate's policy do not run.
    """
    tag = _TAG.search(page)
    own = _OWN.fullmatch(unescape(tag[1].decode(errors="replace"))) if tag else None
    scripts = f"'nonce-{nonce}'"
    if tag is None or own is None:
        policy = f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; {_FIXED}"
    else:
        page = page[: tag.start()] + page[tag.end() :]
        policy = own[0].replace("script-src", f"script-src {scripts}", 1)
    return page, f"{policy}; connect-src 'self'; frame-ancestors 'none'"
