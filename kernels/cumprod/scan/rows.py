"""Many long sequences, each side by side in memory: one program a sequence, tile by tile.

The next tile is on its way to registers while a tile is scanned.
"""

import triton
import triton.language as tl

from .exact_powers import exact_group_products, exact_products_before_groups
from .launches import Task, Work, launches_of
from .powers import (
    FAR_AWAY,
    group_products,
    mantissa_and_power,
    power_of_two,
    products_before_groups,
    two_powers,
)
from .ranges import bits_of_both, last_element, limited, loaded_ahead, loaded_tile, unfused
from .shapes import accumulator
from .turned import (
    groups_by_column,
    integer_tile,
    laid_out,
    last_in,
    only,
    turned,
    turned_back,
    turned_halves,
    units_beside,
)
from .wide import joined, judged_rows, scan_again, signs_after


@triton.jit
def followed(x, carry_e):
    """Elements as they are; after a carry of 0 or infinity, what they make of its sign."""
    if tl.abs(carry_e) == float("inf"):
        x = signs_after(x, carry_e)
    return x


@triton.jit
def _range_of_both(low, high, other_low, other_high):
    """Of two ranges the one around both."""
    return tl.minimum(low, other_low), tl.maximum(high, other_high)


@triton.jit
def _products_of_type(x, dtype: tl.constexpr):
    """`group_products`, of elements of a type. Those of float16 are so small that every second product tells enough."""
    if dtype == tl.float16:
        COUNT: tl.constexpr = x.shape[0]
        p = tl.cumprod(x, 0)
        last = last_in(p)
        is_asked = (COUNT - 1 - tl.arange(0, COUNT)[:, None, None]) % 2 == 0
        size = tl.where(is_asked, tl.abs(p), 1.0)
        smallest, largest = tl.reduce((size, size), 0, _range_of_both)
        # Others are a factor below 2**16 away: none is below 2**-106, which 2**122 takes beyond float16.
        is_fair = (smallest >= 2.0**-90) & (largest <= 2.0**62) & (last == last)
        low = tl.full(last.shape, -106, tl.int32)
        return p, last, low, low + 106 + 78, is_fair
    else:
        return group_products(x)


@triton.jit
def turned_products(x, m, e, like, dtype: tl.constexpr):
    """The products of a turned tile of one sequence after a carry, in parts; the carry after it; and whether that is
    right (1): whether all groups are fair, and all products are far from the limits of float64, or leave it for good.

    The carry's mantissa is float64. Of float32, what rounding takes goes with the products: while memory is waited for,
    there is time for that.

    Results are of a type; of float16 one factor a group is enough, since all fair ones that it cannot take to their
    place are 0 or infinite there.
    """
    carry_e = tl.minimum(tl.maximum(e, -1.0 * FAR_AWAY), 1.0 * FAR_AWAY).to(tl.int32)
    if dtype == tl.float32:
        p, totals, errors, low, high, is_fair = exact_group_products(x)
        m_before, e_before, m_tile, e_tile = exact_products_before_groups(totals, errors, m, carry_e, like)
    else:
        p, totals, low, high, is_fair = _products_of_type(x, dtype)
        m_groups, e_groups = mantissa_and_power(totals)
        m_before, e_before, m_tile, e_tile = products_before_groups(m_groups, e_groups, m, carry_e, like, 1, 1)
    m_tile, e_tile = tl.reduce(m_tile, 0, only).to(tl.float64), tl.reduce(e_tile, 0, only)
    m_end, e_end = joined(m, e, m_tile, e_tile.to(tl.float32))
    inside: tl.constexpr = 1012  # products are up to 32 times what their exponents say
    stays = (e_before + high <= inside) & (e_before + low >= -inside)
    if dtype == tl.float64:  # where nothing grows, what is below 2**-1022 is as good as that of a serial product
        stays = stays | ((high == 0) & (e_before <= 0))
    is_right = is_fair & (stays | (tl.abs(carry_e + tl.zeros_like(low)) == FAR_AWAY))
    near, far = two_powers(e_before, p.dtype)
    flags = is_right.to(tl.int32) | ((near == e_before).to(tl.int32) << 1)
    flags = tl.reduce(tl.reduce(flags, 0, bits_of_both), 0, bits_of_both)
    if (flags & 1) == 0:
        size = tl.abs(p)
        e_floats = tl.where(tl.abs(e) == float("inf"), e, e_before.to(tl.float32))
        m_row, e_row = groups_by_column(m_before, 0, 1, 1), groups_by_column(e_floats, 0, 1, 1)
        smallest, largest = groups_by_column(tl.min(size, 0), 0, 1, 1), groups_by_column(tl.max(size, 0), 0, 1, 1)
        all_fair = tl.min(tl.min(is_fair.to(tl.int32), 0), 0) == 1
        are_fair = (smallest >= 0) & all_fair
        is_judged, sinks, grows = judged_rows(m_row, e_row, smallest * 0, smallest, largest, are_fair)
        flags = flags | tl.max((is_judged & (p.dtype != tl.float64)).to(tl.int32), 0)
        has_sunk, has_grown = tl.max(sinks.to(tl.int32), 0) == 1, tl.max(grows.to(tl.int32), 0) == 1
        e_end = tl.where(has_sunk, float("-inf"), tl.where(has_grown, float("inf"), e_end))
    y = p * laid_out(m_before * power_of_two(near, p.dtype), like)[None, :, :]
    if dtype != tl.float16:  # noqa: SIM102  (known to the compiler, unlike what follows)
        if (flags & 2) == 0:
            y = y * laid_out(power_of_two(far, p.dtype), like)[None, :, :]
    return y, m_end, e_end, flags & 1


