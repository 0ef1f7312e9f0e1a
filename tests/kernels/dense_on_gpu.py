"""Runs matmul and rmsnorm on a CUDA device against float64, and says which results are wrong.

A program of its own because the other kernel tests make triton interpret: dense_on_gpu.py [DRAWS]. Prints a line for
each case that is wrong; its exit status is 1 if there is one.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

KERNELS = Path(__file__).resolve().parents[2] / "kernels"
DTYPES = [torch.bfloat16, torch.float16, torch.float32]
PRODUCTS: list[tuple[str, dict[str, Any]]] = [
    ("tiled", {}),
    ("tiled", {"use_tma": True}),
    ("tiled", {"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 32, "num_warps": 4, "num_stages": 3}),
    ("naive", {}),
]
NORMS: list[tuple[str, dict[str, Any]]] = [("fused", {}), ("naive", {})]


@cache
def load(problem: str, name: str) -> ModuleType:
    path = KERNELS / problem / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{problem}_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def matrix(rows: int, columns: int, dtype: torch.dtype, layout: str) -> torch.Tensor:
    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device="cuda").to(dtype)

    if layout == "columns":
        return normal(columns, rows).T
    if layout == "off by one":
        return normal(rows, columns + 1)[:, 1:]
    if layout == "every other":
        return normal(rows, 2 * columns)[:, ::2]
    return normal(rows, columns)


def fault(got: torch.Tensor, want: torch.Tensor, slack: torch.Tensor) -> str:
    """Where a result is off by more than `slack` and a rounding to its type; empty where nowhere."""
    if (got.shape, got.is_contiguous()) != (want.shape, True):
        return f"{list(got.shape)}, contiguous: {got.is_contiguous()}"
    kind = torch.finfo(got.dtype)
    bad = ~((got.double() - want).abs() <= slack + kind.eps * want.abs().clamp(min=kind.smallest_normal))
    if not bad.any():
        return ""
    first = tuple(bad.nonzero()[0].tolist())
    return f"{int(bad.sum())} wrong, first {list(first)}: {got[first].item()}, not {want[first].item()}"


def product_faults(rng: random.Random) -> Iterator[str]:
    """What is wrong with one product, by any variant."""
    m, n, k = (rng.choice([1, 16, 63, 64, 200, 1000, 1024, 2999, 4096, rng.randint(1, 3000)]) for _ in range(3))
    dtype, layouts = rng.choice(DTYPES), rng.choices(["rows", "columns", "off by one", "every other"], k=2)
    a, b = matrix(m, k, dtype, layouts[0]), matrix(k, n, dtype, layouts[1])
    want, size = a.double() @ b.double(), a.double().abs() @ b.double().abs()
    slack = size * (2.0**-9 if dtype == torch.float32 else 2.0**-20)
    for name, configuration in PRODUCTS:
        found = fault(load("matmul", name).ModelNew(**configuration)(a, b), want, slack)
        if found:
            yield f"{name} {configuration} of {dtype} {m} x {n} x {k}, {layouts}: {found}"


def norm_faults(rng: random.Random) -> Iterator[str]:
    """What is wrong with one norm, by any variant."""
    n, rows = rng.choice([1, 100, 128, 4096, 4097, 16384, 65536, 100_003, rng.randint(1, 9000)]), rng.randint(1, 3000)
    dtype, eps = rng.choice(DTYPES), 1e-5
    x = 0.003 * matrix(rows, n, dtype, rng.choice(["rows", "columns"]))
    weight = (torch.rand(n, device="cuda") + 0.5).to(dtype)
    want = x.double() * (x.double().square().mean(-1, keepdim=True) + eps).rsqrt() * weight.double()
    for name, configuration in NORMS:
        got = load("rmsnorm", name).ModelNew(eps=eps, **configuration)(x, weight)
        found = fault(got, want, 20 * torch.finfo(torch.float32).eps * want.abs())
        if found:
            yield f"{name} {configuration} of {dtype} {rows} x {n}: {found}"


def main(draws: str = "30") -> int:
    torch.use_deterministic_algorithms(True, warn_only=True)  # fills fresh memory with NaN
    found = []
    for seed in range(int(draws)):
        torch.manual_seed(seed)
        found += [*product_faults(random.Random(seed)), *norm_faults(random.Random(seed))]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
