"""Names that are a file's own: in one file, where two files of a package have the same one, the later is renamed."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator

from stallgate.project.package_names import PackageFile, defined_names, scopes_within


def with_private_names_apart(files: list[PackageFile]) -> list[PackageFile]:
    """The same files, in which no file defines a private name that an earlier one has: ``_helper`` of ``b.py`` becomes
    ``_b_helper``.

    A name stays as it is, and is refused by `check_names`, if it may stand for something else within its file: as a
    parameter, a keyword, a local name, or in a string.
    """
    imported = {source_and_name for file in files for source_and_name in file.own_imports.values()}
    everywhere = {token.string for file in files for token in _tokens(file.text)}
    taken: set[str] = set()
    found: list[PackageFile] = []
    for file in files:
        both = sorted(name for name in defined_names(file) & taken if name.startswith("_"))
        own = [name for name in both if (file.shown, name) not in imported and _is_plain(file, name)]
        new = {name: _renamed(file, name) for name in own}
        changed = _with_names(file, {name: to for name, to in new.items() if to not in everywhere})
        found.append(changed)
        taken |= defined_names(changed) | changed.imports.keys()
    return found


def _renamed(file: PackageFile, name: str) -> str:
    where = file.shown.removesuffix(".py").replace("/", "_").strip("_")
    return f"_{where}_{name.lstrip('_')}"


def _is_plain(file: PackageFile, name: str) -> bool:
    """Whether each place that has the name means what the file defines, and can be seen to."""
    for scope in scopes_within(file):
        if name in scope.get_identifiers() and not scope.lookup(name).is_global():
            return False
    seen = 0
    for node in ast.walk(file.tree):
        if isinstance(node, ast.keyword) and node.arg == name:
            return False
        if isinstance(node, ast.Constant) and node.value == name:
            return False
        seen += _mentions(node).count(name)
    return seen == len(list(_places(file.text, name)))


def _mentions(node: ast.AST) -> list[str]:
    """The names that a node of the tree reads, binds or declares."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    return list(node.names) if isinstance(node, ast.Global) else []


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(text).readline)


def _places(text: str, name: str) -> Iterator[tuple[int, int]]:
    """Line and column of each token that is the name, but as an attribute of something else."""
    before = ""
    for token in _tokens(text):
        if token.type == tokenize.NAME and token.string == name and before != ".":
            yield token.start
        before = token.string


def _with_names(file: PackageFile, new: dict[str, str]) -> PackageFile:
    """The file, with other names."""
    text = file.text
    for name, to in new.items():
        lines = text.split("\n")  # as tokens are counted, whatever else ends lines for str.splitlines
        for line, column in reversed(list(_places(text, name))):
            here = lines[line - 1]
            lines[line - 1] = here[:column] + to + here[column + len(name) :]
        text = "\n".join(lines)
    if text == file.text:
        return file
    return PackageFile(
        shown=file.shown, text=text, tree=ast.parse(text), imports=file.imports, own_imports=file.own_imports
    )
