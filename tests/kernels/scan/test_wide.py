"""Rows that sink, grow, hold zeros or come back: right as a serial product is, and hardly ever scanned one by one."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import pytest
import torch
from loading import load
from packages import get, put
from rightness import SPECIAL_SEGMENTS, tolerance, verdict

SMALL: dict[str, Any] = {"form": "rows", "BLOCK": 64, "num_warps": 1}
LARGE: dict[str, Any] = {"form": "rows", "BLOCK": 256, "num_warps": 1}
WHOLE: dict[str, Any] = {"form": "short", "BLOCK": 64, "num_warps": 1}
TILES: dict[str, Any] = {"form": "tiles", "BLOCK": 64, "COLUMNS": 2, "LOOK": 16, "num_warps": 1, "registers": 64}


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


def lengths_noted(scan: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str) -> list[int]:
    """Lengths of what a function of the package is asked to scan, from here on."""
    original, lengths = get(scan, name), []

    def noting(x_ptr: Any, y_ptr: Any, left: Any, *others: Any) -> Any:
        lengths.append(int(left))
        return original(x_ptr, y_ptr, left, *others)

    put(monkeypatch, scan, name, noting)
    return lengths


@pytest.fixture
def careful(scan: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of what is scanned carefully."""
    return lengths_noted(scan, monkeypatch, "scan_carefully")


@pytest.fixture
def again(scan: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of what is scanned again from memory, in wide products or carefully."""
    return lengths_noted(scan, monkeypatch, "scan_again")


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
    settings = {**TILES, "BLOCK": 2048 * columns, "COLUMNS": columns, "num_warps": 4}
    down = columns > 1
    got = scan.products(data.mT.contiguous(), 0, **settings).mT if down else scan.products(data, 1, **settings)
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
    settings = TILES if form == "tiles" else SMALL
    assert_right(scan.products(x, 1, **{**settings, "BLOCK": 16}), x, level)


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


def ones_but(n: int, *changes: tuple[slice | int, float], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A row of ones, but for what is changed."""
    x = torch.ones(1, n, dtype=dtype)
    for place, value in changes:
        x[:, place] = value
    return x


GROWN = torch.rand(1, 4096, generator=torch.Generator().manual_seed(1)) * 2 + 1
"""Of which the product overflows."""


@pytest.mark.parametrize(
    ("x", "settings"),
    [
        (GROWN * (torch.arange(4096) != 3000), {**TILES, "BLOCK": 4096, "num_warps": 4, "registers": 128}),
        (ones_but(512, (slice(120), 2.0**10), (150, 0.0)), {**TILES, "BLOCK": 256}),
        (ones_but(64, (slice(60), 2.0**20), (63, 0.0)), SMALL),
        (ones_but(64, (slice(60), 2.0**20), (63, 0.0)), WHOLE),
        (ones_but(128, (slice(60), 2.0**20), (63, 0.0)), TILES),
        (
            ones_but(16383, (slice(2), 3e300), (8192, 0.0), (slice(8193, 16382), 2.0**99), dtype=torch.float64),
            {**TILES, "BLOCK": 8192},
        ),
    ],
    ids=["common", "in a later tile", "rows", "short", "tiles", "what grows around it"],
)
def test_a_zero_after_an_overflow_is_nan(scan: ModuleType, x: torch.Tensor, settings: dict[str, Any]) -> None:
    assert_right(scan.products(x, 1, **settings), x, settings)


def test_a_zero_after_an_overflow_is_nan_down_columns_too(scan: ModuleType) -> None:
    x = ones_but(64, (slice(40), 2.0**30), (50, 0.0)).mT.repeat(1, 2)
    got = scan.products(x, 0, **{**TILES, "BLOCK": 128})
    assert_right(got.mT, x.mT.contiguous(), "columns")


@pytest.mark.parametrize("settings", [SMALL, LARGE, WHOLE, TILES], ids=["small", "large", "whole", "tiles"])
@pytest.mark.parametrize("peak", [61, 90, 95])
@pytest.mark.parametrize("at", [(2, 3), (4, 5), (3, 5), (9, 10)])
def test_a_segment_of_a_group_may_sink(
    scan: ModuleType, settings: dict[str, Any], peak: int, at: tuple[int, int]
) -> None:
    """Further than any product does, where a group is multiplied in halves, or as a tree."""
    x = ones_but(64, (0, 2.0**peak), (8, 2.0 ** (peak - 20)), (at[0], 1.01 * 2.0**-75), (at[1], 1.23456 * 2.0**-75))
    assert_right(scan.products(x, 1, **settings), x, settings)


@pytest.mark.parametrize(
    "x",
    [
        ones_but(48, (0, 2.0**1010), (20, 0.0), (40, 2.0**1000), dtype=torch.float64),
        ones_but(128, (slice(9), 2.0**112), (9, 2.0**15), (16, 2.0**-20), (24, 0.0), (slice(48, None), 2.0**25)),
    ],
    ids=["float64", "float32"],
)
def test_nothing_comes_back_from_a_zero(scan: ModuleType, x: torch.Tensor) -> None:
    assert_right(scan.products(x, 1, **{**TILES, "BLOCK": 16}), x, "large before the zero")


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (ones_but(64, (0, 2.0**60), (4, 2.0**60), (8, 0.0)), 2.0**1001),
        (ones_but(2048, (slice(1200), 0.5), (slice(1300, 1303), 2.0**-40)), 2.0**1000),
        (ones_but(4096, (slice(2200), 0.5), (slice(2300, 2303), 2.0**-40)), 0.0),
        (ones_but(2048, (slice(2000), 0.25)), 0.0),
        (ones_but(64, (0, 0.0), (2, 2.0**90)), 0.0),
    ],
    ids=["a zero after a peak", "too little for any carry", "enough, with an unfair group", "enough", "a zero first"],
)
def test_what_a_tile_tells_holds_for_every_carry(
    scan: ModuleType, monkeypatch: pytest.MonkeyPatch, x: torch.Tensor, told: float
) -> None:
    """2**1000 is no factor, and neither is 2**1001, with a zero; 0 makes 0 of every carry up to 2**900."""
    original, codes = get(scan, "code_of"), []

    def noting(*arguments: Any) -> Any:
        codes.append(original(*arguments))
        return codes[-1]

    put(monkeypatch, scan, "code_of", noting)
    scan.products(x, 1, **{**TILES, "BLOCK": x.shape[1]})
    assert [abs(float(code.handle.data[0])) for code in codes] == [told]
