"""TOML and JSON into frozen structs; an error names the file and the key."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar, get_args, get_type_hints

import msgspec

from stallgate.errors import BrokenFile

T = TypeVar("T")


def read_toml(path: Path, shown: str) -> dict[str, object]:
    """The tables of a TOML file.

    Args:
        path: the file.
        shown: how error messages name it.

    Raises:
        BrokenFile: it is missing, unreadable or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BrokenFile(f"{shown}: there is no such file", "restore it, or take out what refers to it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BrokenFile(f"{shown}: cannot be read: {error}", "check that it is a readable UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise BrokenFile(f"{shown}: not valid TOML: {error}", "see https://toml.io for the syntax") from None


def read_json(path: Path, shown: str) -> dict[str, object]:
    """The object of a JSON file.

    Args:
        path: the file.
        shown: how error messages name it.

    Raises:
        BrokenFile: it is unreadable, or holds no JSON object.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    except OSError as error:
        raise BrokenFile(f"{shown}: cannot be read: {error}", "check that it is a readable file") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenFile(f"{shown}: not valid JSON: {error}", "restore it with git, or write it again") from None


def convert(raw: object, kind: type[T], shown: str, key: str = "") -> T:
    """A struct of what a file says, every key and type checked.

    Args:
        raw: tables, arrays and values as a parser gives them.
        kind: the struct.
        shown: how error messages name the file.
        key: where in the file ``raw`` stands.

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
        return "correct the value; docs/files.md lists every key with its type"
    near = get_close_matches(unknown[1], sorted(_keys(kind)), n=2)
    return f"did you mean {' or '.join(near)}?" if near else "docs/files.md lists every key"


def _keys(kind: object) -> set[str]:
    """The keys of a struct, and of the structs within it."""
    keys: set[str] = set()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for name, inner in get_type_hints(kind).items():
            keys |= {name} | _keys(inner)
    for inner in get_args(kind):
        keys |= _keys(inner)
    return keys
