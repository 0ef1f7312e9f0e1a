"""Tiles of sequences that begin and end within vectors: what lies beside them in memory is neither read nor written."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from loading import load
from packages import get
from test_wide import assert_right, hostile

SHAPES = [(1, 261, 1), (3, 257, 1), (5, 131, 2), (4, 67, 4), (3, 35, 8)]
"""Sequences, their length, and how many lie beside each other: no multiple of 16 elements."""

SETTINGS = {"form": "tiles", "BLOCK": 64, "LOOK": 4, "num_warps": 1, "registers": 0}


@pytest.fixture
def scan() -> ModuleType:
    return load("scan")


def settings(inner: int) -> dict[str, Any]:
    return {**SETTINGS, "COLUMNS": max(2, inner)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_hostile_sequences(scan: ModuleType, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    outer, axis, inner = shape
    rows = hostile(outer * inner, axis, dtype, random.Random(f"{shape}{dtype}"))
    x = rows.view(outer, inner, axis).mT.contiguous()
    got = scan.products(x, 1, **settings(inner))
    assert_right(got.mT.reshape(rows.shape).contiguous(), rows, shape)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_integers(scan: ModuleType, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    x = torch.randint(1, 4, shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)
    assert torch.equal(scan.products(x, 1, **settings(shape[2])), torch.cumprod(x, 1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_nothing_beside_them_counts(scan: ModuleType, shape: tuple[int, int, int]) -> None:
    """Each is the product that it is alone, though all before and after it is NaN; and nothing is written there."""
    outer, axis, inner = shape
    x = torch.full(shape, float("nan"))
    for place in range(outer):
        x[place] = 1 + torch.rand((axis, inner), generator=torch.Generator().manual_seed(place)) / axis
        call = get(scan, "prepared")(x, 1, **settings(inner))
        call.y.fill_(7)
        call.work.run(call.x, call.y)
        assert torch.allclose(call.y[place], torch.cumprod(x[place], 0), rtol=1e-5)
        assert torch.isnan(call.y[torch.arange(outer) != place]).all()
        x[place] = float("nan")


@triton.jit
def _placed(found_ptr, place: tl.constexpr, sequence, t, elements):
    origin, lead, inside, _ = place(sequence, t, elements, 1, 1, 1, 8192, 1, True, True)
    tl.store(found_ptr, origin)
    tl.store(found_ptr + 1, lead)
    tl.store(found_ptr + 2, inside)


@pytest.mark.parametrize("t", [0, 1, 2**18 - 1])
@pytest.mark.parametrize("length", [2**31 - 1, 2**31 - 15])
def test_the_longest_are_placed(scan: ModuleType, length: int, t: int) -> None:
    """Lengths of 32 bits, and what is before them, are added in 64."""
    found = torch.zeros(3, dtype=torch.int64)
    triton.jit(_placed.fn)[(1,)](found, get(scan, "_tile_place"), 1, t, length)
    before = length % 16
    inside = min(before + length - 8192 * t, 8192)
    assert found.tolist() == [length - before + 8192 * t, before if t == 0 else 0, inside]
