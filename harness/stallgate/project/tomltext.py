"""Values as TOML writes them."""

from __future__ import annotations

import json
import re


def toml_key(name: str) -> str:
    """A key, quoted where it has to be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def toml_value(value: object) -> str:
    """A text, a number, true or false, or a list or table of them, in one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case list() | tuple():
            return f"[{', '.join(toml_value(part) for part in value)}]"
        case dict():
            return f"{{ {', '.join(f'{toml_key(str(key))} = {toml_value(part)}' for key, part in value.items())} }}"
        case _:
            return repr(value)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
