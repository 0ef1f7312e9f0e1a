"""``stallgate schema``: the JSON Schemas of what commands print with ``--json``."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args

import click
import msgspec
from msgspec import UNSET, Struct, UnsetType

from stallgate.cli.examples import examples
from stallgate.cli.group import COMMANDS
from stallgate.cli.group import stallgate as group
from stallgate.cli.options import JsonOption, json_option
from stallgate.cli.output import JSON_VERSION, print_result
from stallgate.errors import UnknownName
from stallgate.model import FrozenStruct


class SchemaFacts(FrozenStruct, frozen=True):
    """JSON Schemas."""

    schemas: dict[str, dict[str, Any]]
    """Command -> the JSON Schema of its object."""


class ErrorFacts(FrozenStruct, frozen=True):
    """Why a command could not do its work."""

    code: str
    """A stable name of the kind of error."""
    message: str
    hint: str
    """What to do next."""


@click.command("schema", epilog=examples("stallgate schema gate", "stallgate schema gate --json"))
@click.argument("command", required=False)
@json_option(SchemaFacts)
def schema_command(command: str | None, as_json: bool) -> int:
    """Print the JSON Schema of what a command prints with --json.

    Without COMMAND, list the commands.
    """
    if command is not None and command not in COMMANDS:
        raise UnknownName("command", command, COMMANDS)
    if as_json:
        names = [command] if command is not None else list(COMMANDS)
        return print_result("schema", SchemaFacts(schemas={name: json_schema(name) for name in names}))
    if command is None:
        click.echo("\n".join(COMMANDS))
    else:
        click.echo(json.dumps(json_schema(command), indent=2))
    return 0


# --- the types of the objects -----------------------------------------------------------------------------------------


def answer_types(command: str) -> list[type[Struct]]:
    """The types of the objects that a command prints: those of its answers, and last that of its errors.

    Raises:
        LookupError: the command has no ``--json``.
    """
    found = group.get_command(click.Context(group), command)
    assert found is not None
    option = next((each for each in found.params if isinstance(each, JsonOption)), None)
    if option is None:
        raise LookupError(f"{command} has no json_option")
    kinds: tuple[type[Struct], ...] = get_args(option.facts) or (option.facts,)
    return [*(_answer_type(command, kind) for kind in kinds), _error_type(command, kinds)]


def _answer_type(command: str, facts: type[Struct]) -> type[Struct]:
    """The facts of a command in their envelope."""
    return msgspec.defstruct(
        f"{facts.__name__}Answer",
        [("schema", Literal[JSON_VERSION]), ("command", Literal[command]), ("ok", bool), ("status", Literal[0, 1, 3])],
        bases=(facts,),
        namespace={"__doc__": facts.__doc__},
        **_STRICT,
    )


def _error_type(command: str, kinds: tuple[type[Struct], ...]) -> type[Struct]:
    """An error in its envelope, with what was found before: every fact may be missing."""
    facts: dict[str, Any] = {}
    for kind in kinds:
        tag = kind.__struct_config__.tag_field
        facts |= {tag: str} if tag else {}
        facts |= {field.name: field.type for field in msgspec.structs.fields(kind)}
    return msgspec.defstruct(
        "Error",
        [
            ("schema", Literal[JSON_VERSION]),
            ("command", Literal[command]),
            ("ok", bool),
            ("status", Literal[2, 3, 70]),
            ("error", ErrorFacts),
            *((name, kind | UnsetType, UNSET) for name, kind in facts.items()),
        ],
        namespace={"__doc__": "An error, and the facts that were found before it."},
        **_STRICT,
    )


_STRICT: dict[str, Any] = {"frozen": True, "kw_only": True, "forbid_unknown_fields": True, "module": "answers"}


# --- as JSON Schema ---------------------------------------------------------------------------------------------------


def json_schema(command: str) -> dict[str, Any]:
    """The JSON Schema, 2020-12, of the object that a command prints."""
    answers, parts = msgspec.json.schema_components(
        answer_types(command), ref_template="#/$defs/{name}", schema_hook=_of_other
    )
    documented = _documented()
    for name, part in parts.items():
        for field, text in documented.get(name.removesuffix("Answer"), {}).items():
            if field in part["properties"]:
                part["properties"][field] = _described(part["properties"][field], text)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"stallgate {command} --json",
        "anyOf": list(answers),
        "$defs": parts,
    }


def _of_other(kind: type) -> dict[str, Any]:
    """The schema of a type that is none of msgspec's: ``object`` stands for any value of a TOML file."""
    if kind is object:
        return {"description": "any value"}
    raise NotImplementedError


def _described(schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {**schema, "description": text}


def _documented() -> dict[str, dict[str, str]]:
    """Struct -> field -> the text below it in the source, for every struct that an object may consist of."""
    return {kind.__name__: _texts(kind) for kind in _below(FrozenStruct) if kind.__module__.startswith("stallgate.")}


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    for found in kind.__subclasses__():
        yield found
        yield from _below(found)


def _texts(kind: type[Any]) -> dict[str, str]:
    """The texts below the fields of a struct, and of those that it extends."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[: kind.__mro__.index(FrozenStruct)]):
        found |= _own_texts(base)
    return found


def _own_texts(kind: type[Any]) -> dict[str, str]:
    node = _classes_in(kind.__module__)[kind.__name__]
    found: dict[str, str] = {}
    for field, text in zip(node.body, node.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as words)):
                found[name] = inspect.cleandoc(words)
    return found


@cache
def _classes_in(module: str) -> dict[str, ast.ClassDef]:
    """The classes of a module by name. Each module is parsed once, not once for each of its classes."""
    source = inspect.getsource(sys.modules[module])
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
