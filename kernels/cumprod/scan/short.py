"""Sequences of up to a few thousand elements that follow each other: one program a tile of whole sequences."""

import math

import triton
import triton.language as tl

from .launches import Task, Work, launches_of
from .ranges import limited, picked
from .segments import (
    FLAG,
    GONE,
    are_plain,
    before_segments,
    bounds_of_groups,
    centred,
    factor_before,
    factors_before,
    groups_looked_at,
    in_order,
    kinds_of_groups,
    segment_products,
    sizes_of_groups,
    starts_of_elements,
    starts_of_groups,
    unsound_groups,
)
from .shapes import accumulator
from .turned import turned, turned_back, units_beside
from .wide import scan_from


@triton.jit(noinline=True)
def _serial_rows(x_ptr, y_ptr, n, rows, ROWS: tl.constexpr):
    """Do short rows again, a thread each, one factor after the other in float64."""
    tl.debug_barrier()  # what was stored there before is in memory
    for done in range(0, rows, ROWS):
        row = done + tl.arange(0, ROWS)
        product = tl.full((ROWS,), 1, tl.float64)
        for k in range(n):
            x = tl.load(x_ptr + row * n + k, mask=row < rows, other=1.0)
            product *= x.to(tl.float64)
            rounded = product if y_ptr.dtype.element_ty == tl.float64 else product.to(tl.float32)
            tl.store(y_ptr + row * n + k, rounded.to(y_ptr.dtype.element_ty), mask=row < rows)


@triton.jit
def _next_row(unsound, first, last, row):
    """From a row on the next one that has a part in an unsound group."""
    return tl.min(tl.where(unsound & (last >= row), tl.maximum(first, row), 2**30), 0)


@triton.jit
def _mend_rows(
    x_ptr,
    y_ptr,
    n,
    rows,
    unsound,
    row_of_group,
    first,
    ELEMENTS: tl.constexpr,
    ROWS: tl.constexpr,
    PIECE: tl.constexpr,
    dtype: tl.constexpr,
):
    """Do rows again that have a part in an unsound group: one by one, or all at once, if they are of so few elements
    that a piece is none.
    """
    if PIECE == 0:
        if tl.max(unsound.to(tl.int32), 0) == 1:
            _serial_rows(x_ptr, y_ptr, n, rows, ROWS)
    else:
        last = row_of_group + ((first > 0) & (first < ELEMENTS)).to(tl.int32)
        row = _next_row(unsound, row_of_group, last, 0)
        while row < rows:
            scan_from(x_ptr + row * n, y_ptr + row * n, n, 1, tl.full((), 1, tl.float64), PIECE, 4, dtype)
            row = _next_row(unsound, row_of_group, last, row + 1)


