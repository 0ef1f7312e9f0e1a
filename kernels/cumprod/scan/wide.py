"""Products whose exponents are numbers of their own, so that no order of multiplication can leave their range.

A tree multiplies segments on their own, which can leave float32 or float64 where no product of the sequence does. Here
a thread multiplies the few elements that it holds side by side, a group, as they are; the products of groups go on as
mantissa and exponent. The exponent of a product of zeros is far below all others.

Of 32 groups, a run, the mantissas are multiplied as they are: their product is less than 2**32. Only then it is parted
anew, so that most of the tree is one multiplication and one addition a step.
"""

import triton
import triton.language as tl

from .ranges import loaded_tile, picked, scan_carefully, sign_of, zero_like

DEAD = tl.constexpr(-(2.0**22))
"""The exponent of 0: whatever grows beside it in a tile, their sum stays below half of this."""


@triton.jit
def joined(m, e, other_m, other_e):
    """The product of m * 2**e and other_m * 2**other_e; mantissas are 1 to 2, with a sign."""
    product = m * other_m
    is_large = tl.abs(product) >= 2
    return tl.where(is_large, product * 0.5, product), e + other_e + tl.where(is_large, 1.0, 0.0)


@triton.jit
def parted(x):
    """Mantissa and exponent of normal numbers."""
    if x.dtype == tl.float64:
        bits = x.to(tl.int64, bitcast=True)
        e = ((bits >> 52) & 0x7FF).to(tl.float32) - 1023
        m = ((bits & -9218868437227405313) | 0x3FF0000000000000).to(tl.float64, bitcast=True)
    else:
        bits = x.to(tl.int32, bitcast=True)
        e = ((bits >> 23) & 0xFF).to(tl.float32) - 127
        m = ((bits & -2139095041) | 0x3F800000).to(tl.float32, bitcast=True)
    return m, e


@triton.jit
def parted_carry(carry, dtype: tl.constexpr):
    """Mantissa, in a type, and exponent of an exact carry: of 0 and infinity the exponent is infinite."""
    size = tl.abs(carry)
    is_small = (size < 2.0**-1022) & (size > 0)
    m, e = parted(tl.where(is_small, carry * 2.0**60, carry))
    e = tl.where(is_small, e - 60, e)
    e = tl.where(size == 0, float("-inf"), tl.where(size == float("inf"), float("inf"), e))
    is_nan = carry != carry
    m = m.to(dtype)
    is_two = tl.abs(m) >= 2  # rounded up
    m, e = tl.where(is_two, m * 0.5, m), tl.where(is_two, e + 1, e)
    return tl.where(is_nan, float("nan"), m).to(dtype), tl.where(is_nan, 0.0, e)


@triton.jit
def exact_carry(m, e):
    """m * 2**e in float64; 0 or infinity, with its sign, where it has left that."""
    near, far = two_factors(m.to(tl.float64), e)
    return near * far


@triton.jit
def two_factors(m, e):
    """m * 2**e, with m from 1 to 4, as a product of two numbers. Exponents may be infinite."""
    if m.dtype == tl.float64:
        whole = tl.minimum(tl.maximum(e, -2040.0), 2040.0).to(tl.int64)
        near = tl.minimum(tl.maximum(whole, -1020), 1020)
        first = ((near + 1023) << 52).to(tl.float64, bitcast=True)
        second = ((whole - near + 1023) << 52).to(tl.float64, bitcast=True)
    else:
        whole = tl.minimum(tl.maximum(e, -250.0), 250.0).to(tl.int32)
        near = tl.minimum(tl.maximum(whole, -125), 125)
        first = ((near + 127) << 23).to(tl.float32, bitcast=True)
        second = ((whole - near + 127) << 23).to(tl.float32, bitcast=True)
    return m * first, second


@triton.jit
def _multiplied(m, e, other_m, other_e):
    """The product of m * 2**e and other_m * 2**other_e; its mantissa grows."""
    return m * other_m, e + other_e


