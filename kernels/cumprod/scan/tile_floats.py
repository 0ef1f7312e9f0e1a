"""A tile of floats: its products before its carry is known, what it tells of them, and its products with the carry.

Products are mantissa and exponent: no data lead them out of range, but within a group of elements that a thread
multiplies as they are. Tiles are turned: (element, group, unit).
"""

import triton
import triton.language as tl

from .carries import is_far_carry, kept, without_mark
from .ranges import picked, sign_of, zero_like
from .turned import across_units, by_column, by_unit, groups_by_column, laid_out, last_in, plain
from .wide import (
    DEAD,
    are_fair,
    before_groups,
    exact_carry,
    joined,
    left_for_good,
    parted,
    parted_carry,
    two_factors,
)


@triton.jit
def product_and_largest(product, largest, factor, other):
    """A product, and the largest size of its factors."""
    return product * factor, tl.maximum(tl.abs(largest), tl.abs(other))


@triton.jit
def group_products(x):
    """The products within groups of a turned tile; of each group (group, unit) the last one, bounds of the exponents of
    the smallest and of the largest, and whether it is fair: its products are far from the limits of their type.

    Both bounds follow from the largest factor and the last product. No product is larger than so many of the largest
    factor, and none so small that those after it could not have led to the last.
    """
    p, largest = tl.associative_scan((x, x), 0, product_and_largest)  # in one scan, lest one of them is not turned
    totals = last_in(p)
    _, end = parted(totals)
    _, grows = parted(last_in(largest))
    grows = tl.maximum(grows + 1, 0.0)
    COUNT: tl.constexpr = x.shape[0]
    steepest: tl.constexpr = 12 if x.dtype == tl.float64 else 6
    least: tl.constexpr = -1000 if x.dtype == tl.float64 else -120
    low, high = end - (COUNT - 1) * grows, COUNT * grows
    return p, totals, low, high, (grows <= steepest) & (low >= least) & (end <= COUNT * steepest)


@triton.jit
def _sizes_before_zeros(x_ptrs, left, step, GROUP: tl.constexpr, ACCUMULATOR: tl.constexpr):
    """Of groups whose elements are `step` apart and begin at `x_ptrs`, with `left` of them each, the smallest and the
    largest size of their products until the first zero, and whether there is one, in the shape of `left`.

    The largest is infinite, if a product is 0 before there is a zero, or not 0 from then on. One element of each group
    at a time needs few registers.
    """
    product = tl.full(left.shape, 1, ACCUMULATOR)
    smallest, largest, has_zero = product, product, left < 0
    for k in range(GROUP):
        x = tl.load(x_ptrs + k * step, mask=k < left, other=1.0).to(ACCUMULATOR)
        product *= x
        has_zero |= x == 0
        size = tl.where(has_zero, tl.full((), 1, ACCUMULATOR), tl.abs(product))
        size = tl.where((product == 0) == has_zero, size, float("inf"))
        smallest, largest = tl.minimum(smallest, size), tl.maximum(largest, size)
    return smallest, largest, has_zero


