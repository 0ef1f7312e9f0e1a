"""Runs answers in Triton's interpreter beside a problem in KernelBench's form, and loads variants as it would.

A program: run_answers.py PROBLEM ANSWER… -- VARIANT…; prints {"wrong": {answer: why}, "loaded": [variant]} as JSON.
Scans multiply as trees, as on a GPU: segments before prefixes. One after the other, as the interpreter has it, what
overflows in between on a GPU alone would pass here.
"""

import os

os.environ["TRITON_INTERPRET"] = "1"

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from triton.runtime.autotuner import Autotuner
from triton.runtime.interpreter import ScanOps

Autotuner.do_bench = staticmethod(lambda call, quantiles: [call() or 1.0 for _ in quantiles])  # no GPU has a clock


def cumprod_as_tree(scan: Any, tensor: Any) -> list[Any]:
    (found,) = tree(scan.axis, [tensor.handle.data], lambda left, right: [left[0] * right[0]])
    return [scan.to_tensor(found, dtype=tensor.dtype)]


def scan_as_tree(scan: Any, tensors: list[Any]) -> list[Any]:
    def combine(left: list[Any], right: list[Any]) -> list[Any]:
        given = [
            scan.to_tensor(each, arg.dtype) for side in (left, right) for each, arg in zip(side, tensors, strict=True)
        ]
        made = scan.combine_fn.fn(*given)
        return [each.handle.data for each in (made if isinstance(made, tuple) else (made,))]

    found = tree(scan.axis, [each.handle.data for each in tensors], combine)
    return [scan.to_tensor(each, arg.dtype) for each, arg in zip(found, tensors, strict=True)]


def tree(axis: int, arrays: list[Any], combine: Any) -> list[Any]:
    """The scan of arrays: after each step an element stands for twice as many before it."""
    arrays, count, distance = [np.moveaxis(each, axis, 0).copy() for each in arrays], arrays[0].shape[axis], 1
    while distance < count:  # whole arrays: sizes have to be powers of two
        joined = combine([np.roll(each, distance, 0) for each in arrays], arrays)
        arrays = [np.concatenate([each[:distance], new[distance:]]) for each, new in zip(arrays, joined, strict=True)]
        distance *= 2
    return [np.ascontiguousarray(np.moveaxis(each, 0, axis)) for each in arrays]


ScanOps.cumprod, ScanOps.generic_scan = cumprod_as_tree, scan_as_tree

LARGE, SMALL = 2.0**100, 2.0**-100

INIT: dict[str, list[Any]] = {"cumprod": [1], "matmul": [], "rmsnorm": [1e-6]}
"""Problem -> what its ``get_init_inputs`` would give."""


def loaded(path: str) -> Any:
    """A file as a module of a package, so that it can import what lies beside it."""
    folder = Path(path).parent
    package = sys.modules.setdefault(folder.name, ModuleType(folder.name))
    package.__path__ = [str(folder)]
    spec = importlib.util.spec_from_file_location(f"{folder.name}.{Path(path).stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def inputs(problem: Any) -> list[torch.Tensor]:
    """Those of the problem, with signs and zeros in them; fewer and shorter rows; none; factors that overflow alone."""
    (given,) = problem.get_inputs()
    planted = torch.ones_like(given)
    for place in range(100, given.shape[1] - 4, 155):
        planted[:, place : place + 4] = torch.tensor([SMALL, LARGE, LARGE, SMALL])
    mixed = given * torch.where(torch.rand_like(given) < 0.5, -1.0, 1.0)
    mixed[1, 700:] = 0.0
    return [mixed, given[:1, :130] + 0.5, given[:0], planted]


def why_wrong(problem: Any, path: str) -> str:
    init = problem.get_init_inputs()
    model, answer = problem.Model(*init), loaded(path).ModelNew(*init)
    for x in inputs(problem):
        kept = x.clone()
        got, wanted = answer(x), model(x.double()).to(x.dtype)
        if not torch.equal(x, kept):
            return f"the input {list(x.shape)} was changed"
        try:
            torch.testing.assert_close(got, wanted)
        except AssertionError as error:
            return f"{list(x.shape)}: {error}"
    return ""


def main(problem: str, *files: str) -> None:
    torch.manual_seed(0)
    answers, variants = files[: files.index("--")], files[files.index("--") + 1 :]
    wrong = {path: why for path in answers if (why := why_wrong(loaded(problem), path))}
    ready = []
    for path in variants:
        loaded(path).ModelNew(*INIT[Path(path).parent.name])
        ready.append(path)
    print(json.dumps({"wrong": wrong, "loaded": ready}))


main(*sys.argv[1:])
