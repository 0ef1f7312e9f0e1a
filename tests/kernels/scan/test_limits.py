"""Products around float64's limits, 2**-1022 and 2**1024: what passes them has left for good, all else comes back."""

from __future__ import annotations

import math
import random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from loading import load
from rightness import SUBNORMAL_STEPS, tolerance
from test_wide import lengths_noted

FORMS: dict[str, dict[str, Any]] = {
    "rows": {"form": "rows", "BLOCK": 64, "num_warps": 1},
    "larger tiles": {"form": "rows", "BLOCK": 512, "num_warps": 1},
    "short": {"form": "short", "BLOCK": 1024, "num_warps": 1},
}
each_form = pytest.mark.parametrize("settings", FORMS.values(), ids=FORMS)

LOWEST, HIGHEST = -1022, 1023
"""Exponents of the least and the largest normal numbers of float64."""


@pytest.fixture
def scan() -> ModuleType:
    return load("scan")


def serial(x: torch.Tensor) -> torch.Tensor:
    """Products of rows one by one in float64, of which those below 2**-1022 are 0 for good."""
    factors = x.double().numpy()
    product, found = np.ones(len(x)), np.empty_like(factors)
    with np.errstate(all="ignore"):
        for k in range(x.shape[1]):
            product = product * factors[:, k]
            product = np.where(np.abs(product) < 2.0**LOWEST, np.copysign(0.0, product), product)
            found[:, k] = product
    return torch.from_numpy(found)


def is_near_a_limit(x: torch.Tensor) -> torch.Tensor:
    """From where on rounding decides whether a product has passed a limit."""
    size = serial(x).abs()
    with np.errstate(all="ignore"):
        exact = torch.from_numpy(np.multiply.accumulate(x.double().numpy(), axis=1)).abs()
    margin = 1e-4
    low = ((size / 2.0**LOWEST - 1).abs() < margin) | ((exact / 2.0**LOWEST - 1).abs() < margin)
    high = (size > 2.0**HIGHEST * (2 - 2 * margin)) & size.isfinite()
    rises = torch.cat([torch.zeros_like(high[:, :1]), (size[:, 1:] == math.inf) & size[:, :-1].isfinite()], 1)
    step = torch.cat([size[:, :1], size[:, :-1] / 2 * x[:, 1:].double().abs()], 1)  # half of what overflows
    high |= rises & (step < 2.0**HIGHEST * (1 + margin))
    return (low | high).cumsum(1) > 0


def assert_serial_but_for(lost: torch.Tensor, got: torch.Tensor, x: torch.Tensor, note: object) -> None:
    """Every element and every sign is that of the serial product; not asked is what is lost."""
    truth = serial(x)
    want = truth.to(x.dtype)
    info = torch.finfo(x.dtype)
    near = truth.abs() * tolerance(x, 1) + SUBNORMAL_STEPS * info.smallest_normal * info.eps
    is_close = ((got.double() - want.double()).abs() <= near) & want.isfinite()
    # What rounds to the largest number or to infinity is either.
    is_edge = (
        (truth.abs() > info.max * (1 - 1e-3)) & (truth.abs() < info.max * (1 + 1e-2)) & (got.abs() >= info.max / 2)
    )
    is_right = is_close | is_edge | (got == want) | (got.isnan() & want.isnan())
    is_right &= (got.signbit() == want.signbit()) | want.isnan()
    wrong = ~(is_right | lost)
    assert not wrong.any(), (note, [(place, got[tuple(place)], want[tuple(place)]) for place in wrong.nonzero()[:3]])


def assert_serial(got: torch.Tensor, x: torch.Tensor, note: object) -> None:
    assert_serial_but_for(torch.zeros(x.shape, dtype=torch.bool), got, x, note)


