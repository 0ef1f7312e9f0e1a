"""Shapes, types, forms and data drawn at random, the data with ill will: every value and every sign is right."""

from __future__ import annotations

import math
import random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from loading import load
from rightness import tolerance, verdict

FLOATS = [torch.float16, torch.float32, torch.float64]
"""Without bfloat16: triton's interpreter converts its subnormal numbers and its largest ones wrongly."""

INTEGERS = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
PLANTED = [0.0, -0.0, 1e30, -1e30, 1e-30, 1e-38, -1e38, 1e-45, 3e38, 0.5, -1.0, math.inf, -math.inf, math.nan]


def settings(draw: random.Random, inner: int) -> dict[str, Any]:
    """A form that takes the elements where they are, with tiles that cut sequences often; or none: what is chosen."""
    block = draw.choice([16, 32, 64, 128])
    tiles = {"form": "tiles", "BLOCK": block, "COLUMNS": draw.choice([2, 4])}
    forms: list[dict[str, Any]] = [{}, {**tiles, "num_warps": 1, "registers": 64}]
    forms.append({"form": "strips", "ROWS": draw.choice([2, 4, 16]), "num_warps": 1, "num_stages": draw.choice([1, 3])})
    if inner == 1:
        forms.append({"form": "rows", "BLOCK": block, "num_warps": 1})
        forms.append({"form": "short", "BLOCK": block, "num_warps": 1})
    chosen = draw.choice(forms)
    return {**chosen, "LOOK": draw.choice([0, 32, 128])} if "COLUMNS" in chosen else chosen


def data(draw: random.Random, shape: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    """Factors near 1, uniform, normal, sinking or growing, of one sign or both, with some hostile ones among them."""
    if dtype not in FLOATS:
        return torch.randint(-4 if dtype.is_signed else 0, 4, shape, generator=generator).to(dtype)
    low, high = draw.choice([(0.9, 1.1), (0.0, 1.0), (-1.0, 1.0), (-2.0, 2.0), (0.2, 0.9), (1.1, 3.0), (1e-20, 1e-19)])
    x = torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low
    if draw.random() < 0.3:
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
    if draw.random() < 0.3:
        x = x * (torch.randint(0, 2, shape, generator=generator) * 2 - 1)
    planted = torch.rand(shape, generator=generator) < draw.choice([0.0, 0.0, 0.01, 0.1, 0.6])
    values = torch.tensor(draw.sample(PLANTED, draw.randint(1, len(PLANTED))), dtype=torch.float64)
    which = torch.randint(0, len(values), shape, generator=generator)
    return torch.where(planted, values[which], x).to(dtype)


def signs_differ(got: torch.Tensor, x: torch.Tensor, dim: int) -> bool:
    """Whether a number has not the product of the signs; NaN has none."""
    with np.errstate(all="ignore"):
        want = torch.from_numpy(np.multiply.accumulate(x.double().numpy(), axis=dim))
    return bool(((got.signbit() != want.signbit()) & ~(got.isnan() | want.isnan())).any())


def fault(variant: ModuleType, seed: int) -> str:
    draw, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    rank = draw.randint(1, 3)
    dim = draw.randrange(rank)
    shape = [draw.choice([1, 2, 3, 5, 8, 17]) for _ in range(rank)]
    shape[dim] = draw.choice([1, 2, 7, 16, 31, 33, 64, 100, 129, 250, 400])
    x = data(draw, tuple(shape), draw.choice([*FLOATS, *FLOATS, *FLOATS, *INTEGERS]), generator)
    given = settings(draw, math.prod(shape[dim + 1 :]))
    got = variant.products(x, dim, **given)
    found = verdict(got, x, dim, tolerance(x, dim))
    if not found and x.is_floating_point() and signs_differ(got, x, dim):
        found = "signs differ"
    return f"seed {seed}: {x.dtype} {shape} dim {dim} {given}: {found}" if found else ""


@pytest.mark.parametrize(
    ("first", "count"), [(0, 40), *(pytest.param(100 * part, 100, marks=pytest.mark.long) for part in range(20))]
)
def test_nothing_hostile_comes_out_wrong(first: int, count: int) -> None:
    """40 cases; 2,000 in the night."""
    faults = [fault(load("scan"), seed) for seed in range(first, first + count)]
    assert [each for each in faults if each] == []
