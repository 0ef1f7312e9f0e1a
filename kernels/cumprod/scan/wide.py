"""Products whose exponents are numbers of their own, so that no order of multiplication can leave their range.

A tree multiplies segments on their own, which can leave float32 or float64 where no product of the sequence does. Here
a thread multiplies the few elements that it holds side by side, a group, as they are; the products of groups go on as
mantissa and exponent. The exponent of a product of zeros is far below all others.
"""

import triton
import triton.language as tl

from .ranges import loaded_tile, picked, scan_carefully, sign_of, zero_like

DEAD = tl.constexpr(-(2.0**20))
"""The exponent of 0. Sums of some of them stay exact in float32, and far below those of what is not 0."""


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
    near, far = _factors(m.to(tl.float64), e)
    return near * far


@triton.jit
def _factors(m, e):
    """m * 2**e as a product of two numbers. Exponents may be infinite."""
    if m.dtype == tl.float64:
        whole = tl.minimum(tl.maximum(e, -2040.0), 2040.0).to(tl.int64)
        near = tl.minimum(tl.maximum(whole, -1020), 1020)
        first = ((near + 1023) << 52).to(tl.float64, bitcast=True)
        second = ((whole - near + 1023) << 52).to(tl.float64, bitcast=True)
    else:
        whole = tl.minimum(tl.maximum(e, -252.0), 252.0).to(tl.int32)
        near = tl.minimum(tl.maximum(whole, -126), 126)
        first = ((near + 127) << 23).to(tl.float32, bitcast=True)
        second = ((whole - near + 127) << 23).to(tl.float32, bitcast=True)
    return m * first, second


@triton.jit
def _quotient(a, b):
    """a / b of mantissas, exact where their type holds that: float32's own division is off by up to two places."""
    if a.dtype == tl.float64:
        quotient = a / b
    else:
        inverse = 1.0 / b
        quotient = a * inverse
        quotient = tl.fma(tl.fma(-quotient, b, a), inverse, quotient)
    return quotient


@triton.jit
def _total_of(p, x, ZEROS: tl.constexpr):
    """Mantissa and exponent of each group's product, and whether every product on the way there is far from a limit."""
    GROUP: tl.constexpr = p.shape[2]
    limit: tl.constexpr = 2.0**200 if p.dtype == tl.float64 else 2.0**60
    size = tl.abs(p)
    total = picked(p, tl.arange(0, GROUP)[None, None, :] == GROUP - 1, 2)
    is_fair = (tl.min(size, 2) >= 1 / limit) & (tl.max(size, 2) <= limit) & (total == total)
    m, e = parted(total)
    if ZEROS:
        e += tl.where(tl.min(tl.abs(x), 2) == 0, DEAD, 0.0)
    return m, e, is_fair


@triton.jit
def _left_for_good(e, end, dtype: tl.constexpr):
    """Of each row whether the exponents before groups leave float64 and stay outside: of results that are 0 or infinite
    long before. At the end they have to be further out than float64's least, 2**-1074, by what a group can be.
    """
    GROUPS: tl.constexpr = e.shape[1]
    group = tl.arange(0, GROUPS)[None, :]
    is_out = tl.abs(e) > 960
    first = tl.min(tl.where(is_out, group, GROUPS), 1)
    last_inside = tl.max(tl.where(is_out, -1, group), 1)
    return (last_inside < first) & (tl.abs(end) >= 1140) & (dtype != tl.float64)


