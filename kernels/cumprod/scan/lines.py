"""Many sequences, each short or with few neighbours: one thread a sequence, or several sequences side by side.

A thread multiplies one factor after the other, as a serial product does: nothing has to be checked.
"""

import math

import torch
import triton
import triton.language as tl

from .launches import Task, Work, launches_of
from .shapes import accumulator

WIDEST_KNOWN = 16
"""Up to this distance of elements a kernel is compiled for the very one: a division by a constant is cheap."""


@triton.jit
def _line_factors(x_ptr, places, inside, left, apart, COUNT: tl.constexpr):
    """The next COUNT factors of each sequence, `apart` from each other; 1 from the `left`th on. None is waited for."""
    left = tl.broadcast_to(left, inside.shape)
    factors = ()
    for k in tl.static_range(COUNT):
        factor = tl.load(x_ptr + places + k * apart, mask=inside & (left > k), other=1.0, eviction_policy="evict_last")
        factors = factors + (factor,)  # noqa: RUF005  (triton knows no unpacking)
    return factors


@triton.jit
def _line_products(factors, y_ptr, places, inside, left, apart, product, COUNT: tl.constexpr):
    """Store the products of factors, and return the last."""
    left = tl.broadcast_to(left, inside.shape)
    for k in tl.static_range(COUNT):
        product = product * factors[k].to(product.dtype)
        tl.store(y_ptr + places + k * apart, product.to(y_ptr.dtype.element_ty), mask=inside & (left > k))
    return product


@triton.jit
def _lines_kernel(
    x_ptr,
    y_ptr,
    begin,
    groups,
    axis,
    inner_vectors,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    AXIS: tl.constexpr,
    INNER: tl.constexpr,
    LINES: tl.constexpr,
    AHEAD: tl.constexpr,
    WIDE: tl.constexpr,
    FAR: tl.constexpr,
):
    """One program LINES of the groups * VECTOR sequences; a thread has VECTOR of them, which lie side by side, or so
    many several times. If elements of a sequence are FAR apart, at least LINES sequences lie beside each other.

    AXIS and INNER are the length and the distance of elements where the kernel is for no others; else 0. What is
    counted in vectors proves to the compiler that neither a mask nor the end of a row cuts one. A thread loads AHEAD
    factors of a sequence while it multiplies as many before them. Places are counted from where the program begins,
    in 64 bits if they are WIDE.
    """
    first = (begin + tl.program_id(0).to(tl.int64)) * LINES
    inside = tl.arange(0, LINES) < tl.minimum(groups - first // VECTOR, LINES // VECTOR).to(tl.int32) * VECTOR
    apart = inner_vectors * VECTOR if INNER == 0 else INNER
    length = axis if AXIS == 0 else AXIS
    # The product at the end, too, is a proof that no vector is cut.
    line = (first // VECTOR % (apart // VECTOR)).to(tl.int32) * VECTOR + tl.arange(0, LINES)
    if WIDE:
        apart = tl.cast(apart, tl.int64)
    origin = first // apart * apart * length
    x_ptr += origin
    y_ptr += origin
    if FAR:
        places = tl.where(line >= apart, line + apart * (length - 1), line)
    else:
        places = line // apart * (apart * length) + line % apart
    product = tl.full((LINES,), 1, ACCUMULATOR)
    if AXIS > 0:
        left = tl.full((), AXIS, tl.int32)
        factors = _line_factors(x_ptr, places, inside, left, apart, AXIS)
        _line_products(factors, y_ptr, places, inside, left, apart, product, AXIS)
    else:
        factors = _line_factors(x_ptr, places, inside, axis, apart, AHEAD)
        for done in range(0, axis, AHEAD):
            now = factors
            after = places + AHEAD * apart
            factors = _line_factors(x_ptr, after, inside, axis - done - AHEAD, apart, AHEAD)
            product = _line_products(now, y_ptr, places, inside, axis - done, apart, product, AHEAD)
            places = after


@triton.jit
def _whole_lines_kernel(
    x_ptr,
    y_ptr,
    begin,
    vectors,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    AXIS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One program BLOCK of the vectors * VECTOR elements, of which every AXIS side by side are a sequence.

    AXIS divides VECTOR: a thread holds whole sequences, and multiplies them without any other.
    """
    first = (begin + tl.program_id(0).to(tl.int64)) * BLOCK
    offsets = tl.arange(0, BLOCK)
    inside = offsets < tl.minimum(vectors - first // VECTOR, BLOCK // VECTOR).to(tl.int32) * VECTOR
    x = tl.load(x_ptr + first + offsets, mask=inside, other=1.0, eviction_policy="evict_last").to(ACCUMULATOR)
    y = tl.cumprod(tl.trans(tl.reshape(x, [BLOCK // AXIS, AXIS])), 0)
    y = tl.reshape(tl.trans(y), [BLOCK]).to(y_ptr.dtype.element_ty)
    tl.store(y_ptr + first + offsets, y, mask=inside)


def lines_form(task: Task, *, VECTOR: int, AHEAD: int, num_warps: int) -> Work:
    """Up to `VECTOR` sequences a thread, `AHEAD` of their elements at a time (both are powers of two).

    A thread has no more sequences than fit side by side into 16 bytes of the wider tensor; where few lie beside each
    other, no more than it loads at once.
    """
    x, y, outer, axis, inner = task
    VECTOR = min(VECTOR, 16 // max(x.element_size(), y.element_size()))
    vector, threads = math.gcd(inner, VECTOR), 32 * num_warps
    is_far = inner >= threads * VECTOR
    many = threads * (VECTOR if is_far else vector)
    span = (triton.cdiv(many, inner) + 1) * inner * (axis + AHEAD)
    shape = (axis if axis <= AHEAD else 0, inner if inner <= WIDEST_KNOWN else 0)
    constants = (accumulator(y.dtype), vector, *shape, many, AHEAD, span >= 2**31, is_far)
    sizes = (outer * inner // vector, axis, inner // vector)
    programs = triton.cdiv(outer * inner, many)
    return Work(launches_of(_lines_kernel, programs, sizes, constants, num_warps=num_warps))


def whole_lines_form(task: Task, *, num_warps: int) -> Work:
    """32 bytes of results a thread.

    Input that begins between vectors goes to `lines_form`: without vectors a thread would not hold whole sequences.

    Raises:
        ValueError: 16 bytes of results, where tensors consist of those, do not hold whole sequences.
    """
    x, y, outer, axis, _ = task
    vector = whole_line_vector(outer * axis, y.dtype)
    if vector % axis:
        raise ValueError(f"sequences of {axis} are not whole in vectors of {vector} elements")
    if x.data_ptr() % 16:
        return lines_form(task, VECTOR=1, AHEAD=axis, num_warps=num_warps)
    block = 32 * num_warps * 2 * vector
    constants = (accumulator(y.dtype), vector, axis, block)
    programs = triton.cdiv(outer * axis, block)
    return Work(launches_of(_whole_lines_kernel, programs, (outer * axis // vector,), constants, num_warps=num_warps))


def whole_line_vector(elements: int, dtype: torch.dtype) -> int:
    """How many results a thread holds side by side, of so many in all."""
    return math.gcd(elements, 16 // dtype.itemsize)
