"""Runs every way to write a kernel on the CPU, and prints as JSON what is wrong with each; '' where nothing is.

A program of its own because triton interprets from its import on: TRITON_INTERPRET=1 run_ways.py.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from triton.runtime.autotuner import Autotuner

ROOT = Path(__file__).with_name("ways")
INTERPRETED = [
    "ways.imported:scaled_add",
    "ways.renamed_decorator:scaled_add",
    "ways.wrapped:scaled_add",
    "ways.made:scaled_add",
    "ways.named:scaled_add",
    "ways.tuned:scaled_add",
    "ways.heuristic:scaled_add",
    "ways.tuned_heuristic:scaled_add",
    "ways.custom_op:scaled_add",
    "ways.nested.entry:scaled_add",
    "ways.module:ScaledAdd",
    "beside:scaled_add",
]
IMPORTED = [
    "ways.triton_op:scaled_add",
    "ways.compiled:scaled_add",
    "ways.inline_cuda:scaled_add",
    "ways.liger:rms_norm",
]
"""What no interpreter runs: torch's own traces, CUDA C++ and a package that may be absent."""


def entry_of(name: str) -> Callable[..., Any]:
    module = importlib.import_module(name.partition(":")[0])
    for value in vars(module).values():
        if isinstance(value, Autotuner):
            value.configs = value.configs[:1]  # nothing can be timed without a GPU
    found = getattr(module, name.partition(":")[2])
    return found() if isinstance(found, type) else found


def fault(name: str) -> str:
    x, z = torch.randn(37, 101), torch.randn(37, 101)
    got = entry_of(name)(x, z)
    return "" if torch.equal(got, x + 2 * z) else f"off by {(got - x - 2 * z).abs().max()}"


def main() -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "loose")]
    found = {name: fault(name) for name in INTERPRETED}
    print(json.dumps(found | {name: "" if callable(entry_of(name)) else "not callable" for name in IMPORTED}))


if __name__ == "__main__":
    main()
