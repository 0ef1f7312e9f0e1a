"""Tiles that find their carry themselves, from the words of all tiles before them, whenever these come.

In triton's interpreter programs run one after the other. Here words are prepared instead: as tiles leave them that work
in any order, each as far as it can be.
"""

from __future__ import annotations

import math
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from loading import load
from numpy.typing import NDArray
from packages import get, put
from rightness import ratios, tolerance, verdict
from test_wide import assert_right, hostile
from told import CARRIES, CODES, COLUMNS, DATA, NO_ZERO, SOME_ZERO, USUAL, Tiles, planted, word

WINDOWS = [8, 32]
"""Of how many tiles: three windows for all, or one."""

Words = NDArray[np.int64]
"""Of a sequence: for the carries after its tiles and for their codes (2, tiles, columns)."""


@pytest.fixture
def scan() -> ModuleType:
    return load("scan")


def _look_kernel(
    words_ptr,
    out_ptr,
    t,
    tiles,
    width: tl.constexpr,
    window: tl.constexpr,
    of_thread: tl.constexpr,
    dtype: tl.constexpr,
) -> None:
    carries = found_carry(words_ptr, t, tiles, width, window, of_thread, dtype, True)  # type: ignore[name-defined]  # noqa: F821
    tl.store(out_ptr + tl.arange(0, width), carries)


def _glance_kernel(words_ptr, out_ptr, t, width: tl.constexpr, window: tl.constexpr, dtype: tl.constexpr) -> None:
    """What `found_carry` makes of a window of words that are all there; and whether it waits for more."""
    places = tl.arange(0, window)[:, None] * width + tl.arange(0, width)[None, :]
    carry, is_open = _carry_after_told(tl.load(words_ptr + places), t, dtype)  # type: ignore[name-defined]  # noqa: F821
    tl.store(out_ptr + tl.arange(0, width), carry)
    tl.store(out_ptr + width, is_open.to(tl.float64))


