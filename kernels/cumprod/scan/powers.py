"""Products of turned tiles as mantissa and whole-number exponent.

No data lead them out of range, but within a group of elements that a thread multiplies as they are. A step of a tree is
one multiplication and one addition: mantissas of few factors are multiplied without looking at their size.
"""

import triton
import triton.language as tl

from .ranges import picked
from .turned import by_column, by_unit, last_in


@triton.jit
def mantissa_and_power(x):
    """Mantissa and exponent of normal numbers, that a whole number."""
    if x.dtype == tl.float64:
        bits = x.to(tl.int64, bitcast=True)
        e = ((bits >> 52) & 0x7FF).to(tl.int32) - 1023
        return ((bits & -9218868437227405313) | 0x3FF0000000000000).to(tl.float64, bitcast=True), e
    else:
        bits = x.to(tl.int32, bitcast=True)
        e = ((bits >> 23) & 0xFF) - 127
        return ((bits & -2139095041) | 0x3F800000).to(tl.float32, bitcast=True), e


@triton.jit
def power_of_two(e, dtype: tl.constexpr):
    """2**e, which is a normal number."""
    if dtype == tl.float64:
        return ((e + 1023).to(tl.int64) << 52).to(tl.float64, bitcast=True)
    else:
        return ((e + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def product_and_largest(product, largest, factor, other):
    """A product, and the largest size of its factors."""
    return product * factor, tl.maximum(tl.abs(largest), tl.abs(other))


@triton.jit
def bounds_of(last, largest, COUNT: tl.constexpr):
    """Of groups of COUNT factors bounds of the exponents of all products, and whether these are far from the limits of
    their type.

    Bounds follow from the largest factor and the last product: no product is larger than so many of the largest factor,
    and none so small that those after it could not have led to the last.
    """
    _, end = mantissa_and_power(last)
    _, grows = mantissa_and_power(largest)
    grows = tl.maximum(grows + 1, 0)
    steepest: tl.constexpr = 12 if last.dtype == tl.float64 else 6
    least: tl.constexpr = -1000 if last.dtype == tl.float64 else -120
    low, high = end - grows * (COUNT - 1), grows * COUNT
    return low, high, (grows <= steepest) & (low >= least) & (end <= COUNT * steepest)


@triton.jit
def group_products(x):
    """The products within groups of a turned tile; and of each group (group, unit) the last one, bounds of all their
    exponents, and whether it is fair: its products are far from the limits of their type.
    """
    p, largest = tl.associative_scan((x, x), 0, product_and_largest)  # in one scan, lest one of them is not turned
    last = last_in(p)
    low, high, is_fair = bounds_of(last, last_in(largest), x.shape[0])
    return p, last, low, high, is_fair


@triton.jit
def _multiplied_from(_m_before, _e_before, m, e, other_m_before, other_e_before, other_m, other_e):
    """The products before the last of several groups, and with it; their mantissas grow."""
    return m * other_m_before, e + other_e_before, m * other_m, e + other_e


@triton.jit
def _multiplied_apart(m, e, other_m, other_e):
    """The product of m * 2**e and other_m * 2**other_e; its mantissa grows."""
    return m * other_m, e + other_e


@triton.jit
def by_lane(of_units, COLUMNS: tl.constexpr):
    """What is known of units (units,), COLUMNS of which lie beside each other, as (warps, lanes, columns)."""
    LANES: tl.constexpr = min(of_units.numel // COLUMNS, max(1, 32 // COLUMNS))
    return tl.reshape(of_units, [of_units.numel // COLUMNS // LANES, LANES, COLUMNS])


@triton.jit
def last_lane(of_units):
    """Of (warps, lanes, columns) the last lane's (warps, columns)."""
    LANES: tl.constexpr = of_units.shape[1]
    return picked(of_units, tl.arange(0, LANES)[None, :, None] == LANES - 1, 1)


@triton.jit
def before_units(m_to, e_to, m_warp, e_warp, carry_m, carry_e):
    """Of units (warps, lanes, columns) the products of their column before each (units,), with a carry, mantissas from
    1 to 4; and of each column that of all, without it. Given are the products within warps up to each, and those of
    warps (warps, columns), which may be of a wider type, as may be the carry.

    The mantissas of warps are multiplied without looking at their size.
    """
    WARPS: tl.constexpr = m_to.shape[0]
    COLUMNS: tl.constexpr = m_to.shape[2]
    UNITS: tl.constexpr = m_to.numel
    dtype: tl.constexpr = m_to.dtype
    lane = tl.arange(0, m_to.shape[1])[None, :, None]
    previous = tl.maximum(lane - 1, 0) + tl.zeros(m_to.shape, tl.int32)
    m_before = tl.where(lane == 0, tl.full((), 1, dtype), tl.gather(m_to, previous, 1))
    e_before = tl.where(lane == 0, 0, tl.gather(e_to, previous, 1))
    m_warp, more = mantissa_and_power(m_warp)
    e_warp += more
    if WARPS > 1:
        before, e_before_warp, m_warps, e_warps = tl.associative_scan(
            (m_warp * 0 + 1, e_warp * 0, m_warp, e_warp), 0, _multiplied_from
        )
        m_before, e_before = m_before * before.to(dtype)[:, None, :], e_before + e_before_warp[:, None, :]
        at_end = tl.arange(0, WARPS)[:, None] == WARPS - 1
        m_end, more = mantissa_and_power(picked(m_warps, at_end, 0))
        e_end = picked(e_warps, at_end, 0) + more
    else:
        m_end, e_end = tl.reshape(m_warp, [COLUMNS]), tl.reshape(e_warp, [COLUMNS])
    m_before, more = mantissa_and_power(m_before)
    m_before = m_before * tl.cast(carry_m, dtype)  # the carry may be NaN
    return tl.reshape(m_before, [UNITS]), tl.reshape(e_before + (more + carry_e), [UNITS]), m_end, e_end


@triton.jit
def products_before_groups(m, e, carry_m, carry_e, like, COLUMNS: tl.constexpr, BESIDE: tl.constexpr):
    """Of the groups (group, unit) of a turned tile, whose products are m * 2**e, the products of their column before
    each, with a carry; and of each column that of all, without it.

    Of units in a warp the mantissas are multiplied without looking at their size.
    """
    m_within, e_within, m, e = tl.associative_scan((m * 0 + 1, e * 0, m, e), 0, _multiplied_from)
    if m.shape[0] > 4:
        m_within, more = mantissa_and_power(m_within)
        e_within += more
    m, more = mantissa_and_power(last_in(m))
    m, e = by_column(m, 1.0, COLUMNS, BESIDE), by_column(last_in(e) + more, 0, COLUMNS, BESIDE)
    m_to, e_to = tl.associative_scan((by_lane(m, COLUMNS), by_lane(e, COLUMNS)), 1, _multiplied_apart)
    m_units, e_units, m_end, e_end = before_units(m_to, e_to, last_lane(m_to), last_lane(e_to), carry_m, carry_e)
    m_before = m_within * by_unit(m_units, like, COLUMNS, BESIDE)
    return m_before, e_within + by_unit(e_units, like, COLUMNS, BESIDE), m_end, e_end


@triton.jit
def two_powers(e, dtype: tl.constexpr):
    """2**e as the product of two normal numbers, given by their exponents: the second is 0 where e is not far from 0.

    Of what is further out than both reach, any product with a fair group's is 0 or infinite.
    """
    nearest: tl.constexpr = -1022 if dtype == tl.float64 else -126
    near = tl.minimum(tl.maximum(e, nearest), -nearest - 4)  # a mantissa of five factors comes to it
    return near, tl.minimum(tl.maximum(e - near, nearest), -nearest + 1)


FAR_AWAY = tl.constexpr(2**23)
"""The exponent of an infinite carry, and that of 0 but for its sign, as whole numbers."""
