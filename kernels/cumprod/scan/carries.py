"""How tiles find their carry: by words of 64 bits in memory.

A tile tells its code, a factor for the carry before it, or that it has none and will tell the carry after it itself.
Then it looks at the words of the tiles before it (`found_carry`), or awaits the carry that the last of them tells.
"""

import triton
import triton.language as tl

from .ranges import bits_of_both, picked, sign_of, zero_like
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
def _awaited(words_ptr, tile, slot, COLUMNS: tl.constexpr):
    """The words (columns,) of a tile, once they are carries.

    They are not waited for in vain: who tells them is running already. Every slot looks at the same words, so that
    each thread has some of its own: all leave the loop together only if each of them is asked.
    """
    places = tile * COLUMNS + slot * 0 + tl.arange(0, COLUMNS)[None, :]
    words = tl.reduce(tl.load(words_ptr + places, volatile=True), 0, bits_of_both)
    while tl.min(words & 2) == 0:
        words = tl.reduce(tl.load(words_ptr + places, volatile=True), 0, bits_of_both)
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
def factors_of(codes, carry, dtype: tl.constexpr):
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
    """The products (columns,) of words, and how far from 1 those of any of them can be at most, as powers of 2.

    These are more than any limit, if a code is 0 or no factor; more than TOLD, if a tile told a carry; than MISSING, if
    a word is not there.
    """
    e = ((words >> 52) & 0x7FF).to(tl.int32) - 1023
    reach = tl.where(e < 0, -e, e + 1)
    reach = tl.where((words & 3) == 1, reach, tl.where((words & 3) == 0, MISSING, TOLD))
    return tl.reduce(((words & -4).to(tl.float64, bitcast=True), reach), 0, _multiplied_and_added)


@triton.jit
def _zero_after_told(words, t, is_carry):
    """Of each column the carry before tile t, if the latest one told is 0 and the codes since leave it: 0 with their
    sign; and whether it is so. Nothing that is still to come can change it.
    """
    row = tl.arange(0, words.shape[0])[:, None]
    by_tile = ((words & 2) != 0) | is_carry
    latest = tl.max(tl.where(by_tile, row, -1), 0)
    codes = (words & -4).to(tl.float64, bitcast=True)
    told = picked(codes, by_tile & (row == latest[None, :]), 0)
    is_behind = (row > latest[None, :]) & (row < t)
    leaves_it = tl.min(((is_behind == 0) | (codes == codes)).to(tl.int32), 0) == 1
    signs = tl.xor_sum(tl.where(is_behind & (words < 0), 1, 0), 0)
    return tl.where(signs == 1, -told, told), (latest >= 0) & (told == 0) & leaves_it


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
    factors = tl.where(is_behind, factors_of(numbers, carry, dtype), 1.0)
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
def _carry_of_pieces(
    words_ptr, t, COLUMNS: tl.constexpr, WINDOW: tl.constexpr, PIECE: tl.constexpr, dtype: tl.constexpr
):
    """The carries (columns,) before tile t of a window, some of which tiles tell, once they are told.

    It is PIECE columns at a time, for which a thread needs few registers.
    """
    row, place = tl.arange(0, WINDOW)[:, None], tl.arange(0, PIECE)[None, :]
    code_of_one: tl.constexpr = 0x3FF0000000000001
    piece = tl.arange(0, COLUMNS // PIECE)[:, None]
    carries = tl.full((COLUMNS // PIECE, PIECE), 1, tl.float64)
    done = 0
    while done < COLUMNS // PIECE:
        places = row * COLUMNS + done * PIECE + place
        words = tl.load(words_ptr + places, mask=row + place * 0 < t, other=code_of_one, volatile=True)
        carry, is_open = _carry_after_told(words, t, dtype)
        carries = tl.where(piece == done, carry[None, :], carries)
        done += 1 - is_open
    return tl.reshape(carries, [COLUMNS])


@triton.jit
def found_carry(words_ptr, t, COLUMNS: tl.constexpr, WINDOW: tl.constexpr, THREADS: tl.constexpr, dtype: tl.constexpr):
    """The exact carries (columns,) before tile t by the tile itself: float64, or int64.

    Of WINDOW tiles each waits for the carry after the window before, and for the codes of those of its own window
    before it; and for a carry where a code is no factor. Which these are, follows from the codes and the carries told
    alone, and so does the result, to the last bit: whoever looks sees the same, at whatever time.
    Usually codes are so near to 1 that no product of them can be far: if those before a tile are, so are those before
    each tile before it, and none of these tells a carry.

    WINDOW * COLUMNS words are no fewer than THREADS; a window has up to 512 tiles.
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
        while tl.max(reach) >= MISSING:
            words = _loaded_again(words_ptr + places, words, is_carry)
            carry, reach = _product_of_codes(words)
        if tl.max(reach) > near:
            zero, is_zero = _zero_after_told(words, t - first, is_carry)
            carry = tl.where(is_zero, zero, carry)
            if tl.max(tl.where(is_zero, 0, reach)) > near:
                carry = _carry_of_pieces(words_ptr, t - first, COLUMNS, WINDOW, max(1, THREADS // WINDOW), dtype)
    else:
        lower = _loaded_again(words_ptr + 2 * places, tl.where(is_before, 0, 0x100000001), is_carry)
        upper = _loaded_again(words_ptr + 2 * places + 1, tl.where(is_before, 0, tl.full((), 1, tl.int64)), is_carry)
        carry, missing = _product_of_integers(lower, upper)
        while missing > 0:
            lower = _loaded_again(words_ptr + 2 * places, lower, is_carry)
            upper = _loaded_again(words_ptr + 2 * places + 1, upper, is_carry)
            carry, missing = _product_of_integers(lower, upper)
    return carry