@triton.jit
def scanned(x, carry_m, carry_e, GROUP: tl.constexpr, ZEROS: tl.constexpr):
    """The products of rows (rows, elements) from carries (rows,), and the carries after them, in parts.

    And of each row whether that is right. It is not where a group's own products come near the limits of their type,
    holds an infinity, NaN or, without ZEROS, a zero; nor where the row's products leave float64 and may come back: a
    serial product would not. An exponent that leaves float64 for good becomes infinite.
    """
    ROWS: tl.constexpr = x.shape[0]
    GROUPS: tl.constexpr = x.shape[1] // GROUP
    x = tl.reshape(x, [ROWS, GROUPS, GROUP])
    p = tl.cumprod(tl.where(x == 0, sign_of(x), x) if ZEROS else x, 2)
    m, e, is_fair = _total_of(p, x, ZEROS)
    m_to, e_to = tl.associative_scan((m, e), 1, joined)
    # The product before a group: that with it, over its own.
    m_before, e_before = joined(carry_m[:, None], carry_e[:, None], _quotient(m_to, m), e_to - e)
    is_dead = e_before < DEAD / 2
    near, far = _factors(m_before, e_before)
    y = (p * near[:, :, None]) * far[:, :, None]
    if ZEROS:
        y = tl.where((tl.cumsum((x == 0).to(tl.int32), 2) > 0) & (y == y), zero_like(y), y)
    at_end = tl.arange(0, GROUPS)[None, :] == GROUPS - 1
    m_end = picked(m_to, at_end, 1)
    m_end, e_end = joined(carry_m, carry_e, m_end, tl.sum(tl.where(at_end, e_to, 0.0), 1))
    e_end = tl.where(e_end < DEAD / 2, float("-inf"), e_end)
    reach = tl.where(is_dead | (e_before == float("inf")), 0.0, e_before)
    # So far from float64's limits that the products within a group, up to 2**200 or 2**60 either way, stay there too.
    inside: tl.constexpr = 820 if x.dtype == tl.float64 else 960
    stays = tl.max(tl.abs(reach), 1) <= inside
    is_right = tl.min(is_fair.to(tl.int32), 1) == 1
    if tl.min(stays.to(tl.int32), 0) == 0:
        leaves = _left_for_good(reach, e_end, x.dtype)
        is_right = is_right & (stays | leaves)
        e_end = tl.where(leaves, e_end * float("inf"), e_end)
    return tl.reshape(y, [ROWS, GROUPS * GROUP]), m_end, e_end, is_right


@triton.jit
def signs_after(x, carry_e):
    """What follows a carry of 0 or infinity: the signs of elements, NaN for those that make NaN of it."""
    with_carry = x * tl.where(carry_e > 0, float("inf"), 0.0).to(x.dtype)
    return tl.where(with_carry == with_carry, sign_of(x), float("nan")).to(x.dtype)


@triton.jit
def scan_again(x_ptr, y_ptr, left, inner, m, e, PIECE: tl.constexpr, GROUP: tl.constexpr):
    """Scan `left` elements, `inner` apart, from memory: in pieces that may hold zeros, else one by one.

    Takes and returns the parts of the carry.
    """
    tl.debug_barrier()  # what was stored there before is in memory
    offsets = tl.arange(0, PIECE)
    for done in range(0, left, PIECE):
        skip = tl.cast(done, tl.int64) * inner
        x = loaded_tile(x_ptr + skip, left - done, inner, PIECE).to(m.dtype)
        if tl.abs(e) == float("inf"):
            x = signs_after(x, e)
        y, m_after, e_after, is_right = scanned(x[None, :], m[None], e[None], GROUP, True)
        if tl.min(is_right.to(tl.int32), 0) == 1:
            products = tl.reshape(y, [PIECE]).to(y_ptr.dtype.element_ty)
            tl.store(y_ptr + skip + offsets.to(tl.int64) * inner, products, mask=offsets < left - done)
            m, e = tl.sum(m_after, 0), tl.sum(e_after, 0)
        else:
            here = tl.minimum(left - done, PIECE)
            carry = scan_carefully(x_ptr + skip, y_ptr + skip, here, inner, exact_carry(m, e), min(PIECE, 128))
            m, e = parted_carry(carry, m.dtype)
    return m, e


@triton.jit(noinline=True)
def scan_from(x_ptr, y_ptr, left, inner, carry, PIECE: tl.constexpr, GROUP: tl.constexpr, dtype: tl.constexpr):
    """The same from an exact carry; products are of a type. Returns the exact carry after them.

    It is a function of its own in the machine code as well: what it needs costs the common path no registers.
    """
    m, e = parted_carry(carry, dtype)
    m, e = scan_again(x_ptr, y_ptr, left, inner, m, e, PIECE, GROUP)
    return exact_carry(m, e)
