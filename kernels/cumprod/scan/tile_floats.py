"""A tile of floats: its products before its carry is known, what it tells of them, and its products with the carry.

Products are mantissa and exponent: no data lead them out of range, but within a group of elements that a thread
multiplies as they are. Tiles are turned: (element, group, unit).
"""

import triton
import triton.language as tl

from .carries import is_far_carry, kept, without_mark
from .powers import FAR_AWAY, mantissa_and_power, power_of_two, products_before_groups, two_powers
from .ranges import sign_of, zero_like
from .turned import across_units, by_column, groups_by_column, laid_out, last_in, of_all_runs, plain
from .wide import (
    are_fair,
    exact_carry,
    left_for_good,
    parted,
    parted_carry,
    two_factors,
)

NEAR_32, NEAR_64 = tl.constexpr(110), tl.constexpr(580)
"""Products up to 2**these either way are near 1, in float32 and in float64."""


@triton.jit
def _product_until_zero(product, smallest, largest, x, _smallest, _largest):
    """A product, and the smallest and the largest size of those until the first zero; after it, -1 times the smallest.

    The largest is infinite, if a product is 0 before there is a zero, or not 0 from then on. A thread multiplies its
    elements one after the other, so that `x` is one of them.
    """
    product *= x
    has_zero = (smallest < 0) | (x == 0)
    size = tl.where(has_zero, tl.full((), 1, x.dtype), tl.abs(product))
    size = tl.where((product == 0) == has_zero, size, float("inf"))
    smallest = tl.minimum(tl.abs(smallest), size)
    return product, tl.where(has_zero, -smallest, smallest), tl.maximum(largest, size)


@triton.jit
def products_until_zeros(x):
    """The products within groups of a turned tile; and of each group (group, unit) the exponents of its smallest and of
    its largest product until its first zero, whether these are far from the limits of their type, and whether there is
    a zero.
    """
    size = tl.where(x == 0, tl.full((), -1, x.dtype), tl.abs(x))
    p, smallest, largest = tl.associative_scan((x, size, tl.abs(size)), 0, _product_until_zero)
    last, smallest, largest = last_in(p), last_in(smallest), last_in(largest)
    _, low = mantissa_and_power(smallest)
    _, high = mantissa_and_power(largest)
    return p, low, high, are_fair(tl.abs(smallest), largest, True) & (last == last), smallest < 0


@triton.jit
def _sizes_before_zeros(x_ptrs, first, left, step, GROUP: tl.constexpr, ACCUMULATOR: tl.constexpr):
    """Of groups whose elements are `step` apart and begin at `x_ptrs`, and of which those from `first` on and before
    `left` count, the smallest and the largest size of their products until the first zero, and whether there is one, in
    the shape of `left`.

    The largest is infinite, if a product is 0 before there is a zero, or not 0 from then on. One element of each group
    at a time needs few registers.
    """
    product = tl.full(left.shape, 1, ACCUMULATOR)
    smallest, largest, has_zero = product, product, left < left
    for k in range(GROUP):
        x = tl.load(x_ptrs + k * step, mask=(k >= first) & (k < left), other=1.0).to(ACCUMULATOR)
        product *= x
        has_zero |= x == 0
        size = tl.where(has_zero, tl.full((), 1, ACCUMULATOR), tl.abs(product))
        size = tl.where((product == 0) == has_zero, size, float("inf"))
        smallest, largest = tl.minimum(smallest, size), tl.maximum(largest, size)
    return smallest, largest, has_zero


