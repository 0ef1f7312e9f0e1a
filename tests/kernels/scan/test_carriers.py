"""The programs of scan that hand each tile its carry, among tiles that tell what they have when they like to.

In triton's interpreter programs run one after the other, so that none can wait for a later one. Here a thread stands in
for the tiles: it writes their words into memory while a carrier is at work.
"""

from __future__ import annotations

import math
import random
import sys
import threading
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from packages import get
from trees import tree_products
from triton.runtime import interpreter

CODE, CARRY = 1, 2
"""Marks of words."""

NO_ZERO, SOME_ZERO = 2.0**1000, 2.0**1001
"""Codes that are no factors: of a tile without and with zeros."""

WINDOW, COLUMNS = 8, 4


class Tiles:
    """A column of tiles: each tells its code and, where that is no factor, once it has its carry, what comes after."""

    def __init__(self, codes: list[float], after: float = 1.0, *, is_double: bool = False) -> None:
        self.codes = codes
        self.after = after
        """What a tile finds by itself, but where a 0, a NaN or an infinity leaves it no choice."""
        self.is_double = is_double

    def is_teller(self, carry: float, code: float) -> bool:
        near = (2.0**-430, 2.0**430) if self.is_double else (2.0**-900, 2.0**900)
        is_far = 0 < abs(carry) < math.inf and not near[0] <= abs(carry) <= near[1]
        return not abs(code) < NO_ZERO or (code == 0 and math.isinf(carry)) or is_far

    def next(self, carry: float, code: float) -> float:
        if (carry == 0 or math.isnan(carry)) and not math.isnan(code):
            return carry * math.copysign(1.0, code)
        if math.isinf(carry) and 0 < abs(code) <= NO_ZERO:
            return math.copysign(1.0, code) * carry
        return carry * code if abs(code) < NO_ZERO and not math.isinf(carry) else self.after

    def carries(self) -> list[float]:
        carry, found = 1.0, []
        for code in self.codes:
            carry = self.next(carry, code)
            found.append(carry)
        return found


def word(number: float, mark: int) -> int:
    return (int(np.float64(number).view(np.int64)) & ~3) | mark


def number(word: int) -> float:
    return float(np.int64(word & ~3).view(np.float64))


def tell(words: NDArray[np.int64], columns: list[Tiles], order: random.Random) -> None:
    """Write the words (tiles, columns), in an order that heeds only what a tile has to wait for."""
    silent = [(tile, column) for column in range(len(columns)) for tile in range(len(words))]
    waiting: list[tuple[int, int]] = []
    while silent or waiting:
        if silent and (not waiting or order.random() < 0.5):
            tile, column = silent.pop(min(len(silent) - 1, order.randrange(20)))
            words[tile, column] = word(columns[column].codes[tile], CODE)
            waiting.append((tile, column))
        for tile, column in waiting.copy():
            before = int(words[tile - 1, column]) if tile else word(1.0, CARRY)
            if before & CARRY:
                waiting.remove((tile, column))
                code, carry = columns[column].codes[tile], number(before)
                if columns[column].is_teller(carry, code):
                    words[tile, column] = word(columns[column].next(carry, code), CARRY)


def _carry_kernel(words_ptr, columns, tiles, width: tl.constexpr, window: tl.constexpr, dtype: tl.constexpr) -> None:
    hand_on(words_ptr, 0, columns, tiles, width, width, window, dtype)  # type: ignore[name-defined]  # noqa: F821


def handed_on(columns: list[Tiles], dtype: Any, seed: int) -> NDArray[np.int64]:
    """The words (tiles, columns) that a carrier leaves behind, among tiles that tell theirs in some order."""
    words = torch.zeros(len(columns[0].codes), COLUMNS, dtype=torch.int64)
    others = [Tiles([1.0] * len(words))] * (COLUMNS - len(columns))
    telling = (words.numpy(), columns + others, random.Random(seed))
    thread = threading.Thread(target=tell, args=telling, daemon=True)
    thread.start()
    triton.jit(_carry_kernel)[(1,)](words, COLUMNS, len(words) + 1, COLUMNS, WINDOW, dtype)
    thread.join(timeout=60)
    assert not thread.is_alive(), "a tile was never handed its carry"
    return words.numpy()[:, : len(columns)]


