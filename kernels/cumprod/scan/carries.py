"""How tiles find their carry: by words of 64 bits in memory.

A tile tells its code, a factor for the carry before it, or that it has none and will tell the carry after it itself.
Then it looks at what the tiles before it told (`found_carry`).

Each sequence has words for the carries after its tiles, and as many for their codes. A word is written once.
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
def tell(words_ptr, places, value, mask):
    """Let other programs see values at places of `words_ptr`, of 64 bits, each with a mark: it is not 0.

    Of a float64 the mark replaces the last two bits. An integer takes two words, its upper and its lower half.
    """
    if value.dtype == tl.float64:
        bits = value.to(tl.int64, bitcast=True)
        tl.atomic_xchg(words_ptr + places, (bits & -4) | 1, mask=mask, sem="relaxed")
    else:
        tl.atomic_xchg(words_ptr + 2 * places, (value << 32) | 1, mask=mask, sem="relaxed")
        tl.atomic_xchg(words_ptr + 2 * places + 1, ((value >> 32) << 32) | 1, mask=mask, sem="relaxed")


@triton.constexpr_function
def _waiting(count):  # type: ignore[no-untyped-def]
    """Instructions of a thread that loads so many words until all that are asked for are there, without any other; then
    the threads of a warp go on together. Words come out; addresses go in, and whether each word is asked for.
    """
    numbers = range(count)
    begin = [f"setp.ne.b32 asked{k}, ${2 * count + k}, 0; mov.b64 word{k}, 0;" for k in numbers]
    load = [f"@asked{k} ld.relaxed.gpu.global.b64 word{k}, [${count + k}];" for k in numbers]
    judge = [f"setp.eq.and.b64 gone, word{k}, 0, asked{k}; or.pred missing, missing, gone;" for k in numbers]
    end = [f"mov.b64 ${k}, word{k};" for k in numbers]
    registers = f".reg .pred asked<{count}>, missing, gone; .reg .b64 word<{count}>;"
    again = ["again:", *load, "setp.ne.b32 missing, 0, 0;", *judge, "@missing bra again;", "bar.warp.sync 0xffffffff;"]
    return "\n".join(["{", registers, *begin, *again, *end, "}"])


@triton.constexpr_function
def _operands(count):  # type: ignore[no-untyped-def]
    """What `_waiting` reads and writes, as the compiler asks for it."""
    return ",".join(["=l"] * count + ["l"] * count + ["r"] * count)


@triton.jit
def _awaited(ptrs, is_asked, OF_THREAD: tl.constexpr, TOGETHER: tl.constexpr):
    """Words, once all are there that are asked for; 0 where none is. A thread has OF_THREAD, which no other has.

    They are not waited for in vain: who tells them is running already. The threads of a program look TOGETHER, or each
    by itself.
    """
    if TOGETHER:
        words = tl.load(ptrs, mask=is_asked, other=0, volatile=True)
        while tl.max(tl.where(is_asked & (words == 0), 1, 0)) == 1:
            words = tl.load(ptrs, mask=is_asked, other=0, volatile=True)
        return words
    else:
        return tl.inline_asm_elementwise(
            _waiting(OF_THREAD),
            _operands(OF_THREAD),
            [ptrs.to(tl.int64), is_asked.to(tl.int32)],
            dtype=tl.int64,
            is_pure=False,
            pack=OF_THREAD,
        )


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


@triton.jit
def _multiplied(a, b):
    """A product, as tl.reduce asks for it."""
    return a * b


@triton.jit
def _multiplied_and_added(product, count, other_product, other_count):
    """Products, and counts with them."""
    return product * other_product, count + other_count


@triton.jit
def _reach_of(numbers):
    """How far from 1 numbers are at most, as powers of 2; more than any limit, if they are 0, infinite or NaN."""
    e = ((numbers.to(tl.int64, bitcast=True) >> 52) & 0x7FF).to(tl.int32) - 1023
    return tl.where(e < 0, -e, e + 1)


@triton.jit
def _zero_of(numbers):
    """Of columns (window, columns) of a carry and codes after it, whether that is a 0 of which nothing makes NaN; and
    0 with the sign of all. Nothing that is still to come can change it.
    """
    row = tl.arange(0, numbers.shape[0])[:, None]
    is_zero = tl.max(((row == 0) & (numbers == 0)).to(tl.int32), 0) == 1
    are_numbers = tl.min((numbers == numbers).to(tl.int32), 0) == 1
    signs = tl.xor_sum(numbers.to(tl.int64, bitcast=True), 0).to(tl.float64, bitcast=True)
    return zero_like(signs), is_zero & are_numbers


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
def ends_window(t, WINDOW: tl.constexpr):
    """Whether a tile is the last of its window, and always tells the carry after it."""
    return t % WINDOW == WINDOW - 1


_CODE_OF_ONE = tl.constexpr(0x3FF0000000000001)


@triton.jit
def _carry_of_pieces(
    words_ptr,
    codes_ptr,
    t,
    first,
    COLUMNS: tl.constexpr,
    WINDOW: tl.constexpr,
    PIECE: tl.constexpr,
    dtype: tl.constexpr,
):
    """The carries (columns,) before tile t of a window, some of which tiles tell, once they are told. Codes are there,
    and the carry before the window, which tile `first` told; before the first window there is none.

    It is PIECE columns at a time, for which a thread needs few registers.
    """
    row, place = tl.arange(0, WINDOW)[:, None], tl.arange(0, PIECE)[None, :]
    piece = tl.arange(0, COLUMNS // PIECE)[:, None]
    carries = tl.full((COLUMNS // PIECE, PIECE), 1, tl.float64)
    is_before, is_begin = row + place * 0 < t - first, first + row < 0
    done = 0
    while done < COLUMNS // PIECE:
        places = (first + row) * COLUMNS + done * PIECE + place
        told = tl.load(words_ptr + places, mask=is_before & (first + row >= 0), other=0, volatile=True)
        codes = tl.load(codes_ptr + places, mask=is_before & (row > 0), other=_CODE_OF_ONE, volatile=True)
        told = tl.where(is_begin, _CODE_OF_ONE, told)
        carry, is_open = _carry_after_told(tl.where(told == 0, codes, (told & -4) | 2), t - first, dtype)
        carries = tl.where(piece == done, carry[None, :], carries)
        done += 1 - is_open
    return tl.reshape(carries, [COLUMNS])


@triton.jit
def _numbers_of(words, is_asked, WIDE: tl.constexpr):
    """Numbers (window, columns) of words; 1 where none is asked for. Of int64 each has two words."""
    if WIDE:
        place = tl.arange(0, words.shape[1])[None, :]
        words = tl.where(is_asked, words, tl.where(place % 2 == 0, tl.full((), 1 << 32, tl.int64), 0))
        lower, upper = tl.split(tl.reshape(words, [words.shape[0], words.shape[1] // 2, 2]))
        return ((upper >> 32) << 32) | ((lower >> 32) & 0xFFFFFFFF)
    else:
        return (tl.where(is_asked, words, _CODE_OF_ONE) & -4).to(tl.float64, bitcast=True)


@triton.jit
def found_carry(
    words_ptr,
    t,
    tiles,
    COLUMNS: tl.constexpr,
    WINDOW: tl.constexpr,
    OF_THREAD: tl.constexpr,
    dtype: tl.constexpr,
    SERIAL: tl.constexpr,
):
    """The exact carries (columns,) before tile t by the tile itself: float64, or int64.

    Of WINDOW tiles each waits for the carry after the window before, and for the codes of those of its own window
    before it; and for a carry where a code is no factor. Which these are, follows from the codes and the carries told
    alone, and so does the result, to the last bit: whoever looks sees the same, at whatever time.
    Usually codes are so near to 1 that no product of them can be far: if those before a tile are, so are those before
    each tile before it, and none of these tells a carry.

    A thread looks at OF_THREAD words, of WINDOW * COLUMNS or, of int64, twice as many; at none of them does another.
    Threads look by themselves, but for int64, which is faster, and where programs are SERIAL, one after the other.
    """
    WIDE: tl.constexpr = not dtype.is_floating()
    WIDTH: tl.constexpr = COLUMNS * (2 if WIDE else 1)
    codes_ptr = words_ptr + tiles * WIDTH
    first = t // WINDOW * WINDOW - 1
    row, place = tl.arange(0, WINDOW)[:, None], tl.arange(0, WIDTH)[None, :]
    places = (first + row) * WIDTH + place
    is_asked = (row + place * 0 < t - first) & (first + row >= 0)
    words = _awaited(tl.where(row == 0, words_ptr, codes_ptr) + places, is_asked, OF_THREAD, SERIAL or WIDE)
    numbers = _numbers_of(words, is_asked, WIDE)
    if WIDE:
        carry = tl.reduce(numbers, 0, _multiplied)
    else:
        near: tl.constexpr = 420 if dtype == tl.float64 else 890
        carry, reach = tl.reduce((numbers, _reach_of(numbers)), 0, _multiplied_and_added)
        if tl.max(reach) > near:
            zero, is_zero = _zero_of(numbers)
            is_zero = is_zero & (reach > near)
            carry = tl.where(is_zero, zero, carry)
            if tl.max(tl.where(is_zero, 0, reach)) > near:
                PIECE: tl.constexpr = max(1, COLUMNS // OF_THREAD)
                carry = _carry_of_pieces(words_ptr, codes_ptr, t, first, COLUMNS, WINDOW, PIECE, dtype)
    return carry
