"""The form of a variant: a file, which may import what a package beside it has."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).resolve().parents[2] / "kernels" / "cumprod").glob("*.py"))


def functions(path: Path) -> dict[str, str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: ast.unparse(node) for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.stem not in ("reference", "gradient")], ids=lambda path: path.stem
)
def test_a_variant_holds_imports_functions_constants_and_its_model_only(path: Path) -> None:
    """Its wrappers may share a private class and constants with a text that says what they are."""
    docstring, *body = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)
    assert [node.name for node in body if isinstance(node, ast.ClassDef) and node.name[0] != "_"] == ["ModelNew"]
    definitions = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
    others = [node for node in body if not isinstance(node, definitions)]
    for constant, text in zip(others[::2], others[1::2], strict=True):
        assert isinstance(constant, ast.Assign)
        assert isinstance(constant.value, ast.Constant)
        assert isinstance(text, ast.Expr)


def test_functions_of_the_same_name_are_the_same() -> None:
    """Self-contained files repeat what they share; a correction must reach every copy."""
    shared: dict[str, str] = {}
    for path in FILES:
        for name, text in functions(path).items():
            if name == "_result_dtype" and path.stem in ("copy_roof", "reference"):
                continue  # they take whatever torch takes
            assert shared.setdefault(name, text) == text, f"{path.name}: {name}"