@triton.jit
def _loaded_rows(x_ptr, inside, BLOCK: tl.constexpr, VECTOR: tl.constexpr, EVEN: tl.constexpr):
    """The elements inside, in whole vectors but for the last ones of all, where those are fewer; 1 beyond them."""
    places = tl.arange(0, BLOCK)
    whole = inside // VECTOR * VECTOR
    x = tl.load(x_ptr + places, mask=places < whole, other=1.0, eviction_policy="evict_last")
    if not EVEN:  # noqa: SIM102  (known to the compiler, unlike what follows)
        if whole < inside:
            rest = tl.arange(0, VECTOR)
            rest = tl.load(x_ptr + whole + rest, mask=rest < inside - whole, other=1.0)
            is_last = tl.arange(0, BLOCK // VECTOR)[:, None] == whole // VECTOR
            x = tl.where(is_last, rest[None, :], tl.reshape(x, [BLOCK // VECTOR, VECTOR]))
            x = tl.reshape(x, [BLOCK])
    return x


@triton.jit
def _store_rest(y_ptr, y, whole, inside, VECTOR: tl.constexpr):
    """Store the elements of a turned tile that no whole vector takes, which are all in one vector.

    Of 64 bits the compiler is given that vector: for as many addresses as elements it has no registers.
    """
    if y.dtype.primitive_bitwidth == 64:
        vectors = tl.reshape(turned_back(y, 1), [y.numel // VECTOR, VECTOR])
        y = picked(vectors, tl.arange(0, y.numel // VECTOR)[:, None] == whole // VECTOR, 0)
        places = whole + tl.arange(0, VECTOR)
        tl.store(y_ptr + places, y, mask=places < inside)
    else:
        group = tl.arange(0, y.shape[2])[None, :] * y.shape[1] + tl.arange(0, y.shape[1])[:, None]
        places = group[None, :, :] * y.shape[0] + tl.arange(0, y.shape[0])[:, None, None]
        tl.store(y_ptr + places, y, mask=(places >= whole) & (places < inside))


@triton.jit
def _store_rows(y_ptr, y, inside, VECTOR: tl.constexpr, EVEN: tl.constexpr):
    """Store the elements inside of a turned tile likewise."""
    places = tl.arange(0, y.numel)
    whole = inside // VECTOR * VECTOR
    if not EVEN:  # noqa: SIM102  (known to the compiler, unlike what follows)
        if whole < inside:
            _store_rest(y_ptr, y, whole, inside, VECTOR)
    tl.store(y_ptr + places, turned_back(y, 1), mask=places < whole, eviction_policy="evict_first")


@triton.jit
def _flagged_parts(ends, first, ELEMENTS: tl.constexpr):
    """The last products of groups (group, unit) as mantissa and exponent, which has a flag where a sequence starts."""
    m, e = centred(ends)
    return m, e + tl.where(first < ELEMENTS, FLAG, 0) + tl.where(ends == 0, GONE, 0)


@triton.jit(noinline=True)
def _mend_tile(
    x_ptr,
    y_ptr,
    inside,
    n,
    reciprocal,
    pattern,
    UNITS: tl.constexpr,
    ELEMENTS: tl.constexpr,
    GROUPS: tl.constexpr,
    ROWS: tl.constexpr,
    PIECE: tl.constexpr,
    dtype: tl.constexpr,
):
    """Look at a tile again, group by group, and do the sequences again that are not right.

    It is a function of its own in the machine code as well: what it needs costs the common path no registers.
    """
    unit = tl.arange(0, UNITS)[None, :]
    row, first = starts_of_groups(unit, n, reciprocal, ELEMENTS, GROUPS)
    ends, low, high, kinds = groups_looked_at(x_ptr, inside, unit, first, pattern, ELEMENTS, GROUPS, dtype)
    m, e = _flagged_parts(ends, first, ELEMENTS)
    _, e = before_segments(m, e)
    unsound = in_order(unsound_groups(e, low, high, kinds, first, ELEMENTS, dtype).to(tl.int32)) == 1
    rows = inside // n
    _mend_rows(x_ptr, y_ptr, n, rows, unsound, in_order(row), in_order(first), ELEMENTS, ROWS, PIECE, dtype)


@triton.jit
def _short_kernel(
    x_ptr,
    y_ptr,
    begin,
    total,
    vectors,
    n,
    reciprocal,
    pattern,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    EVEN: tl.constexpr,
    BLOCK: tl.constexpr,
    ELEMENTS: tl.constexpr,
    GROUPS: tl.constexpr,
    ROWS: tl.constexpr,
    PIECE: tl.constexpr,
):
    """One program `vectors` of the `total` elements, which are whole sequences of n, from program `begin` on.

    A sequence may start within any group. What is before a group is a factor of its elements up to there.
    """
    # 0, which the compiler cannot know: what it keeps from the load on would cost registers.
    nothing = tl.minimum(total, 0).to(tl.int32)
    origin = (begin + tl.program_id(0).to(tl.int64)) * vectors * VECTOR
    x_ptr += origin
    y_ptr += origin
    inside = tl.minimum(total - origin, vectors * VECTOR).to(tl.int32)
    x = _loaded_rows(x_ptr, inside, BLOCK, VECTOR, EVEN)
    # Integers, and behind the load: then the compiler knows that they are never 1, and that only the layout is meant.
    UNITS: tl.constexpr = BLOCK // (ELEMENTS * GROUPS)
    units = units_beside(x_ptr.to(tl.pointer_type(tl.int32)), UNITS, nothing)
    x = turned(x, units, ELEMENTS, GROUPS, 1).to(ACCUMULATOR)
    unit = tl.arange(0, UNITS)[None, :]
    _, first = starts_of_groups(unit, n, reciprocal, ELEMENTS, GROUPS)
    is_before = tl.arange(0, ELEMENTS)[:, None, None] < first[None, :, :]
    is_float: tl.constexpr = ACCUMULATOR.is_floating()
    if is_float:
        end, largest = sizes_of_groups(x)
        low, high, is_fair = bounds_of_groups(end, largest, ELEMENTS)
        # Products wait for that, so that factors are not kept in registers beside them.
        is_start = starts_of_elements(first + tl.where(is_fair, 0, nothing), pattern, ELEMENTS)
        p, ends = segment_products(x, is_start)
        m, e = _flagged_parts(ends, first, ELEMENTS)
        m, e = before_segments(m, e)
        if GROUPS > 4:  # else mantissas are from 1/4 to 4
            m, more = centred(m)
            e += more
        if y_ptr.dtype.element_ty == tl.float16:
            y = tl.where(is_before, p * factor_before(m, e)[None, :, :], p)
        else:
            near, far = factors_before(m, e)
            y = tl.where(is_before, (p * near[None, :, :]) * far[None, :, :], p)
    else:
        p, ends = segment_products(x, starts_of_elements(first, pattern, ELEMENTS))
        before, _ = before_segments(ends, tl.where(first < ELEMENTS, FLAG, 0))
        y = tl.where(is_before, p * before[None, :, :], p)
    _store_rows(y_ptr, y.to(y_ptr.dtype.element_ty), inside + nothing, VECTOR, EVEN)
    if is_float:  # noqa: SIM102  (known to the compiler, unlike what follows)
        if tl.min(are_plain(e, low, high, is_fair, first), 0) == 0:
            kinds = kinds_of_groups(is_fair, (ends == 0) | (first < ELEMENTS), largest)
            unsound = unsound_groups(e, low, high, kinds, first, ELEMENTS, ACCUMULATOR)
            if tl.max(tl.max(unsound.to(tl.int32), 0), 0) == 1:
                _mend_tile(
                    x_ptr,
                    y_ptr,
                    inside,
                    n,
                    reciprocal,
                    pattern,
                    UNITS,
                    ELEMENTS,
                    GROUPS,
                    ROWS,
                    PIECE,
                    ACCUMULATOR,
                )


def short_form(task: Task, *, BLOCK: int, num_warps: int, registers: int = 0) -> Work:
    """In tiles of as many whole sequences as have room in `BLOCK` elements, or of one that has not.

    Both numbers are powers of two; a thread has up to so many registers.
    """
    x, y, outer, axis, _ = task
    block = max(BLOCK, triton.next_power_of_2(axis))
    rows, vector = _rows_and_vector(axis, block, 16 // x.element_size())
    held = min(block, max(4, block // (32 * num_warps), triton.next_power_of_2(triton.cdiv(axis, 236))))
    num_warps = max(1, min(num_warps, block // (32 * held)))
    elements = min(16, held)
    pattern = sum(1 << start for start in range(0, elements, axis))
    total = outer * axis
    piece = 0 if axis <= SERIAL else min(512, 128 * num_warps, triton.next_power_of_2(axis))
    tile = (block, elements, held // elements, 32 * num_warps, piece)
    constants = (accumulator(y.dtype), vector, total % vector == 0, *tile)
    sizes = (total, rows * axis // vector, axis, triton.cdiv(2**30, axis), pattern)
    options = {"num_warps": num_warps, **limited(registers, num_warps)}
    return Work(launches_of(_short_kernel, triton.cdiv(outer, rows), sizes, constants, **options))


def _rows_and_vector(axis: int, block: int, widest: int) -> tuple[int, int]:
    """Sequences of a tile, and elements of a vector: tiles begin with whole ones. Vectors are as wide as leaves three
    quarters of the sequences that have room.
    """
    most, vector = block // axis, widest
    while True:
        step = vector // math.gcd(vector, axis)
        rows = most // step * step
        if vector == 1 or 4 * rows >= 3 * most:
            return rows, vector
        vector //= 2


SERIAL = 64
"""Sequences of so many elements are done again one factor after the other, each by a thread."""
