"""The templates of pages."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from stallgate.render.policy import FIGURE_STYLE, page_policy, policy_tag

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = ("theme.js", "tables.js")
_STYLES = ("style.css",)


def template(name: str) -> jinja2.Template:
    """A page's template; values are escaped."""
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    """The environment of all pages; it caches compiled templates."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    parts = {name: (_TEMPLATES / name).read_text(encoding="utf-8") for name in (*_SCRIPTS, *_STYLES)}
    scripts, styles = ([parts[name] for name in names] for names in (_SCRIPTS, _STYLES))
    found.globals["inline"] = {name: Markup(text) for name, text in parts.items()}
    found.globals["policy_tag"] = Markup(policy_tag(page_policy(scripts, [*styles, FIGURE_STYLE])))
    return found
