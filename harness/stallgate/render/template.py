"""The templates of pages."""

from __future__ import annotations

from functools import cache
from itertools import chain
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from stallgate.render.policy import page_policy, policy_tag

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = ("theme.js", "tables.js")
_STYLES = ("style.css",)
_MORE_SCRIPTS = {"index.html.j2": ("index.js",)}
"""Template -> the scripts that it has beside those of every page."""


def template(name: str) -> jinja2.Template:
    """A page's template; values are escaped."""
    return _environment().get_template(name, globals={"policy_tag": _policy_tag(_MORE_SCRIPTS.get(name, ()))})


@cache
def _environment() -> jinja2.Environment:
    """The environment of all pages; it caches compiled templates."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    names = (*_SCRIPTS, *_STYLES, *chain.from_iterable(_MORE_SCRIPTS.values()))
    found.filters["codes"] = codes
    found.filters["command"] = command_code
    found.globals["inline"] = {name: Markup(_part(name)) for name in names}
    return found


def codes(words: str) -> Markup:
    """A sentence as HTML: what stands between backticks, as terminals show commands, is code."""
    parts = words.split("`")
    if len(parts) % 2 == 0:  # one of them has no partner
        return Markup(escape(words))
    return Markup("").join(command_code(part) if n % 2 else part for n, part in enumerate(parts))


def command_code(command: str) -> Markup:
    """A command as HTML. It breaks between its words, and not behind the hyphens of an option."""
    words = Markup(" ").join(Markup('<span class="word">{}</span>').format(word) for word in command.split(" "))
    return Markup("<code>{}</code>").format(words)


def _policy_tag(more_scripts: tuple[str, ...]) -> Markup:
    """The policy of a page with the scripts of every page and some of its own."""
    scripts = map(_part, (*_SCRIPTS, *more_scripts))
    return Markup(policy_tag(page_policy(scripts, map(_part, _STYLES))))


@cache
def _part(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
