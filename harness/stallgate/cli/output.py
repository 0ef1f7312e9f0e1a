"""What ``--json`` prints: one object per command, ``{"schema", "ok", "exit_status", …}``.

``ok`` says that the command did its work. A gate that says no has done it: ``ok`` is true, and the answer is in
``exit_status``. Where the command could not do its work, ``ok`` is false and ``error`` has a stable ``code``, the
``message`` and a ``hint``; what was found before stands beside it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from stallgate.cli.group import COMMANDS
from stallgate.errors import StallgateError
from stallgate.formatting import as_text

_VERSION = 1
"""Version of the objects. It is raised when a key is removed or changes its meaning."""


def print_result(command: str, facts: Mapping[str, object], status: int = 0) -> int:
    """Prints the result of a command as JSON.

    Returns:
        the exit status.
    """
    _print({"schema": _schema(command), "ok": True, **facts, "exit_status": status})
    return status


def print_error(code: str, message: str, hint: str, status: int, found: Mapping[str, object] | None = None) -> None:
    """Prints an error as JSON if the command line contains ``--json``; the rest of the line may be unparsable."""
    words = sys.argv[1:]
    if "--json" not in words[: words.index("--") if "--" in words else None]:
        return
    command = next((word for word in words if word in COMMANDS), "error")
    error = {"code": code, "message": message, "hint": hint}
    _print({**(found or {}), "schema": _schema(command), "ok": False, "exit_status": status, "error": error})


@contextmanager
def found_before(facts: Mapping[str, object]) -> Iterator[None]:
    """Adds a command's findings so far to the error that stops it, so that ``--json`` prints both in one object."""
    try:
        yield
    except StallgateError as error:
        error.found = {**facts, **error.found}
        raise


def _schema(command: str) -> str:
    return f"stallgate/{command}/{_VERSION}"


def _print(facts: Mapping[str, object]) -> None:
    """Prints ASCII, independent of the terminal's encoding; NaN and infinities are null."""
    import msgspec  # not for --help

    plain = msgspec.json.encode(_encodable(msgspec.to_builtins(facts)))
    click.echo(json.dumps(json.loads(plain), indent=1))


def _encodable(value: Any) -> Any:
    """A value whose texts can all be encoded as UTF-8."""
    match value:
        case str():
            return as_text(value)
        case dict():
            return {as_text(str(key)): _encodable(part) for key, part in value.items()}
        case list() | tuple():
            return [_encodable(part) for part in value]
        case _:
            return value
