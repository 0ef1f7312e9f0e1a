"""Rows that sink, grow, hold zeros or come back: right as a serial product is, and hardly ever scanned one by one."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import load
from packages import get, put
from rightness import SPECIAL_SEGMENTS, tolerance, verdict

SMALL: dict[str, Any] = {"form": "rows", "BLOCK": 64, "num_warps": 1}
LARGE: dict[str, Any] = {"form": "rows", "BLOCK": 256, "num_warps": 1}
WHOLE: dict[str, Any] = {"form": "short", "ROWS": 2, "num_warps": 1}
TILES: dict[str, Any] = {"form": "tiles", "BLOCK": 64, "COLUMNS": 2, "LINES": 0, "WINDOW": 1, "registers": 64}
TILES |= {"num_warps": 1}


@pytest.fixture
def scan() -> ModuleType:
    return load("scan")


def logs(n: int, rng: random.Random) -> list[float]:
    """Logarithms of factors to base 2: stretches that sink, grow or stay, steadily or not, near limits or far away."""
    found: list[float] = []
    while len(found) < n:
        length, kind = rng.randint(1, 120), rng.randrange(5)
        mean = rng.choice([-40, -9, -1, -0.07, 0, 0.07, 1, 9, 40]) if kind < 4 else 0
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
    """Also the signs of zeros. Not asked is what comes after float64's subnormal numbers: a matter of rounding."""
    truth = torch.cumprod(x.double(), 1)
    is_lost = ((truth.abs() < 2.0**-1020) & (truth != 0)).cumsum(1) > 0
    for row in range(len(x)):
        kept = (slice(row, row + 1), slice(int((~is_lost[row]).sum())))
        bad = verdict(got[kept].contiguous(), x[kept].contiguous(), 1, tolerance(x, 1))
        assert not bad, (note, row, bad)
    zeros = (got == 0) & (truth == 0) & ~is_lost
    assert torch.equal(got[zeros].signbit(), truth[zeros].signbit()), note


