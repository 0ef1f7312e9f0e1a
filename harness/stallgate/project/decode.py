"""TOML and JSON into frozen structs; an error names the file and the key.

A file may be anything: its size is bounded before it is read, and its nesting when it is parsed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, TypeVar, get_args, get_type_hints

import msgspec

from stallgate.errors import BrokenFile

_Decoded = TypeVar("_Decoded")

_MIB = 1 << 20
_LARGEST_TOML = _MIB
LARGEST_SOURCE = 16 * _MIB
"""Most bytes of a source file."""

LARGEST_JSON = 64 * _MIB
"""Most bytes of a ``run.json`` or another JSON file of stallgate; a run of 2,000 cases takes about 20 MiB."""

LARGEST_TABLE = 512 * _MIB
"""Most bytes of a ``metrics.csv``."""

_LONGEST_KEY = 64
"""Most parts of a dotted key: tomllib's time and memory grow with the square of their number."""

_QUOTED = re.compile(r"""\"(?:[^"\\]|\\.)*+(?:"|$)|'[^']*+(?:'|$)""")
_LONG_KEY = re.compile(rf"(?<![\w+.-])[\w+-]*+(?:\.[\w+-]*+){{{_LONGEST_KEY}}}")


def open_bounded(path: Path, largest: int) -> BinaryIO:
    """A regular file of at most so many bytes, to be read.

    Raises:
        OSError: it cannot be opened, is not a regular file, or is larger.
    """
    file = open(path, "rb", opener=_at_once)  # noqa: SIM115  (the caller closes it)
    found = os.fstat(file.fileno())
    if stat.S_ISREG(found.st_mode) and found.st_size <= largest:
        return file
    file.close()
    if stat.S_ISREG(found.st_mode):
        raise OSError(errno.EFBIG, f"it is larger than {largest / _MIB:g} MiB", str(path))
    raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def read_bounded(path: Path, largest: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger than ``largest`` bytes.
    """
    with open_bounded(path, largest) as file:
        return file.read(largest)


def _at_once(path: str, flags: int) -> int:
    """Opens without waiting for the other end of a named pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_toml(path: Path, shown: str) -> dict[str, object]:
    """The tables of a TOML file.

    Args:
        path: the file.
        shown: its name in error messages.

    Raises:
        BrokenFile: it is missing, unreadable, too large, nested too deeply or not TOML.
    """
    try:
        text = read_bounded(path, _LARGEST_TOML).decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise BrokenFile(f"{shown}: there is no such file", "restore it, or remove what refers to it") from None
    except OSError as error:
        raise BrokenFile(
            f"{shown}: cannot be read: {error.strerror}", "check that it is a readable text file"
        ) from None
    except UnicodeDecodeError as error:
        raise BrokenFile(f"{shown}: cannot be read: {error}", "save it as UTF-8 text") from None
    return parse_toml(text, shown)


def parse_toml(text: str, shown: str) -> dict[str, object]:
    """The tables of a TOML text.

    Args:
        text: with LF between its lines.
        shown: the name of its file in error messages.

    Raises:
        BrokenFile: it is nested too deeply or not TOML.
    """
    if any(_has_long_key(line) for line in text.split("\n") if line.count(".") >= _LONGEST_KEY):
        raise BrokenFile(f"{shown}: a key has more than {_LONGEST_KEY} parts", "use fewer dots")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BrokenFile(f"{shown}: not valid TOML: {error}", "see https://toml.io for the syntax") from None
    except ValueError as error:  # a date or a number that Python cannot hold
        raise BrokenFile(f"{shown}: not valid TOML: {error}", "correct the value") from None
    except RecursionError:
        raise BrokenFile(f"{shown}: it is nested too deeply", "use fewer levels") from None
    _check_numbers(tables, shown)
    return tables


def _check_numbers(tables: dict[str, object], shown: str) -> None:
    """Refuses integers of more than 64 bits, as TOML does: Python may not even be able to print them."""
    pending: list[tuple[str, object]] = list(tables.items())
    while pending:
        key, value = pending.pop()
        if isinstance(value, dict):
            pending += [(f"{key}.{name}", part) for name, part in value.items()]
        elif isinstance(value, list):
            pending += [(f"{key}[{number}]", part) for number, part in enumerate(value)]
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise BrokenFile(f"{shown}: {key}: it has more than 64 bits", "use a number of at most 64 bits")


def _has_long_key(line: str) -> bool:
    """Whether a line has a key of too many parts, each of them a word or quoted."""
    words = _QUOTED.sub("q", line).partition("#")[0]
    return _LONG_KEY.search("".join(words.split())) is not None


def read_json(path: Path, shown: str) -> dict[str, object]:
    """The object of a JSON file.

    Args:
        path: the file.
        shown: its name in error messages.

    Raises:
        BrokenFile: it is unreadable, too large, nested too deeply, or not a JSON object.
    """
    try:
        return decode_json(read_bounded(path, LARGEST_JSON), dict[str, object])
    except OSError as error:
        raise BrokenFile(f"{shown}: cannot be read: {error.strerror}", "check that it is a readable file") from None
    except ValueError as error:
        raise BrokenFile(f"{shown}: not valid JSON: {error}", "restore it with git, or write it again") from None


def decode_json(content: bytes, kind: type[_Decoded]) -> _Decoded:
    """A value of JSON, every key and type checked.

    Raises:
        ValueError: it is not JSON, not of the kind, or nested too deeply.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def convert(raw: object, kind: type[_Decoded], shown: str, key: str = "") -> _Decoded:
    """A struct from the tables of a file, every key and type checked.

    Args:
        raw: tables, arrays and values as a parser gives them.
        kind: the struct.
        shown: the file's name in error messages.
        key: the place of ``raw`` in the file.

    Raises:
        BrokenFile: an unknown key, a missing one, or a value of another type.
    """
    try:
        return msgspec.convert(raw, type=kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        where = ".".join(part for part in (key, place.rstrip("`").lstrip(".")) if part)
        raise BrokenFile(f"{shown}: {where + ': ' if where else ''}{message}", _hint(message, kind)) from None


def _hint(message: str, kind: object) -> str:
    """The nearest keys, where the fault is an unknown one."""
    unknown = re.search(r"unknown field `([^`]*)`", message)
    if not unknown:
        return "correct the value; `stallgate docs files` lists every key with its type"
    near = get_close_matches(unknown[1], sorted(_keys(kind)), n=2)
    return f"did you mean {' or '.join(near)}?" if near else "`stallgate docs files` lists every key"


def _keys(kind: object) -> set[str]:
    """The keys of a struct, and of the structs within it."""
    keys: set[str] = set()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for name, inner in get_type_hints(kind).items():
            keys |= {name} | _keys(inner)
    for inner in get_args(kind):
        keys |= _keys(inner)
    return keys