@triton.jit
def _loaded_ahead(x_ptr, vectors, VECTOR: tl.constexpr, BLOCK: tl.constexpr, IN_WORDS: tl.constexpr):
    """A tile of so many vectors, 1 beyond them; if elements have 16 bits, in words of two."""
    if IN_WORDS:
        ones: tl.constexpr = 0x3F803F80 if x_ptr.dtype.element_ty == tl.bfloat16 else 0x3C003C00
        words_ptr = x_ptr.to(tl.pointer_type(tl.int32))
        return loaded_ahead(words_ptr, vectors * (VECTOR // 2), 1, BLOCK // 2, ones)
    else:
        return loaded_ahead(x_ptr, vectors * VECTOR, 1, BLOCK)


@triton.jit
def _scan_floats(
    x_ptr,
    y_ptr,
    vectors,
    m,
    e,
    nothing,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    ELEMENTS: tl.constexpr,
    GROUPS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Scan `vectors` vectors of a sequence, while the next tile waits in registers. Takes and returns the carry.

    Tiles are turned through shared memory. `nothing` is 0, which the compiler must not know.
    """
    dtype: tl.constexpr = y_ptr.dtype.element_ty
    offsets = tl.arange(0, BLOCK)
    PRODUCTS: tl.constexpr = tl.float64 if dtype == tl.float64 else tl.float32
    IN_WORDS: tl.constexpr = dtype.primitive_bitwidth == 16 and VECTOR > 1 and ELEMENTS > 2
    units = units_beside(x_ptr.to(tl.pointer_type(tl.int32)), BLOCK // (ELEMENTS * GROUPS), nothing)
    like = tl.max(units, 0)
    ahead = _loaded_ahead(x_ptr, tl.minimum(vectors, BLOCK // VECTOR), VECTOR, BLOCK, IN_WORDS)
    for start in range(0, vectors, BLOCK // VECTOR):
        skip = tl.cast(start, tl.int64) * VECTOR
        after = tl.minimum(vectors - (start + BLOCK // VECTOR), BLOCK // VECTOR)
        if IN_WORDS:
            x = turned_halves(ahead, units, ELEMENTS, GROUPS, dtype)
        else:
            x = turned(ahead, units, ELEMENTS, GROUPS, 1).to(PRODUCTS)
        x = followed(x, e)
        ahead = _loaded_ahead(
            x_ptr + tl.cast(start + BLOCK // VECTOR, tl.int64) * VECTOR, after, VECTOR, BLOCK, IN_WORDS
        )
        y, m_after, e_after, is_right = turned_products(x, m, e, like, dtype)
        left = tl.minimum(vectors - start, BLOCK // VECTOR) * VECTOR
        tl.store(y_ptr + skip + offsets, turned_back(y.to(dtype), 1), mask=offsets < left)
        if is_right == 0:
            m_after, e_after = scan_again(x_ptr + skip, y_ptr + skip, left, 1, m, e, WIDTH, 4, PRODUCTS)
        m, e = m_after, e_after
    return m, e


@triton.jit
def _integer_products(x, carry, WIDTH: tl.constexpr):
    """The products of a tile of integers, which wrap around, in any order alike; and the last."""
    y = tl.cumprod(tl.where(tl.arange(0, x.shape[0]) == 0, x * carry, x), 0)
    return y, last_element(y, WIDTH)


@triton.jit
def _scan_integers(
    x_ptr,
    y_ptr,
    vectors,
    carry,
    nothing,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    ELEMENTS: tl.constexpr,
    GROUPS: tl.constexpr,
):
    """The same of integers, of which any product is right."""
    offsets = tl.arange(0, BLOCK)
    units = units_beside(x_ptr, BLOCK // (ELEMENTS * GROUPS), nothing)
    like = tl.max(units, 0)
    ahead = loaded_ahead(x_ptr, tl.minimum(vectors, BLOCK // VECTOR) * VECTOR, 1, BLOCK)
    for start in range(0, vectors, BLOCK // VECTOR):
        skip = tl.cast(start, tl.int64) * VECTOR
        after = tl.minimum(vectors - start - BLOCK // VECTOR, BLOCK // VECTOR) * VECTOR
        x = turned(ahead, units, ELEMENTS, GROUPS, 1).to(carry.dtype)
        ahead = loaded_ahead(x_ptr + tl.cast(start + BLOCK // VECTOR, tl.int64) * VECTOR, after, 1, BLOCK)
        p, before, total = integer_tile(x, like, 1, 1)
        y = p * laid_out(before * carry, like)[None, :, :]
        left = tl.minimum(vectors - start, BLOCK // VECTOR) * VECTOR
        tl.store(y_ptr + skip + offsets, turned_back(y, 1), mask=offsets < left)
        carry = carry * tl.max(total, 0)
    return carry


@triton.jit
def _scan_few(x_ptr, y_ptr, left, carry, WIDTH: tl.constexpr):
    """Scan up to WIDTH integers that fill no vector. Takes and returns the carry."""
    offsets = tl.arange(0, WIDTH)
    y, carry = _integer_products(loaded_tile(x_ptr, left, 1, WIDTH).to(carry.dtype), carry, WIDTH)
    tl.store(y_ptr + offsets, y, mask=offsets < left)
    return carry


@triton.jit
def _rows_kernel(
    x_ptr,
    y_ptr,
    begin,
    n,
    vectors,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    WHOLE: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
    ELEMENTS: tl.constexpr,
    GROUPS: tl.constexpr,
):
    """One program a sequence of `n` elements, from sequence `begin` on; in WHOLE vectors (`vectors` of them) or not.

    Where sequences begin between vectors, what comes before the first whole vector and after the last is scanned apart,
    so that everything between moves in vectors. Counting in vectors proves to the compiler that no mask cuts one.
    """
    row = begin + tl.program_id(0).to(tl.int64)
    m, e, carry = tl.full((), 1, tl.float64), tl.full((), 0, tl.float32), tl.full((), 1, tl.int64)
    if WHOLE:
        first = row * vectors * VECTOR
    else:
        origin = row * n
        first = (origin + VECTOR - 1) // VECTOR * VECTOR
        before = tl.minimum(first - origin, n).to(tl.int32)
        vectors = (n - before) // VECTOR
        if ACCUMULATOR.is_floating():
            m, e = scan_again(x_ptr + origin, y_ptr + origin, before, 1, m, e, 16, 1, ACCUMULATOR)
        else:
            carry = _scan_few(x_ptr + origin, y_ptr + origin, before, carry, 16)
    x_ptr += first
    y_ptr += first
    nothing = tl.minimum(n, 0)
    if ACCUMULATOR.is_floating():
        m, e = _scan_floats(x_ptr, y_ptr, vectors, m, e, nothing, VECTOR, BLOCK, ELEMENTS, GROUPS, WIDTH)
    else:
        carry = _scan_integers(x_ptr, y_ptr, vectors, carry, nothing, VECTOR, BLOCK, ELEMENTS, GROUPS)
    if not WHOLE:
        place = tl.cast(vectors, tl.int64) * VECTOR
        after = n - before - vectors * VECTOR
        if ACCUMULATOR.is_floating():
            scan_again(x_ptr + place, y_ptr + place, after, 1, m, e, 16, 1, ACCUMULATOR)
        else:
            _scan_few(x_ptr + place, y_ptr + place, after, carry, 16)


def rows_form(task: Task, *, BLOCK: int, num_warps: int, registers: int) -> Work:
    """In tiles of `BLOCK` elements (a power of two), or smaller ones where sequences are short.

    The next tile waits in registers, of which a thread has up to so many.
    """
    x, y, outer, axis, _ = task
    vector = 16 // min(x.element_size(), y.element_size())
    if x.data_ptr() % 16:
        vector = 1
    is_whole = axis % vector == 0
    BLOCK = max(16, min(BLOCK, triton.next_power_of_2(axis)))
    num_warps = max(1, min(num_warps, BLOCK // 512))
    width = min(BLOCK, 32 * num_warps * min(vector, 16 // x.element_size()))
    sizes = (axis, axis // vector if is_whole else 0)
    held = max(2, BLOCK // (32 * num_warps))  # elements of a thread
    layout = (min(held, 16), max(1, held // 16))
    constants = (accumulator(y.dtype), vector, is_whole, BLOCK, width, *layout)
    options = {"num_warps": num_warps, **limited(registers, num_warps), **unfused()}
    return Work(launches_of(_rows_kernel, outer, sizes, constants, **options))
