"""How tiles find their carry: by words of 64 bits in memory.

A tile tells its code, a factor for the carry before it, or that it has none and will tell the carry after it itself.
Then it looks at the words of the tiles before it (`found_carry`), or is handed its carry by programs that multiply
codes, the carriers (`hand_on`).
"""

import triton
import triton.language as tl

from .ranges import picked, sign_of, zero_like
from .wide import DEAD, exact_carry, joined, parted


@triton.jit
def without_mark(value):
    """A float64 without its last two bits, which make room for a mark: half to even, since many follow each other."""
    bits = value.to(tl.int64, bitcast=True)
    rounded = ((bits + 1 + ((bits >> 2) & 1)) & -4).to(tl.float64, bitcast=True)
    largest = tl.abs(rounded) == float("inf")  # stays finite if it is
    rounded = tl.where(largest, (bits & -4).to(tl.float64, bitcast=True), rounded)
    return tl.where(value == value, rounded, float("nan"))


@triton.jit
def kept(carry, dtype: tl.constexpr):
    """An exact carry as it can be told: without the bits of the mark and, of float32, what is subnormal in float64."""
    least: tl.constexpr = 2.0**-1074 if dtype == tl.float64 else 2.0**-1022
    return tl.where(tl.abs(carry) < least, zero_like(carry), without_mark(carry))


@triton.jit
def _is_beyond(carry, LIMIT: tl.constexpr):
    """Whether a carry that is neither 0, infinite nor NaN is not within 2**LIMIT either way."""
    size = tl.abs(carry)
    return ((size > 2.0**LIMIT) & (size < float("inf"))) | ((size < 2.0**-LIMIT) & (size > 0))


@triton.jit
def is_far_carry(carry, dtype: tl.constexpr):
    """Whether a carry is so near to the ends of float64 that each tile after it finds and tells its own."""
    return _is_beyond(carry, 430 if dtype == tl.float64 else 900)


@triton.jit
def tell(words_ptr, places, value, mask, MARK: tl.constexpr):
    """Let other programs see values at places of `words_ptr`, of 64 bits, each with a mark in its last two bits.

    Of a float64 the mark replaces those bits. An integer takes two words, its upper and its lower half.
    """
    if value.dtype == tl.float64:
        bits = value.to(tl.int64, bitcast=True)
        tl.atomic_xchg(words_ptr + places, (bits & -4) | MARK, mask=mask, sem="relaxed")
    else:
        tl.atomic_xchg(words_ptr + 2 * places, (value << 32) | MARK, mask=mask, sem="relaxed")
        tl.atomic_xchg(words_ptr + 2 * places + 1, ((value >> 32) << 32) | MARK, mask=mask, sem="relaxed")


@triton.jit
def _both(a, b):
    """Bits that both have, as tl.reduce asks for it."""
    return a & b


@triton.jit
def _awaited(words_ptr, tile, slot, COLUMNS: tl.constexpr):
    """The words (columns,) of a tile, once they are carries.

    They are not waited for in vain: who tells them is running already. Every slot looks at the same words, so that
    each thread has some of its own: all leave the loop together only if each of them is asked.
    """
    places = tile * COLUMNS + slot * 0 + tl.arange(0, COLUMNS)[None, :]
    words = tl.reduce(tl.load(words_ptr + places, volatile=True), 0, _both)
    while tl.min(words & 2) == 0:
        words = tl.reduce(tl.load(words_ptr + places, volatile=True), 0, _both)
    return words


@triton.jit
def awaited_carry(words_ptr, tile, slot, COLUMNS: tl.constexpr, dtype: tl.constexpr):
    """The exact carries (columns,) after a tile, once they are told: float64, or int64."""
    if dtype.is_floating():
        return (_awaited(words_ptr, tile, slot, COLUMNS) & -4).to(tl.float64, bitcast=True)
    else:
        lower, upper = tl.split(tl.reshape(_awaited(words_ptr, tile, slot, 2 * COLUMNS), [COLUMNS, 2]))
        return ((upper >> 32) << 32) | ((lower >> 32) & 0xFFFFFFFF)


