"""What the tests of the drop-in are about, and what they share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from conftest import KERNELS, load, load_file


def the_module() -> ModuleType:
    return load("scan")


def ours(x: torch.Tensor, dim: int, **named: Any) -> torch.Tensor:
    result: torch.Tensor = the_module().cumprod(x, dim, **named)
    return result


def some(*shape: int, dtype: torch.dtype = torch.float64, low: float = -1) -> torch.Tensor:
    """Numbers from `low` to 1."""
    generator = torch.Generator().manual_seed(sum(shape))
    return (torch.rand(shape, generator=generator, dtype=torch.float64) * (1 - low) + low).to(dtype)


def loaded_again(folder: Path, edit: Callable[[str], str] = lambda text: text, name: str = "forms.py") -> ModuleType:
    """A copy of the package in a folder, loaded beside the others, with an edited file."""
    shutil.copytree(KERNELS / "scan", folder, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / name
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    return load_file(folder / "__init__.py", f"cumprod_{folder.name}")


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    torch.compiler.reset()
    result: Callable[..., Any] = torch.compile(function, fullgraph=True, backend="aot_eager")
    return result
