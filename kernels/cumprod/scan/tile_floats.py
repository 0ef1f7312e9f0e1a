"""A tile of floats: its products before its carry is known, what it tells of them, and its products with the carry.

Products are mantissa and exponent: no data lead them out of range, but within a group of elements that a thread
multiplies as they are. Columns of a tile are rows here: (columns, groups).
"""

import triton
import triton.language as tl

from .carriers import is_far_carry, kept, without_mark
from .ranges import picked, sign_of, zero_like
from .wide import (
    DEAD,
    are_fair,
    before_groups,
    exact_carry,
    joined,
    last_of,
    left_for_good,
    loaded_groups,
    parted,
    parted_carry,
    two_factors,
)


@triton.jit
def laid_out(x, like):
    """`x` as it is, in the layout of `like`, which is 1 nowhere.

    Otherwise triton would lay a whole tile out like the few columns that it is multiplied by, through shared memory and
    with twice the registers.
    """
    return tl.where(like == 1, x * 0, x)


@triton.jit
def across_runs(of_columns, like):
    """What is known of each column, for each of the runs that lie beside each other (1, runs * columns), in the layout
    of `like`.
    """
    COLUMNS: tl.constexpr = of_columns.shape[0]
    runs = tl.broadcast_to(of_columns[None, :], [like.shape[1] // COLUMNS, COLUMNS])
    return laid_out(tl.reshape(runs, like.shape), like)


@triton.jit
def _beside(of_runs, like):
    """What is known of runs (columns, runs), as they lie beside each other (1, runs * columns)."""
    return tl.reshape(tl.trans(of_runs), like.shape)


@triton.jit
def by_column(of_runs, COLUMNS: tl.constexpr):
    """What is known of runs beside each other, as (columns, runs)."""
    return tl.trans(tl.reshape(of_runs, [of_runs.numel // COLUMNS, COLUMNS]))


@triton.jit
def _bits_of_zeros(x):
    """Of groups (1, groups, elements) a bit for each element that is 0 (1, groups)."""
    return tl.sum(tl.where(x == 0, 1, 0) << tl.arange(0, x.shape[2])[None, None, :], 2)


@triton.jit
def _sizes(p, ZEROS: tl.constexpr):
    """The smallest and the largest size of products in each group; with ZEROS, of those that are not 0."""
    size = tl.where(p == 0, tl.full((), 1, p.dtype), tl.abs(p)) if ZEROS else tl.abs(p)
    return tl.min(size, 2), tl.max(size, 2)


@triton.jit
def line_products(
    x_ptr,
    left,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    PART: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
    ZEROS: tl.constexpr,
):
    """The products within groups of a line, in one or two halves (1, groups, elements); their last ones (1, groups),
    the smallest and the largest size of each group, and whether it has a zero: none, unless they are looked for.

    If they are, sizes are those before the first zero. The largest is infinite, if not all are 0 from there on, or
    others are.
    """
    x = loaded_groups(x_ptr, left, 0, BLOCK, GROUP, PART).to(ACCUMULATOR)
    p = tl.cumprod(x, 2)
    p_behind = p
    smallest, largest = _sizes(p, ZEROS)
    zeros = _bits_of_zeros(x) if ZEROS else tl.zeros(smallest.shape, tl.int32)
    sunk = _bits_of_zeros(p) if ZEROS else zeros
    if GROUP > PART:
        x = loaded_groups(x_ptr, left, PART, BLOCK, GROUP, PART).to(ACCUMULATOR)
        p_behind = tl.cumprod(x, 2) * last_of(p)[:, :, None]
        others = _sizes(p_behind, ZEROS)
        smallest, largest = tl.minimum(smallest, others[0]), tl.maximum(largest, others[1])
        if ZEROS:
            zeros, sunk = zeros | (_bits_of_zeros(x) << PART), sunk | (_bits_of_zeros(p_behind) << PART)
    if ZEROS:
        from_first = -(zeros & -zeros) & (2**GROUP - 1)
        largest = tl.where(sunk == from_first, largest, float("inf"))
    return p, p_behind, last_of(p_behind), smallest, largest, zeros != 0


@triton.jit
def column_products(x, COLUMNS: tl.constexpr):
    """The same of a tile (run, runs * columns), of which a thread holds whole runs; they are the groups."""
    RUN: tl.constexpr = x.shape[0]
    p = tl.cumprod(x, 0)
    totals = picked(p, tl.arange(0, RUN)[:, None] == RUN - 1, 0)
    smallest, largest = tl.min(tl.abs(p), 0), tl.max(tl.abs(p), 0)
    return p, by_column(totals, COLUMNS), by_column(smallest, COLUMNS), by_column(largest, COLUMNS)


@triton.jit
def sizes_before_zeros(x_ptrs, left, step, GROUP: tl.constexpr, ACCUMULATOR: tl.constexpr):
    """Of groups whose elements are `step` apart and begin at `x_ptrs`, with `left` of them each, the smallest and the
    largest size of their products until the first zero, and whether there is one (1, groups).

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
def all_fair(totals, smallest, largest):
    """Whether all groups of a tile are fair: their products are far from the limits of their type."""
    return tl.min(_are_fair_groups(totals, smallest, largest).to(tl.int32)) == 1


@triton.jit
def _are_fair_groups(totals, smallest, largest):
    """Which groups of a tile (columns, groups) are fair. Those of columns are multiplied serially."""
    return are_fair(smallest, largest, totals.shape[0] > 1) & (totals == totals)


@triton.jit
def _largest_and_smallest(most, least, other_most, other_least):
    """Of two ranges the one around both."""
    return tl.maximum(most, other_most), tl.minimum(least, other_least)


@triton.jit
def tile_of_groups(totals, smallest, largest, has_zero):
    """Of a tile's groups (columns, groups), before its carry is known, the products before each, in parts; and of each
    column the product, in parts, the exponents of its largest and of its smallest product, and whether all of its
    groups are fair. After a zero there is no smallest one.
    """
    COLUMNS: tl.constexpr = totals.shape[0]
    one, zero = tl.full((COLUMNS,), 1, totals.dtype), tl.full((COLUMNS,), 0, tl.float32)
    m, e = parted(totals)
    m_before, e_before, m_runs, e_runs = before_groups(m, e + tl.where(has_zero, DEAD, 0.0), one, zero)
    _, most = parted(largest)
    _, least = parted(smallest)
    most = tl.where(_are_fair_groups(totals, smallest, largest), e_before + most, float("inf"))
    least = tl.where(e_before < DEAD / 2, 0.0, e_before + least)
    most, least = tl.reduce((most, least), 1, _largest_and_smallest)
    at_end = tl.arange(0, m_runs.shape[1])[None, :] == m_runs.shape[1] - 1
    m_end, e_end = picked(m_runs, at_end, 1), tl.sum(tl.where(at_end, e_runs, 0.0), 1)
    return m_before, e_before, m_end, e_end, most, least, most < float("inf")


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
    LIMIT: tl.constexpr,
):
    """What a tile tells of each of its columns as a factor for carries: its product, if that is within 2**LIMIT either
    way, and if no product on the way there can take a carry that is not far out of float64.

    0 for a column that makes 0 of all such carries. Else 2**1000, which is no factor; 2**1001, if there is a zero. Of
    columns that are not fair it follows from the elements in memory.
    """
    reach: tl.constexpr = 580 if m.dtype == tl.float64 else 110
    code = tl.where(e < DEAD / 2, 2.0**1001, 2.0**1000).to(tl.float64)
    code = tl.where((e <= -2100) & (most <= reach), 0.0, code) * sign_of(m).to(tl.float64)
    is_factor = (tl.abs(e) < LIMIT) & (most <= reach) & (least >= -reach)
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
def judged_columns(e_before, m, e, most, least, is_fair, exact, code, dtype: tl.constexpr):
    """Of each column whether its exact carry times its products is right, and then the carry after it; and who tells
    that. The tile does (1) where its code is no factor for such a carry.

    Right is what stays within float64, and what leaves it for good.
    """
    inside: tl.constexpr = 1015  # products are up to four times what their exponents say
    _, carry_e = parted_carry(exact, dtype)
    stays_zero = (exact == 0) & (code == code)
    stays_infinite = is_fair & (tl.abs(exact) == float("inf")) & (e > DEAD / 2)
    stays = is_fair & (carry_e + most <= inside) & (carry_e + least >= -inside)
    right = stays | stays_zero | stays_infinite | (exact != exact)
    after = _carry_after(exact, code, m, e)
    if tl.min(right.to(tl.int32)) == 0:
        end = carry_e + e
        reach = tl.where(e_before < DEAD / 2, 0.0, e_before + carry_e[:, None])
        leaves = is_fair & (right == 0) & left_for_good(reach, end, dtype)
        leaves = leaves & (end > DEAD / 2) & (tl.abs(carry_e) < float("inf"))  # not by a zero: it may be NaN
        limit = tl.where(end < 0, 0.0, float("inf")).to(tl.float64)
        after = tl.where(leaves, limit * sign_of(exact) * sign_of(m).to(tl.float64), after)
        right = right | leaves
    is_factor = (tl.abs(code) < 2.0**1000) & ((code == 0) & (tl.abs(exact) == float("inf")) == 0)
    return right, kept(after, dtype), (is_factor == 0) | is_far_carry(exact, dtype)


@triton.jit
def lost_signs(p, p_behind, stays_zero, COLUMNS: tl.constexpr):
    """Which columns have lost the signs that a carry of 0 is multiplied by: a product within a group is 0, the next
    factor infinite, and both as one NaN.
    """
    are_nan = (p != p).to(tl.int32) | (p_behind != p_behind).to(tl.int32)
    are_nan = tl.max(are_nan, 2) if COLUMNS == 1 else by_column(tl.max(are_nan, 0), COLUMNS)
    are_nan = tl.max(are_nan, 1)
    return stays_zero & (are_nan == 1)


@triton.jit
def signs_where(is_sign, p, like):
    """Products; of columns where they are asked for, 1 with their signs."""
    if is_sign.shape[0] == 1:
        of_all = tl.max(is_sign.to(tl.int32), 0) == 1
    else:
        of_all = across_runs(is_sign.to(tl.int32), like) == 1
    return tl.where(of_all, sign_of(p), p)


@triton.jit
def with_carry(p, p_behind, m_before, e_before, exact, like):
    """A tile's products times what is before their groups (columns, groups), and times its exact carry."""
    m, e = parted_carry(exact, p.dtype)
    if exact.shape[0] == 1:  # as scalars, lest the elements be laid out like the one column
        m, e = joined(tl.sum(m, 0), tl.sum(e, 0), m_before, e_before)
        near, far = two_factors(m, e)
        near, far = near[:, :, None], far[:, :, None]
    else:
        m, e = joined(m[:, None], e[:, None], m_before, e_before)
        near, far = two_factors(m, e)
        near, far = laid_out(_beside(near, like), like), laid_out(_beside(far, like), like)
    return (p * near) * far, (p_behind * near) * far