def through(n: int, *levels: tuple[int, int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A row of powers of two whose products go from place to place, evenly, through 2**level at each."""
    places, exponents = zip((-1, 0), *levels, (n, levels[-1][1]), strict=True)
    path = np.round(np.interp(np.arange(-1, n), places, exponents))
    return torch.from_numpy(2.0 ** np.diff(path)).to(dtype)


LOW = [-1010, -1021, -1022, -1023, -1024, -1026, -1030, -1074, -1100, -2000]
HIGH = [1010, 1021, 1022, 1023, 1024, 1025, 1026, 1030, 1100, 2000]


def with_some_zeros(x: torch.Tensor, place: int) -> torch.Tensor:
    """Rows of which every third has a zero at a place, and another third a negative one."""
    x[1::3, place], x[2::3, place] = 0.0, -0.0
    return x


@each_form
@pytest.mark.parametrize("n", [320, 323])
@pytest.mark.parametrize("levels", [LOW, HIGH], ids=["low", "high"])
def test_what_passes_a_limit_has_left_for_good(
    scan: ModuleType, settings: dict[str, Any], levels: list[int], n: int
) -> None:
    """To the last power of two: what reaches it comes back, for a while or to the end; or stays, or goes on."""
    rows = []
    for level in levels:
        rows.append(through(n, (100, level), (200, 0)))
        rows.append(through(n, (100, level), (155, level), (250, 0)))
        rows.append(through(n, (100, level)))
        rows.append(through(n, (100, level), (105, level // 2), (310, level)))
        rows.append(through(n, (150, level), (300, 3 * level)))
        rows.append(through(n, (150, level), (300, -level)))
        rows.append(through(n, (100, level), (310, level)))
    x = with_some_zeros(torch.stack(rows), 175)
    x[:, 50] *= -1
    assert_serial(scan.products(x, 1, **settings), x, "powers of two")


@each_form
@pytest.mark.parametrize("levels", [LOW, HIGH], ids=["low", "high"])
def test_within_a_group_too(scan: ModuleType, settings: dict[str, Any], levels: list[int]) -> None:
    """One element passes the limit, the next one leads back."""
    sign = -1 if levels is LOW else 1
    rows = []
    for level in levels[:9]:
        for peak in (1, 7, 60):
            for at in (120, 123, 124):
                row = through(160, (119, level - sign * peak), dtype=torch.float64)
                row[at], row[at + 1] = 2.0 ** (sign * peak), 2.0 ** (-sign * peak)
                rows.append(row)
    x = torch.stack(rows).float()
    x = torch.cat([x, with_some_zeros(x.clone(), 122)])
    assert_serial(scan.products(x, 1, **settings), x, "peaks")


@each_form
def test_results_say_what_has_left(scan: ModuleType, settings: dict[str, Any]) -> None:
    """Not where exponents are, but that nothing between the limits of the results' type comes after."""
    levels = [
        (-1100, -180),
        (-1100, -155),
        (-1100, -140),
        (-1100, -110),
        (1100, 180),
        (1100, 135),
        (1100, 120),
        (1100, 60),
    ]
    x = torch.stack([through(560, (170, far), (350, near)) for far, near in levels])
    assert_serial(scan.products(x, 1, **settings), x, "out and back within a tile")


@each_form
@pytest.mark.parametrize("level", [-1000, 1000])
def test_what_a_group_has_after_its_zero_counts_for_nothing(
    scan: ModuleType, settings: dict[str, Any], level: int
) -> None:
    """It would leave float64 otherwise; just at the end of a tile, so that nothing else says that all is 0."""
    step = 2.0 ** (20 if level > 0 else -20)
    x = torch.stack([through(576, (400, level))] * 4)
    for row, value in enumerate([0.0, -0.0, 1.0, step]):
        x[row, 509:512] = torch.tensor([value, step, step])
    assert_serial(scan.products(x, 1, **settings), x, level)


@each_form
@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan, 1e38, -1e-38], ids=str)
@pytest.mark.parametrize("level", [-1500, -1100, -1021, 1021, 1100, 1500])
def test_what_follows(scan: ModuleType, settings: dict[str, Any], level: int, special: float) -> None:
    """After what has left, an infinity, NaN or a factor that no group takes; in the same tile or in a later one."""
    x = torch.stack([through(700, (300, level))] * 3)
    x[0, 310] = x[1, 350] = x[2, 680] = special
    x[1, 650] = -0.0
    assert_serial(scan.products(x, 1, **settings), x, (level, special))


def walk(n: int, step: int, rng: random.Random) -> torch.Tensor:
    """A random walk of exponents in search of levels: limits, what is just results, and others; with some zeros."""
    levels = [-1100, -1030, -1022, -1018, -955, -900, -161, -150, -126, 0, 127, 131, 900, 955, 1020, 1024, 1030, 1100]
    exponents, level, goal = [], 0, rng.choice(levels)
    for _ in range(n):
        if rng.random() < 0.02:
            goal = rng.choice(levels)
        pull = max(-step, min(step, goal - level))
        move = max(-step, min(step, round(rng.gauss(pull / 2, step / 3))))
        exponents.append(move)
        level += move
    x = torch.tensor(exponents, dtype=torch.float64).exp2()
    x *= torch.tensor([rng.choice([1, 1, -1]) for _ in range(n)])
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        x[rng.randrange(n)] = rng.choice([0.0, -0.0])
    return x


