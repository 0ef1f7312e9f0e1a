"""Compiles what matmul and rmsnorm would launch on an H100, which needs no GPU, and prints what came of it.

Run as a program, because an interpreting triton cannot compile: compile_dense.py KERNELS CASES, where CASES is JSON: a
list of [file, arguments of ModelNew, inputs], and an input is [dtype, shape], with "transposed" behind them where it
lies in memory by columns. Prints the launches of each case.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from compile_for_hopper import recorded


def _input(written: list[Any]) -> torch.Tensor:
    """A tensor without memory."""
    dtype, shape, *order = written
    shape = shape[::-1] if order else shape
    x = torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
    return x.T if order else x


def main(kernels: str, cases: str) -> None:
    found = []
    for file, arguments, inputs in json.loads(cases):
        module, launches = recorded(Path(kernels) / file)
        module.ModelNew(**arguments)(*map(_input, inputs))
        found.append(launches)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
