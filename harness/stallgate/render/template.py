"""The templates of pages."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

TEMPLATES = Path(__file__).parent / "templates"


def template(name: str) -> jinja2.Template:
    """A page's template; whatever is put into it is escaped."""
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    """One for all pages: what they have in common is compiled once, and a template that was compiled is kept."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
