"""Sequences that follow each other in a tile, which may begin anywhere in it: products that start anew where one does.

Tiles are turned: (element, group, unit). What follows a group of them is known by mantissa and exponent. An exponent
has a flag, FLAG, where a sequence starts within what it is the exponent of: what was before is no factor then.
"""

import triton
import triton.language as tl

from .turned import last_in
from .wide import parted

FLAG = tl.constexpr(2**29)
"""What a start adds to an exponent. Those without are within FLAG / 2 either way, of fair groups at least."""

GONE = tl.constexpr(-(2**18))
"""The exponent of 0: whatever grows behind it in fair groups of a tile, their sum stays below half of this."""


@triton.jit
def centred(x):
    """Mantissa, from sqrt(1/2) to sqrt(2), and exponent of normal numbers; those of 0 are its sign and one as well.

    So the mantissas of up to 250 segments can be multiplied as they are.
    """
    if x.dtype == tl.float64:
        bits = x.to(tl.int64, bitcast=True)
        e = ((bits & 0x7FFFFFFFFFFFFFFF) - 0x3FE6A09E667F3BCD) >> 52
        return (bits - (e << 52)).to(tl.float64, bitcast=True), e.to(tl.int32)
    else:
        bits = x.to(tl.int32, bitcast=True)
        e = ((bits & 0x7FFFFFFF) - 0x3F3504F3) >> 23
        return (bits - (e << 23)).to(tl.float32, bitcast=True), e


@triton.jit
def factors_before(m, e):
    """m * 2**e, its mantissa from 1/4 to 4, as a product of two numbers; 0 or infinity, where no group leads back."""
    if m.dtype == tl.float64:
        e = tl.minimum(tl.maximum(e, -2040), 2040)
        near = tl.minimum(tl.maximum(e, -1020), 1020)
        first = ((near + 1023).to(tl.int64) << 52).to(tl.float64, bitcast=True)
        second = ((e - near + 1023).to(tl.int64) << 52).to(tl.float64, bitcast=True)
    else:
        e = tl.minimum(tl.maximum(e, -250), 250)
        near = tl.minimum(tl.maximum(e, -125), 125)
        first = ((near + 127) << 23).to(tl.float32, bitcast=True)
        second = ((e - near + 127) << 23).to(tl.float32, bitcast=True)
    return m * first, second


