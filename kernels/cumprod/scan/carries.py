"""How tiles find their carry: by words of 64 bits in memory.

A tile tells its code, a factor for the carry before it, or that it has none and will tell the carry after it itself.
Then it looks at what the tiles before it told (`found_carry`), or awaits the carry that the last of them tells. The last
tile of a window tells the product of its codes as well, so that those after it look at one word for all of them.
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
    """Let other programs see values at places of `words_ptr`, of 64 bits, each with a mark in its last two bits.

    Of a float64 the mark replaces those bits. An integer takes two words, its upper and its lower half.
    """
    if value.dtype == tl.float64:
        bits = value.to(tl.int64, bitcast=True)
        tl.atomic_xchg(words_ptr + places, (bits & -4) | 1, mask=mask, sem="relaxed")
    else:
        tl.atomic_xchg(words_ptr + 2 * places, (value << 32) | 1, mask=mask, sem="relaxed")
        tl.atomic_xchg(words_ptr + 2 * places + 1, ((value >> 32) << 32) | 1, mask=mask, sem="relaxed")


@triton.constexpr_function
def _waiting(count):  # type: ignore[no-untyped-def]
    """Instructions of a thread that loads so many words until all that are asked for are there. It waits for no other
    thread meanwhile.
    """
    numbers = range(count)
    begin = [f"setp.ne.b32 asked{k}, ${2 * count + k}, 0; mov.b64 word{k}, 0;" for k in numbers]
    load = [f"@asked{k} ld.relaxed.gpu.global.b64 word{k}, [${count + k}];" for k in numbers]
    judge = [f"setp.eq.and.b64 gone, word{k}, 0, asked{k}; or.pred missing, missing, gone;" for k in numbers]
    end = [f"mov.b64 ${k}, word{k};" for k in numbers]
    registers = f".reg .pred asked<{count}>, missing, gone; .reg .b64 word<{count}>;"
    again = ["again:", *load, "setp.ne.b32 missing, 0, 0;", *judge, "@missing bra again;"]
    return "\n".join(["{", registers, *begin, *again, *end, "}"])


@triton.constexpr_function
def _operands(count):  # type: ignore[no-untyped-def]
    """Those of `_waiting`: words come out; their addresses go in, and whether each is asked for."""
    return ",".join(["=l"] * count + ["l"] * count + ["r"] * count)


@triton.jit
def _awaited(ptrs, is_asked, OF_THREAD: tl.constexpr, SERIAL: tl.constexpr):
    """Words, OF_THREAD of a thread, once all are there that are asked for; 0 where none is. No one waits in vain: who
    tells them is running already or, if programs are SERIAL, has run.
    """
    if SERIAL:
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
def _both_awaited(ptrs, is_asked, others_ptrs, are_others_asked, OF_THREAD: tl.constexpr, SERIAL: tl.constexpr):
    """`_awaited` for two of the same shape at once: it takes no longer than for one."""
    if SERIAL:
        return _awaited(ptrs, is_asked, 1, SERIAL), _awaited(others_ptrs, are_others_asked, 1, SERIAL)
    else:
        return tl.inline_asm_elementwise(
            _waiting(2 * OF_THREAD),
            _operands(2 * OF_THREAD),
            [ptrs.to(tl.int64), others_ptrs.to(tl.int64), is_asked.to(tl.int32), are_others_asked.to(tl.int32)],
            dtype=(tl.int64, tl.int64),
            is_pure=False,
            pack=OF_THREAD,
        )


@triton.jit
def _integers_of(words):
    """int64 (..., columns), of each of which there are two words beside each other."""
    if len(words.shape) == 1:
        lower, upper = tl.split(tl.reshape(words, [words.shape[0] // 2, 2]))
    else:
        lower, upper = tl.split(tl.reshape(words, [words.shape[0], words.shape[1] // 2, 2]))
    return ((upper >> 32) << 32) | ((lower >> 32) & 0xFFFFFFFF)


@triton.jit
def awaited_carry(words_ptr, t, COLUMNS: tl.constexpr, dtype: tl.constexpr, SERIAL: tl.constexpr):
    """The exact carries (columns,) after tile t, once they are told: float64, or int64."""
    WIDTH: tl.constexpr = COLUMNS * (1 if dtype.is_floating() else 2)
    ptrs = words_ptr + t * WIDTH + tl.arange(0, WIDTH)
    words = _awaited(ptrs, tl.arange(0, WIDTH) < WIDTH, 1, SERIAL)
    if dtype.is_floating():
        return (words & -4).to(tl.float64, bitcast=True)
    else:
        return _integers_of(words)


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
def _multiplied_and_added(product, count, other_product, other_count):
    """Products, and counts with them."""
    return product * other_product, count + other_count


@triton.jit
def _reach_of(numbers):
    """How far from 1 numbers are at most, as powers of 2; more than any limit, if they are 0, infinite or NaN."""
    e = ((numbers.to(tl.int64, bitcast=True) >> 52) & 0x7FF).to(tl.int32) - 1023
    return tl.where(e < 0, -e, e + 1)


@triton.jit
def _largest_reach(dtype: tl.constexpr):
    """How far from 1 the codes of a window may be, all together, and what a tile multiplies beside them: then whatever
    is multiplied is far from the ends of float64.
    """
    return 210 if dtype == tl.float64 else 445


@triton.jit
def _stays_zero(codes, before):
    """Of columns (window, columns) whether a carry of 0 comes before all others, and nothing makes NaN of it."""
    row = tl.arange(0, codes.shape[0])[:, None]
    is_first = tl.max(((row == 0) & (before == 0)).to(tl.int32), 0) == 1
    return is_first & (tl.min(((codes == codes) & (before == before)).to(tl.int32), 0) == 1)


@triton.jit
def _becomes_zero(codes, before, dtype: tl.constexpr):
    """Of columns (window, columns) whether a code makes 0 of whatever the others are, which are not far from 1."""
    are_factors = (tl.abs(codes) < 2.0**1000) & (tl.abs(before) < 2.0**1000)
    reach = tl.where(codes == 0, 0, _reach_of(codes)) + tl.where(before == 0, 0, _reach_of(before))
    is_near = tl.sum(tl.where(are_factors, reach, 2048), 0) <= _largest_reach(dtype)
    return is_near & (tl.max(((codes == 0) | (before == 0)).to(tl.int32), 0) == 1)


@triton.jit
def _sign_of_all(codes, before):
    """Of columns (window, columns) 1 with the sign of their product."""
    signs = codes.to(tl.int64, bitcast=True) ^ before.to(tl.int64, bitcast=True)
    return sign_of(tl.xor_sum(signs, 0).to(tl.float64, bitcast=True))


@triton.jit
def _product_of(codes, before):
    """Of columns (window, columns) the products, and how far from 1 those of any of them can be at most, as powers of 2:
    more than any limit, if one is 0 or no factor.
    """
    return tl.reduce((codes * before, _reach_of(codes) + _reach_of(before)), 0, _multiplied_and_added)


@triton.jit
def _code_of_window(codes, code, dtype: tl.constexpr):
    """The codes (columns,) of a window, from those of its last tile and of all others (window, columns): a factor; 0, if
    that is what it makes of any carry; else 2**1000, or NaN, if one is.
    """
    row = tl.arange(0, codes.shape[0])[:, None]
    last = tl.where(row == 0, code[None, :], 1.0)
    product, reach = _product_of(codes, last)
    of_window = without_mark(product)
    if tl.max(reach) > _largest_reach(dtype):
        unusual = tl.where(_becomes_zero(codes, last, dtype), 0.0, 2.0**1000) * _sign_of_all(codes, last)
        has_nan = tl.max(((codes != codes) | (last != last)).to(tl.int32), 0) == 1
        unusual = tl.where(has_nan, float("nan"), unusual)
        of_window = tl.where(reach > _largest_reach(dtype), unusual, of_window)
    return of_window


@triton.jit
def _code_of_integers(codes, code):
    """The codes (columns,) of a window of int64, from those of its last tile and of all others (window, columns)."""
    return tl.reduce(codes, 0, _multiplied) * code


@triton.jit
def _multiplied(a, b):
    """A product, as tl.reduce asks for it."""
    return a * b


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
    """The carries (columns,) before tile t of a window that begins with tile `first`, some of which tiles tell, once they
    are told. The carry before the window, and the codes, are there.

    It is PIECE columns at a time, for which a thread needs few registers.
    """
    row, place = tl.arange(0, WINDOW)[:, None], tl.arange(0, PIECE)[None, :]
    piece = tl.arange(0, COLUMNS // PIECE)[:, None]
    carries = tl.full((COLUMNS // PIECE, PIECE), 1, tl.float64)
    is_before = row + place * 0 < t - first + 1
    done = 0
    while done < COLUMNS // PIECE:
        places = (first - 1 + row) * COLUMNS + done * PIECE + place
        told = tl.load(words_ptr + places, mask=is_before & (first + row > 0), other=0, volatile=True)
        told = tl.where(first + row == 0, _CODE_OF_ONE, told)
        codes = tl.load(codes_ptr + places, mask=is_before & (row > 0), other=_CODE_OF_ONE, volatile=True)
        words = tl.where(told == 0, codes, (told & -4) | 2)
        carry, is_open = _carry_after_told(words, t - first + 1, dtype)
        carries = tl.where(piece == done, carry[None, :], carries)
        done += 1 - is_open
    return tl.reshape(carries, [COLUMNS])


_CODE_OF_ONE = tl.constexpr(0x3FF0000000000001)


@triton.jit
def _numbers_of(words, is_asked, WIDE: tl.constexpr):
    """Numbers (window, columns) of words; 1 where none is asked for. Of int64 each has two words."""
    if WIDE:
        place = tl.arange(0, words.shape[1])[None, :]
        one = tl.where(place % 2 == 0, tl.full((), 1 << 32, tl.int64), 0)
        return _integers_of(tl.where(is_asked, words, one))
    else:
        return (tl.where(is_asked, words, _CODE_OF_ONE) & -4).to(tl.float64, bitcast=True)


@triton.jit
def _far_carry(
    words_ptr,
    codes_ptr,
    codes,
    before,
    t,
    first,
    carry,
    reach,
    COLUMNS: tl.constexpr,
    WINDOW: tl.constexpr,
    PIECE: tl.constexpr,
    OF_THREAD: tl.constexpr,
    dtype: tl.constexpr,
    SERIAL: tl.constexpr,
):
    """`found_carry` where codes or carries are far from 1, or no factors: 0 if that is certain, or else what follows from
    the carry told before the window.
    """
    zero = zero_like(_sign_of_all(codes, before))
    is_found = reach <= _largest_reach(dtype)
    is_zero = _stays_zero(codes, before) | _becomes_zero(codes, before, dtype)
    carry, is_found = tl.where(is_zero & (is_found == 0), zero, carry), is_found | is_zero
    if tl.min(is_found.to(tl.int32)) == 0:
        row, column = tl.arange(0, WINDOW)[:, None], tl.arange(0, COLUMNS)[None, :]
        ptrs = words_ptr + (first - 1) * COLUMNS + column + row * 0
        is_told = (row + column * 0 == 0) & (row + first > 0)
        words = _awaited(ptrs, is_told, OF_THREAD, SERIAL)
        before = _numbers_of(words, is_told, False)
        is_zero = _stays_zero(codes, before)
        carry = tl.where(is_zero & (is_found == 0), zero_like(_sign_of_all(codes, before)), carry)
        is_found = is_found | is_zero
        if tl.min(is_found.to(tl.int32)) == 0:
            others = _carry_of_pieces(words_ptr, codes_ptr, t, first, COLUMNS, WINDOW, PIECE, dtype)
            carry = tl.where(is_found, carry, others)
    return carry


@triton.jit
def found_carry(
    words_ptr,
    code,
    t,
    tiles,
    COLUMNS: tl.constexpr,
    WINDOW: tl.constexpr,
    GROUPED: tl.constexpr,
    OF_THREAD: tl.constexpr,
    dtype: tl.constexpr,
    SERIAL: tl.constexpr,
):
    """The exact carries (columns,) before tile t, whose codes are given, by the tile itself: float64, or int64.

    It waits for the codes of the tiles of its window before it; for those of the windows of its group before that, each
    told by its last tile, which first of all does so here; and for the carry after the group before. A window has WINDOW
    tiles, a group as many windows. Where they are far from 1 it waits for the carry after the window before instead; and
    for that after a tile whose code is no factor. Which these are follows from codes and carries alone, and so does the
    result, to the last bit: whoever looks sees the same, at whatever time.

    A thread has OF_THREAD words of a window, of each of which no other thread has any.
    """
    WIDE: tl.constexpr = not dtype.is_floating()
    WIDTH: tl.constexpr = COLUMNS * (2 if WIDE else 1)
    window = t // WINDOW
    first, group = window * WINDOW, window // WINDOW * WINDOW if GROUPED else window
    codes_ptr = words_ptr + tiles * WIDTH
    windows_ptr = codes_ptr + tiles * WIDTH
    row, place = tl.arange(0, WINDOW)[:, None], tl.arange(0, WIDTH)[None, :]
    ptrs = codes_ptr + (first + row) * WIDTH + place
    is_own = row + place * 0 < t - first
    if GROUPED & ends_window(t, WINDOW) & (t < tiles - 1):
        words = _awaited(ptrs, is_own, OF_THREAD, SERIAL)
        codes = _numbers_of(words, is_own, WIDE)
        if WIDE:
            of_window = _code_of_integers(codes, code)
        else:
            of_window = _code_of_window(codes, code, dtype)
        tell(windows_ptr, window * COLUMNS + tl.arange(0, COLUMNS), of_window, tl.arange(0, COLUMNS) < COLUMNS)
    told_ptr = words_ptr + (group * WINDOW - 1) * WIDTH
    before_ptrs = tl.where(row == 0, told_ptr + place, windows_ptr + (group + row - 1) * WIDTH + place)
    begins = tl.where(group > 0, 0, 1)
    is_before = (row + place * 0 <= window - group) & (row >= begins)
    words, words_before = _both_awaited(ptrs, is_own, before_ptrs, is_before, OF_THREAD, SERIAL)
    codes, before = _numbers_of(words, is_own, WIDE), _numbers_of(words_before, is_before, WIDE)
    if WIDE:
        carry = tl.reduce(codes * before, 0, _multiplied)
    else:
        carry, reach = _product_of(codes, before)
        if tl.max(reach) > _largest_reach(dtype):
            PIECE: tl.constexpr = max(1, COLUMNS // OF_THREAD)
            carry = _far_carry(
                *(words_ptr, codes_ptr, codes, before, t, first, carry, reach, COLUMNS, WINDOW, PIECE),
                *(OF_THREAD, dtype, SERIAL),
            )
    return carry