@triton.jit
def _joined_runs(m_before, e_before, m, e, other_m_before, other_e_before, other_m, other_e):
    """The products before the last of several runs, and with it."""
    m_before, e_before = joined(m, e, other_m_before, other_e_before)
    m, e = joined(m, e, other_m, other_e)
    return m_before, e_before, m, e


@triton.jit
def _kept(m_bits, e, is_right, other_m_bits, other_e, other_is_right):
    """Of two the mantissa's bits and the exponent that are not 0; and whether both are right."""
    return m_bits | other_m_bits, e + other_e, is_right & other_is_right


@triton.jit
def last_of(p):
    """The last of each group's products (rows, groups, elements)."""
    return picked(p, tl.arange(0, p.shape[2])[None, None, :] == p.shape[2] - 1, 2)


@triton.jit
def are_fair(smallest, largest, SERIAL: tl.constexpr):
    """Whether products within a group, of these sizes, are far from the limits of their type.

    Where a group is not multiplied serially, but as a tree, segments of it are multiplied on their own:
    their products are quotients of two of these, and have to be far from a limit too.
    """
    limit: tl.constexpr = 2.0**200 if smallest.dtype == tl.float64 else (2.0**96 if SERIAL else 2.0**62)
    return (smallest >= 1 / limit) & (largest <= limit)


@triton.jit
def _group_sizes(p):
    """Of groups of products (rows, groups, elements) the smallest and the largest size. NaN may be among them."""
    return tl.min(tl.abs(p), 2), tl.max(tl.abs(p), 2)