@triton.jit
def _factors_of(codes, carry, dtype: tl.constexpr):
    """Codes (window, lines) as factors for a carry (lines,) before them; NaN where the tile itself tells what follows.

    A carry of 0 or NaN stays what it is, but for its sign, as long as nothing infinite comes; an infinite one, while
    there are no zeros.
    """
    carry = carry[None, :]
    size = tl.abs(codes)
    factors = tl.where(size < 2.0**1000, codes, float("nan"))
    factors = tl.where(((carry == 0) | (carry != carry)) & (codes == codes), sign_of(codes), factors)
    keeps_infinity = (tl.abs(carry) == float("inf")) & (size > 0) & (size <= 2.0**1000)
    factors = tl.where(keeps_infinity, tl.where(codes < 0, -1.0, 1.0), factors)
    return tl.where(is_far_carry(carry, dtype), float("nan"), factors)


@triton.jit
def _mantissa_and_exponent(x):
    """The parts of a float64; of 0, infinity and NaN it is the mantissa itself."""
    m, e = parted(x)
    is_usual = (x * 0 == 0) & (x != 0)
    return tl.where(is_usual, m, x), tl.where(is_usual, e, 0.0)


@triton.jit
def carries_after(factors, carry):
    """Carries (lines,) times the products of factors (window, lines) so far: up to 512 of them, which may be NaN."""
    first = tl.arange(0, factors.shape[0])[:, None] == 0
    m, e = _mantissa_and_exponent(factors)
    m_carry, e_carry = _mantissa_and_exponent(carry)
    m = tl.where(first & (carry == carry)[None, :], m * m_carry[None, :], m)
    e = tl.where(first, e + e_carry[None, :], e)
    m, more = _mantissa_and_exponent(tl.cumprod(m, 0))
    e = tl.cumsum(e, 0) + more
    return tl.where((m * 0 == 0) & (m != 0), exact_carry(m, e), m)


