"""Many long sequences, each side by side in memory: one program a sequence, tile by tile.

The next tile is on its way to registers while a tile is scanned.
"""

import triton
import triton.language as tl

from .launches import Task, Work, launches_of
from .ranges import last_element, limited, loaded_tile
from .shapes import accumulator
from .tile_floats import group_products, tile_of_groups
from .turned import groups_by_column, integer_tile, laid_out, turned, turned_back, units_beside
from .wide import (
    joined,
    judged_rows,
    loaded_groups,
    scan_again,
    scanned,
    scanned_halves,
    signs_after,
    two_factors,
    whole_tile,
)


@triton.jit
def _followed(x, carry_e):
    """Elements as they are; after a carry of 0 or infinity, what they make of its sign."""
    if tl.abs(carry_e) == float("inf"):
        x = signs_after(x, carry_e)
    return x


@triton.jit
def _scan_floats(
    x_ptr,
    y_ptr,
    vectors,
    m,
    e,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    PART: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Scan `vectors` vectors of a sequence, while the next tile waits in registers. Takes and returns the carry.

    A thread multiplies groups of GROUP elements, of which it loads PART at once: all, or a half.
    """
    offsets = tl.arange(0, BLOCK)
    left = tl.minimum(vectors, BLOCK // VECTOR) * VECTOR
    ahead = loaded_groups(x_ptr, left, 0, BLOCK, GROUP, PART)
    if GROUP > PART:
        ahead_behind = loaded_groups(x_ptr, left, PART, BLOCK, GROUP, PART)
    for start in range(0, vectors, BLOCK // VECTOR):
        skip = tl.cast(start, tl.int64) * VECTOR
        left = tl.minimum(vectors - start, BLOCK // VECTOR) * VECTOR
        after = tl.minimum(vectors - start - BLOCK // VECTOR, BLOCK // VECTOR) * VECTOR
        x = _followed(ahead.to(m.dtype), e)
        ahead = loaded_groups(x_ptr + skip + BLOCK, after, 0, BLOCK, GROUP, PART)
        if GROUP > PART:
            x_behind = _followed(ahead_behind.to(m.dtype), e)
            ahead_behind = loaded_groups(x_ptr + skip + BLOCK, after, PART, BLOCK, GROUP, PART)
            y, y_behind, m_after, e_after, is_right = scanned_halves(x, x_behind, m[None], e[None])
        else:
            y, m_after, e_after, is_right = scanned(x, m[None], e[None], False)
            y_behind = y
        y = whole_tile(y, y_behind, BLOCK).to(y_ptr.dtype.element_ty)
        tl.store(y_ptr + skip + offsets, y, mask=offsets < left)
        if tl.min(is_right.to(tl.int32), 0) == 1:
            m, e = tl.sum(m_after, 0), tl.sum(e_after, 0)
        else:
            m, e = scan_again(x_ptr + skip, y_ptr + skip, left, 1, m, e, WIDTH, PART)
    return m, e


@triton.jit
def _turned_products(p, m, e, groups, like):
    """The products of a turned tile of one sequence after a carry, in parts; the carry after it; and whether that is
    right (1): whether all groups are fair, and all products are far from the limits of float64, or leave it for good.

    `groups` is what `group_products` says of them.
    """
    totals, low, high, is_fair = groups
    has_zero = low > float("inf")  # nowhere: a group with a zero is not fair
    m_before, e_before, m_tile, e_tile, most, least, is_fair = tile_of_groups(
        totals, low, high, is_fair, has_zero, like, 1
    )
    m_before, e_before = joined(m, e, m_before, e_before)
    m_end, e_end = joined(m, e, m_tile, e_tile)
    near, far = two_factors(m_before, e_before)
    inside: tl.constexpr = 1015  # products are up to four times what their exponents say
    stays = (e + most <= inside) & (e + least >= -inside)
    is_right = is_fair & (stays | (tl.abs(e + tl.zeros_like(most)) == float("inf")))
    if tl.min(is_right.to(tl.int32), 0) == 0:
        size = tl.abs(p)
        m_groups, e_groups = groups_by_column(m_before, 1), groups_by_column(e_before, 1)
        smallest, largest = groups_by_column(tl.min(size, 0), 1), groups_by_column(tl.max(size, 0), 1)
        are_fair = (smallest >= 0) & is_fair[:, None]
        is_judged, sinks, grows = judged_rows(m_groups, e_groups, smallest * 0, smallest, largest, are_fair)
        is_right = is_right | (is_judged & (p.dtype != tl.float64))
        e_end = tl.where(sinks, float("-inf"), tl.where(grows, float("inf"), e_end))
    y = (p * laid_out(near, like)[None, :, :]) * laid_out(far, like)[None, :, :]
    return y, tl.max(m_end, 0), tl.max(e_end, 0), tl.min(is_right.to(tl.int32), 0)


@triton.jit
def _scan_turned(
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
    """The same, but tiles are turned through shared memory. `nothing` is 0, which the compiler must not know."""
    offsets = tl.arange(0, BLOCK)
    units = units_beside(x_ptr, BLOCK // (ELEMENTS * GROUPS), nothing)
    like = tl.max(units, 0)
    ahead = loaded_tile(x_ptr, tl.minimum(vectors, BLOCK // VECTOR) * VECTOR, 1, BLOCK)
    for start in range(0, vectors, BLOCK // VECTOR):
        skip = tl.cast(start, tl.int64) * VECTOR
        left = tl.minimum(vectors - start, BLOCK // VECTOR) * VECTOR
        after = tl.minimum(vectors - start - BLOCK // VECTOR, BLOCK // VECTOR) * VECTOR
        x = _followed(turned(ahead, units, ELEMENTS, GROUPS, 1).to(m.dtype), e)
        ahead = loaded_tile(x_ptr + skip + BLOCK, after, 1, BLOCK)
        p, totals, low, high, is_fair = group_products(x)
        y, m_after, e_after, is_right = _turned_products(p, m, e, (totals, low, high, is_fair), like)
        tl.store(y_ptr + skip + offsets, turned_back(y.to(y_ptr.dtype.element_ty), 1), mask=offsets < left)
        if is_right == 1:
            m, e = m_after, e_after
        else:
            m, e = scan_again(x_ptr + skip, y_ptr + skip, left, 1, m, e, WIDTH, 4)
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
    ahead = loaded_tile(x_ptr, tl.minimum(vectors, BLOCK // VECTOR) * VECTOR, 1, BLOCK)
    for start in range(0, vectors, BLOCK // VECTOR):
        skip = tl.cast(start, tl.int64) * VECTOR
        left = tl.minimum(vectors - start, BLOCK // VECTOR) * VECTOR
        after = tl.minimum(vectors - start - BLOCK // VECTOR, BLOCK // VECTOR) * VECTOR
        x = turned(ahead, units, ELEMENTS, GROUPS, 1).to(carry.dtype)
        ahead = loaded_tile(x_ptr + skip + BLOCK, after, 1, BLOCK)
        p, before, total = integer_tile(x, like, 1)
        y = p * laid_out(before * carry, like)[None, :, :]
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
    GROUP: tl.constexpr,
    PART: tl.constexpr,
    WIDTH: tl.constexpr,
    ELEMENTS: tl.constexpr,
    GROUPS: tl.constexpr,
):
    """One program a sequence of `n` elements, from sequence `begin` on; in WHOLE vectors (`vectors` of them) or not.

    Where sequences begin between vectors, what comes before the first whole vector and after the last is scanned apart,
    so that everything between moves in vectors. Counting in vectors proves to the compiler that no mask cuts one.
    """
    row = begin + tl.program_id(0).to(tl.int64)
    m, e, carry = tl.full((), 1, ACCUMULATOR), tl.full((), 0, tl.float32), tl.full((), 1, tl.int64)
    if WHOLE:
        first = row * vectors * VECTOR
    else:
        origin = row * n
        first = (origin + VECTOR - 1) // VECTOR * VECTOR
        before = tl.minimum(first - origin, n).to(tl.int32)
        vectors = (n - before) // VECTOR
        if ACCUMULATOR.is_floating():
            m, e = scan_again(x_ptr + origin, y_ptr + origin, before, 1, m, e, 16, 1)
        else:
            carry = _scan_few(x_ptr + origin, y_ptr + origin, before, carry, 16)
    x_ptr += first
    y_ptr += first
    nothing = tl.minimum(n, 0)
    if not ACCUMULATOR.is_floating():
        carry = _scan_integers(x_ptr, y_ptr, vectors, carry, nothing, VECTOR, BLOCK, ELEMENTS, GROUPS)
    elif ELEMENTS > 0:
        m, e = _scan_turned(x_ptr, y_ptr, vectors, m, e, nothing, VECTOR, BLOCK, ELEMENTS, GROUPS, WIDTH)
    else:
        m, e = _scan_floats(x_ptr, y_ptr, vectors, m, e, VECTOR, BLOCK, GROUP, PART, WIDTH)
    if not WHOLE:
        place = tl.cast(vectors, tl.int64) * VECTOR
        after = n - before - vectors * VECTOR
        if ACCUMULATOR.is_floating():
            scan_again(x_ptr + place, y_ptr + place, after, 1, m, e, 16, 1)
        else:
            _scan_few(x_ptr + place, y_ptr + place, after, carry, 16)


def rows_form(task: Task, *, BLOCK: int, PARTS: int, num_warps: int, registers: int) -> Work:
    """In tiles of `BLOCK` elements (a power of two), or smaller ones where sequences are short.

    The next tile waits in registers, of which a thread has up to so many. Of floats it multiplies `PARTS` vectors, 1 or
    2, as they are; or with 0 parts all elements that follow each other, of tiles that are turned.
    """
    x, y, outer, axis, _ = task
    vector = 16 // min(x.element_size(), y.element_size())
    if x.data_ptr() % 16:
        vector = 1
    is_whole = axis % vector == 0
    BLOCK = max(16, min(BLOCK, triton.next_power_of_2(axis)))
    num_warps = max(1, min(num_warps, BLOCK // 512))
    part = 16 // x.element_size()  # what a thread loads at once
    width = min(BLOCK, 32 * num_warps * min(vector, part))
    sizes = (axis, axis // vector if is_whole else 0)
    held = BLOCK // (32 * num_warps)  # elements of a thread
    if not y.dtype.is_floating_point:
        held = max(2, held)
        PARTS = 0
    layout = (min(held, 16), max(1, held // 16)) if PARTS == 0 and held > 1 else (0, 0)
    constants = (accumulator(y.dtype), vector, is_whole, BLOCK, min(max(PARTS, 1) * part, BLOCK), part, width, *layout)
    options = {"num_warps": num_warps, **limited(registers, num_warps)}
    return Work(launches_of(_rows_kernel, outer, sizes, constants, **options))
