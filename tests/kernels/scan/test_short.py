"""Whole sequences that follow each other in a tile, wherever they begin: right, and none disturbs its neighbours."""

from __future__ import annotations

import math
import random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from loading import load
from packages import get, put
from rightness import ratios, tolerance, verdict

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
INTEGERS = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
PLANTED = [0.0, -0.0, 1e30, -1e30, 1e-30, 1e-38, -1e38, 1e-45, 3e38, 0.5, -1.0, math.inf, -math.inf, math.nan]
SCALES = [(0.9, 1.1), (0.0, 1.0), (-1.0, 1.0), (-2.0, 2.0), (0.2, 0.9), (1.1, 3.0), (1e-4, 1e-2), (20.0, 80.0)]


@pytest.fixture
def scan() -> ModuleType:
    return load("scan")


def short(scan: ModuleType, x: torch.Tensor, **settings: int) -> torch.Tensor:
    result: torch.Tensor = scan.products(x, 1, **{"form": "short", "BLOCK": 256, "num_warps": 1, **settings})
    return result


def signs_differ(got: torch.Tensor, x: torch.Tensor) -> bool:
    """Whether a number has not the product of the signs; NaN has none."""
    with np.errstate(all="ignore"):
        want = torch.from_numpy(np.multiply.accumulate(x.double().numpy(), axis=1))
    return bool(((got.signbit() != want.signbit()) & ~(got.isnan() | want.isnan())).any())


def factors(draw: random.Random, rows: int, n: int, dtype: torch.dtype, *, is_hostile: bool) -> torch.Tensor:
    """Of any sign and scale; if they are hostile, with special ones in few rows, or in all."""
    generator = torch.Generator().manual_seed(draw.randrange(2**30))
    if dtype not in FLOATS:
        return torch.randint(-4 if dtype.is_signed else 0, 4, (rows, n), generator=generator).to(dtype)
    low, high = draw.choice(SCALES)
    x = torch.rand((rows, n), generator=generator, dtype=torch.float64) * (high - low) + low
    if draw.random() < 0.3:
        x = x * (torch.randint(0, 2, (rows, n), generator=generator) * 2 - 1)
    if is_hostile:
        values = torch.tensor(draw.sample(PLANTED, draw.randint(1, len(PLANTED))), dtype=torch.float64)
        shares = torch.tensor(draw.choice([[0.0, 0.0, 0.5], [0.05], [0.0, 1.0]]), dtype=torch.float64)
        share = shares[torch.randint(0, len(shares), (rows, 1), generator=generator)]
        which = torch.randint(0, len(values), (rows, n), generator=generator)
        x = torch.where(torch.rand((rows, n), generator=generator) < share, values[which], x)
    return x.to(dtype)


def fault(scan: ModuleType, seed: int, dtype: torch.dtype, *, is_hostile: bool) -> str:
    """Of a drawn call, whose input may begin between vectors."""
    draw = random.Random(f"{seed} {dtype}")
    n = int(2 ** draw.uniform(math.log2(5), 10)) if draw.random() < 0.8 else draw.choice([1, 2, 3, 4, 8, 16, 64, 1024])
    rows = draw.randint(1, max(1, draw.choice([400, 3000]) // n))
    x = factors(draw, rows, n, dtype, is_hostile=is_hostile)
    settings = {"BLOCK": draw.choice([64, 256, 1024]), "num_warps": draw.choice([1, 2])}
    at = draw.choice([0, 0, 1, 3])
    given = torch.cat([x.new_ones(at), x.flatten()])[at:].view(rows, n)
    got = short(scan, given, **settings)
    found = verdict(got, x, 1, tolerance(x, 1))
    if not found and dtype in FLOATS and signs_differ(got, x):
        found = "signs differ"
    return f"seed {seed}: {dtype} {[rows, n]} from {at} {settings}: {found}" if found else ""


@pytest.mark.parametrize(
    ("first", "count"), [(0, 6), *(pytest.param(100 * part, 100, marks=pytest.mark.long) for part in range(10))]
)
@pytest.mark.parametrize("is_hostile", [False, True], ids=["common", "hostile"])
@pytest.mark.parametrize("dtype", [each for each in FLOATS if each != torch.bfloat16], ids=str)
def test_products_of_any_length_are_right(
    scan: ModuleType, dtype: torch.dtype, is_hostile: bool, first: int, count: int
) -> None:
    faults = [fault(scan, seed, dtype, is_hostile=is_hostile) for seed in range(first, first + count)]
    assert [each for each in faults if each] == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, *INTEGERS], ids=str)
