"""Products of any shape, order of elements and type, against float64; and planted faults that are noticed."""

from __future__ import annotations

import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import load_file
from loading import KERNELS, load

DTYPES = [torch.float16, torch.bfloat16, torch.float32]
SIZES = [1, 2, 7, 16, 31, 33, 48, 64, 65, 100, 128, 129, 160, 257]
LAYOUTS = ["rows", "columns", "every other", "off by one", "aligned view", "repeated"]
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("naive", {}),
    ("naive", {"BLOCK": 16, "BLOCK_K": 64}),
    ("tiled", {}),
    ("tiled", {"use_tma": True}),
    ("tiled", {"BLOCK_M": 32, "BLOCK_N": 16, "BLOCK_K": 16, "GROUP_M": 3}),
    ("tiled", {"BLOCK_M": 16, "BLOCK_N": 64, "BLOCK_K": 32, "GROUP_M": 1, "use_tma": True}),
]


@pytest.fixture(params=VARIANTS, ids=lambda given: f"{given[0]} {given[1]}")
def product(request: pytest.FixtureRequest) -> torch.nn.Module:
    name, configuration = request.param
    return load(name, "matmul").ModelNew(**configuration)


def matrix(rows: int, columns: int, dtype: torch.dtype, layout: str, generator: torch.Generator) -> torch.Tensor:
    """Random numbers whose elements lie in memory as the layout says."""

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    if layout == "columns":
        return normal(columns, rows).T
    if layout == "every other":
        return normal(rows, 2 * columns)[:, ::2]
    if layout == "off by one":
        return normal(rows, columns + 1)[:, 1:]
    if layout == "aligned view":
        return normal(rows + 3, -(-columns // 16) * 16 + 16)[:rows, :columns]
    if layout == "repeated":
        return normal(1, columns).expand(rows, columns)
    return normal(rows, columns)


def fault(got: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> str:
    """What is wrong with a product, by the error that rounding can explain; empty where nothing is.

    Each product of two elements may be off by the 10 bits that TF32 keeps, the sum of K of them in float32 by little,
    and the result is rounded to its type. All of it is relative to the sum of the products' sizes.
    """
    if (got.shape, got.dtype, got.is_contiguous()) != ((a.shape[0], b.shape[1]), a.dtype, True):
        return f"{got.dtype} of {list(got.shape)}, contiguous: {got.is_contiguous()}"
    want, size = a.double() @ b.double(), a.double().abs() @ b.double().abs()
    of_products = 2.0**-9 if a.dtype == torch.float32 else 2.0**-21
    kind = torch.finfo(got.dtype)
    rounding = kind.eps * torch.clamp(want.abs(), min=kind.smallest_normal)
    bad = ~((got.double() - want).abs() <= of_products * size + rounding)
    if not bad.any():
        return ""
    first = tuple(bad.nonzero()[0].tolist())
    return (
        f"{int(bad.sum())} of {bad.numel()} wrong, first {list(first)}: {got[first].item()}, not {want[first].item()}"
    )


def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two matrices of random sizes, layouts and one type."""
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    m, n, k = (rng.choice(SIZES) for _ in range(3))
    dtype = rng.choice(DTYPES)
    return (
        matrix(m, k, dtype, rng.choice(LAYOUTS), generator),
        matrix(k, n, dtype, rng.choice(LAYOUTS), generator),
    )


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(8, 25))])
def test_drawn_products_are_right(product: torch.nn.Module, seed: int) -> None:
    a, b = draw(seed)
    assert not fault(product(a, b), a, b)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout_of_b", LAYOUTS)
@pytest.mark.parametrize("layout_of_a", LAYOUTS)
def test_matrices_may_lie_in_memory_as_they_like(dtype: torch.dtype, layout_of_a: str, layout_of_b: str) -> None:
    generator = torch.Generator().manual_seed(1)
    a = matrix(80, 100, dtype, layout_of_a, generator)
    b = matrix(100, 96, dtype, layout_of_b, generator)
    for use_tma in (False, True):
        product = load("tiled", "matmul").ModelNew(use_tma=use_tma)
        assert not fault(product(a, b), a, b)


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (5, 3, 0), (0, 0, 0)], ids=str)
def test_empty_products_are_those_of_torch(product: torch.nn.Module, shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    a, b = torch.ones(m, k, dtype=torch.float16), torch.ones(k, n, dtype=torch.float16)
    assert torch.equal(product(a, b), torch.matmul(a, b))


def test_infinities_and_nan_stay_in_their_rows_and_columns(product: torch.nn.Module) -> None:
    """What is read beyond an edge must not spread them. In bfloat16 torch makes NaN of an infinity on some CPUs."""
    for dtype in DTYPES:
        a, b = torch.ones(70, 33, dtype=dtype), torch.ones(33, 90, dtype=dtype)
        a[69, 32], b[32, 89], b[5, 7] = float("inf"), float("-inf"), float("nan")
        expected = torch.matmul(a.double(), b.double()).to(dtype)
        assert torch.equal(product(a, b).nan_to_num(7.5), expected.nan_to_num(7.5))


@pytest.mark.parametrize(
    ("a", "b", "error"),
    [
        (torch.ones(2, 3), torch.ones(4, 5), ValueError),
        (torch.ones(2, 3, 4), torch.ones(4, 5), ValueError),
        (torch.ones(2, 3), torch.ones(3, 5).half(), TypeError),
        (torch.ones(2, 3).double(), torch.ones(3, 5).double(), TypeError),
    ],
)
def test_what_is_no_product_of_matrices_is_refused(a: torch.Tensor, b: torch.Tensor, error: type[Exception]) -> None:
    with pytest.raises(error, match="tiled"):
        load("tiled", "matmul").tiled(a, b)


def test_cublas_multiplies_in_tf32_and_leaves_no_trace() -> None:
    a, b = draw(1)
    before = torch.get_float32_matmul_precision()
    assert not fault(load("cublas", "matmul").ModelNew()(a, b), a, b)
    assert torch.get_float32_matmul_precision() == before


# --- faults that the tests above have to find -------------------------------------------------------------------------


FAULTS = {
    "the last k is lost": ("< K - start", "< K - start - 1"),
    "the last step is lost": ("range(0, K, BLOCK_K)", "range(0, K - BLOCK_K, BLOCK_K)"),
    "sums are rounded to the type of the result": (
        "a_places += a_step",
        "accumulator = accumulator.to(tl.float16).to(tl.float32)\n        a_places += a_step",
    ),
    "the last column is not stored": ("(columns[None, :] < N)\n", "(columns[None, :] < N - 1)\n"),
    "groups are walked as if all were full": ("tl.minimum(rows - first, GROUP_M)", "GROUP_M"),
}


def broken(folder: Path, written: str, instead: str) -> ModuleType:
    """The candidate with a fault."""
    source = (KERNELS.parent / "matmul" / "tiled.py").read_text(encoding="utf-8")
    assert written in source
    path = folder / "broken.py"
    path.write_text(source.replace(written, instead), encoding="utf-8")
    return load_file(path, f"matmul_{folder.name}")


@pytest.mark.parametrize("planted", FAULTS)
def test_a_planted_fault_is_noticed(planted: str, tmp_path: Path) -> None:
    """In one of the draws at least, in a configuration of small tiles."""
    module = broken(tmp_path, *FAULTS[planted])
    product = module.ModelNew(BLOCK_M=32, BLOCK_N=16, BLOCK_K=32, GROUP_M=3)
    assert any(is_wrong(product, seed) for seed in range(25))


def is_wrong(product: torch.nn.Module, seed: int) -> bool:
    a, b = draw(seed)
    return bool(fault(product(a, b), a, b))