@triton.jit
def factor_before(m, e):
    """m * 2**e, its mantissa from 1/4 to 4, as one number: enough for results in float16, whatever fair groups make of
    it. None of their products is below 2**-106, nor above 2**96.
    """
    return m * ((tl.minimum(tl.maximum(e, -126), 126) + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def starts_of_groups(unit, n, reciprocal, ELEMENTS: tl.constexpr, GROUPS: tl.constexpr):
    """Of each group (group, unit) the sequence that it begins in, and how many elements there are to the next start.

    `reciprocal` is 2**30 / n rounded up: right for places below 2**15.
    """
    place = (unit * GROUPS + tl.arange(0, GROUPS)[:, None]) * ELEMENTS
    sequence = tl.umulhi(place * 4, tl.zeros_like(place) + reciprocal)
    done = place - sequence * n
    return sequence, tl.where(done == 0, 0, n - done)


@triton.jit
def starts_of_elements(first, pattern, ELEMENTS: tl.constexpr):
    """1 for elements that start a sequence. `pattern` has a bit for each start, if the first of all is one."""
    bits = (tl.zeros_like(first) + pattern) << tl.minimum(first, ELEMENTS)
    return (bits[None, :, :] >> tl.arange(0, ELEMENTS)[:, None, None]) & 1


@triton.jit
def _whole_and_largest(whole, largest, factor, other):
    """A product, and the largest size of its factors."""
    return whole * factor, tl.maximum(tl.abs(largest), tl.abs(other))


@triton.jit
def sizes_of_groups(x):
    """Of each group (group, unit) of a turned tile the exponent of the product of all factors that are not 0; and of
    each unit (1, unit) the largest factor.
    """
    factors = tl.where(x == 0, tl.full((), 1, x.dtype), x)
    whole, largest = tl.associative_scan((factors, x), 0, _whole_and_largest)
    _, end = centred(last_in(whole))
    return end, tl.max(last_in(largest), 0)[None, :]


@triton.jit
def bounds_of_groups(end, largest, COUNT: tl.constexpr):
    """Bounds of the exponents of groups' smallest products that are not 0, and of the largest; and which groups are
    fair: their products, those of any segment, are far from the limits of their type.

    They follow from the largest of COUNT factors and from the product of all that are not 0.
    """
    steepest: tl.constexpr = 12 if largest.dtype == tl.float64 else 6
    least: tl.constexpr = -1000 if largest.dtype == tl.float64 else -106
    _, grows = parted(largest)
    grows = tl.maximum(grows.to(tl.int32) + 1, 0)
    low = end - 1 - grows * (COUNT - 1)
    return low, grows * COUNT, (grows <= steepest) & (low >= least) & (end < steepest * COUNT)


@triton.jit
def _product_from_start(is_start, p, other_is_start, q):
    """Products since the last start."""
    return is_start | other_is_start, tl.where(other_is_start != 0, q, p * q)


@triton.jit
def segment_products(x, is_start):
    """The products within groups of a turned tile, anew from each start, and the last ones. Integers wrap around."""
    _, p = tl.associative_scan((is_start, x), 0, _product_from_start)
    return p, last_in(p)


@triton.jit
def _followed_by(m, e, other_m, other_e):
    """The product of two segments; of the second only, where a sequence starts in it."""
    is_anew = other_e > FLAG // 2
    return tl.where(is_anew, other_m, m * other_m), tl.where(is_anew, other_e, e + other_e)


@triton.jit
def _groups_from_start(_m_before, _e_before, m, e, other_m_before, other_e_before, other_m, other_e):
    """The products before the last of several groups, and with it."""
    m_before, e_before = _followed_by(m, e, other_m_before, other_e_before)
    m, e = _followed_by(m, e, other_m, other_e)
    return m_before, e_before, m, e


@triton.jit
def _one_further(of_units):
    """Of each unit what is known of the one before it; of the first that of itself."""
    unit = tl.arange(0, of_units.numel) + tl.zeros(of_units.shape, tl.int32)
    return tl.gather(of_units, tl.maximum(unit - 1, 0), 0)


@triton.jit
def before_segments(m, e):
    """The product before each group (group, unit) of its sequence, from those of groups, with flags; without.

    It is of no meaning where the group is the first of a sequence. Integers have exponents for their flags.
    """
    GROUPS: tl.constexpr = m.shape[0]
    is_float: tl.constexpr = m.dtype.is_floating()
    m_within, e_within, m, e = tl.associative_scan((m * 0 + 1, e * 0, m, e), 0, _groups_from_start)
    m, e = last_in(m), last_in(e)
    if is_float:
        m, more = centred(m)
        e += more
    m, e = tl.associative_scan((m, e), 0, _followed_by)
    m, e = _one_further(m), _one_further(e)
    if is_float:
        m, more = centred(m)
        e += more
    m, e = m[None, :], e[None, :]
    if GROUPS > 1:
        m, e = _followed_by(m, e, m_within, e_within)
    return m, tl.where(e > FLAG // 2, e - FLAG, e)


@triton.jit
def are_plain(e, low, high, is_fair, first):
    """1 for units (unit,) of which all groups are fair, and all products within float64, or after a zero."""
    reach = tl.where((first == 0) | (e <= GONE // 2), 0, e)
    is_plain = is_fair & (reach + low >= -1022) & (reach + high <= 1020)
    return tl.min(is_plain.to(tl.int32), 0)


@triton.jit
def in_order(of_groups):
    """What is known of groups (group, unit), one after the other."""
    return tl.reshape(tl.trans(of_groups), [of_groups.numel])


@triton.jit
def _either_from_start(marks, other):
    """Marks since the last start, which is one itself (4)."""
    return tl.where((other & 4) != 0, other, marks | other)


@triton.jit
def _groups_either_from_start(_before, marks, other_before, other):
    """Marks before the last of several groups, and with it."""
    return _either_from_start(marks, other_before), _either_from_start(marks, other)


@triton.jit
def _marks_before(marks):
    """Of each group (group, unit) the marks since the last start before it."""
    within, to_end = tl.associative_scan((marks * 0, marks), 0, _groups_either_from_start)
    of_units = tl.associative_scan(last_in(to_end), 0, _either_from_start)
    return _either_from_start(_one_further(of_units)[None, :], within)


@triton.jit
def kinds_of_groups(is_fair, has_zero, largest):
    """What `unsound_groups` asks of groups: whether they are fair (1), may have a zero (2), or a factor above 1 (4)."""
    return is_fair.to(tl.int32) | (has_zero.to(tl.int32) << 1) | ((largest > 1).to(tl.int32) << 2)


@triton.jit
def unsound_groups(e, low, high, kinds, first, ELEMENTS: tl.constexpr, dtype: tl.constexpr):
    """Which groups (group, unit) are not fair, or lead their sequence back from where a serial product is 0 or infinite
    for good. Of float64 all that may rise from subnormal numbers, and all that overflow.
    """
    e = tl.where(first == 0, 0, e)
    is_live = e > GONE // 2
    is_low, is_high = is_live & (e + low < -1022), e + high > 1020
    marks = _marks_before(tl.where(first < ELEMENTS, 4, is_low.to(tl.int32) | (is_high.to(tl.int32) << 1)))
    was_low, was_high = (first > 0) & ((marks & 1) != 0), (first > 0) & ((marks & 2) != 0)
    unsound = ((kinds & 1) == 0) | (((kinds & 2) != 0) & (was_high | is_high))
    if dtype == tl.float64:
        return unsound | is_high | ((was_low | is_low) & is_live & ((kinds & 4) != 0))
    else:
        return unsound | (was_low & is_live & (e + high > -160)) | (was_high & (e + low < 140))


@triton.jit
def groups_looked_at(
    x_ptr, inside, unit, first, pattern, COUNT: tl.constexpr, GROUPS: tl.constexpr, dtype: tl.constexpr
):
    """Of each group (group, unit) in memory the last product, bounds of the exponents of the smallest that is not 0 and
    of the largest, and its kind. One element of each group at a time needs few registers.

    Products that are 0 before there is a zero, or not 0 behind one, are not fair. Others are, if none of their segments
    can come near the limits of their type.
    """
    place = (unit * GROUPS + tl.arange(0, GROUPS)[:, None]) * COUNT
    starts = (tl.zeros_like(first) + pattern) << tl.minimum(first, COUNT)
    product = tl.full(first.shape, 1, dtype)
    smallest, largest, factor = product, product, product
    had_zero, has_zero, is_strange = first < 0, first < 0, first < 0
    for k in range(COUNT):
        x = tl.load(x_ptr + place + k, mask=place + k < inside, other=1.0).to(dtype)
        is_start = ((starts >> k) & 1) == 1
        product = tl.where(is_start, x, product * x)
        had_zero = (had_zero & (is_start == 0)) | (x == 0)
        has_zero |= x == 0
        is_strange |= (product != product) | ((product == 0) != had_zero)
        size = tl.where(had_zero, tl.full((), 1, dtype), tl.abs(product))
        smallest, largest = tl.minimum(smallest, size), tl.maximum(largest, size)
        factor = tl.maximum(factor, tl.abs(x))
    _, low = centred(smallest)
    _, high = centred(largest)
    low, high = low - 1, high + 1
    least: tl.constexpr = -960 if dtype == tl.float64 else -106
    most: tl.constexpr = 200 if dtype == tl.float64 else 100
    widest: tl.constexpr = 1000 if dtype == tl.float64 else 120
    is_fair = (low >= least) & (high <= most) & (high - low <= widest) & (is_strange == 0)
    return product, low, high, kinds_of_groups(is_fair, has_zero, factor)
