"""Runs each variant of the kernels that provoke advice on its smallest workload, and compares it to the reference.

    TRITON_INTERPRET=1 python tests/advise/interpreted.py

prints a line a case, and exits with 1 where one is wrong. No GPU is needed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from stallgate.model import EntryPoint, Problem
from stallgate.project.load import load_project

KERNELS = Path(__file__).with_name("kernels")


def main() -> int:
    """Prints each case; 1 where one is wrong."""
    sys.path.insert(0, str(KERNELS))
    torch.manual_seed(1)
    answers = [line for problem in load_project(KERNELS).problems.values() for line in compared(problem)]
    print("\n".join(answers))
    return int(any(line.endswith("WRONG") for line in answers))


def compared(problem: Problem) -> list[str]:
    """A line for each variant and configuration that is no roof."""
    inputs = _inputs(problem)
    expected = _callable(problem.reference)(*inputs, **problem.reference.keywords)
    found = []
    for name, variant in problem.variants.items():
        if variant.role == "roof":
            continue
        for configuration, tunables in variant.configurations.items():
            result = _callable(variant.entry)(*inputs, **tunables)
            right = torch.allclose(result.float(), expected.float(), rtol=1e-3, atol=1e-3)
            found.append(f"{problem.name}/{name}/{configuration} {'right' if right else 'WRONG'}")
    return found


def _callable(entry: EntryPoint) -> Callable[..., torch.Tensor]:
    if entry.path:
        return getattr(importlib.import_module(Path(entry.path).stem), entry.attribute)  # type: ignore[no-any-return]
    package, _, name = entry.written.rpartition(".")
    return getattr(importlib.import_module(package), name)  # type: ignore[no-any-return]


def _inputs(problem: Problem) -> list[torch.Tensor]:
    name = "small" if "small" in problem.workloads else next(iter(problem.workloads))
    return [_tensor(str(written)) for written in problem.workloads[name].inputs]


def _tensor(written: str) -> torch.Tensor:
    dtype, _, shape = written.rstrip("]").partition("[")
    sizes = [int(size) for size in shape.split(",")]
    if dtype == "uint8":
        return torch.randint(0, 50, sizes, dtype=torch.uint8)
    return torch.randn(sizes, dtype=getattr(torch, dtype))


if __name__ == "__main__":
    sys.exit(main())
