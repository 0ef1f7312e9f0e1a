"""Many long sequences, each side by side in memory: one program a sequence, tile by tile, loading ahead."""

import triton
import triton.language as tl

from .chip import fitting_block, processors
from .depths import GONE, ended, next_product, redo
from .launches import Task, Work, launches_of
from .ranges import all_ordinary, last_element, limited, loaded_tile, scan_carefully, settled
from .shapes import accumulator


@triton.jit
def _narrow(exact, dtype: tl.constexpr):
    """A carry of 64 bits in `dtype`; NaN, after which all is scanned with the exact one, if it is not normal there."""
    if dtype.primitive_bitwidth == 64:
        return exact
    size = tl.abs(exact)
    fits = (size == 0) | ((size >= 2.0**-126) & (size < 2.0**127)) | (size == float("inf"))
    return tl.where(fits, exact, float("nan")).to(dtype)


@triton.jit
def _scan_floats(x, carry, WIDTH: tl.constexpr):
    """The products of a tile, and the next carry: NaN where the products may be wrong."""
    size = tl.abs(carry)
    # A carry of 0 or infinity stays that, but for its sign, unless an infinity, NaN or 0 comes along.
    if (size == 0) | (size == float("inf")):
        x = x * size
    y = tl.cumprod(tl.where(tl.arange(0, x.shape[0]) == 0, x * carry, x), 0)
    return y, next_product(y, carry, WIDTH)


@triton.jit
def _scan_tile(x, carry, WIDTH: tl.constexpr):
    """The products of a tile of any type, and the next carry: NaN where the products may be wrong."""
    x = x.to(carry.dtype)
    if carry.dtype.is_floating():
        y, following = _scan_floats(x, carry, WIDTH)
    else:  # products wrap around, in any order alike
        y = tl.cumprod(tl.where(tl.arange(0, x.shape[0]) == 0, x * carry, x), 0)
        following = last_element(y, WIDTH)
    return y, following


@triton.jit
def _products_alone(x, carry):
    """The products of a tile without the carry, and whether each is right when it is multiplied by the carry.

    They are where both leave room in float64. Of a factor after the first zero only its being infinite or NaN matters:
    it is multiplied by 0. So is every factor by a carry of 0, infinity or NaN, which makes all products right.
    """
    far: tl.constexpr = 2.0**500 if x.dtype == tl.float64 else 2.0**900
    size = tl.abs(carry)
    stays = (size == 0) | (size == float("inf")) | (size != size)
    offsets = tl.arange(0, x.shape[0])
    before_zero = offsets < tl.min(tl.where(x == 0, offsets, x.shape[0]), 0)
    y = tl.cumprod(x * tl.where(stays, size.to(x.dtype), tl.where(before_zero, 1.0, 0.0)), 0)
    has_room = (size >= 1 / far) & (size <= far) & all_ordinary(tl.where(before_zero, y, 1.0))
    return y, stays | has_room


@triton.jit
def _scan_apart(x, x_ptr, y_ptr, left, inner, carry, WIDTH: tl.constexpr):
    """Scan a tile of `left` floats apart from its exact carry, or carefully. Takes and returns the latter."""
    offsets = tl.arange(0, x.shape[0])
    y, are_right = _products_alone(x, carry)
    following = carry * last_element(y, WIDTH)
    y = (carry * y.to(tl.float64)).to(x.dtype)
    tl.store(y_ptr + offsets.to(tl.int64) * inner, y.to(y_ptr.dtype.element_ty), mask=offsets < left)
    if are_right == 0:
        following = scan_carefully(x_ptr, y_ptr, left, inner, carry, WIDTH)
    return following