@pytest.fixture(autouse=True)
def _of_the_package(scan: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("found_carry", "_carry_after_told"):
        monkeypatch.setitem(globals(), name, get(scan, name))


@contextmanager
def not_for_ever(seconds: int = 60) -> Iterator[None]:
    """Fails, if a tile waits that long for a word that nobody tells."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"waited {seconds} s for a word")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def looked(words: Words, t: int, window: int, dtype: Any, of_thread: int = COLUMNS) -> NDArray[Any]:
    """The carries before tile t, which waits for words that another thread may write."""
    _, tiles, width = words.shape
    columns = width // 2 if dtype == tl.int64 else width
    out = torch.zeros(columns, dtype=torch.int64 if dtype == tl.int64 else torch.float64)
    with not_for_ever():
        triton.jit(_look_kernel)[(1,)](torch.from_numpy(words), out, t, tiles, columns, window, of_thread, dtype)
    return out.numpy()


def glanced(words: Words, t: int, window: int, dtype: Any) -> list[float] | None:
    """The carries before tile t, if the words that are there say them; found as where a tile told one.

    They are the carry before its window, the codes in it, and carries told since; which are marked among codes by 2.
    """
    first = t // window * window - 1
    told, codes = words[CARRIES, first + 1 : t], words[CODES, first + 1 : t]
    begin = words[CARRIES, first] if first >= 0 else np.full(COLUMNS, word(1.0))
    if not (begin.all() and codes.all()):
        return None
    seen = np.full((window, COLUMNS), word(1.0))
    seen[0] = (begin & ~3) | 2
    seen[1 : t - first] = np.where(told == 0, codes, (told & ~3) | 2)
    out = torch.zeros(COLUMNS + 1, dtype=torch.float64)
    triton.jit(_glance_kernel)[(1,)](torch.from_numpy(seen), out, t - first, COLUMNS, window, dtype)
    *carries, is_open = out.tolist()
    return None if is_open else carries


def filled(columns: list[Tiles]) -> list[Tiles]:
    return columns + [Tiles([1.0] * len(columns[0].codes))] * (COLUMNS - len(columns))


def tells(column: Tiles, tile: int, window: int, before: float) -> bool:
    """Whether a tile tells the carry after it."""
    return tile % window == window - 1 or column.is_teller(before, column.codes[tile])


def at_last(columns: list[Tiles], window: int) -> Words:
    """The words that tiles leave behind."""
    words = np.zeros((2, len(columns[0].codes), len(columns)), np.int64)
    for place, column in enumerate(columns):
        words[CODES, :, place] = [word(code) for code in column.codes]
        befores = [1.0, *column.carries()]
        for tile, after in enumerate(column.carries()):
            if tells(column, tile, window, befores[tile]):
                words[CARRIES, tile, place] = word(after)
    return words


def bits(numbers: Any) -> list[int]:
    """Of NaN one value, whatever it holds."""
    given = np.asarray(numbers, np.float64)
    return np.where(np.isnan(given), 1, given.view(np.int64)).tolist()  # type: ignore[no-any-return]


def assert_same(got: Any, want: list[float], note: object) -> None:
    assert list(got) == pytest.approx(want, rel=1e-13, nan_ok=True), note
    signs = [[math.copysign(1.0, each) for each in of if not math.isnan(each)] for of in (got, want)]
    assert signs[0] == signs[1], note


MORE = {
    "far, and back": Tiles([2.0**100] * 10 + [2.0**-100] * 11, after=2.0**700),
    "far down, and 0": Tiles([-(2.0**-110)] * 8 + [2.0**-100, 1.0, *[2.0**-3] * 11]),
    "as far as goes": Tiles([2.0**112] * 8 + [1.5] + [2.0**-112] * 12),
    "0 of any carry, after infinity": Tiles(planted(NO_ZERO, -2.0, 0.0, 3.0, SOME_ZERO), after=-math.inf),
    "up and down": Tiles([(2.0**109 if k % 3 == 1 else 1.1 * 2.0**-54) for k in range(21)]),
    "NaN, and others": Tiles(planted(math.nan, NO_ZERO, math.nan, 0.0, SOME_ZERO, 2.0), after=math.nan),
    "near the limit, with a zero": Tiles([2.0**90] * 9 + [0.5, 0.0] + [2.0] * 10),
    "0 before windows, of which the last makes NaN": Tiles(
        [*planted(-0.0)[:9], NO_ZERO, -2.0, -SOME_ZERO, *USUAL[12:18], math.nan, 1.0, NO_ZERO], after=math.nan
    ),
    "all tell": Tiles([NO_ZERO] * 21, after=0.7),
}
ALL = {**DATA, **MORE}
PARTS = range(math.ceil(len(ALL) / COLUMNS))


def part_of(part: int, *, is_double: bool = False) -> list[Tiles]:
    chosen = list(ALL.values())[part * COLUMNS : (part + 1) * COLUMNS]
    return filled([Tiles(each.codes, each.after, is_double=is_double) for each in chosen])


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("dtype", [tl.float32, tl.float64], ids=str)
@pytest.mark.parametrize("part", PARTS)
def test_every_tile_finds_its_carry(dtype: Any, part: int, window: int) -> None:
    columns = part_of(part, is_double=dtype == tl.float64)
    words = at_last(columns, window)
    for t in range(1, words.shape[1] + 1):
        want = [column.carries()[t - 1] for column in columns]
        assert_same(looked(words, t, window, dtype), want, t)


@pytest.mark.parametrize("window", WINDOWS)
def test_a_column_needs_no_others_that_are_special(window: int) -> None:
    """Where one needs a second look, all get it: here the others are ones."""
    for name, column in ALL.items():
        words = at_last(filled([column]), window)
        for t in range(1, words.shape[1] + 1):
            want = [column.carries()[t - 1], *[1.0] * (COLUMNS - 1)]
            assert_same(looked(words, t, window, tl.float32), want, (name, t))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("part", PARTS)
def test_as_many_columns_as_threads_have_room_for_are_found_at_a_time(part: int, window: int) -> None:
    """One, two or all four: to the last bit the same."""
    words = at_last(part_of(part), window)
    for t in (5, 12, 21):
        found = [bits(looked(words, t, window, tl.float32, of_thread)) for of_thread in (4, 2, 1)]
        assert found[0] == found[1] == found[2]


class Work:
    """Tiles that run in some order: each tells its codes, finds its carries when it can, and tells what it has to."""

    def __init__(self, columns: list[Tiles], window: int, dtype: Any, seed: int) -> None:
        self.columns, self.window, self.dtype, self.draw = columns, window, dtype, random.Random(seed)
        self.tiles = len(columns[0].codes)
        self.words = np.zeros((2, self.tiles, COLUMNS), np.int64)
        self.silent = list(range(self.tiles))
        self.searching: list[int] = []
        self.to_tell: list[tuple[tuple[int, int, int], int]] = []
        self.found: dict[int, list[float]] = {}
        self.writes: list[tuple[tuple[int, int, int], int]] = []
        """Words as they came, with their places: of which array, tile and column."""

    def write(self, place: tuple[int, int, int], value: int) -> None:
        assert self.words[place] == 0, f"{place} is told twice"
        self.words[place] = value
        self.writes.append((place, value))

    def look(self, tile: int) -> bool:
        """Whether a tile finds its carries by now, which it then tells soon where it has to."""
        if tile and glanced(self.words, tile, self.window, self.dtype) is None:
            return False
        found = looked(self.words, tile, self.window, self.dtype).tolist() if tile else [1.0] * COLUMNS
        self.found[tile] = found
        for place, (column, carry) in enumerate(zip(self.columns, found, strict=True)):
            if tells(column, tile, self.window, carry):
                self.to_tell.append(((CARRIES, tile, place), word(column.next(carry, column.codes[tile]))))
        return True

    def run(self) -> None:
        """To the end; a look in four is one that a tile needs not, and may be in vain."""
        while self.silent or self.searching or self.to_tell:
            if self.to_tell and self.draw.random() < 0.5:
                self.write(*self.to_tell.pop(self.draw.randrange(len(self.to_tell))))
            elif self.silent and self.draw.random() < 0.7:
                tile = self.silent.pop(self.draw.randrange(min(8, len(self.silent))))
                for place, column in enumerate(self.columns):
                    self.write((CODES, tile, place), word(column.codes[tile]))
                self.searching.append(tile)
            else:
                done = [tile for tile in self.searching if self.look(tile)]
                assert done or self.silent or self.to_tell, "tiles wait for each other"
                self.searching = [tile for tile in self.searching if tile not in done]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("dtype", [tl.float32, tl.float64], ids=str)
@pytest.mark.parametrize("part", [0, 1, *(pytest.param(part, marks=pytest.mark.long) for part in PARTS[2:])])
def test_whoever_comes_first_all_find_the_same_bits(dtype: Any, part: int, window: int) -> None:
    """And none waits for a word that nobody tells."""
    columns = part_of(part, is_double=dtype == tl.float64)
    works = [Work(columns, window, dtype, seed) for seed in range(3)]
    for work in works:
        work.run()
        for tile in range(1, work.tiles):
            assert_same(work.found[tile], [column.carries()[tile - 1] for column in columns], tile)
            assert bits(work.found[tile]) == bits(works[0].found[tile])
            assert bits(looked(work.words, tile, window, dtype)) == bits(work.found[tile])
    assert all(np.array_equal(work.words, works[0].words) for work in works)


def drawn_codes(draw: random.Random, reach: float) -> list[float]:
    """Factors that drift, and codes that are none, seldom or often."""
    share, drift = draw.choice([0, 0.05, 0.3, 0.6]), draw.choice([0, -60, 60, 110, -110, 5])
    others = [0.0, -0.0, NO_ZERO, -NO_ZERO, SOME_ZERO, -SOME_ZERO, math.nan]
    factors = [draw.choice([1, -1]) * 2.0 ** max(-reach, min(reach, draw.gauss(drift, 30))) for _ in range(21)]
    return [draw.choice(others) if draw.random() < share else factor for factor in factors]


@pytest.mark.parametrize(
    ("first", "cases"), [(0, 4), *(pytest.param(100 + 40 * part, 40, marks=pytest.mark.long) for part in range(5))]
)
def test_whatever_the_codes_all_find_the_same_bits(first: int, cases: int) -> None:
    for seed in range(first, first + cases):
        draw = random.Random(seed)
        is_double = draw.random() < 0.5
        dtype, reach = (tl.float64, 581) if is_double else (tl.float32, 112)
        after = [0.0, -0.0, 1.0, -3.0, 2.0**890, 2.0**-899, 2.0**950, 2.0**-1000, math.inf, -math.inf, math.nan]
        columns = [Tiles(drawn_codes(draw, reach), draw.choice(after), is_double=is_double) for _ in range(COLUMNS)]
        window = draw.choice(WINDOWS)
        works = [Work(columns, window, dtype, order) for order in range(2)]
        for work in works:
            work.run()
        assert np.array_equal(works[0].words, works[1].words), seed
        for tile in range(1, works[0].tiles):
            assert bits(works[0].found[tile]) == bits(works[1].found[tile]), (seed, tile)
            for column, before, got in zip(columns, works[0].found[tile - 1], works[0].found[tile], strict=True):
                want = column.next(before, column.codes[tile - 1])
                assert got == pytest.approx(want, rel=1e-12, abs=1e-300, nan_ok=True), (seed, tile)


def found_by_all(tiles: Tiles, dtype: Any = tl.float32) -> list[float]:
    """The carries after all tiles of a column but the last, to the last bit the same in whatever order they run."""
    works = [Work(filled([tiles]), 32, dtype, seed) for seed in (1, 2, 3)]
    for work in works:
        work.run()
        assert all(bits(work.found[tile]) == bits(works[0].found[tile]) for tile in range(1, work.tiles))
    return [works[0].found[tile][0] for tile in range(1, works[0].tiles)]


def test_near_the_end_of_float64_every_tile_finds_its_own() -> None:
    """Nothing is multiplied with a carry below 2**-430, until it is 0."""
    sinking = Tiles([2.0**-60] * 8 + [0.5] * 3 + [NO_ZERO] + [1.0] * 9, after=0.0, is_double=True)
    assert found_by_all(sinking, tl.float64) == sinking.carries()[:-1]


def test_what_is_below_float64_is_0_and_all_above_comes_back() -> None:
    sunk = [2.0 ** (-112 * k) for k in range(1, 10)]
    risen = [2.0 ** (100 * k - 1008) for k in range(1, 12)]
    assert found_by_all(Tiles([2.0**-112] * 9 + [2.0**100] * 12)) == sunk + risen
    sunk = [(-(2.0**-112)) ** k for k in range(1, 10)]
    assert found_by_all(Tiles([-(2.0**-112)] * 9 + [-(2.0**-110), *[1.0] * 11], after=0.0)) == sunk + [0.0] * 11


@pytest.mark.parametrize(
    "last", [[0.0, 1.0, 1.0], [2.0**-80, 2.0**-80, 0.0]], ids=["then a zero", "then back, and a zero"]
)
def test_a_carry_that_overflows_on_its_way_is_the_same_for_all(last: list[float]) -> None:
    """Segments of a tree may overflow where what a tile was told is finite: from 2**900 on tiles find their own."""
    for told in (2.0**800, 2.0**899):
        overflowing = Tiles([NO_ZERO, *[2.0**70] * 4, *last, *[2.0**-3] * 13], after=told)
        assert found_by_all(overflowing) == pytest.approx(overflowing.carries()[:-1], rel=1e-13, nan_ok=True)


def arriving(words: Words, writes: list[tuple[Any, Any]]) -> threading.Thread:
    """Writes words at their places, one by one, while others look."""

    def arrive() -> None:
        for place, value in writes:
            time.sleep(5e-4)
            words[place] = value

    thread = threading.Thread(target=arrive, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("part", PARTS)
def test_a_tile_waits_for_what_is_to_come(part: int, window: int) -> None:
    """Words arrive while it looks; from then on it has what those find that come later."""
    work = Work(part_of(part), window, tl.float32, seed=part)
    work.run()
    for t in (5, 12, 20):
        words = np.zeros_like(work.words)
        thread = arriving(words, work.writes)
        got = looked(words, t, window, tl.float32)
        thread.join(timeout=60)
        assert not thread.is_alive()
        assert bits(got) == bits(looked(work.words, t, window, tl.float32))


def test_codes_near_1_take_no_second_look(scan: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those that can lead far do."""
    original, seen = get(scan, "_carry_after_told"), count()

    def noting(*arguments: Any) -> Any:
        next(seen)
        return original(*arguments)

    put(monkeypatch, scan, "_carry_after_told", noting)
    near, far = (at_last([Tiles([2.0**step] * 31)], 32) for step in (26, 28))
    assert (looked(near, 31, 32, tl.float32, 1).tolist(), next(seen)) == ([2.0 ** (26 * 31)], 0)
    assert (looked(far, 31, 32, tl.float32, 1).tolist(), next(seen)) == ([2.0 ** (28 * 31)], 2)


def integer_words(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Two words a number (tiles, columns), its lower and its upper half."""
    halves = np.stack([numbers << 32, (numbers >> 32) << 32], axis=2) | 1
    return halves.reshape(len(numbers), -1)


@pytest.mark.parametrize("window", WINDOWS)
def test_integers_wrap_around_and_come_in_halves(window: int) -> None:
    draw = np.random.default_rng(1)
    codes = draw.integers(-(2**62), 2**62, (21, COLUMNS)) | 1
    want = np.multiply.accumulate(codes, axis=0)
    ends_window = np.arange(21)[:, None] % window == window - 1
    whole = np.stack([np.where(ends_window, integer_words(want), 0), integer_words(codes)])
    for t in (1, 5, 21):
        assert looked(whole, t, window, tl.int64).tolist() == want[t - 1].tolist()
    for t in (5, 16, 21):
        words = np.zeros_like(whole)
        places = [tuple(place) for place in draw.permutation(np.argwhere(whole))]
        thread = arriving(words, [(place, whole[place]) for place in places])
        assert looked(words, t, window, tl.int64).tolist() == want[t - 1].tolist()
        thread.join(timeout=60)
        assert not thread.is_alive()


LOOKING: dict[str, Any] = {"form": "tiles", "LOOK": 128, "num_warps": 1, "registers": 64}


@pytest.mark.parametrize(("columns", "look"), [(1, 128), (2, 128), (4, 128), (4, 8)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_hostile_data(scan: ModuleType, dtype: torch.dtype, columns: int, look: int) -> None:
    """As a serial product, in one window and in three."""
    x = hostile(4, 701, dtype, random.Random(f"{dtype}{columns}"))
    settings = {**LOOKING, "BLOCK": 32 * columns, "COLUMNS": columns, "LOOK": look}
    if columns == 1:
        got = scan.products(x, 1, **settings)
    else:
        got = scan.products(x.mT.contiguous(), 0, **settings).mT.contiguous()
    assert_right(got, x, settings)


def test_hostile_data_in_32_columns(scan: ModuleType) -> None:
    """In three windows of 16 tiles; a column is left for tiles of its own."""
    x = hostile(33, 600, torch.float32, random.Random(7))
    settings = {**LOOKING, "BLOCK": 512, "COLUMNS": 32, "LOOK": 16, "num_warps": 4}
    assert_right(scan.products(x.mT.contiguous(), 0, **settings).mT.contiguous(), x, settings)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool], ids=str)
@pytest.mark.parametrize("shape", [(2, 700), (700, 3)], ids=str)
def test_integers(scan: ModuleType, shape: tuple[int, int], dtype: torch.dtype) -> None:
    x = torch.randint(-4, 5, shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    x = x if dtype == torch.bool else x | 1
    dim = 1 if shape[0] == 2 else 0
    got = scan.products(x, dim, **{**LOOKING, "BLOCK": 32, "COLUMNS": 2})
    assert torch.equal(got, torch.cumprod(x, dim))


@pytest.mark.parametrize("block", [64, 16])
def test_a_product_within_float64_is_right_where_its_mantissas_alone_are_not(scan: ModuleType, block: int) -> None:
    """1.9 * 2**1023 times 1.9 * 2**-10: the mantissas' product leaves float64 if it is formed first. In one window and
    in two, of which the second begins far away.
    """
    x = torch.ones(1024)
    x[:68], x[68] = 2.0**15, 1.9 * 2.0**3
    x[128], x[129] = 2.0**-10, 1.9
    x[640:704], x[704:708] = 2.0**-15, 2.0**-13
    got = scan.products(x, 0, **{**LOOKING, "BLOCK": block, "COLUMNS": 1, "LOOK": 32})
    assert got[-1].item() == pytest.approx(torch.cumprod(x.double(), 0)[-1].item(), rel=1e-5)


@pytest.mark.parametrize("tiles", [2, 3, 64, 128, 129, 130])
def test_as_many_tiles_as_it_looks_at_and_more(scan: ModuleType, tiles: int) -> None:
    """A tile looks at up to 128 before it, of which the first has told a carry if there are more. Each has a word, of
    which a thread of 32 has its share.
    """
    x = ratios((16 * tiles,), 0, torch.float32, seed=tiles)
    given = {**LOOKING, "BLOCK": 16, "COLUMNS": 1}
    assert not verdict(scan.products(x, 0, **given), x, 0, tolerance(x, 0))
    (launch,) = get(scan, "prepared")(x, 0, **given).work.launches
    look = max(32, min(128, triton.next_power_of_2(tiles)))
    assert launch.numbers[-3:-1] == (look, look // 32)


def tellers(scan: ModuleType, x: torch.Tensor) -> tuple[list[bool], list[bool]]:
    """Of the words for carries and for codes, which are there when all tiles of 16 elements are done."""
    x, y, work = get(scan, "prepared")(x, 0, **{**LOOKING, "BLOCK": 16, "COLUMNS": 1})
    words = torch.zeros(work.words, dtype=torch.int64)
    work.launches[0].run(x, y, words)
    assert set((words & 3).tolist()) <= {int(word != 0) for word in words.tolist()}
    carries, codes = (words != 0).view(2, -1).tolist()
    return carries, codes


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({}, []),
        ({40: 0.0}, []),
        ({40: math.inf}, [2]),
        ({0: 1e30, 1: 1e30, 2: 1e-30, 17: 0.0, 33: 1e15}, [0]),
    ],
    ids=["ones", "a zero, and nothing grows", "infinity", "a peak"],
)
def test_a_tile_tells_a_carry_only_where_its_code_is_no_factor(
    scan: ModuleType, numbers: dict[int, float], told: list[int]
) -> None:
    """The last one tells nothing."""
    x = torch.ones(16 * 6)
    for place, factor in numbers.items():
        x[place] = factor
    assert tellers(scan, x) == ([tile in told for tile in range(6)], [True] * 5 + [False])


def test_integers_tell_codes(scan: ModuleType) -> None:
    assert tellers(scan, torch.full((16 * 4,), 3)) == ([False] * 8, [True] * 6 + [False] * 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64], ids=str)
def test_the_last_tile_of_a_window_tells_a_carry(scan: ModuleType, dtype: torch.dtype) -> None:
    """And its code, as every tile but the last of all."""
    tiles, words = 300, 1 if dtype.is_floating_point else 2
    carries, codes = tellers(scan, torch.ones(16 * tiles, dtype=dtype))
    assert carries == [tile in (127, 255) for tile in range(tiles) for _ in range(words)]
    assert codes == [tile < tiles - 1 for tile in range(tiles) for _ in range(words)]


@pytest.mark.parametrize(
    ("shape", "dtype", "look"),
    [
        ((1, 60614, 1), torch.float32, 128),
        ((1, 2**29, 1), torch.float32, 128),
        ((131, 2**20, 1), torch.float32, 128),
        ((132, 2**20, 1), torch.float32, 128),
        ((1, 2**18, 1), torch.float64, 128),
        ((1, 16384, 16), torch.float32, 64),
        ((1, 2**20, 9), torch.float32, 64),
        ((33, 2**16, 17), torch.float32, 32),
        ((1, 2**20, 2), torch.int64, 128),
        ((1, 2**20, 3), torch.int64, 64),
        ((1, 2**20, 8), torch.float32, 128),
        ((1, 2**20, 16), torch.int64, 64),
        ((1, 2**20, 40), torch.float32, 64),
        ((1, 2**20, 64), torch.float32, 32),
        ((33, 2**20, 64), torch.float32, 16),
        ((33, 2**20, 64), torch.int64, 32),
    ],
    ids=str,
)
def test_tiles_of_few_columns_look_far(
    scan: ModuleType, shape: tuple[int, int, int], dtype: torch.dtype, look: int
) -> None:
    """On an H100, however many sequences there are."""
    chosen = get(scan, "choice")(get(scan, "Call")(*shape, dtype, 132), "tiles")[1]
    assert chosen["LOOK"] == look
