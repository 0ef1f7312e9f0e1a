"""What ``--json`` prints: one object per command, ``{"schema", "command", "ok", "status", …}``.

``status`` is the exit status, and ``ok`` says whether it is 0. An answer has the command's facts; an error has
``error`` with a stable ``code``, the ``message`` and a ``hint``, and the facts that were found before it. docs/json.md
describes the contract, and ``stallgate schema COMMAND`` prints it as a JSON Schema.

The object is printed when the command ends, so that there is exactly one. Everything else that is printed meanwhile
goes to standard error.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TextIO

from stallgate.cli.group import COMMANDS
from stallgate.cli.stdio import Sink, reserve_stdout
from stallgate.formatting import as_text

if TYPE_CHECKING:
    from msgspec import Struct

JSON_VERSION = 3
"""Version of the objects. It is raised when a key is removed or changes its meaning.

History: 1, the first; 2, ``schema`` is a number, ``exit_status`` became ``status``, ``ok`` is true only for status 0,
and values of metrics are objects; 3, ``compare`` has the words faster, slower and moved, and better and worse are of
targets that were crossed.
"""

_SHOWS_TEXT = {"--help", "-h", "--version"}
"""Options that print text and end, whatever else the command line says."""


# --- what the command line asks for -----------------------------------------------------------------------------------


def asks_for_json() -> bool:
    """Whether the command line has ``--json``, before or after the command, or ``--format json``.

    The rest of it may be unparsable.
    """
    words = _options()
    asked = any(word in ("--json", "--format=json") or word.startswith("--json=") for word in words)
    return asked or ("--format", "json") in pairwise(words)


def command_named() -> str | None:
    """The command that the command line names; None where it names none that exists."""
    first = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    return first if first in COMMANDS else None


def _options() -> list[str]:
    words = sys.argv[1:]
    return words[: words.index("--")] if "--" in words else words


# --- the object -------------------------------------------------------------------------------------------------------


class _Answer:
    """The object of this process, and the stream that is kept for it."""

    stream: TextIO | None = None
    plain: dict[str, Any] | None = None
    """What is to be printed; None before the command has an answer."""
    found: dict[str, Any] = {}
    """What the command has found so far."""
    is_printed = False


_answer = _Answer()


def reserve_output() -> Sink | None:
    """Keeps standard output for the object if one is asked for; SIGTERM then interrupts, so that it is printed.

    Returns:
        the sink that the object is written to; None where the command prints text.
    """
    if not asks_for_json() or _SHOWS_TEXT & set(_options()):
        return None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _answer.stream, sink = reserve_stdout()
    return sink


def print_result(command: str, facts: Mapping[str, object] | Struct, status: int = 0) -> int:
    """Sets the result of a command, which is printed as JSON when it ends.

    Returns:
        the exit status.
    """
    _answer.plain = {**_envelope(command, status), **_plain(facts)}
    return status


def print_error(code: str, message: str, hint: str, status: int) -> None:
    """Sets the error that ended a command, beside the facts that were found before; replaces a result."""
    error = {"code": code, "message": as_text(message), "hint": as_text(hint)}
    _answer.plain = {**_envelope(command_named(), status), "error": error, **_answer.found}


def print_answer(status: int) -> None:
    """Prints the object, once, if one is asked for: ASCII in one line, independent of the terminal's encoding."""
    if not asks_for_json() or _answer.is_printed:
        return
    if _answer.stream is None and _answer.plain is None:
        return  # --help or --version
    stream = _answer.stream or sys.stdout
    if stream is not None:
        stream.write(json.dumps(_answer.plain or _envelope(command_named(), status)) + "\n")
        stream.flush()
    _answer.is_printed = True


def found_so_far(facts: Mapping[str, object] | Struct) -> None:
    """Notes the facts that a command has found, to be printed beside the error if one ends it."""
    if asks_for_json():
        _answer.found = _plain(facts)


def _envelope(command: str | None, status: int) -> dict[str, object]:
    return {"schema": JSON_VERSION, "command": command, "ok": status == 0, "status": status}


def _plain(facts: Mapping[str, object] | Struct) -> dict[str, Any]:
    """Facts as JSON has them: all texts can be encoded as UTF-8; NaN and infinities are null."""
    import msgspec  # not for --help

    encoded = msgspec.json.encode(_encodable(msgspec.to_builtins(facts)))
    plain: dict[str, Any] = json.loads(encoded)
    return plain


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
