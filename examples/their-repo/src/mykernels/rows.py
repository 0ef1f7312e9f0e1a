"""Kernels that hold one row in registers."""

import triton
import triton.language as tl


@triton.jit
def softmax_row(x_ptr, out_ptr, row_stride, columns, BLOCK: tl.constexpr):
    """Softmax of one row for each program; BLOCK is at least the number of columns."""
    row = tl.program_id(0).to(tl.int64)
    offsets = tl.arange(0, BLOCK)
    inside = offsets < columns
    x = tl.load(x_ptr + row * row_stride + offsets, mask=inside, other=-float("inf")).to(tl.float32)
    powers = tl.exp(x - tl.max(x, axis=0))
    tl.store(out_ptr + row * columns + offsets, powers / tl.sum(powers, axis=0), mask=inside)
