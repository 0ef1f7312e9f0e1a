"""Variants as modules, for tests and for programs: nothing here asks triton to interpret."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

KERNELS = Path(__file__).resolve().parents[2] / "kernels" / "cumprod"


def load(name: str, problem: str = "cumprod") -> ModuleType:
    """A variant of a problem, in one file or a package: a module of a package, as the measuring child loads it, so that
    it can import what lies beside it.
    """
    if problem not in sys.modules:
        package = sys.modules[problem] = ModuleType(problem)
        package.__path__ = [str(KERNELS.parent / problem)]
    return import_module(f"{problem}.{name}")
