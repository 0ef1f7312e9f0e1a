"""The kernels that a variant's file defines, read from its syntax tree without importing it."""

from __future__ import annotations

import ast
from pathlib import Path

_JITS = ("triton.jit", "triton.runtime.jit.jit", "triton.experimental.gluon.jit")
"""The decorators whose functions become kernels under their own names."""


def kernels_of(path: Path) -> set[str]:
    """The names of the Triton kernels that a file defines; none if it is not valid Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # too deeply nested code raises the last two
        return set()
    statements = _statements(tree)
    names = _imported(statements)
    return {
        node.name
        for node in statements
        if isinstance(node, ast.FunctionDef) and any(_full_name(d, names) in _JITS for d in node.decorator_list)
    }


def _statements(tree: ast.Module) -> list[ast.AST]:
    """The statements of a syntax tree, without its expressions, which are most of it and define nothing."""
    found: list[ast.AST] = [tree]
    for node in found:
        found += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr)]
    return found


def _imported(statements: list[ast.AST]) -> dict[str, str]:
    """Name in the file -> full name of the import."""
    found: dict[str, str] = {}
    for node in statements:
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname is not None}
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _full_name(decorator: ast.expr, names: dict[str, str]) -> str:
    """The full name of a decorator, called or not."""
    written = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
    first, dot, rest = written.partition(".")
    return names.get(first, first) + dot + rest
