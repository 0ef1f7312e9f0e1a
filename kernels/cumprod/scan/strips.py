"""Many sequences whose elements lie apart: one program a strip of columns, row by row."""

import math

import triton
import triton.language as tl

from .launches import Task, Work, launches_of
from .ranges import picked
from .shapes import accumulator


@triton.jit
def _multiply_rows(x, y_ptr, places, mask, carry):
    """Store the products of rows of columns, and return the carry (columns,) after them.

    A thread holds all rows of its columns, so that they are multiplied one after the other: always as a serial product.
    """
    row = tl.arange(0, x.shape[0])[:, None]
    x = x.to(carry.dtype)
    y = tl.cumprod(tl.where(row == 0, x * carry[None, :], x), 0)
    tl.store(y_ptr + places, y.to(y_ptr.dtype.element_ty), mask=mask)
    return picked(y, row == x.shape[0] - 1, 0)


@triton.jit
def _strips_kernel(
    x_ptr,
    y_ptr,
    begin,
    strips,
    n,
    vectors,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STAGES: tl.constexpr,
):
    """One program a strip of COLUMNS of the vectors * VECTOR sequences whose elements lie beside each other.

    With several STAGES the next rows wait in shared memory. Else twice ROWS wait in registers, and the L2 cache keeps
    what is read longer than what is written: a hint that triton 3.6 drops from loads into shared memory.
    """
    program = begin + tl.program_id(0).to(tl.int64)
    inner = tl.cast(vectors, tl.int64) * VECTOR
    start = program % strips * (COLUMNS // VECTOR) * VECTOR
    origin = program // strips * n * inner + start
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    x_ptr += origin
    y_ptr += origin
    places = row * inner + column
    in_strip = column < inner - start
    carry = tl.full((COLUMNS,), 1, ACCUMULATOR)
    if STAGES > 1:
        for done in tl.range(0, n, ROWS, num_stages=STAGES):
            mask = in_strip & (row < n - done)
            here = tl.cast(done, tl.int64) * inner + places
            x = tl.load(x_ptr + here, mask=mask, other=1.0)
            carry = _multiply_rows(x, y_ptr, here, mask, carry)
    else:
        second = tl.load(x_ptr + places, mask=in_strip & (row < n), other=1.0, eviction_policy="evict_last")
        third_mask = in_strip & (row < n - ROWS)
        third = tl.load(x_ptr + ROWS * inner + places, mask=third_mask, other=1.0, eviction_policy="evict_last")
        for done in range(0, n, ROWS):
            here = tl.cast(done, tl.int64) * inner + places
            x, second = second, third
            third_mask = in_strip & (row < n - done - 2 * ROWS)
            third = tl.load(x_ptr + here + 2 * ROWS * inner, mask=third_mask, other=1.0, eviction_policy="evict_last")
            carry = _multiply_rows(x, y_ptr, here, in_strip & (row < n - done), carry)


def strips_form(task: Task, *, ROWS: int, num_warps: int, num_stages: int) -> Work:
    """In strips as wide as all threads of a program are with a vector each, `ROWS` elements at a time."""
    x, y, outer, axis, inner = task
    vector = math.gcd(inner, 16 // min(x.element_size(), y.element_size()))
    columns = 32 * num_warps * vector
    strips = triton.cdiv(inner, columns)
    constants = (accumulator(y.dtype), vector, ROWS, columns, num_stages)
    sizes = (strips, axis, inner // vector)
    return Work(launches_of(_strips_kernel, outer * strips, sizes, constants, num_warps=num_warps))
