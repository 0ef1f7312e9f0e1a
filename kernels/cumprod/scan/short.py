"""Sequences of up to a few thousand elements, each side by side in memory: one program a tile of whole sequences."""

import math

import triton
import triton.language as tl

from .launches import Task, Work, launches_of
from .ranges import all_ordinary, scan_carefully
from .shapes import accumulator


@triton.jit
def _rows_are_right(x, y, limit: tl.constexpr):
    """Whether each row of products can be trusted: they stay where no segment leaves the type, or nothing grows."""
    size = tl.abs(y)
    ordinary = (tl.min(size, 1) >= 1 / limit) & (tl.max(size, 1) <= limit) & (tl.sum(y * 0, 1) == 0)
    return ordinary | ((tl.max(tl.abs(x), 1) <= 1) & (tl.sum(x * 0, 1) == 0))


@triton.jit
def _mend_rows(x, x_ptr, y_ptr, places, mask, n, rows, right, ROWS: tl.constexpr, PIECE: tl.constexpr):
    """Do rows that may be wrong again: all in float64, and those that leave it as well one by one.

    `x_ptr` and `y_ptr` are those of the first row.
    """
    tl.debug_barrier()  # what was stored there before is in memory
    wide = x.to(tl.float64)
    y = tl.cumprod(wide, 1)
    if x_ptr.dtype.element_ty != tl.float64:
        again = y.to(tl.float32).to(y_ptr.dtype.element_ty)
        tl.store(y_ptr + places, again, mask=mask & (right == 0)[:, None])
        right = right | _rows_are_right(wide, y, 2.0**430)
    if tl.min(right.to(tl.int32), 0) == 0:
        for row in range(tl.minimum(rows, ROWS).to(tl.int32)):
            if tl.sum(tl.where(tl.arange(0, ROWS) == row, right.to(tl.int32), 0), 0) == 0:
                carry = tl.full((), 1, tl.float64)
                scan_carefully(x_ptr + row * n, y_ptr + row * n, n, 1, carry, PIECE)


@triton.jit
def _short_kernel(
    x_ptr,
    y_ptr,
    begin,
    rows,
    vectors,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One program ROWS sequences of vectors * VECTOR elements each, of `rows` in all, from program `begin` on."""
    first = (begin + tl.program_id(0).to(tl.int64)) * ROWS
    n = vectors * VECTOR
    x_ptr += first * n
    y_ptr += first * n
    row, offsets = tl.arange(0, ROWS)[:, None], tl.arange(0, BLOCK)[None, :]
    places = row * n + offsets
    mask = (row < rows - first) & (offsets < n)
    x = tl.load(x_ptr + places, mask=mask, other=1.0, eviction_policy="evict_last").to(ACCUMULATOR)
    y = tl.cumprod(x, 1)
    tl.store(y_ptr + places, y.to(y_ptr.dtype.element_ty), mask=mask)
    if x.dtype.is_floating():  # noqa: SIM102  (known to the compiler, unlike what follows)
        if not all_ordinary(y):
            limit: tl.constexpr = 2.0**510 if x.dtype == tl.float64 else 2.0**62
            right = _rows_are_right(x, y, limit)
            if tl.min(right.to(tl.int32), 0) == 0:
                _mend_rows(x, x_ptr, y_ptr, places, mask, n, rows - first, right, ROWS, BLOCK)


def short_form(task: Task, *, ROWS: int, num_warps: int) -> Work:
    """`ROWS` whole sequences a program (a power of two)."""
    _, y, outer, axis, _ = task
    vector = math.gcd(axis, 16)
    block = max(16, triton.next_power_of_2(axis))
    constants = (accumulator(y.dtype), vector, ROWS, block)
    sizes = (outer, axis // vector)
    return Work(launches_of(_short_kernel, triton.cdiv(outer, ROWS), sizes, constants, num_warps=num_warps))