@each_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.long)], ids=["some", "more"])
def test_walks_around_the_limits(scan: ModuleType, settings: dict[str, Any], dtype: torch.dtype, count: int) -> None:
    """Of powers of two, so that no rounding decides; of float64, which are multiplied otherwise, above the least."""
    rng = random.Random(f"{settings}{dtype}")
    x = torch.stack([walk(701, rng.choice([2, 6, 14]), rng) for _ in range(count)]).to(dtype)
    got = scan.products(x, 1, **settings)
    if dtype == torch.float64:
        x = x.where((serial(x) != 0).cumprod(1) == 1, 1.0)  # what is subnormal there is no 0
        got = scan.products(x, 1, **settings)
    assert_serial(got, x, "walks")


@each_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_walks_of_any_factors(scan: ModuleType, settings: dict[str, Any], dtype: torch.dtype) -> None:
    rng = random.Random(f"any{settings}{dtype}")
    x = torch.stack([walk(700, rng.choice([2, 6, 13]), rng) for _ in range(40)])
    x *= torch.tensor([rng.uniform(0.7, 1.4) for _ in range(x.numel())]).view_as(x)
    x = x.to(dtype)
    assert_serial_but_for(is_near_a_limit(x), scan.products(x, 1, **settings), x, "any factors")


def uniform(low: float, high: float, rows: int, n: int, seed: int = 5) -> torch.Tensor:
    return torch.empty(rows, n).uniform_(low, high, generator=torch.Generator().manual_seed(seed))


COMMON = {
    "0 to 1": uniform(0, 1, 8, 16384),
    "0.9 to 1": uniform(0.9, 1, 8, 32768),
    "0.99 to 1": uniform(0.98, 1, 2, 131072),
    "1 to 2": uniform(1, 2, 8, 8192),
    "1 to 1.1": uniform(1, 1.1, 4, 32768),
    "-2 to 2": uniform(-2, 2, 16, 16384),
    "normal": torch.randn(16, 16384, generator=torch.Generator().manual_seed(6)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("name", COMMON)
def test_no_tile_of_common_data_is_scanned_again(
    scan: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype
) -> None:
    again = lengths_noted(scan, monkeypatch, "scan_again")
    x = COMMON[name].to(dtype)
    is_zero = (x == 0).any(1)  # rounded to half types
    x = x[~is_zero]
    assert_serial_but_for(is_near_a_limit(x), scan.products(x, 1, form="rows"), x, name)
    assert again == []


@pytest.mark.parametrize("n", [700, 1000])
@pytest.mark.parametrize("name", COMMON)
def test_no_short_row_of_common_data_is_scanned_again(
    scan: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, n: int
) -> None:
    careful = lengths_noted(scan, monkeypatch, "scan_carefully")
    x = COMMON[name][:, : COMMON[name].shape[1] // n * n].reshape(-1, n)[:64]
    assert_serial_but_for(is_near_a_limit(x), scan.products(x, 1, form="short"), x, name)
    assert careful == []


def test_zeros_among_what_decays_are_settled_in_pieces(scan: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what grows until a zero, but not out of float64; after a zero nothing matters."""
    careful = lengths_noted(scan, monkeypatch, "scan_carefully")
    x = torch.cat([uniform(0, 1, 4, 8192), uniform(0.9, 1, 4, 8192), uniform(-2, 2, 4, 8192)])
    x *= uniform(-0.001, 1, len(x), 8192, seed=7) > 0
    assert_serial(scan.products(x, 1, form="rows"), x, "zeros")
    assert careful == []


@pytest.mark.parametrize("name", ["0 to 1", "1 to 2", "-2 to 2"])
def test_what_comes_after_nan_is_not_scanned_one_by_one(
    scan: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Zeros neither, nor what grows."""
    careful, again = (lengths_noted(scan, monkeypatch, each) for each in ("scan_carefully", "scan_again"))
    x = COMMON[name][:2, :8192].clone()
    x[0, 100], x[1, 100] = math.nan, -math.inf
    x[1, 200] = x[:, 3000] = x[:, 5000] = 0.0
    got = scan.products(x, 1, form="rows", BLOCK=2048, num_warps=2)
    assert_serial(got, x, name)
    assert got[:, 200:].isnan().all()
    assert careful == [256, 256]
    assert again == [2048, 2048]