@triton.jit
def _scan_exactly(
    x_ptr,
    y_ptr,
    begin,
    end,
    inner,
    carry,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Scan vectors `begin` to `end`, in tiles of BLOCK elements, whatever they hold.

    Takes and returns the carry in 64 bits.
    """
    offsets = tl.arange(0, BLOCK)
    for start in range(begin, end, BLOCK // VECTOR):
        place = tl.cast(start, tl.int64) * VECTOR * inner
        left = tl.minimum(end - start, BLOCK // VECTOR) * VECTOR
        x = loaded_tile(x_ptr + place, left, inner, BLOCK).to(ACCUMULATOR)
        if carry.dtype.is_floating():
            carry = _scan_apart(x, x_ptr + place, y_ptr + place, left, inner, carry, WIDTH)
        else:
            y, carry = _scan_tile(x, carry, WIDTH)
            tl.store(y_ptr + place + offsets.to(tl.int64) * inner, y.to(y_ptr.dtype.element_ty), mask=offsets < left)
    return carry


@triton.jit
def _scan_held(x_ptr, y_ptr, begun, vectors, carry, VECTOR: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Scan tiles from vector `begun` up to the first that may be wrong, while the next one waits in registers.

    Returns where that tile begins, in vectors, and the carry before it.
    """
    offsets = tl.arange(0, BLOCK)
    is_right = carry == carry
    here = tl.minimum(vectors - begun, BLOCK // VECTOR) * VECTOR
    ahead = loaded_tile(x_ptr + tl.cast(begun, tl.int64) * VECTOR, here, 1, BLOCK)
    for start in range(begun, vectors, BLOCK // VECTOR):  # triton 3.6 fails on a `while` with a tile that ends with it
        if is_right:
            skip = tl.cast(start, tl.int64) * VECTOR
            left = tl.minimum(vectors - start, BLOCK // VECTOR) * VECTOR
            after = tl.minimum(vectors - start - BLOCK // VECTOR, BLOCK // VECTOR) * VECTOR
            x = ahead
            ahead = loaded_tile(x_ptr + skip + BLOCK, after, 1, BLOCK)
            y, following = _scan_tile(x, carry, WIDTH)
            tl.store(y_ptr + skip + offsets, y.to(y_ptr.dtype.element_ty), mask=offsets < left)
            is_right = following == following
            begun = tl.where(is_right, start + BLOCK // VECTOR, begun)
            carry = tl.where(is_right, following, carry)
    return begun, carry


BEYOND = tl.constexpr(2**16)
"""A place in a tile times this is one from which on products are infinite, not 0: no tile has as many elements."""


@triton.jit
def _scan_tiles(
    x_ptr,
    y_ptr,
    begun,
    vectors,
    carry,
    exact,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    AGAIN: tl.constexpr,
    WIDTH: tl.constexpr,
    STAGES: tl.constexpr,
    DEEP: tl.constexpr,
    ENDS: tl.constexpr,
):
    """Scan vectors `begun` to `vectors` from a carry; if that is NaN, from the exact one. Returns the exact one after.

    The loop loads ahead, which forbids it to call `scan_carefully`: a function of its own takes shared memory from the
    start, where tiles wait. So it only remembers a tile that sinks, and the first that may be wrong; what the former
    has before it has sunk, and what follows from the latter, is done again. If the sequence does not end here (ENDS),
    the exact carry is needed of what is not 0 for good.
    """
    ACCUMULATOR: tl.constexpr = carry.dtype
    offsets = tl.arange(0, BLOCK)
    depth = tl.full((), GONE, tl.float32)
    sunk_at, carry_before, wrong = tl.full((), 0, tl.int32), carry, tl.full((), 0, tl.int32)
    doubtful = tl.where(carry == carry, vectors, begun)
    for start in tl.range(begun, vectors, BLOCK // VECTOR, num_stages=STAGES):
        skip = tl.cast(start, tl.int64) * VECTOR
        left = tl.minimum(vectors - start, BLOCK // VECTOR) * VECTOR
        x = loaded_tile(x_ptr + skip, left, 1, BLOCK)
        y, following = _scan_tile(x, carry, WIDTH)
        tl.store(y_ptr + skip + offsets, y.to(y_ptr.dtype.element_ty), mask=offsets < left)
        if DEEP:
            is_out = tl.abs(depth) < GONE
            if ((following != following) & (doubtful == vectors)) | is_out:
                following, depth, place = ended(x_ptr + skip, left, carry, depth, BLOCK, WIDTH)
                if following != following:  # what had sunk may come back: from where it did, all is done again
                    doubtful, carry = tl.where(is_out, sunk_at, start), tl.where(is_out, carry_before, carry)
                    depth = GONE
                elif is_out == 0:
                    sunk_at, carry_before, wrong = start, carry, tl.where(following == 0, place, place * BEYOND)
        elif ACCUMULATOR.is_floating():
            following = settled(x_ptr + skip, left, 1, carry, following, BLOCK)
            doubtful = tl.where((following != following) & (doubtful == vectors), start, doubtful)
        carry = tl.where(doubtful == vectors, following, carry)
    if DEEP and not ENDS:
        is_out = tl.abs(depth) < GONE
        doubtful, carry = tl.where(is_out, sunk_at, doubtful), tl.where(is_out, carry_before, carry)
    if ACCUMULATOR.is_floating():
        if wrong != 0:
            skip = tl.cast(sunk_at, tl.int64) * VECTOR
            left = tl.minimum(vectors - sunk_at, BLOCK // VECTOR) * VECTOR
            is_infinite = tl.abs(wrong) >= BEYOND
            end, wrong = tl.where(is_infinite, float("inf"), 0.0), tl.where(is_infinite, wrong // BEYOND, wrong)
            redo(x_ptr + skip, y_ptr + skip, left, carry_before, end, wrong, BLOCK, WIDTH)
        exact = tl.where(carry == carry, carry.to(tl.float64), exact)
        exact = _scan_exactly(x_ptr, y_ptr, doubtful, vectors, 1, exact, ACCUMULATOR, VECTOR, AGAIN, WIDTH)
    else:
        exact = carry
    return exact


@triton.jit
def _held_rows_kernel(
    x_ptr,
    y_ptr,
    told_ptr,
    begin,
    vectors,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """One program a sequence of float32 products, from sequence `begin` on, up to the first tile that may be wrong.

    From there on `_rest_of_rows_kernel` goes on, which is told where that is, and the carry: in a word a sequence,
    which stays 0 where nothing is left to do.
    """
    row = begin + tl.program_id(0).to(tl.int64)
    place = row * vectors * VECTOR
    begun, carry = tl.full((), 0, tl.int32), tl.full((), 1, tl.float32)
    begun, carry = _scan_held(x_ptr + place, y_ptr + place, begun, vectors, carry, VECTOR, BLOCK, WIDTH)
    bits = carry.to(tl.int32, bitcast=True).to(tl.int64) & 0xFFFFFFFF
    tl.store(told_ptr + row, ((begun.to(tl.int64) + 1) << 32) | bits, mask=begun < vectors)


@triton.jit
def _rest_of_rows_kernel(
    x_ptr,
    y_ptr,
    told_ptr,
    begin,
    rows,
    vectors,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
):
    """One program ROWS of the `rows` sequences that `_held_rows_kernel` was at: what that left of each."""
    first = (begin + tl.program_id(0).to(tl.int64)) * ROWS
    row = tl.arange(0, ROWS)
    told = tl.load(told_ptr + first + row, mask=row < rows - first, other=0)
    if tl.max((told != 0).to(tl.int32), 0) == 1:
        for r in range(ROWS):
            word = tl.sum(tl.where(row == r, told, 0), 0)
            if word != 0:
                place = (first + r) * vectors * VECTOR
                begun, carry = ((word >> 32) - 1).to(tl.int32), word.to(tl.int32).to(tl.float32, bitcast=True)
                exact = carry.to(tl.float64)
                x_row, y_row = x_ptr + place, y_ptr + place
                _scan_tiles(x_row, y_row, begun, vectors, carry, exact, VECTOR, BLOCK, BLOCK, WIDTH, 1, True, True)


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
    AGAIN: tl.constexpr,
    WIDTH: tl.constexpr,
    STAGES: tl.constexpr,
    DEEP: tl.constexpr,
):
    """One program a sequence of `n` elements, from sequence `begin` on; in WHOLE vectors (`vectors` of them) or not.

    Where sequences begin between vectors, what comes before the first whole vector and after the last is scanned apart,
    so that everything between moves in vectors. Counting in vectors proves to the compiler that no mask cuts one.
    """
    row = begin + tl.program_id(0).to(tl.int64)
    carry = tl.full((), 1, ACCUMULATOR)
    exact = tl.full((), 1, tl.float64 if ACCUMULATOR.is_floating() else tl.int64)
    if WHOLE:
        first = row * vectors * VECTOR
    else:
        origin = row * n
        first = (origin + VECTOR - 1) // VECTOR * VECTOR
        before = tl.minimum(first - origin, n).to(tl.int32)
        vectors = (n - before) // VECTOR
        exact = _scan_exactly(x_ptr + origin, y_ptr + origin, 0, before, 1, exact, ACCUMULATOR, 1, 16, 16)
        carry = _narrow(exact, ACCUMULATOR)
    x_ptr += first
    y_ptr += first
    begun = tl.full((), 0, tl.int32)
    exact = _scan_tiles(x_ptr, y_ptr, begun, vectors, carry, exact, VECTOR, BLOCK, AGAIN, WIDTH, STAGES, DEEP, WHOLE)
    if not WHOLE:
        place = tl.cast(vectors, tl.int64) * VECTOR
        after = n - before - vectors * VECTOR
        _scan_exactly(x_ptr + place, y_ptr + place, 0, after, 1, exact, ACCUMULATOR, 1, 16, 16)


def rows_form(task: Task, *, BLOCK: int, num_warps: int, num_stages: int, HOLD: int = 0, registers: int = 0) -> Work:
    """In tiles of `BLOCK` elements (a power of two), or smaller ones where sequences are short.

    Up to `num_stages` - 1 tiles wait in shared memory; or, with one stage and `HOLD`, one in registers, if products are
    float32 and sequences consist of vectors. A thread has up to so many `registers`.
    What is scanned again is so in tiles of 64 bytes a thread, or of 16 where sequences begin between vectors: more
    would cost the common path registers.
    """
    x, y, outer, axis, _ = task
    vector = 16 // min(x.element_size(), y.element_size())
    if x.data_ptr() % 16:
        vector = 1
    is_whole = axis % vector == 0
    is_single = accumulator(y.dtype) == tl.float32
    if HOLD and is_whole and is_single and axis > BLOCK:
        return _held_rows(task, vector, BLOCK, num_warps, registers)
    BLOCK = fitting_block(BLOCK, axis, (num_stages - 1) * y.element_size(), x.device)
    if axis <= BLOCK:
        num_warps, num_stages = max(1, min(num_warps, BLOCK // 512)), 1
    width = _width(task, BLOCK, num_warps, vector)
    room = 2048 if is_whole else 512
    again = max(width, min(BLOCK, num_warps * room // max(4, y.element_size())))
    is_deep = is_single and 512 * num_warps >= BLOCK  # there are no registers for more than 16 elements a thread
    sizes = (axis, axis // vector if is_whole else 0)
    constants = (accumulator(y.dtype), vector, is_whole, BLOCK, again, width, num_stages, is_deep)
    return Work(
        launches_of(_rows_kernel, outer, sizes, constants, num_warps=num_warps, **limited(registers, num_warps))
    )


def _width(task: Task, block: int, num_warps: int, vector: int) -> int:
    """Elements that all threads hold side by side."""
    return min(block, 32 * num_warps * min(vector, 16 // task.x.element_size()))


def _held_rows(task: Task, vector: int, block: int, num_warps: int, registers: int) -> Work:
    """Sequences of whole vectors in tiles of which the next waits in registers, and what that leaves.

    The latter are few programs, which mostly find nothing to do, with half the tile and as many elements a thread.
    """
    outer, vectors = task.outer, task.axis // vector
    constants = (vector, block, _width(task, block, num_warps, vector))
    held = launches_of(
        _held_rows_kernel, outer, (vectors,), constants, num_warps=num_warps, **limited(registers, num_warps)
    )
    rows = triton.next_power_of_2(triton.cdiv(outer, 8 * processors(task.x.device)))
    block, num_warps = block // 2, max(1, num_warps // 2)
    constants = (vector, block, _width(task, block, num_warps, vector), rows)
    programs = triton.cdiv(outer, rows)
    rest = launches_of(_rest_of_rows_kernel, programs, (outer, vectors), constants, num_warps=num_warps)
    return Work(held + rest, outer)
