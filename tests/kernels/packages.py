"""A variant of several files as tests see it: one place to look names up in, and to replace them in.

The same for a variant of one file: what was written for the package holds for the file that it is bundled into.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest


def modules_of(variant: ModuleType) -> list[ModuleType]:
    """The variant's own module, and those loaded of its package, or of the packages beside its file; of a variant's
    form, the variant's.
    """
    own = sys.modules[variant.__name__.partition("/")[0]]
    is_file = not hasattr(own, "__path__")
    return [own] + [
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith(f"{own.__name__}.") or (is_file and _is_in_package_beside(own, module))
    ]


def _is_in_package_beside(file: ModuleType, module: ModuleType) -> bool:
    package = getattr(module, "__package__", None) or ""
    return bool(file.__package__) and package.startswith(f"{file.__package__}.")


def get(variant: ModuleType, name: str) -> Any:
    """What a name stands for, in whichever of the variant's modules.

    Raises:
        AttributeError: none of them has it.
    """
    for module in modules_of(variant):
        if name in vars(module):
            return vars(module)[name]
    raise AttributeError(f"{variant.__name__} has no {name}")


def put(patch: pytest.MonkeyPatch, variant: ModuleType, name: str, value: object) -> None:
    """Lets a name stand for something else, wherever the variant has it.

    Raises:
        AttributeError: it has it nowhere.
    """
    get(variant, name)
    for module in modules_of(variant):
        if name in vars(module):
            patch.setattr(module, name, value)
