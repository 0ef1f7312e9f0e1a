"""The problems matmul and rmsnorm as they are written: what they draw, and what their tolerances notice."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from loading import load

from stallgate.child.correctness import ExpectedOutput, Rule, compare_output, default_rule
from stallgate.child.inputs import made
from stallgate.project.inputs import tensor_input
from stallgate.project.load import load_project
from tests.conftest import ROOT

DRAWS = {"matmul": "drawn", "rmsnorm": "rms_norm"}


@pytest.mark.parametrize("problem", DRAWS)
@pytest.mark.parametrize("largest", [2**8, 2**14, 2**26])
def test_drawn_workloads_are_of_the_size_that_was_asked_for(problem: str, largest: int) -> None:
    draw = load(DRAWS[problem], problem).draw
    for seed in range(200):
        inputs = [tensor_input(each) for each in draw(random.Random(seed), largest=largest)["inputs"]]
        shapes: list[Any] = [each["shape"] for each in inputs]
        assert all(0 < math.prod(shape) <= largest for shape in shapes)
        assert shapes[0][1] == shapes[1][0]


def test_draws_differ() -> None:
    for problem, name in DRAWS.items():
        draw = load(name, problem).draw
        assert len({str(draw(random.Random(seed))) for seed in range(50)}) > 40


# --- planted faults, by the problems' own tolerances ------------------------------------------------------------------


def fault(got: torch.Tensor, want: torch.Tensor, rule: Rule | None = None) -> str | None:
    """What the referee says of a result, by the default rule of its type if there is no other."""
    right = want.to(got.dtype)
    return compare_output(got, ExpectedOutput([((), right)], rule or default_rule(right))).fault


def operands(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Some rows and columns of the judged workload."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(48, 4096, generator=generator).to(dtype), torch.randn(4096, 64, generator=generator).to(dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_lost_product_and_sums_in_a_half_type_are_wrong(dtype: torch.dtype) -> None:
    a, b = operands(dtype)
    want = a.double() @ b.double()
    assert fault((a.float() @ b.float()).to(dtype), want) is None
    assert fault((a[:, :-1].float() @ b[:-1].float()).to(dtype), want)
    partial = torch.zeros(48, 64, dtype=dtype)
    for start in range(0, 4096, 64):
        partial += (a[:, start : start + 64].float() @ b[start : start + 64].float()).to(dtype)
    assert fault(partial, want)


def test_tf32_is_right_where_the_problem_says_so_and_a_lost_product_is_not() -> None:
    (written,) = load_project(ROOT).problem("matmul").workloads["tf32"].tolerance
    rule = Rule(norm=written.norm, of_norm_only=True)
    a, b = operands(torch.float32)
    cut = [(each.view(torch.int32) & -0x2000).view(torch.float32) for each in (a, b)]
    want = a.double() @ b.double()
    assert fault(cut[0] @ cut[1], want, rule) is None
    assert fault(cut[0] @ cut[1], want), "float32 is not TF32 unless a problem says so"
    assert fault(cut[0][:, :-1] @ cut[1][:-1], want, rule)
    assert fault(a.bfloat16().float() @ b.bfloat16().float(), want, rule), "bfloat16 has 3 bits less than TF32"


@pytest.mark.parametrize("workload", ["bf16", "fp32", "odd", "short", "long"])
def test_a_missing_epsilon_is_wrong_on_every_workload(workload: str) -> None:
    described = [tensor_input(str(each)) for each in load_project(ROOT).problem("rmsnorm").workloads[workload].inputs]
    described[0]["shape"] = [4, *described[0]["shape"][1:]]  # type: ignore[index]
    x, weight = made(described, "cpu", 1)
    rms_norm = load("rms_norm", "rmsnorm").rms_norm
    want = rms_norm(x.double(), weight.double(), 1e-5)
    assert fault(rms_norm(x, weight, 1e-5), want) is None
    assert fault(rms_norm(x, weight, 0.0), want)
