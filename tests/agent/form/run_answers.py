"""Runs answers in Triton's interpreter beside a problem in KernelBench's form, and loads variants as it would.

A program: run_answers.py PROBLEM ANSWER… -- VARIANT…; prints {"wrong": {answer: why}, "loaded": [variant]} as JSON.
"""

import os

os.environ["TRITON_INTERPRET"] = "1"

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch
from triton.runtime.autotuner import Autotuner

Autotuner.do_bench = staticmethod(lambda call, quantiles: [call() or 1.0 for _ in quantiles])  # no GPU has a clock


INIT: dict[str, list[Any]] = {"cumprod": [1], "matmul": [], "rmsnorm": [1e-6]}
"""Problem -> what its ``get_init_inputs`` would give."""


def loaded(path: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"{Path(path).parent.name}_{Path(path).stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def inputs(problem: Any) -> list[torch.Tensor]:
    """Those of the problem, with signs and zeros in them; fewer and shorter rows; none."""
    (given,) = problem.get_inputs()
    mixed = given * torch.where(torch.rand_like(given) < 0.5, -1.0, 1.0)
    mixed[1, 700:] = 0.0
    return [mixed, given[:1, :130] + 0.5, given[:0]]


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
