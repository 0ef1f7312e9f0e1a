"""Rows that sink, grow, hold zeros or come back: right as a serial product is, and worked off once where they may be."""

from __future__ import annotations

import math
import random
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import load
from packages import get, put
from rightness import SPECIAL_SEGMENTS, tolerance, verdict

SHARED: dict[str, int] = {"BLOCK": 32, "num_warps": 1, "num_stages": 2}
HELD: dict[str, int] = {"BLOCK": 64, "num_warps": 1, "num_stages": 1, "HOLD": 1}
LARGER: dict[str, int] = {"BLOCK": 256, "num_warps": 1, "num_stages": 2}


@pytest.fixture
def scan() -> ModuleType:
    return load("scan")


def logs(n: int, rng: random.Random) -> list[float]:
    """Logarithms of factors to base 2: stretches that sink, grow or stay, steadily or not, near limits or far beyond."""
    found: list[float] = []
    while len(found) < n:
        length, kind = rng.randint(1, 120), rng.randrange(5)
        mean = rng.choice([-40, -9, -1, -0.07, 0, 0.07, 1, 9, 40]) * (kind < 4)
        width = (0, 0.05, 1.5, 30, 0)[kind]
        found += [max(-120, min(120, rng.gauss(mean, width))) for _ in range(length)]
    return found[:n]


def hostile(rows: int, n: int, dtype: torch.dtype, rng: random.Random) -> torch.Tensor:
    """Rows of such factors with any signs; some hold zeros, or special segments."""
    x = torch.tensor([logs(n, rng) for _ in range(rows)], dtype=torch.float64).exp2()
    x *= torch.tensor([rng.choice([1, 1, 1, -1]) for _ in range(rows * n)]).view(rows, n)
    x = x.clamp(-torch.finfo(dtype).max, torch.finfo(dtype).max).to(dtype)
    for row in x:
        for _ in range(rng.choice([0, 0, 1, 2])):
            segment = torch.tensor(rng.choice([*SPECIAL_SEGMENTS.values(), [0.0], [-0.0]]), dtype=torch.float64)
            at = rng.randrange(n - len(segment))
            row[at : at + len(segment)] = segment.to(dtype)
    return x


def assert_right(got: torch.Tensor, x: torch.Tensor, note: object) -> None:
    """Also the signs of zeros, and but for what comes back from below float64's normal numbers: a matter of rounding."""
    truth = torch.cumprod(x.double(), 1)
    is_lost = ((truth.abs() < 2.0**-1020) & (truth != 0)).cumsum(1) > 0
    asked = torch.where(is_lost, torch.where(truth.isnan(), truth, 0).to(x.dtype), got)
    bad = verdict(asked, x, 1, tolerance(x, 1)) if not is_lost.any() else ""
    for row in range(len(x)):
        end = int(is_lost[row].logical_not().sum())
        bad = bad or verdict(got[row : row + 1, :end].contiguous(), x[row : row + 1, :end].contiguous(), 1, tolerance(x, 1))
    assert not bad, (note, bad)
    zeros = (got == 0) & (truth == 0) & ~is_lost
    assert torch.equal(got[zeros].signbit(), truth[zeros].signbit()), note


@pytest.mark.parametrize("settings", [SHARED, HELD, LARGER], ids=["shared", "held", "larger"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("n", [700, 701])
def test_rows_of_hostile_data(scan: ModuleType, settings: dict[str, int], dtype: torch.dtype, n: int) -> None:
    rng = random.Random(f"{settings}{dtype}{n}")
    x = hostile(6, n, dtype, rng)
    assert_right(scan.products(x, 1, form="rows", **settings), x, settings)