@triton.jit
def hand_on(
    words_ptr,
    first,
    lines,
    tiles,
    COLUMNS: tl.constexpr,
    LINES: tl.constexpr,
    WINDOW: tl.constexpr,
    dtype: tl.constexpr,
):
    """Tell the exact carry after each tile of LINES lines from line `first` on, as soon as all codes before are there.

    A line is one column of one sequence of tiles. Of each the codes of WINDOW tiles are multiplied as a tree, whichever
    of them are there already: in what order, only their places decide. A word that is not there is NaN, and so is every
    product that it takes part in. Marks of words: 1 a code, 2 a carry, told by the tile itself; here 3 as well, a code
    for which the carry was told.
    """
    told_one: tl.constexpr = 0x3FF0000000000003
    row = tl.arange(0, WINDOW)[:, None]
    line = first + tl.arange(0, LINES)[None, :]
    words_ptr += (line // COLUMNS).to(tl.int64) * tiles * COLUMNS + line % COLUMNS
    carry = tl.full((LINES,), 1, tl.float64)
    mask = (row < tiles - 1) & (line < lines)
    seen = tl.load(words_ptr + row * COLUMNS, mask=mask, other=told_one, volatile=True)
    for start in range(0, tiles - 1, WINDOW):
        mask = (start + row < tiles - 1) & (line < lines)
        places = (start + row) * COLUMNS
        begin = tl.zeros((LINES,), tl.int32)  # of each line, the first of the window's tiles whose carry is `carry`
        is_open = 1
        while is_open == 1:
            codes = tl.where((seen & 1) == 1, (seen & -4).to(tl.float64, bitcast=True), float("nan"))
            factors = tl.where(mask & (row >= begin[None, :]), _factors_of(codes, carry, dtype), 1.0)
            after = carries_after(factors, carry)
            fresh = (after == after) & ((seen & 2) == 0)
            after = tl.where((carry != carry)[None, :], float("nan"), kept(after, dtype))
            first_far = tl.min(tl.where(is_far_carry(after, dtype) & (row >= begin[None, :]), row, WINDOW), 0)
            fresh = fresh & (row <= first_far[None, :])
            tell(words_ptr, places, after, fresh, 2)
            seen = tl.where(fresh, seen | 2, seen)
            by_tile = (seen & 3) == 2
            state = tl.reduce(tl.ravel((seen & 2) | tl.where(by_tile, 0, 4)), 0, _both)
            if (state & 4) == 0:
                latest = tl.max(tl.where(by_tile, row, -1), 0)
                told = picked((seen & -4).to(tl.float64, bitcast=True), by_tile & (row == latest[None, :]), 0)
                carry = tl.where(latest >= 0, told, carry)
                begin = tl.maximum(begin, latest + 1)
                seen = tl.where(by_tile, seen | 1, seen)
            elif state & 2:
                is_open = 0
                carry = picked(after, row == WINDOW - 1, 0)
                ahead = (start + WINDOW + row < tiles - 1) & (line < lines)
                seen = tl.load(words_ptr + places + WINDOW * COLUMNS, mask=ahead, other=told_one, volatile=True)
            else:
                again = tl.load(words_ptr + places, mask=(seen & 2) == 0, other=0, volatile=True)
                seen = tl.where((seen & 2) == 0, again, seen)


@triton.jit
def hand_on_integers(words_ptr, first, lines, tiles, COLUMNS: tl.constexpr, LINES: tl.constexpr, WINDOW: tl.constexpr):
    """`hand_on` for int64, whose products wrap around, in any order alike: every code is a factor."""
    row = tl.arange(0, WINDOW)[:, None]
    line = first + tl.arange(0, LINES)[None, :]
    half = tl.arange(0, 2)[None, None, :]
    told_one = tl.where(half == 0, 0x100000003, 3)
    words_ptr += 2 * (line // COLUMNS).to(tl.int64) * tiles * COLUMNS
    carry = tl.full((LINES,), 1, tl.int64)
    for start in range(0, tiles - 1, WINDOW):
        mask = (start + row < tiles - 1) & (line < lines)
        places = (start + row) * COLUMNS + line % COLUMNS
        halves = 2 * places[:, :, None] + half
        seen = tl.load(
            words_ptr[:, :, None] + halves, mask=mask[:, :, None] & (half >= 0), other=told_one, volatile=True
        )
        is_open = 1
        while is_open == 1:
            lower, upper = tl.split(seen)
            codes = ((upper >> 32) << 32) | ((lower >> 32) & 0xFFFFFFFF)
            after = tl.cumprod(tl.where(row == 0, codes * carry[None, :], codes), 0)
            missing = tl.min(tl.where((lower & upper & 1) == 1, WINDOW, row), 0)
            fresh = (row < missing[None, :]) & ((lower & 2) == 0)
            tell(words_ptr, places, after, fresh, 2)
            seen = tl.where(fresh[:, :, None], seen | 2, seen)
            if tl.min(tl.ravel(seen & 2)) == 2:
                is_open = 0
                carry = tl.sum(tl.where(row == WINDOW - 1, after, 0), 0)
            else:
                again = tl.load(words_ptr[:, :, None] + halves, mask=(seen & 1) == 0, other=0, volatile=True)
                seen = tl.where((seen & 1) == 0, again, seen)


MISSING, TOLD = tl.constexpr(2**21), tl.constexpr(2**11)
"""What a word counts in `_product_of_codes` that is not there, or is a carry: more than a code, or all that are."""


@triton.jit
def _multiplied_and_added(product, count, other_product, other_count):
    """Products, and counts with them."""
    return product * other_product, count + other_count


@triton.jit
def _loaded_again(words_ptrs, words, is_carry):
    """Words, of which those that are not there are loaded again. Where a carry is awaited, no code counts; the carry
    gets a code's mark.

    They are as many as there are threads, or more, so that each is loaded by one thread alone. Several threads could
    see it at different times, of which a reduction would ask one, while others go on with what they have.
    """
    is_missing = (words & 3) == 0
    loaded = tl.load(words_ptrs, mask=is_missing, other=0, volatile=True)
    loaded = tl.where(is_carry, tl.where((loaded & 2) != 0, (loaded & -4) | 1, 0), loaded)
    return tl.where(is_missing, loaded, words)


@triton.jit
def _product_of_codes(words):
    """The products (columns,) of words, and how far from 1 those of any of them can be at most, as a power of 2.

    It is more than any limit, if a code is 0 or no factor; more than TOLD, if a tile told a carry; than MISSING, if a
    word is not there.
    """
    e = ((words >> 52) & 0x7FF).to(tl.int32) - 1023
    reach = tl.where(e < 0, -e, e + 1)
    reach = tl.where((words & 3) == 1, reach, tl.where((words & 3) == 0, MISSING, TOLD))
    products, reach = tl.reduce(((words & -4).to(tl.float64, bitcast=True), reach), 0, _multiplied_and_added)
    return products, tl.max(reach)


@triton.jit
def _carry_after_told(words, t, dtype: tl.constexpr):
    """The carries (columns,) before tile t from words (window, columns), some of which tiles told as carries; and 1, if
    that takes words that are still to come, else 0.

    Factors are those behind the latest carry told. In which place of the tree each is, only their tiles decide.
    """
    row = tl.arange(0, words.shape[0])[:, None]
    numbers = (words & -4).to(tl.float64, bitcast=True)
    by_tile = (words & 2) != 0
    latest = tl.max(tl.where(by_tile, row, -1), 0)
    told = picked(numbers, by_tile & (row == latest[None, :]), 0)
    carry = tl.where(latest >= 0, told, 1.0)
    is_behind = (row > latest[None, :]) & (row < t)
    factors = tl.where(is_behind, _factors_of(numbers, carry, dtype), 1.0)
    is_infinite = tl.abs(carry) == float("inf")
    is_to_come = is_behind & ((factors != factors) | ((factors == 0) & is_infinite[None, :]))
    is_usual = (carry != 0) & (carry == carry) & (is_infinite == 0)
    factors = tl.where((row == 0) & is_usual[None, :], factors * carry[None, :], factors)
    m, e = parted(factors)
    m, e = tl.where(factors == 0, sign_of(factors), m), tl.where(factors == 0, DEAD, e)
    m, e = tl.associative_scan((m, e), 0, joined)
    after = exact_carry(m, e)
    is_to_come = is_to_come | (is_behind & (row < t - 1) & is_far_carry(after, dtype))
    last = picked(after, row == t - 1, 0)
    last = tl.where(is_usual, last, carry * last)
    return tl.where(latest == t - 1, carry, last), tl.max(is_to_come.to(tl.int32))


@triton.jit
def _product_of_integers(lower, upper):
    """The products (columns,) of codes of int64, given by their words, and how many are not there."""
    codes = ((upper >> 32) << 32) | ((lower >> 32) & 0xFFFFFFFF)
    products, missing = tl.reduce((codes, 1 - (lower & upper & 1).to(tl.int32)), 0, _multiplied_and_added)
    return products, tl.max(missing)


@triton.jit
def ends_window(t, WINDOW: tl.constexpr):
    """Whether a tile is the last of its window, and always tells the carry after it."""
    return t % WINDOW == WINDOW - 1


@triton.jit
def found_carry(words_ptr, t, COLUMNS: tl.constexpr, WINDOW: tl.constexpr, dtype: tl.constexpr):
    """The exact carries (columns,) before tile t by the tile itself: float64, or int64.

    Of WINDOW tiles each waits for the carry after the window before, and for the codes of those of its own window
    before it; and for a carry where a code is no factor, as `hand_on` does. Which these are, follows from the codes and
    the carries told alone, and so does the result, to the last bit: whoever looks sees the same, at whatever time.
    Usually codes are so near to 1 that no product of them can be far: if those before a tile are, so are those before
    each tile before it, and none of these tells a carry.

    WINDOW * COLUMNS words are no fewer than threads; a window has up to 512 tiles.
    """
    first = tl.maximum(t // WINDOW * WINDOW - 1, 0)
    words_ptr += first * COLUMNS * (1 if dtype.is_floating() else 2)
    row = tl.arange(0, WINDOW)[:, None]
    places = row * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    is_before = places < (t - first) * COLUMNS
    is_carry = (row == 0) & (first > 0)
    if dtype.is_floating():
        near: tl.constexpr = 420 if dtype == tl.float64 else 890
        code_of_one: tl.constexpr = 0x3FF0000000000001
        words = _loaded_again(words_ptr + places, tl.where(is_before, 0, code_of_one), is_carry)
        carry, reach = _product_of_codes(words)
        while reach >= MISSING:
            words = _loaded_again(words_ptr + places, words, is_carry)
            carry, reach = _product_of_codes(words)
        is_open = (reach > near).to(tl.int32)
        while is_open == 1:
            words = tl.load(words_ptr + places, mask=is_before, other=code_of_one, volatile=True)
            carry, is_open = _carry_after_told(words, t - first, dtype)
    else:
        lower = _loaded_again(words_ptr + 2 * places, tl.where(is_before, 0, 0x100000001), is_carry)
        upper = _loaded_again(words_ptr + 2 * places + 1, tl.where(is_before, 0, tl.full((), 1, tl.int64)), is_carry)
        carry, missing = _product_of_integers(lower, upper)
        while missing > 0:
            lower = _loaded_again(words_ptr + 2 * places, lower, is_carry)
            upper = _loaded_again(words_ptr + 2 * places + 1, upper, is_carry)
            carry, missing = _product_of_integers(lower, upper)
    return carry
