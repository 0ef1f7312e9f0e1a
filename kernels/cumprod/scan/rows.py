"""Many long sequences, each side by side in memory: one program a sequence, tile by tile, loading ahead."""

import triton
import triton.language as tl

from .chip import fitting_block
from .launches import Task, Work, launches_of
from .ranges import all_ordinary, last_element, loaded_tile, next_carry, scan_carefully, settled
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
    offsets = tl.arange(0, x.shape[0])
    if carry == 0:  # it stays 0, unless an infinity or NaN comes along
        y = x * 0
        following = tl.sum(y, 0)
    else:
        y = tl.cumprod(tl.where(offsets == 0, x * carry, x), 0)
        following = next_carry(y, WIDTH)
    return y, following


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
):
    """One program a sequence of `n` elements, from sequence `begin` on; in WHOLE vectors (`vectors` of them) or not.

    Where sequences begin between vectors, what comes before the first whole vector and after the last is scanned apart,
    so that everything between moves in vectors. Counting in vectors proves to the compiler that no mask cuts one.

    The first loop loads ahead, which forbids it to call `scan_carefully`: a function of its own takes shared memory
    from the start, where tiles wait. So it only remembers the first tile that may be wrong, and what follows from there
    is done again.
    """
    row = begin + tl.program_id(0).to(tl.int64)
    offsets = tl.arange(0, BLOCK)
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
    many = tl.cast(vectors, tl.int64) * VECTOR
    doubtful, carry_there = vectors, carry
    for start in tl.range(0, vectors, BLOCK // VECTOR, num_stages=STAGES):
        skip = tl.cast(start, tl.int64) * VECTOR
        x = loaded_tile(x_ptr + first + skip, many - skip, 1, BLOCK)
        y, following = _scan_tile(x, carry, WIDTH)
        tl.store(y_ptr + first + skip + offsets, y.to(y_ptr.dtype.element_ty), mask=offsets < many - skip)
        if carry.dtype.is_floating():
            following = settled(x_ptr + first + skip, many - skip, 1, carry, following, BLOCK)
            is_first = (following != following) & (doubtful == vectors)
            doubtful, carry_there = tl.where(is_first, start, doubtful), tl.where(is_first, carry, carry_there)
        carry = following
    if carry.dtype.is_floating():
        known = tl.where(doubtful < vectors, carry_there, carry)
        exact = tl.where(known == known, known.to(tl.float64), exact)
        exact = _scan_exactly(
            x_ptr + first, y_ptr + first, doubtful, vectors, 1, exact, ACCUMULATOR, VECTOR, AGAIN, WIDTH
        )
    else:
        exact = carry
    if not WHOLE:
        place = origin + before + many
        after = n - before - vectors * VECTOR
        _scan_exactly(x_ptr + place, y_ptr + place, 0, after, 1, exact, ACCUMULATOR, 1, 16, 16)


def rows_form(task: Task, *, BLOCK: int, num_warps: int, num_stages: int, registers: int = 0) -> Work:
    """In tiles of `BLOCK` elements (a power of two), or smaller ones where sequences are short.

    What is scanned again is so in tiles of 64 bytes a thread, or of 16 where sequences begin between vectors: more
    would cost the common path registers. With `registers`, a thread has up to so many.
    """
    x, y, outer, axis, _ = task
    vector = 16 // min(x.element_size(), y.element_size())
    if x.data_ptr() % 16:
        vector = 1
    is_whole = axis % vector == 0
    BLOCK = fitting_block(BLOCK, axis, (num_stages - 1) * y.element_size(), x.device)
    if axis <= BLOCK:
        num_warps, num_stages = max(1, min(num_warps, BLOCK // 512)), 1
    width = min(BLOCK, 32 * num_warps * min(vector, 16 // x.element_size()))
    again = max(width, min(BLOCK, num_warps * (2048 if is_whole else 512) // max(4, y.element_size())))
    sizes = (axis, axis // vector if is_whole else 0)
    constants = (accumulator(y.dtype), vector, is_whole, BLOCK, again, width, num_stages)
    options = {"maxnreg": registers} if registers and x.is_cuda else {}
    return Work(launches_of(_rows_kernel, outer, sizes, constants, num_warps=num_warps, **options))