USUAL = [2.0 ** ((7 * k) % 5 - 2) * (1 + k / 64) * (-1) ** (k // 3) for k in range(21)]


def planted(*codes: float) -> list[float]:
    """Usual codes with others among them, from the third on."""
    return USUAL[:3] + list(codes) + USUAL[3 + len(codes) :]


DATA = {
    "factors": Tiles(USUAL),
    "a zero": Tiles(planted(0.0)),
    "a negative zero": Tiles(planted(-0.0, 2.0, -SOME_ZERO, -0.0)),
    "a zero, then what is no factor": Tiles(planted(0.0, SOME_ZERO, NO_ZERO, 0.0, SOME_ZERO)),
    "a zero, then NaN": Tiles(planted(0.0, 1.0, math.nan, SOME_ZERO), after=math.nan),
    "tiles that come back": Tiles(planted(NO_ZERO, 2.0, SOME_ZERO, -NO_ZERO, 0.5, math.nan), after=3.0),
    "one that sinks to 0": Tiles(planted(NO_ZERO, SOME_ZERO, -NO_ZERO, 1.0), after=0.0),
    "infinity": Tiles(planted(math.nan, -2.0, -NO_ZERO, NO_ZERO, 3.0), after=math.inf),
    "infinity, then zeros": Tiles(planted(math.nan, -2.0, 0.0, 1.0), after=math.inf),
    "NaN": Tiles(planted(math.nan, NO_ZERO, 1.0, SOME_ZERO, 0.0), after=math.nan),
    "at the end of a window": Tiles([*USUAL[:7], NO_ZERO, SOME_ZERO, *USUAL[9:15], -NO_ZERO, *USUAL[16:]], after=5.0),
}


def _tree_cumprod(scan: interpreter.ScanOps, tile: Any) -> list[Any]:
    """As several threads down the first dimension multiply, not one."""
    return [scan.to_tensor(tree_products(tile.handle.data), dtype=tile.dtype)]


@pytest.fixture(autouse=True)
def _of_the_variant(variant: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter.ScanOps, "cumprod", _tree_cumprod)
    monkeypatch.setattr(sys.modules[__name__], "hand_on", get(variant, "hand_on"), raising=False)


@pytest.mark.parametrize("variant", ["scan"], indirect=True)
@pytest.mark.parametrize("dtype", [tl.float32, tl.float64], ids=str)
@pytest.mark.parametrize("part", [0, 1, 2])
def test_every_tile_is_handed_its_carry(variant: ModuleType, dtype: Any, part: int) -> None:
    """And to the last bit the same, in whatever order tiles tell their codes."""
    names = list(DATA)[part * COLUMNS : (part + 1) * COLUMNS]
    words = handed_on([DATA[name] for name in names], dtype, seed=1)
    assert ((words & CARRY) == CARRY).all()
    for column, name in enumerate(names):
        got = [number(int(word)) for word in words[:, column]]
        assert got == pytest.approx(DATA[name].carries(), rel=1e-13, nan_ok=True), name
        signs = [math.copysign(1.0, each) for each in got if not math.isnan(each)]
        assert signs == [math.copysign(1.0, each) for each in DATA[name].carries() if not math.isnan(each)], name
    assert np.array_equal(words, handed_on([DATA[name] for name in names], dtype, seed=2))


@pytest.mark.parametrize("variant", ["scan"], indirect=True)
def test_near_the_end_of_float64_every_tile_finds_its_own(variant: ModuleType) -> None:
    """A carry below 2**-430 is no business of a carrier's, until it is 0."""
    sinking = Tiles([2.0**-60] * 8 + [0.5] * 3 + [NO_ZERO] + [1.0] * 9, after=0.0, is_double=True)
    words = handed_on([sinking], tl.float64, seed=1)
    assert [number(int(word)) for word in words[:, 0]] == sinking.carries()
    assert np.array_equal(words, handed_on([sinking], tl.float64, seed=3))


@pytest.mark.parametrize("variant", ["scan"], indirect=True)
def test_what_is_below_float64_is_0_and_all_above_comes_back(variant: ModuleType) -> None:
    words = handed_on([Tiles([2.0**-112] * 9 + [2.0**100] * 12)], tl.float32, seed=1)
    sunk = [2.0 ** (-112 * k) for k in range(1, 10)]
    risen = [2.0 ** (100 * k - 1008) for k in range(1, 13)]
    assert [number(int(word)) for word in words[:, 0]] == sunk + risen
    words = handed_on([Tiles([-(2.0**-112)] * 10 + [1.0] * 11)], tl.float32, seed=1)
    assert [number(int(word)) for word in words[:, 0]] == [(-(2.0**-112)) ** k for k in range(1, 10)] + [0.0] * 12


@pytest.mark.parametrize("variant", ["scan"], indirect=True)
@pytest.mark.parametrize(
    "last", [[0.0, 1.0, 1.0], [2.0**-80, 2.0**-80, 0.0]], ids=["then a zero", "then back, and a zero"]
)
def test_a_carry_that_overflows_on_its_way_is_the_same_for_all(variant: ModuleType, last: list[float]) -> None:
    """Segments of a tree may overflow where what a tile was handed is finite: from 2**900 on tiles find their own."""
    codes = [NO_ZERO, *[2.0**70] * 4, *last, *[2.0**-3] * 13]
    for told in (2.0**800, 2.0**899):
        overflowing = Tiles(codes, after=told)
        words = handed_on([overflowing], tl.float32, seed=1)
        got = [number(int(word)) for word in words[:, 0]]
        assert got == pytest.approx(overflowing.carries(), rel=1e-13, nan_ok=True)
        assert np.array_equal(words, handed_on([overflowing], tl.float32, seed=2))
