"""RMS norms of any shape and type against float64; and planted faults that are noticed."""

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
LENGTHS = [1, 2, 7, 16, 31, 100, 128, 255, 257, 1000, 1024, 4097]
EPS = 1e-5
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("naive", {}),
    ("naive", {"BLOCK": 64}),
    ("fused", {}),
    ("fused", {"ROWS": 1}),
    ("fused", {"ROWS": 4}),
    ("fused", {"ROWS": 0, "BLOCK": 64}),
]


@pytest.fixture(params=VARIANTS, ids=lambda given: f"{given[0]} {given[1]}")
def norm(request: pytest.FixtureRequest) -> torch.nn.Module:
    name, configuration = request.param
    return load(name, "rmsnorm").ModelNew(eps=EPS, **configuration)


def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of random length, layout, type and size, small ones among them, and a weight."""
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    n, rows, dtype = rng.choice(LENGTHS), rng.randint(1, 9), rng.choice(DTYPES)
    scale = 10.0 ** rng.uniform(-3, 1)
    weight = (1 + 0.1 * torch.randn(n, generator=generator)).to(dtype)
    layout = rng.choice(["rows", "columns", "every other", "batches", "weight too"])
    shape = {"columns": (n, rows), "every other": (rows, 2 * n), "batches": (2, rows, n)}.get(layout, (rows, n))
    x = (scale * torch.randn(shape, generator=generator)).to(dtype)
    if layout == "weight too":
        weight = torch.stack([weight, weight], 1)[:, 0]
    return {"columns": x.mT, "every other": x[..., ::2]}.get(layout, x), weight


def fault(got: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> str:
    """What is wrong with a norm that is computed in float32 and rounded to its type; empty where nothing is."""
    if (got.shape, got.dtype, got.is_contiguous()) != (x.shape, x.dtype, True):
        return f"{got.dtype} of {list(got.shape)}, contiguous: {got.is_contiguous()}"
    wide = x.double()
    want = wide * (wide.square().mean(-1, keepdim=True) + EPS).rsqrt() * weight.double()
    kind = torch.finfo(got.dtype)
    rounding = kind.eps * torch.clamp(want.abs(), min=kind.smallest_normal)
    bad = ~((got.double() - want).abs() <= 20 * torch.finfo(torch.float32).eps * want.abs() + rounding)
    if not bad.any():
        return ""
    first = tuple(bad.nonzero()[0].tolist())
    return (
        f"{int(bad.sum())} of {bad.numel()} wrong, first {list(first)}: {got[first].item()}, not {want[first].item()}"
    )


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(12, 25))])
def test_drawn_norms_are_right(norm: torch.nn.Module, seed: int) -> None:
    x, weight = draw(seed)
    assert not fault(norm(x, weight), x, weight)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("n", [128, 4096, 4097, 16384, 32768, 70001])
def test_every_form_is_right_as_it_is_chosen(dtype: torch.dtype, n: int) -> None:
    """Several rows a program, one row, one that begins anywhere, and one row piece by piece."""
    generator = torch.Generator().manual_seed(n)
    rows = 67 if n == 128 else 2
    x, weight = (0.003 * torch.randn(rows, n, generator=generator)).to(dtype), torch.linspace(0.5, 2, n).to(dtype)
    norm = load("fused", "rmsnorm").ModelNew(eps=EPS)
    assert not fault(norm(x, weight), x, weight)


def test_several_dimensions_are_normalised_together(norm: torch.nn.Module) -> None:
    x, weight = torch.randn(5, 4, 6), torch.rand(4, 6)
    want = torch.nn.functional.rms_norm(x, [4, 6], weight, EPS)
    torch.testing.assert_close(norm(x, weight), want)


def test_rows_of_zeros_infinities_and_nan_are_those_of_torch(norm: torch.nn.Module) -> None:
    """And they leave the rows beside them alone."""
    for dtype in DTYPES:
        x = torch.ones(6, 33, dtype=dtype)
        x[1], x[2, 32], x[3, 0], x[4, 5] = 0, float("inf"), float("-inf"), float("nan")
        want = torch.nn.functional.rms_norm(x, [33], torch.ones(33, dtype=dtype), EPS)
        torch.testing.assert_close(norm(x, torch.ones(33, dtype=dtype)), want, equal_nan=True)


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)], ids=str)
def test_nothing_is_normalised_to_nothing(norm: torch.nn.Module, shape: tuple[int, int]) -> None:
    x = torch.ones(shape)
    assert norm(x, torch.ones(shape[1])).shape == shape


# --- faults that the tests above have to find -------------------------------------------------------------------------


FAULTS = {
    "eps is lost": (" / n + eps", " / n"),
    "squares are summed in a half type": ("tl.sum(x * x, 1)", "tl.sum((x * x).to(tl.float16), 1).to(tl.float32)"),
    "the mean is that of the block": ("tl.sum(x * x, 1) / n", "tl.sum(x * x, 1) / BLOCK"),
    "the last element is not summed": ("tl.sum(x * x, 1)", "tl.sum(tl.where(column[None, :] < n - 1, x * x, 0), 1)"),
    "the weight is lost": (" * weight[None, :]", ""),
    "elements of the rows beside it are summed": ("tl.where(inside, ", "tl.where(inside | in_tensor, "),
    "the last elements of the tensor are not read": ("tl.where(in_tensor, x, end)", "x"),
    "what is beside whole vectors is not stored": ("y, mask=inside & ~in_row", "y, mask=inside & in_row"),
}


def broken(folder: Path, written: str, instead: str) -> ModuleType:
    """The candidate with a fault."""
    source = (KERNELS.parent / "rmsnorm" / "fused.py").read_text(encoding="utf-8")
    assert written in source
    path = folder / "broken.py"
    path.write_text(source.replace(written, instead), encoding="utf-8")
    return load_file(path, f"rmsnorm_{folder.name}")


@pytest.mark.parametrize("planted", FAULTS)
def test_a_planted_fault_is_noticed(planted: str, tmp_path: Path) -> None:
    """In one of the draws at least, with rows as they are and several a program."""
    module = broken(tmp_path, *FAULTS[planted])
    norms = [module.ModelNew(eps=EPS, **rows) for rows in ({}, {"ROWS": 1})]
    drawn = [draw(seed) for seed in range(25)]
    assert any(fault(norm(x, weight), x, weight) for norm in norms for x, weight in drawn)