def test_other_types_are_right(scan: ModuleType, dtype: torch.dtype) -> None:
    faults = [fault(scan, seed, dtype, is_hostile=False) for seed in range(4)]
    assert [each for each in faults if each] == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("n", [5, 23, 100, 301])
def test_a_row_is_right_whatever_its_neighbours_are(scan: ModuleType, n: int, dtype: torch.dtype) -> None:
    x = ratios((2 * (256 // n) + 3, n), 1, dtype, seed=n)
    x[1::2] = torch.tensor([math.inf, math.nan, 0.0, 1e30, -1.0], dtype=torch.float64).to(dtype).repeat(n)[:n]
    got = short(scan, x)
    assert not verdict(got, x, 1, tolerance(x, 1))
    assert got[::2].isfinite().all()


@pytest.fixture
def again(scan: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done again from memory."""
    done: list[str] = []
    for name in ("scan_from", "_serial_rows"):
        original = get(scan, name)

        def noting(*arguments: Any, _original: Any = original, _name: str = name) -> Any:
            done.append(_name)
            return _original(*arguments)

        put(monkeypatch, scan, name, noting)
    return done


COMMON = {
    "near 1": lambda x: x * 0.2 + 0.9,
    "0 to 1": lambda x: x,
    "1 to 2": lambda x: x + 1,
    "-2 to 2": lambda x: x * 4 - 2,
    "normal": lambda x: torch.erfinv(x * 1.999 - 0.9995) * 2**0.5,
    "decaying": lambda x: x * 0.1 + 0.4,
    "a mask": lambda x: (x > 0.02).to(x.dtype),
    "with zeros": lambda x: x * (x > 0.05),
}


@pytest.mark.parametrize("data", COMMON.values(), ids=COMMON)
@pytest.mark.parametrize("n", [5, 29, 153, 1000])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_common_data_are_never_done_again(
    scan: ModuleType, again: list[str], dtype: torch.dtype, n: int, data: Any
) -> None:
    x = torch.rand((2 * 1024 // n + 1, n), generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    x = data(x).to(dtype)
    got = short(scan, x, BLOCK=1024)
    assert not verdict(got, x, 1, tolerance(x, 1))
    assert not signs_differ(got, x)
    assert again == []


@pytest.mark.parametrize("n", [100, 301])
def test_only_the_rows_that_are_not_right_are_done_again(scan: ModuleType, again: list[str], n: int) -> None:
    x = ratios((1024 // n, n), 1, torch.float32, seed=3)
    x[1, 40] = math.inf
    x[2, n // 2 : n // 2 + 2] = 1e-30
    x[2, n // 2 + 2 : n // 2 + 4] = 1e30
    got = short(scan, x, BLOCK=1024)
    assert not verdict(got, x, 1, tolerance(x, 1))
    assert len(again) <= 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_what_sinks_out_of_float64_and_comes_back_is_done_again(
    scan: ModuleType, again: list[str], dtype: torch.dtype
) -> None:
    """Its neighbour, which stays there, is not."""
    x = torch.ones(3, 700, dtype=dtype)
    x[:2, 20:300] = 2.0**-5
    x[1, 300:600] = 2.0**5
    got = short(scan, x, BLOCK=1024)
    assert (got[1, 500:] == 0).all()
    assert not verdict(got, x, 1, tolerance(x, 1))
    assert again == ["scan_from"]


@pytest.mark.parametrize("n", [100, 301])
@pytest.mark.parametrize("at", [0, 50, 98])
def test_a_zero_after_an_overflow_within_float64_is_nan(scan: ModuleType, n: int, at: int) -> None:
    """Wherever the zero is in its group, the next sequence may begin there too."""
    x = torch.ones(3, n)
    x[1, :-2] = 2.0**30
    x[1, min(at + 40, n - 1)] = 0.0
    x[1, n - 1] = 0.0
    got = short(scan, x, BLOCK=1024)
    assert not verdict(got, x, 1, tolerance(x, 1))


def ones_but(*changes: tuple[slice | int, float], n: int = 301, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Three rows, of which the second is ones but for what is changed."""
    x = torch.ones(3, n, dtype=dtype)
    for place, value in changes:
        x[1, place] = value
    return x


ONE_A_GROUP = slice(2, 98, 16)
DOUBLE = torch.float64
TRAPS = {
    "overflow and back": ones_but((slice(20, 260), 2.0**5), (slice(270, 500), 2.0**-5), n=701),
    "underflow and back": ones_but((slice(20, 260), 2.0**-5), (slice(270, 500), 2.0**5), n=701),
    "back from subnormal": ones_but((slice(20, 230), 2.0**-5), (slice(240, 440), 1.2345 * 2.0**5), n=701),
    "overflow, then zero at the end": ones_but((slice(485, 700), 2.0**5), (700, 0.0), n=701),
    "overflow, then zero": ones_but((slice(100, 315), 2.0**5), (400, 0.0), n=701),
    "NaN": ones_but((50, math.nan)),
    "zero, then infinity": ones_but((50, 0.0), (52, math.inf), (90, -2.0)),
    "a tiny factor": ones_but((50, 2.0**-90), (51, 2.0**-90), (100, 2.0**100), (101, 2.0**80)),
    "subnormal in a group": ones_but((50, 1.1 * 2.0**-70), (51, 1.2345 * 2.0**-70), (52, 2.0**100), (53, 2.0**40)),
    "in float64, over and back in a group": ones_but(
        (ONE_A_GROUP, 2.0**160), (140, 2.0**80), (141, 2.0**-80), dtype=DOUBLE
    ),
    "in float64, under and back in a group": ones_but(
        (ONE_A_GROUP, 2.0**-175), (140, 2.0**-90), (141, 2.0**90), dtype=DOUBLE
    ),
    "in float64, rises from subnormal": ones_but(
        (ONE_A_GROUP, 2.0**-175), (140, 1.2345 * 2.0**-10), (190, 2.0**9), dtype=DOUBLE
    ),
    "in float64, through subnormal in a group": ones_but(
        (ONE_A_GROUP, 2.0**-165), (140, 1.3 * 2.0**-60), (141, 1.2 * 2.0**59), dtype=DOUBLE
    ),
    "in float64, overflow and back": ones_but((slice(20, 120), 2.0**11), (slice(130, 230), 2.0**-11), dtype=DOUBLE),
}


@pytest.mark.parametrize("x", TRAPS.values(), ids=TRAPS)
@pytest.mark.parametrize("block", [512, 1024])
def test_what_a_wide_product_would_get_wrong_is_done_again(
    scan: ModuleType, again: list[str], x: torch.Tensor, block: int
) -> None:
    """With 16 elements a thread, which are a group, or with 32."""
    got = short(scan, x, BLOCK=block)
    assert not verdict(got, x, 1, tolerance(x, 1))
    assert not signs_differ(got, x)
    assert again == ["scan_from"]


@pytest.mark.parametrize("dtype", [torch.int8, torch.float16, torch.float32, torch.float64], ids=str)
def test_tiles_begin_with_whole_vectors(scan: ModuleType, dtype: torch.dtype) -> None:
    """Of at least three quarters of the sequences that have room."""
    for n in range(1, 1025):
        for block in (1024, 4096, 8192):
            rows, vector = get(scan, "_rows_and_vector")(n, block, 16 // dtype.itemsize)
            assert rows * n % vector == 0
            assert rows * n <= block
            assert 4 * rows >= 3 * (block // n)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("settings", [{"BLOCK": 8192, "num_warps": 4}, {"BLOCK": 2048}, {"BLOCK": 1024}], ids=str)
def test_a_small_group_after_large_ones_is_infinite(
    scan: ModuleType, dtype: torch.dtype, settings: dict[str, int]
) -> None:
    """In float16 alone, and in one group of whose products the smallest is just fair."""
    x = torch.ones(1, 192, dtype=torch.float64)
    x[0, :26] = 32.0
    x[0, 63], x[0, 64:112], x[0, 112:127], x[0, 127] = 0.7074, 0.979, 2.0**-7.28, 0.999
    x = x.to(dtype)
    assert not verdict(short(scan, x, **settings), x, 1, tolerance(x, 1))


@pytest.mark.parametrize("settings", [{"BLOCK": 4096}, {"BLOCK": 16384, "num_warps": 4}], ids=str)
def test_many_groups_a_thread(scan: ModuleType, settings: dict[str, int]) -> None:
    """Mantissas of all that are before a group are parted anew: what float32 cannot hold comes back as in float64."""
    x = torch.ones(1, 512)
    x[0, :25], x[0, 127], x[0, 128:240:16], x[0, 240] = 32.0, 1.41, 1.41, 2.0**-20
    got, want = short(scan, x, **settings), x.double().cumprod(1).float()
    assert torch.allclose(got, want, rtol=1e-5)
