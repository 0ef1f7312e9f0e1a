"""The files of the package: small, without cycles, and importable in each of the ways in which people import them."""

from __future__ import annotations

import ast
import sys
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest
import torch
from loading import KERNELS

FILES = {path.stem: path for path in sorted((KERNELS / "scan").glob("*.py"))}
LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 450, 40, 8


def tree(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


def is_kernel_code(node: ast.FunctionDef) -> bool:
    return any("triton.jit" in ast.unparse(decorator) for decorator in node.decorator_list)


@pytest.mark.parametrize("name", FILES)
def test_files_and_functions_are_small(name: str) -> None:
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.FunctionDef) and not is_kernel_code(node):
            given = [each.arg for each in (*node.args.args, *node.args.kwonlyargs) if each.arg not in ("self", "cls")]
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name
            assert len(given) <= MOST_PARAMETERS, node.name


def test_no_file_imports_one_that_imports_it() -> None:
    imported = {
        name: {node.module for node in ast.walk(tree(name)) if isinstance(node, ast.ImportFrom) and node.level}
        for name in FILES
    }
    order = list(TopologicalSorter(imported).static_order())  # refuses a cycle
    assert set(order) == set(FILES)


def test_what_is_private_to_a_file_stays_there() -> None:
    for name in FILES:
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert not [each.name for each in node.names if each.name.startswith("_")], name


def test_it_is_a_package_like_any_other_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found beside other modules on the path, and not only by the path of its file."""
    monkeypatch.syspath_prepend(KERNELS)
    try:
        package = import_module("scan")
        assert Path(package.__file__ or "") == FILES["__init__"]
        x = torch.rand(3, 5)
        torch.testing.assert_close(package.cumprod(x, 1), torch.cumprod(x, 1))
    finally:
        for name in [each for each in sys.modules if each.partition(".")[0] == "scan"]:
            del sys.modules[name]
