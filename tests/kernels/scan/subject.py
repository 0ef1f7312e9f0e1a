"""What the tests of the drop-in are about, and what they share: the one file that users copy, made of the package."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import torch
from conftest import load_file
from loading import KERNELS

from stallgate.project.bundle import bundled


@cache
def bundle_text() -> str:
    return bundled(KERNELS.parents[1], KERNELS / "scan", "cumprod/scan").text


@cache
def the_module() -> ModuleType:
    """The bundle, loaded."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bundle.py"
        path.write_text(bundle_text(), encoding="utf-8")
        return load_file(path, "cumprod_bundle")


def ours(*given: Any, **named: Any) -> torch.Tensor:
    result: torch.Tensor = the_module().cumprod(*given, **named)
    return result


def some(*shape: int, dtype: torch.dtype = torch.float64, low: float = -1) -> torch.Tensor:
    """Numbers from `low` to 1."""
    generator = torch.Generator().manual_seed(sum(shape))
    return (torch.rand(shape, generator=generator, dtype=torch.float64) * (1 - low) + low).to(dtype)


def loaded_again(folder: Path, edit: Callable[[str], str] = lambda text: text) -> ModuleType:
    """The bundle once more, edited, and loaded beside the others."""
    folder.mkdir()
    path = folder / "bundle.py"
    path.write_text(edit(bundle_text()), encoding="utf-8")
    return load_file(path, f"cumprod_{folder.name}")


def package_again(folder: Path, name: str, edit: Callable[[str], str]) -> ModuleType:
    """The package once more, with an edited file."""
    shutil.copytree(KERNELS / "scan", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / name).write_text(edit((folder / name).read_text(encoding="utf-8")), encoding="utf-8")
    return load_file(folder / "__init__.py", f"cumprod_{folder.name}")


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    torch.compiler.reset()
    result: Callable[..., Any] = torch.compile(function, fullgraph=True, backend="aot_eager")
    return result
