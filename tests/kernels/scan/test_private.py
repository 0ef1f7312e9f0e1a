"""Private names of torch and triton may be missing in another version: results stay what they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from loading import KERNELS
from packages import get
from subject import compiled, loaded_again, some
from torch.autograd import gradcheck
from torch.func import vmap

PRIVATE = ast.parse((KERNELS / "scan" / "private.py").read_text(encoding="utf-8"))


def paths() -> Iterator[str]:
    """Every path that the package looks for."""
    for node in ast.walk(PRIVATE):
        match node:
            case ast.Call(func=ast.Name("found"), args=[_, ast.Constant(str(path)), _]):
                yield path
            case ast.GeneratorExp(elt=ast.Compare(), generators=[ast.comprehension(iter=ast.Tuple(elts=listed))]):
                yield from (each.value for each in listed if isinstance(each, ast.Constant))


PATHS = sorted(set(paths()))


def without(folder: Path, condition: str) -> ModuleType:
    """A copy that does not find the paths of which a condition holds."""

    def edit(text: str) -> str:
        assert text.count("if value is missing") == 1
        return text.replace("if value is missing", f"if value is missing or {condition}")

    return loaded_again(folder, edit)


def check_first_calls(module: ModuleType) -> None:
    """Of values, of gradients, of gradients of those."""
    x = some(3, 5)
    torch.testing.assert_close(module.cumprod(x, 1), torch.cumprod(x, 1))
    small = some(1, 2).requires_grad_()
    (got,) = torch.autograd.grad(module.cumprod(small, 1).sum(), small, create_graph=True)
    (want,) = torch.autograd.grad(torch.cumprod(small, 1).sum(), small, create_graph=True)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got.sum(), small), torch.autograd.grad(want.sum(), small))


def test_the_paths_are_those_that_are_looked_for() -> None:
    text = (KERNELS / "scan" / "private.py").read_text(encoding="utf-8")
    assert len(PATHS) > 12
    assert all(f'"{path}"' in text for path in PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_a_first_call_works_without_a_private_name(tmp_path: Path, path: str) -> None:
    check_first_calls(without(tmp_path / "missing", f"path == {path!r}"))


def test_all_of_them_may_be_missing(tmp_path: Path) -> None:
    """Then only derivatives forward are: torch has no public name for them."""
    module = without(tmp_path / "bare", "True")
    check_first_calls(module)
    assert not get(module, "is_untraced")(some(3))
    assert gradcheck(lambda x: module.cumprod(x, 1), some(2, 2).requires_grad_(), check_batched_grad=True)
    x = some(3, 4)
    torch.testing.assert_close(vmap(lambda x: module.cumprod(x, 0))(x), torch.cumprod(x, 1))
    torch.testing.assert_close(compiled(lambda x: module.cumprod(x, 1))(x), torch.cumprod(x, 1))


def test_other_files_name_nothing_private_of_torch_or_triton() -> None:
    for path in sorted((KERNELS / "scan").glob("*.py")):
        if path.name == "private.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                root = node.value
                while isinstance(root, ast.Attribute):
                    root = root.value
                assert not (isinstance(root, ast.Name) and root.id in ("torch", "triton", "tl")), ast.unparse(node)
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert not any(part.startswith("_") for part in (node.module or "").split(".")), ast.unparse(node)