@triton.jit
def before_groups(m, e, carry_m, carry_e):
    """The product before each group (rows, groups), its mantissa from 1 to 4; and those up to the end of each run
    (rows, runs), without the carry.
    """
    ROWS: tl.constexpr = m.shape[0]
    GROUPS: tl.constexpr = m.shape[1]
    RUN: tl.constexpr = min(GROUPS, 32)
    m, e = tl.reshape(m, [ROWS, GROUPS // RUN, RUN]), tl.reshape(e, [ROWS, GROUPS // RUN, RUN])
    m_to, e_to = tl.associative_scan((m, e), 2, _multiplied)
    group = tl.arange(0, RUN)[None, None, :]
    at_end = group == RUN - 1
    m_run, more = parted(picked(m_to, at_end, 2))
    e_run = tl.sum(tl.where(at_end, e_to, 0.0), 2) + more
    m_before_run, e_before_run, m_runs, e_runs = tl.associative_scan(
        (m_run * 0 + 1, e_run * 0, m_run, e_run), 1, _joined_runs
    )
    m_before_run, e_before_run = joined(carry_m[:, None], carry_e[:, None], m_before_run, e_before_run)
    previous = tl.maximum(group - 1, 0) + tl.zeros(m.shape, tl.int32)
    m_before, more = parted(tl.where(group == 0, tl.full((), 1, m.dtype), tl.gather(m_to, previous, 2)))
    e_before = tl.where(group == 0, 0.0, tl.gather(e_to, previous, 2)) + more
    m_before, e_before = m_before * m_before_run[:, :, None], e_before + e_before_run[:, :, None]
    return tl.reshape(m_before, [ROWS, GROUPS]), tl.reshape(e_before, [ROWS, GROUPS]), m_runs, e_runs


@triton.jit
def left_for_good(e, end, dtype: tl.constexpr):
    """Of each row whether the exponents before groups leave float64 and stay outside: of results that are 0 or infinite
    long before. At the end they have to be further out than float64's least, 2**-1074, by what a group can be.
    """
    GROUPS: tl.constexpr = e.shape[1]
    group = tl.arange(0, GROUPS)[None, :]
    is_out = tl.abs(e) > 900
    first = tl.min(tl.where(is_out, group, GROUPS), 1)
    last_inside = tl.max(tl.where(is_out, -1, group), 1)
    return (last_inside < first) & (tl.abs(end) >= 1200) & (dtype != tl.float64)


@triton.jit
def _outermost(first, high, low, most, other_first, other_high, other_low, other_most):
    """Of two parts of a row the first of its places, the last ones, and the largest exponent."""
    return (
        tl.minimum(first, other_first),
        tl.maximum(high, other_high),
        tl.maximum(low, other_low),
        tl.maximum(most, other_most),
    )


@triton.jit
def judged_rows(m_before, e_before, e, smallest, largest, is_fair):
    """Of each row of float32 whether its results are those of a serial product in float64, where what is below 2**-1022
    is 0 for good, and from 2**1024 on infinite; whether it ends as such a 0; and whether as such an infinity.

    Of each group is given what is before it, its exponent, and the sizes of its products. Right is a row that stays
    inside. So is one that sinks below, if from that group on all products are too small for any type of results, or 0;
    and one that grows beyond, if from that group on all are too large, and none is 0. A product that is within rounding
    of 2**-1022 counts as either.
    """
    GROUPS: tl.constexpr = e.shape[1]
    group = tl.arange(0, GROUPS)[None, :]
    _, least = parted(m_before * smallest)
    _, most = parted(m_before * largest)
    is_gone = (e_before < DEAD / 2) | (e_before == float("inf"))
    least, most = e_before + least, tl.where(is_gone, float("-inf"), e_before + most)
    stays = is_fair & (is_gone | ((least >= -1022) & (most <= 1022)))
    is_high = (most > -160) | (is_fair == 0)
    is_low = (least < 130) | (e_before + e < DEAD / 2) | (is_fair == 0)
    first, last_high, last_low, most = tl.reduce(
        (tl.where(stays, GROUPS, group), tl.where(is_high, group, -1), tl.where(is_low, group, -1), most), 1, _outermost
    )
    sinks = (first < GROUPS) & (last_high < first)
    grows = (first < GROUPS) & (last_low < first) & (most >= 1025)
    return (first == GROUPS) | sinks | grows, sinks, grows


@triton.jit
def _factors_of_groups(totals, zeros_e, smallest, largest, carry_m, carry_e):
    """Of each group (rows, groups) what is before it, as a product of two numbers; the carries after the rows, in
    parts; and of each row whether that is right, of its groups as well.

    Groups are given by their products, by what is to be added to their exponents, and by the sizes of the smallest and
    the largest product within.
    """
    ROWS: tl.constexpr = totals.shape[0]
    m, e = parted(totals)
    e += zeros_e
    is_fair = are_fair(smallest, largest, False) & (totals == totals)
    m_before, e_before, m_runs, e_runs = before_groups(m, e, carry_m, carry_e)
    RUNS: tl.constexpr = m_runs.shape[1]
    near, far = two_factors(m_before, e_before)
    is_gone = (e_before < DEAD / 2) | (e_before == float("inf"))
    # So far from float64's limits that the products within a group, up to 2**200 or 2**62 either way, stay there too.
    inside: tl.constexpr = 820 if m.dtype == tl.float64 else 955
    is_plain = (is_fair & (is_gone | (tl.abs(e_before) <= inside))).to(tl.int32)
    is_plain = tl.min(tl.reshape(is_plain, [ROWS, RUNS, totals.shape[1] // RUNS]), 2)
    at_end = tl.arange(0, RUNS)[None, :] == RUNS - 1
    bits: tl.constexpr = tl.int64 if m.dtype == tl.float64 else tl.int32
    m_bits, e_end = tl.where(at_end, m_runs.to(bits, bitcast=True), 0), tl.where(at_end, e_runs, 0.0)
    m_bits, e_end, is_plain = tl.reduce((m_bits, e_end, is_plain), 1, _kept)
    m_end, e_end = joined(carry_m, carry_e, m_bits.to(m.dtype, bitcast=True), e_end)
    e_end = tl.where(e_end < DEAD / 2, float("-inf"), e_end)
    is_right = is_plain == 1
    if m.dtype != tl.float64:  # noqa: SIM102  (known to the compiler, unlike what follows)
        if tl.min(is_plain, 0) == 0:
            is_right, sinks, grows = judged_rows(m_before, e_before, e, smallest, largest, is_fair)
            e_end = tl.where(sinks, float("-inf"), tl.where(grows, float("inf"), e_end))
    return near[:, :, None], far[:, :, None], m_end, e_end, is_right


@triton.jit
def scanned(x, carry_m, carry_e):
    """The products of rows (rows, groups, elements) from carries (rows,), and the carries after them, in parts.

    And of each row whether that is right. It is not where a group's own products come near the limits of their type, or
    it holds an infinity or NaN; nor where the row's products leave float64 and may come back: a
    serial product would not. An exponent that leaves float64 for good becomes infinite.
    """
    is_zero = x == 0
    p = tl.cumprod(tl.where(is_zero, sign_of(x), x), 2)
    zeros_e = tl.where(tl.max(is_zero.to(tl.int32), 2) == 1, DEAD, 0.0)
    smallest, largest = _group_sizes(p)
    near, far, m_end, e_end, is_right = _factors_of_groups(last_of(p), zeros_e, smallest, largest, carry_m, carry_e)
    y = (p * near) * far
    y = tl.where((tl.cumsum(is_zero.to(tl.int32), 2) > 0) & (y == y), zero_like(y), y)
    return y, m_end, e_end, is_right


@triton.jit
def signs_after(x, carry_e):
    """What follows a carry of 0 or infinity: the signs of elements, NaN for those that make NaN of it."""
    with_carry = x * tl.where(carry_e > 0, float("inf"), 0.0).to(x.dtype)
    return tl.where(with_carry == with_carry, sign_of(x), float("nan")).to(x.dtype)


@triton.jit
def scan_again(x_ptr, y_ptr, left, inner, carry_m, e, PIECE: tl.constexpr, GROUP: tl.constexpr, dtype: tl.constexpr):
    """Scan `left` elements, `inner` apart, from memory: in pieces that may hold zeros, else one by one.

    Takes and returns the parts of the carry, whose mantissa may be wider than products, which are of a type.
    """
    tl.debug_barrier()  # what was stored there before is in memory
    m = carry_m.to(dtype)
    offsets = tl.arange(0, PIECE)
    for done in range(0, left, PIECE):
        skip = tl.cast(done, tl.int64) * inner
        x = loaded_tile(x_ptr + skip, left - done, inner, PIECE).to(m.dtype)
        if tl.abs(e) == float("inf"):
            x = signs_after(x, e)
        y, m_after, e_after, is_right = scanned(tl.reshape(x, [1, PIECE // GROUP, GROUP]), m[None], e[None])
        if tl.min(is_right.to(tl.int32), 0) == 1:
            products = tl.reshape(y, [PIECE]).to(y_ptr.dtype.element_ty)
            tl.store(y_ptr + skip + offsets.to(tl.int64) * inner, products, mask=offsets < left - done)
            m, e = tl.sum(m_after, 0), tl.sum(e_after, 0)
        else:
            here = tl.minimum(left - done, PIECE)
            carry = scan_carefully(x_ptr + skip, y_ptr + skip, here, inner, exact_carry(m, e), min(PIECE, 128))
            m, e = parted_carry(carry, m.dtype)
            e = tl.where(m == m, e, float("-inf"))  # NaN for good: like 0 it asks for signs only
    return m.to(carry_m.dtype), e


@triton.jit(noinline=True)
def scan_from(x_ptr, y_ptr, left, inner, carry, PIECE: tl.constexpr, GROUP: tl.constexpr, dtype: tl.constexpr):
    """The same from an exact carry. Returns the exact carry after them.

    It is a function of its own in the machine code as well: what it needs costs the common path no registers.
    """
    m, e = parted_carry(carry, dtype)
    m, e = scan_again(x_ptr, y_ptr, left, inner, m, e, PIECE, GROUP, dtype)
    return exact_carry(m, e)