@pytest.mark.parametrize("settings", [SMALL, LARGE, WHOLE], ids=["small", "large", "whole"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("n", [700, 701])
def test_rows_of_hostile_data(scan: ModuleType, settings: dict[str, Any], dtype: torch.dtype, n: int) -> None:
    rng = random.Random(f"{settings}{dtype}{n}")
    x = hostile(6, n, dtype, rng)
    assert_right(scan.products(x, 1, **settings), x, settings)


@pytest.fixture
def careful(scan: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of what is scanned carefully."""
    original, lengths = get(scan, "scan_carefully"), []

    def noting(x_ptr: Any, y_ptr: Any, left: Any, *others: Any) -> Any:
        lengths.append(int(left))
        return original(x_ptr, y_ptr, left, *others)

    put(monkeypatch, scan, "scan_carefully", noting)
    return lengths


@pytest.fixture
def again(scan: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of what is scanned again from memory, in wide products or carefully."""
    original, lengths = get(scan, "scan_again"), []

    def noting(x_ptr: Any, y_ptr: Any, left: Any, *others: Any) -> Any:
        lengths.append(int(left))
        return original(x_ptr, y_ptr, left, *others)

    put(monkeypatch, scan, "scan_again", noting)
    return lengths


def uniform(low: float, high: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.empty(6, 8192).uniform_(low, high, generator=generator)


COMMON = {
    "0 to 1": uniform(0, 1),
    "0.9 to 1": uniform(0.9, 1),
    "1 to 2": uniform(1, 2),
    "-2 to 2": uniform(-2, 2),
    "normal": torch.randn(6, 8192, generator=torch.Generator().manual_seed(6)),
    "with zeros": uniform(0, 1) * (uniform(-0.01, 1) > 0),
}


@pytest.mark.parametrize("data", COMMON.values(), ids=COMMON)
def test_common_data_are_hardly_scanned_one_by_one(scan: ModuleType, careful: list[int], data: torch.Tensor) -> None:
    """At most a piece of each row is: that in which its products leave float64, where it does not show that they stay
    outside.
    """
    got = scan.products(data, 1, form="rows", BLOCK=2048, num_warps=4)
    assert_right(got, data, len(careful))
    assert sum(careful) <= len(data) * 512


@pytest.mark.parametrize("columns", [1, 2, 4])
@pytest.mark.parametrize("data", COMMON.values(), ids=COMMON)
def test_of_common_data_a_tile_of_each_column_is_scanned_again(
    scan: ModuleType, again: list[int], data: torch.Tensor, columns: int
) -> None:
    """At most: that in which its products leave float64, where it does not show that they stay outside."""
    settings = {"form": "tiles", "COLUMNS": columns, "LINES": 0, "WINDOW": 1, "num_warps": 4, "registers": 128}
    if columns == 1:
        got = scan.products(data, 1, BLOCK=2048, **settings)
    else:
        got = scan.products(data.mT.contiguous(), 0, BLOCK=2048 * columns, **settings).mT
    assert_right(got, data, len(again))
    assert sum(again) <= len(data) * 2048


@pytest.mark.parametrize("settings", [SMALL, LARGE, WHOLE, TILES], ids=["small", "large", "whole", "tiles"])
@pytest.mark.parametrize("depth", [-240, -400, -800])
def test_a_group_may_rise_far_below(scan: ModuleType, settings: dict[str, Any], depth: int) -> None:
    """What is before a group counts as it is, however small, also where its products are large."""
    x = torch.ones(2, 300)
    x[:, 20:30] = 2.0 ** (depth / 10)
    x[0, 200:204] = 2.0**22
    x[1, 201:203] = 2.0**55
    x[1, 203] = 2.0**-110
    assert_right(scan.products(x, 1, **settings), x, depth)


def test_neighbours_whose_own_product_leaves_the_range_are(scan: ModuleType, careful: list[int]) -> None:
    data = uniform(-1, 1).sign() * 2.0 ** uniform(-60, 60)
    assert_right(scan.products(data, 1, form="rows", BLOCK=2048, num_warps=4), data, "wild")
    assert careful


@pytest.mark.parametrize("settings", [SMALL, LARGE, WHOLE], ids=["small", "large", "whole"])
@pytest.mark.parametrize("depth", [-200, -900, 200, 900])
def test_rows_come_back_from_where_they_are_not_gone(scan: ModuleType, settings: dict[str, Any], depth: int) -> None:
    """Sunk for several tiles, but not for good; also in the last elements of a row, which no vector takes."""
    for n in (400, 403):
        x = torch.ones(3, n)
        step = 2.0 ** (depth / 10)
        x[:, 50:60] = step
        x[0, 200:210] = x[1, 390:400] = 1 / step
        x[2, n - 3 :] = 1 / step
        got = scan.products(x, 1, **settings)
        want = torch.cumprod(x.double(), 1).float()
        torch.testing.assert_close(got, want, rtol=1e-5, atol=0)


@pytest.mark.parametrize("form", ["rows", "tiles"])
@pytest.mark.parametrize("peak", [64, 150, 199])
@pytest.mark.parametrize("level", [-959, -830, 830, 959])
def test_what_leaves_float64_within_a_group_stays_away(scan: ModuleType, form: str, level: int, peak: int) -> None:
    """Neighbours that lead out of float64 and back: a serial product is 0 or infinite from there on."""
    x = torch.ones(2, 64, dtype=torch.float64)
    direction = 1 if level > 0 else -1
    x[:, 2:8] = 2.0 ** (level / 6)
    x[:, 24], x[:, 25] = 2.0 ** (direction * peak), 2.0 ** (-direction * peak)
    others = {"COLUMNS": 2, "LINES": 0, "WINDOW": 1, "registers": 64} if form == "tiles" else {}
    assert_right(scan.products(x, 1, form=form, BLOCK=16, num_warps=1, **others), x, level)


@pytest.mark.parametrize("settings", [SMALL, LARGE, WHOLE, TILES], ids=["small", "large", "whole", "tiles"])
def test_whole_numbers_are_exact(scan: ModuleType, settings: dict[str, Any]) -> None:
    """As torch's are, as long as float32 holds them."""
    rng = random.Random(3)
    x = torch.ones(8, 500)
    for row in x:
        row[0] = rng.randrange(1, 2**24)
        for place in rng.sample(range(1, 500), 8):
            row[place] = rng.choice([2, 3, 5, 7])
    x[4:, 0] = 1
    got, want = scan.products(x, 1, **settings), torch.cumprod(x.double(), 1)
    assert torch.equal(got[:, 0], x[:, 0])
    is_whole = want < 2**24
    assert torch.equal(got[is_whole].double(), want[is_whole])