@triton.jit
def looked_at(
    x_ptr,
    left,
    width,
    inner,
    like,
    ELEMENTS: tl.constexpr,
    GROUPS: tl.constexpr,
    BESIDE: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
):
    """Of each group (group, unit) of a tile in memory the exponents of its smallest and of its largest product until
    its first zero, whether these are far from the limits of their type, and whether there is a zero.
    """
    unit = tl.arange(0, like.numel)[None, :]
    row = (unit // BESIDE * GROUPS + tl.arange(0, GROUPS)[:, None]) * ELEMENTS
    column = unit % BESIDE
    inside = tl.where(column < width, left - row, 0)
    begin_ptrs = x_ptr + row * inner + column
    smallest, largest, has_zero = _sizes_before_zeros(begin_ptrs, inside, inner, ELEMENTS, ACCUMULATOR)
    _, low = parted(smallest)
    _, high = parted(largest)
    return low, high, are_fair(smallest, largest, True), has_zero


@triton.jit
def multiplied_from(_m_before, _e_before, m, e, other_m_before, other_e_before, other_m, other_e):
    """The products before the last of several groups, and with it; their mantissas grow."""
    return m * other_m_before, e + other_e_before, m * other_m, e + other_e


@triton.jit
def _largest_and_smallest(most, least, other_most, other_least):
    """Of two ranges the one around both."""
    return tl.maximum(most, other_most), tl.minimum(least, other_least)


@triton.jit
def tile_of_groups(totals, low, high, is_fair, has_zero, like, COLUMNS: tl.constexpr, BESIDE: tl.constexpr):
    """Of a tile's groups (group, unit), before its carry is known, the products of their column before each, in parts;
    and of each column the product, in parts, the exponents of its largest and of its smallest product, and whether all
    of its groups are fair. After a zero there is no smallest one.
    """
    m, e = parted(totals)
    e += tl.where(has_zero, DEAD, 0.0)
    m_within, e_within, m, e = tl.associative_scan((m * 0 + 1, e * 0, m, e), 0, multiplied_from)
    m, more = parted(last_in(m))
    at_end = tl.arange(0, e.shape[0])[:, None] == e.shape[0] - 1
    e = tl.sum(tl.where(at_end, e, 0.0), 0) + more
    one, zero = tl.full((COLUMNS,), 1, totals.dtype), tl.full((COLUMNS,), 0, tl.float32)
    m, e = by_column(m, 1.0, COLUMNS, BESIDE), by_column(e, 0.0, COLUMNS, BESIDE)
    m_units, e_units, m_runs, e_runs = before_groups(m, e, one, zero)
    m_before, more = parted(m_within * by_unit(m_units, like, BESIDE))
    e_before = e_within + by_unit(e_units, like, BESIDE) + more
    most = tl.max(tl.where(is_fair, e_before + high, float("inf")), 0)
    least = tl.min(tl.where(e_before < DEAD / 2, 0.0, e_before + low), 0)
    most, least = by_column(most, float("-inf"), COLUMNS, BESIDE), by_column(least, float("inf"), COLUMNS, BESIDE)
    most, least = tl.reduce((most, least), 1, _largest_and_smallest)
    at_end = tl.arange(0, m_runs.shape[1])[None, :] == m_runs.shape[1] - 1
    m_end, e_end = picked(m_runs, at_end, 1), tl.sum(tl.where(at_end, e_runs, 0.0), 1)
    most = plain(most)
    return m_before, e_before, plain(m_end), plain(e_end), most, plain(least), most < float("inf")


@triton.jit
def _either(a, b):
    """Bits that one of two has, as tl.reduce asks for it."""
    return a | b


@triton.jit
def _unusual_code(x_ptr, left, inner, width, COLUMNS: tl.constexpr, PIECE: tl.constexpr, dtype: tl.constexpr):
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
        mask = (done + row < left) & (column < width)
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
    reach: tl.constexpr = 580 if m.dtype == tl.float64 else 110
    code = tl.where(e < DEAD / 2, 2.0**1001, 2.0**1000).to(tl.float64)
    code = tl.where((e <= -2100) & (most <= reach), 0.0, code) * sign_of(m).to(tl.float64)
    is_factor = (most <= reach) & (least >= -reach)
    code = tl.where(is_factor, exact_carry(m, e), code)
    if tl.min(is_fair.to(tl.int32)) == 0:
        code = tl.where(is_fair, code, _unusual_code(x_ptr, left, inner, width, COLUMNS, PIECE, m.dtype))
    return without_mark(code)


@triton.jit
def _carry_after(exact, code, m, e):
    """The exact carry after a column whose product is m * 2**e; of a carry of 0, from the sign of its code."""
    near, far = two_factors(exact * m.to(tl.float64), e)
    becomes_zero = (e < DEAD / 2) & (tl.abs(exact) < float("inf"))
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
    is_gone = e_before < DEAD / 2
    e = e_before + across_units(carry_e, like, BESIDE)
    low = groups_by_column(tl.where(is_gone, 0.0, e + low), float("inf"), carry_e.shape[0], BESIDE)
    high = groups_by_column(tl.where(is_gone, float("-inf"), e + high), float("-inf"), carry_e.shape[0], BESIDE)
    group = tl.arange(0, low.shape[1])[None, :]
    first = tl.min(tl.where(low < -1025, group, low.shape[1]), 1)
    peak, after = tl.max(high, 1), tl.max(tl.where(group >= first[:, None], high, float("-inf")), 1)
    stays = (first == low.shape[1]) & (peak <= 1015)
    return stays, (first < low.shape[1]) & (peak <= 1015) & (after <= -160) & (p.dtype != tl.float64)


@triton.jit
def judged_columns(p, e_before, m, e, most, least, is_fair, exact, code, like, BESIDE: tl.constexpr):
    """Of each column whether its exact carry times its products is right, and then the carry after it; and who tells
    that. The tile does (1) where its code is no factor for such a carry.

    Right is what stays within float64, and what leaves it for good.
    """
    inside: tl.constexpr = 1015  # products are up to four times what their exponents say
    dtype: tl.constexpr = p.dtype
    _, carry_e = parted_carry(exact, dtype)
    stays_zero = (exact == 0) & (code == code)
    stays_infinite = is_fair & (tl.abs(exact) == float("inf")) & (e > DEAD / 2)
    stays = is_fair & (carry_e + most <= inside) & (carry_e + least >= -inside)
    right = stays | stays_zero | stays_infinite | (exact != exact)
    after = _carry_after(exact, code, m, e)
    if tl.min(right.to(tl.int32)) == 0:
        end = carry_e + e
        reach = groups_by_column(e_before, float("inf"), exact.shape[0], BESIDE)
        reach = tl.where(reach < DEAD / 2, 0.0, reach + carry_e[:, None])
        stays, sinks = _stays_or_sinks(p, e_before, carry_e, like, BESIDE)
        right = right | (is_fair & stays & (dtype != tl.float64))
        sinks = is_fair & sinks & (right == 0) & (tl.abs(carry_e) < float("inf"))
        after = tl.where(sinks, zero_like(after), after)
        right = right | sinks
        leaves = is_fair & (right == 0) & left_for_good(reach, end, dtype)
        leaves = leaves & (end > DEAD / 2) & (tl.abs(carry_e) < float("inf"))  # not by a zero: it may be NaN
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
    return stays_zero & (tl.max(by_column(are_nan, 0, COLUMNS, BESIDE), 1) == 1)


@triton.jit
def signs_where(is_sign, p, like, BESIDE: tl.constexpr):
    """Products, or where they are asked for, 1 with their signs."""
    return tl.where((across_units(is_sign.to(tl.int32), like, BESIDE) == 1)[None, :, :], sign_of(p), p)


@triton.jit
def with_carry(p, m_before, e_before, exact, like, BESIDE: tl.constexpr):
    """A tile's products times what is before their groups (group, unit), and times its exact carry (columns,)."""
    m, e = parted_carry(exact, p.dtype)
    m, e = joined(across_units(m, like, BESIDE), across_units(e, like, BESIDE), m_before, e_before)
    near, far = two_factors(m, e)
    return (p * laid_out(near, like)[None, :, :]) * laid_out(far, like)[None, :, :]
