"""Sequences of up to a few thousand elements, each side by side in memory: one program a tile of whole sequences."""

import math

import triton
import triton.language as tl

from .launches import Task, Work, launches_of
from .ranges import limited, scan_carefully
from .shapes import accumulator
from .wide import scanned


@triton.jit
def _mend_rows(x_ptr, y_ptr, n, rows, is_right, ROWS: tl.constexpr, PIECE: tl.constexpr):
    """Do rows that are not right again, one by one."""
    tl.debug_barrier()  # what was stored there before is in memory
    for row in range(tl.minimum(rows, ROWS).to(tl.int32)):
        if tl.sum(tl.where(tl.arange(0, ROWS) == row, is_right.to(tl.int32), 0), 0) == 0:
            scan_carefully(x_ptr + row * n, y_ptr + row * n, n, 1, tl.full((), 1, tl.float64), PIECE)


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
    GROUP: tl.constexpr,
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
    if x.dtype.is_floating():
        m, e = tl.full((ROWS,), 1, ACCUMULATOR), tl.full((ROWS,), 0, tl.float32)
        x = tl.reshape(x, [ROWS, BLOCK // GROUP, GROUP])
        y, _, _, is_right = scanned(x, m, e, False)
        if tl.min(is_right.to(tl.int32), 0) == 0:
            y, _, _, is_right = scanned(x, m, e, True)
        tl.store(y_ptr + places, tl.reshape(y, [ROWS, BLOCK]).to(y_ptr.dtype.element_ty), mask=mask)
        if tl.min(is_right.to(tl.int32), 0) == 0:
            _mend_rows(x_ptr, y_ptr, n, rows - first, is_right, ROWS, min(BLOCK, 512))
    else:
        tl.store(y_ptr + places, tl.cumprod(x, 1), mask=mask)


def short_form(task: Task, *, ROWS: int, num_warps: int, registers: int) -> Work:
    """`ROWS` whole sequences a program (a power of two); a thread has up to so many registers."""
    x, y, outer, axis, _ = task
    vector = math.gcd(axis, 16)
    block = max(16, triton.next_power_of_2(axis))
    constants = (accumulator(y.dtype), vector, ROWS, block, min(vector, 16 // x.element_size()))
    sizes = (outer, axis // vector)
    options = {"num_warps": num_warps, **limited(registers, num_warps)}
    return Work(launches_of(_short_kernel, triton.cdiv(outer, ROWS), sizes, constants, **options))
