"""What a module of a project defines, read from its syntax tree: nothing is imported, so torch is not needed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stallgate.project.decode import LARGEST_SOURCE, read_bounded
from stallgate.project.entries import module_file, source_roots

_MOST_HOPS = 8
"""Most re-exports that are followed from a name to its definition."""


class Definition(NamedTuple):
    """A name that a module has."""

    file: Path
    """Where it is defined, as far as its re-exports could be followed."""
    node: ast.FunctionDef | ast.ClassDef | None
    """Its function or class; None for any other value, and for one from an installed package."""


class Parameters(NamedTuple):
    """What a function takes."""

    places: list[str]
    """Parameters that can be given by place, in order."""
    required: list[str]
    """Those, and keyword-only ones, without a default."""
    keywords: list[str]
    """Parameters that can be given by name."""
    has_rest: bool
    """Whether it takes any number of arguments by place."""


def find_definition(root: Path, file: Path, name: str) -> Definition | None:
    """The definition of a name of a module; None where the module does not have it.

    Args:
        root: the project's.
        file: the module's.
        name: a function, a class or a variable; of a dotted name the first part counts.

    Raises:
        OSError: the file cannot be read.
        SyntaxError: it is not Python.
    """
    wanted = name.partition(".")[0]
    found: Definition | None = None
    for _ in range(_MOST_HOPS):
        step = _step(root, file, wanted)
        if step is None:
            return found
        found, onward = step
        if onward is None:
            return found
        file, wanted = onward
    return found


def names_defined(file: Path) -> list[str]:
    """The functions and classes that a module defines itself, without private ones."""
    nodes = _outer_statements(ast.parse(read_bounded(file, LARGEST_SOURCE)))
    names = [node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    return [name for name in names if not name.startswith("_")]


def is_kernel(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether a definition is a Triton kernel, which its decorator ``jit`` says, whatever it is imported from."""
    called = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
    return any(ast.unparse(each).rpartition(".")[2] == "jit" for each in called)


def parameters_of(node: ast.FunctionDef) -> Parameters:
    """The parameters of a function."""
    given = node.args
    places = [*given.posonlyargs, *given.args]
    required = places[: len(places) - len(given.defaults)]
    required += [each for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None]
    return Parameters(
        places=[each.arg for each in places],
        required=[each.arg for each in required],
        keywords=[each.arg for each in (*given.args, *given.kwonlyargs)],
        has_rest=given.vararg is not None,
    )


_Step = tuple[Definition, tuple[Path, str] | None]
"""A name's definition in a file; and for a re-export of a module below the root, where to look next."""


def _step(root: Path, file: Path, name: str) -> _Step | None:
    """The first definition of a name in a file; a star import counts where nothing else has it."""
    star: _Step | None = None
    for node in _outer_statements(ast.parse(read_bounded(file, LARGEST_SOURCE))):
        match node:
            case ast.FunctionDef(name=defined) | ast.ClassDef(name=defined) if defined == name:
                return Definition(file, node), None
            case ast.ImportFrom(names=aliases):
                originals = {alias.asname or alias.name: alias.name for alias in aliases}
                if name in originals:
                    return Definition(file, None), _onward(root, file, node, originals[name])
                if "*" in originals:
                    star = Definition(file, None), _onward(root, file, node, name)
            case _ if name in _names_bound(node):
                return Definition(file, None), None
            case _:
                pass
    return star


def _names_bound(node: ast.stmt) -> set[str]:
    """The names that an assignment or an import of a module binds."""
    match node:
        case ast.Import(names=aliases):
            return {(alias.asname or alias.name).partition(".")[0] for alias in aliases}
        case ast.Assign(targets=targets):
            found = [each for target in targets for each in ast.walk(target)]
        case ast.AnnAssign(target=target):
            found = [target]
        case _:
            found = []
    return {each.id for each in found if isinstance(each, ast.Name)}


def _onward(root: Path, file: Path, node: ast.ImportFrom, name: str) -> tuple[Path, str] | None:
    """The file below the root that a name is imported from, and its name there."""
    parts = node.module.split(".") if node.module else []
    if node.level:
        parts = [*_package_of(root, file, node.level), *parts]
    found = module_file(root, parts) if parts else None
    return (found, name) if found is not None else None


def _package_of(root: Path, file: Path, level: int) -> list[str]:
    """The package that a relative import starts from; empty where it leaves the project."""
    bases = [base for base in reversed(source_roots(root)) if file.is_relative_to(base)]
    folders = list(file.relative_to(bases[0]).parts[:-1]) if bases else []
    return folders[: len(folders) - (level - 1)] if level <= len(folders) else []


def _outer_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements of a module, also those under ``if``, ``try`` and ``with``, but not those of functions."""
    pending: list[ast.AST] = list(reversed(tree.body))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            pending += reversed(list(ast.iter_child_nodes(node)))