@triton.jit
def looked_at(
    x_ptr,
    lead,
    left,
    width,
    inner,
    like,
    ELEMENTS: tl.constexpr,
    GROUPS: tl.constexpr,
    BESIDE: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
):
    """What `products_until_zeros` says of the groups of a tile in memory, rows `lead` to `left`, one element of each at
    a time: of several columns, whose rows have an address each, registers have no room to turn the tile again.
    """
    place = tl.arange(0, GROUPS * like.numel)  # of one dimension: then they lie as all else does
    group, unit = place // like.numel, place % like.numel
    row = (unit // BESIDE * GROUPS + group) * ELEMENTS
    column = unit % BESIDE
    inside = tl.where(column < width, left - row, 0)
    begin_ptrs = x_ptr + row * inner + column
    smallest, largest, has_zero = _sizes_before_zeros(begin_ptrs, lead - row, inside, inner, ELEMENTS, ACCUMULATOR)
    _, low = mantissa_and_power(smallest)
    _, high = mantissa_and_power(largest)
    is_fair = are_fair(smallest, largest, True)
    low, high = tl.reshape(low, [GROUPS, like.numel]), tl.reshape(high, [GROUPS, like.numel])
    return low, high, tl.reshape(is_fair, [GROUPS, like.numel]), tl.reshape(has_zero, [GROUPS, like.numel])


@triton.jit
def _largest_and_smallest(most, least, other_most, other_least):
    """Of two ranges the one around both."""
    return tl.maximum(most, other_most), tl.minimum(least, other_least)


DEAD_POWER = tl.constexpr(-(2**20))
"""What a group with a zero adds to exponents: whatever grows beside it, their sum stays below half of this."""


@triton.jit
def tile_of_groups(totals, has_zero, like, COLUMNS: tl.constexpr, BESIDE: tl.constexpr):
    """Of a tile's groups (group, unit), before its carry is known, the products of their column before each, in parts;
    and of each column the product, in parts.
    """
    m, e = mantissa_and_power(totals)
    e += tl.where(has_zero, DEAD_POWER, 0)
    m_before, e_before, m_end, e_end = products_before_groups(m, e, 1.0, 0, like, COLUMNS, BESIDE)
    return m_before, e_before, plain(m_end), plain(e_end)


@triton.jit
def reach_of(e_before, low, high, is_fair, COLUMNS: tl.constexpr, BESIDE: tl.constexpr):
    """Of each column how far from 1 its products and those before its groups are at most, as powers of 2; FAR_AWAY, if
    a group is not fair.
    """
    reach = tl.maximum(e_before + high, -(e_before + tl.minimum(low, 0)))
    reach = tl.max(tl.where(is_fair, reach, FAR_AWAY), 0)
    return plain(tl.max(of_all_runs(by_column(reach, 0, COLUMNS, BESIDE), COLUMNS), 0))


@triton.jit
def range_of(e_before, low, high, is_fair, COLUMNS: tl.constexpr, BESIDE: tl.constexpr):
    """Of each column the exponents of its largest and of its smallest product, and whether all of its groups are fair.
    After a zero there is no smallest one.
    """
    most = tl.max(tl.where(is_fair, e_before + high, FAR_AWAY), 0)
    least = tl.min(tl.where(e_before < DEAD_POWER // 2, 0, e_before + low), 0)
    most = of_all_runs(by_column(most, -FAR_AWAY, COLUMNS, BESIDE), COLUMNS)
    least = of_all_runs(by_column(least, FAR_AWAY, COLUMNS, BESIDE), COLUMNS)
    most, least = tl.reduce((most, least), 0, _largest_and_smallest)
    most = plain(most)
    return most, plain(least), most < FAR_AWAY // 2


@triton.jit
def is_near(reach, dtype: tl.constexpr):
    """Whether the products of all columns are near 1: those of a tile, which are a factor for carries then."""
    near: tl.constexpr = NEAR_64 if dtype == tl.float64 else NEAR_32
    return tl.max(reach) <= near


@triton.jit
def near_code(m, e):
    """The code of columns whose products are all near 1: a factor."""
    return without_mark(m.to(tl.float64) * power_of_two(e, tl.float64))


@triton.jit
def _either(a, b):
    """Bits that one of two has, as tl.reduce asks for it."""
    return a | b


@triton.jit
def _unusual_code(x_ptr, lead, left, inner, width, COLUMNS: tl.constexpr, PIECE: tl.constexpr, dtype: tl.constexpr):
    """0 for a column that makes 0 of any finite carry whatever the order: nothing grows, and enough factors halve.

    NaN, if it holds an infinity or NaN; 2**1001, if a zero; else 2**1000. These three are no factors: the tile itself
    finds and tells the carry after it, but where that of the tiles before leaves no choice. All but NaN have the sign
    of the product.
    """
    ROWS: tl.constexpr = PIECE // 2 // COLUMNS if PIECE // 2 > COLUMNS else 1
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    halvings = tl.zeros((ROWS, COLUMNS), tl.int32)
    marks = halvings  # 1: grows; 2: infinite or NaN; 4: a zero; 8: an odd number of signs
    for done in range(0, left, ROWS):
        mask = (done + row >= lead) & (done + row < left) & (column < width)
        x = tl.load(x_ptr + (done + row).to(tl.int64) * inner + column, mask=mask, other=1.0).to(dtype)
        size = tl.abs(x)
        halvings += (size <= 0.5).to(tl.int32)
        marks |= tl.where(size > 1, 1, 0) | tl.where(x * 0 != 0, 2, 0) | tl.where(x == 0, 4, 0)
        marks ^= tl.where(sign_of(x) < 0, 8, 0)
    is_negative = (tl.xor_sum(marks, 0) & 8) != 0
    marks = tl.reduce(marks, 0, _either)
    has_zero = (marks & 4) != 0
    kills = ((marks & 1) == 0) & (has_zero | (tl.sum(halvings, 0) >= 2100))
    code = tl.where(kills, 0.0, tl.where(has_zero, 2.0**1001, 2.0**1000)).to(tl.float64)
    code = code * tl.where(is_negative, -1.0, 1.0)
    return tl.where((marks & 2) != 0, float("nan"), code)


@triton.jit
def code_of(
    x_ptr,
    lead,
    left,
    inner,
    width,
    m,
    e,
    most,
    least,
    is_fair,
    COLUMNS: tl.constexpr,
    PIECE: tl.constexpr,
):
    """What a tile tells of each of its columns as a factor for carries: its product, if no product on the way there can
    take a carry that is not far out of float64.

    0 for a column that makes 0 of all such carries. Else 2**1000, which is no factor; 2**1001, if there is a zero. Of
    columns that are not fair it follows from the elements in memory.
    """
    reach: tl.constexpr = NEAR_64 if m.dtype == tl.float64 else NEAR_32
    code = tl.where(e < DEAD_POWER // 2, 2.0**1001, 2.0**1000).to(tl.float64)
    code = tl.where((e <= -2100) & (most <= reach), 0.0, code) * sign_of(m).to(tl.float64)
    is_factor = (most <= reach) & (least >= -reach)
    code = tl.where(is_factor, exact_carry(m, e.to(tl.float32)), code)
    if tl.min(is_fair.to(tl.int32)) == 0:
        code = tl.where(is_fair, code, _unusual_code(x_ptr, lead, left, inner, width, COLUMNS, PIECE, m.dtype))
    return without_mark(code)


@triton.jit
def _carry_after(exact, code, m, e):
    """The exact carry after a column whose product is m * 2**e; of a carry of 0, from the sign of its code."""
    near, far = two_factors(m.to(tl.float64), e.to(tl.float32))
    near = exact * near  # in this order: exact * m may be out of range where the product is not
    becomes_zero = (e < DEAD_POWER // 2) & (tl.abs(exact) < float("inf"))
    stays_zero = (exact == 0) & (code == code)
    return tl.where(stays_zero, exact * sign_of(code), tl.where(becomes_zero, zero_like(near), near * far))


@triton.jit
def _stays_or_sinks(p, e_before, carry_e, like, BESIDE: tl.constexpr):
    """Of each column of fair groups whether its products stay within float64, and whether they sink below it for good:
    from the first group on that does, all are 0 in float32, whatever a serial product would make of them.
    """
    size = tl.abs(p)
    _, low = parted(tl.min(tl.where(size == 0, tl.full((), 1, p.dtype), size), 0))
    _, high = parted(tl.max(size, 0))
    is_gone = e_before < DEAD_POWER // 2
    e = e_before.to(tl.float32) + across_units(carry_e, like, BESIDE)
    low = groups_by_column(tl.where(is_gone, 0.0, e + low), float("inf"), carry_e.shape[0], BESIDE)
    high = groups_by_column(tl.where(is_gone, float("-inf"), e + high), float("-inf"), carry_e.shape[0], BESIDE)
    group = tl.arange(0, low.shape[1])[None, :]
    first = tl.min(tl.where(low < -1025, group, low.shape[1]), 1)
    peak, after = tl.max(high, 1), tl.max(tl.where(group >= first[:, None], high, float("-inf")), 1)
    stays = (first == low.shape[1]) & (peak <= 1015)
    return stays, (first < low.shape[1]) & (peak <= 1015) & (after <= -160) & (p.dtype != tl.float64)


@triton.jit
def judged_columns(p, e_before, m, e, most, least, is_fair, shrinks, exact, code, like, BESIDE: tl.constexpr):
    """Of each column whether its exact carry times its products is right, and then the carry after it; and who tells
    that. The tile does (1) where its code is no factor for such a carry.

    Right is what stays within float64, and what leaves it for good. In a tile that shrinks, without a factor of 1 or
    more, float64 below 2**-1022 is as good as that of a serial product.
    """
    inside: tl.constexpr = 1012  # products are up to 2**5 times what their exponents say
    dtype: tl.constexpr = p.dtype
    _, carry_e = parted_carry(exact, dtype)
    stays_zero = (exact == 0) & (code == code)
    stays_infinite = is_fair & (tl.abs(exact) == float("inf")) & (e > DEAD_POWER // 2)
    stays = is_fair & (carry_e + most <= inside) & (carry_e + least >= -inside)
    right = stays | stays_zero | stays_infinite | (exact != exact)
    if dtype == tl.float64:
        right = right | (is_fair & shrinks & (tl.abs(exact) <= 1))
    after = _carry_after(exact, code, m, e)
    if tl.min(right.to(tl.int32)) == 0:
        end = carry_e + e
        reach = groups_by_column(e_before.to(tl.float32), float("inf"), exact.shape[0], BESIDE)
        reach = tl.where(reach < DEAD_POWER // 2, 0.0, reach + carry_e[:, None])
        stays, sinks = _stays_or_sinks(p, e_before, carry_e, like, BESIDE)
        right = right | (is_fair & stays & (dtype != tl.float64))
        sinks = is_fair & sinks & (right == 0) & (tl.abs(carry_e) < float("inf"))
        after = tl.where(sinks, zero_like(after), after)
        right = right | sinks
        leaves = is_fair & (right == 0) & left_for_good(reach, end, dtype)
        leaves = leaves & (end > DEAD_POWER // 2) & (tl.abs(carry_e) < float("inf"))  # not by a zero: it may be NaN
        limit = tl.where(end < 0, 0.0, float("inf")).to(tl.float64)
        after = tl.where(leaves, limit * sign_of(exact) * sign_of(m).to(tl.float64), after)
        right = right | leaves
    is_factor = (tl.abs(code) < 2.0**1000) & ((code == 0) & (tl.abs(exact) == float("inf")) == 0)
    return right, kept(after, dtype), (is_factor == 0) | is_far_carry(exact, dtype)


@triton.jit
def lost_signs(p, stays_zero, COLUMNS: tl.constexpr, BESIDE: tl.constexpr):
    """Which columns have lost the signs that a carry of 0 is multiplied by: a product within a group is 0, the next
    factor infinite, and both as one NaN.
    """
    are_nan = tl.max(tl.max((p != p).to(tl.int32), 0), 0)
    return stays_zero & (tl.max(of_all_runs(by_column(are_nan, 0, COLUMNS, BESIDE), COLUMNS), 0) == 1)


@triton.jit
def signs_where(is_sign, p, like, BESIDE: tl.constexpr):
    """Products, or where they are asked for, 1 with their signs."""
    return tl.where((across_units(is_sign.to(tl.int32), like, BESIDE) == 1)[None, :, :], sign_of(p), p)


@triton.jit
def with_carry(p, m_before, e_before, exact, like, BESIDE: tl.constexpr):
    """A tile's products times what is before their groups (group, unit), and times its exact carry (columns,)."""
    m, e = parted_carry(exact, p.dtype)
    e = tl.minimum(tl.maximum(e, -1.0 * FAR_AWAY), 1.0 * FAR_AWAY).to(tl.int32)
    near, far = two_powers(e_before + across_units(e, like, BESIDE), p.dtype)
    near = m_before * across_units(m, like, BESIDE) * power_of_two(near, p.dtype)
    return (p * laid_out(near, like)[None, :, :]) * laid_out(power_of_two(far, p.dtype), like)[None, :, :]


@triton.jit
def _near_parts(exact):
    """Mantissa and exponent of exact carries; of 0 the exponent is 0."""
    m, e = mantissa_and_power(exact)
    return tl.where(exact == 0, exact, m), tl.where(exact == 0, 0, e)


@triton.jit
def are_near(reach, exact, dtype: tl.constexpr):
    """Whether products that reach so far are near 1 with exact carries as well, which are not far themselves (see
    `is_far_carry`), or 0: then one factor a group is enough.
    """
    _, e = _near_parts(exact)
    near: tl.constexpr = 1000 if dtype == tl.float64 else NEAR_32
    return (tl.max(reach + tl.abs(e)) <= near) & (tl.max(tl.abs(e)) <= 420)


@triton.jit
def near_carry_after(exact, m, e):
    """The exact carry after a column whose product is m * 2**e, both near 1."""
    return without_mark((exact * m.to(tl.float64)) * power_of_two(e, tl.float64))


@triton.jit
def with_near_carry(p, m_before, e_before, exact, like, BESIDE: tl.constexpr):
    """`with_carry` where all products are near 1."""
    m, e = _near_parts(exact)
    e = e_before + across_units(e, like, BESIDE)
    factor = m_before * across_units(m.to(p.dtype), like, BESIDE) * power_of_two(e, p.dtype)
    return p * laid_out(factor, like)[None, :, :]
