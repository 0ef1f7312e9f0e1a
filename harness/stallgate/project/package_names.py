"""The names of a package's files, as one file would have them: whose they are, and where two would be one."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator

from stallgate.errors import BrokenFile
from stallgate.formatting import listed
from stallgate.model import FrozenStruct

Imported = tuple[str, str]
"""An import of another package: module and attribute; the attribute is '' where the module itself is named."""


class PackageFile(FrozenStruct, frozen=True):
    """A file of a package, in its parts."""

    shown: str
    """Its path within the package, with forward slashes."""
    text: str
    """With ``\\n`` at the ends of lines."""
    tree: ast.Module
    imports: dict[str, Imported]
    """Name -> what it is of another package."""
    own_imports: dict[str, tuple[str, str]]
    """Name -> the file of the package that it is imported from, and its name there."""


def check_names(files: list[PackageFile]) -> None:
    """Refuses what would mean something else in one file.

    Raises:
        BrokenFile: two files have a name for different things, or one imports what the other does not define.
    """
    by_path = {file.shown: file for file in files}
    defined = {file.shown: defined_names(file) for file in files}
    for file in files:
        for name, (source, there) in file.own_imports.items():
            _check_import(by_path, defined, file.shown, source, there)
            if name != there:
                raise BrokenFile(
                    f"{file.shown}: imports '{there}' as '{name}', and one file has one name for it",
                    f"name it '{name}' in {source}, or use '{there}' in {file.shown}",
                )
    _check_once(files, defined)
    _check_builtins(files, defined)


def _check_import(
    by_path: dict[str, PackageFile], defined: dict[str, set[str]], shown: str, source: str, name: str
) -> None:
    """Refuses an import of what its source neither defines nor imports; files import each other in no circle."""
    there = by_path[source]
    if name not in defined[source] | there.imports.keys() | there.own_imports.keys():
        raise BrokenFile(
            f"{shown}: imports '{name}' from {source}, which has no such name at its top level",
            "import functions, classes and constants: modules of the package are no names in one file",
        )


def _check_once(files: list[PackageFile], defined: dict[str, set[str]]) -> None:
    """Refuses a name that two files define, or import from different places."""
    meaning: dict[str, tuple[str, object]] = {}
    for file in files:
        own = [(name, (file.shown, name)) for name in sorted(defined[file.shown])]
        for name, what in (*own, *file.imports.items()):
            shown, known = meaning.setdefault(name, (file.shown, what))
            if known != what:
                raise BrokenFile(
                    f"'{name}' is one thing in {shown} and another in {file.shown}: one file has room for one",
                    "rename one of them",
                )


def _check_builtins(files: list[PackageFile], defined: dict[str, set[str]]) -> None:
    """Refuses a name that one file gives to something of its own, and that is Python's own to another."""
    for file in files:
        has = defined[file.shown] | file.imports.keys() | file.own_imports.keys()
        taken = _used(file) - has
        for other in files:
            both = sorted(taken & (defined[other.shown] | other.imports.keys()))
            if both:
                raise BrokenFile(
                    f"{other.shown} defines {listed(both)}, which {file.shown} uses without importing it",
                    "rename it, or import it",
                )


def defined_names(file: PackageFile) -> set[str]:
    """The names that a file gives to something of its own; ``__all__`` is the package's."""
    bound = {
        symbol.get_name()
        for symbol in _table(file).get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }
    bound |= {
        symbol.get_name()
        for table in scopes_within(file)
        for symbol in table.get_symbols()
        if symbol.is_declared_global() and symbol.is_assigned()
    }
    return bound - file.imports.keys() - file.own_imports.keys() - {"__all__"}


def _used(file: PackageFile) -> set[str]:
    """The names that a file looks up among its globals, and then among Python's own."""
    whole = {symbol.get_name() for symbol in _table(file).get_symbols() if symbol.is_referenced()}
    below = (symbol for table in scopes_within(file) for symbol in table.get_symbols())
    return whole | {symbol.get_name() for symbol in below if symbol.is_global() and symbol.is_referenced()}


def _table(file: PackageFile) -> symtable.SymbolTable:
    return symtable.symtable(file.text, file.shown, "exec")


def scopes_within(file: PackageFile) -> Iterator[symtable.SymbolTable]:
    """The symbols of each function, class and comprehension of a file."""
    return _below(_table(file))


def _below(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _below(child)
