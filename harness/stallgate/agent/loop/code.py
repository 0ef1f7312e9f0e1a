"""The code of an answer, and whether two codes are the same."""

from __future__ import annotations

import ast
import re
from hashlib import sha256

_FENCE = re.compile(r"^[ ]{0,3}(`{3,}|~{3,})[^\n`]*\n(.*?)^[ ]{0,3}\1[`~]*[ \t]*$", re.MULTILINE | re.DOTALL)

_LARGEST_PARSED = 1_000_000
"""Characters of a code that is parsed; a larger one is compared as text."""


def code_in(text: str) -> str | None:
    """The code of an answer: its only fenced block, or all of it; None where there are several blocks."""
    blocks = [found.group(2) for found in _FENCE.finditer(text)]
    if len(blocks) > 1:
        return None
    return blocks[0] if blocks else text


def code_digest(code: str) -> str:
    """SHA-256 of a code without comments, docstrings and layout; of its words where it is not Python."""
    return sha256(_normalised(code).encode("utf-8", errors="replace")).hexdigest()


def _normalised(code: str) -> str:
    if len(code) <= _LARGEST_PARSED:
        try:
            return ast.unparse(_without_docstrings(ast.parse(code)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
    return " ".join(code.split())


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(value=ast.Constant(value=str())), *rest]:
                    node.body = rest or [ast.Pass()]
                case _:
                    pass
    return tree
