"""RMS norm at the speed of a copy: every element is read once and written once.

A row of up to 64 KiB stays in registers between the two. Of short rows a program takes several. Of a longer row a
program reads one piece after the other, and then the pieces again, last one first: the later ones are still in L2.
Rows that do not begin at multiples of 16 bytes are read and written by whole vectors all the same.
"""

import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def _rows_kernel(x_ptr, weight_ptr, y_ptr, rows, n, eps, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """One program ROWS rows of n elements, of at most BLOCK."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    places = row.to(tl.int64)[:, None] * n + column[None, :]
    mask = (row[:, None] < rows) & (column[None, :] < n)
    x = tl.load(x_ptr + places, mask=mask, other=0.0, eviction_policy="evict_last").to(tl.float32)
    weight = tl.load(weight_ptr + column, mask=column < n, other=0.0, eviction_policy="evict_last").to(tl.float32)
    scale = tl.rsqrt(tl.sum(x * x, 1) / n + eps)
    y = x * scale[:, None] * weight[None, :]
    tl.store(y_ptr + places, y.to(y_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _shifted_row_kernel(x_ptr, weight_ptr, y_ptr, total, n, eps, BLOCK: tl.constexpr, VECTOR: tl.constexpr):
    """One program a row of n elements that may begin anywhere, of `total` in all. BLOCK >= n + VECTOR - 1.

    It is taken as the whole vectors of 16 bytes in which the row lies: what they hold of the rows beside it is loaded
    and set to 0. Vectors that lie in the row are stored as such, the elements before and after them one by one.
    """
    start = tl.program_id(0).to(tl.int64) * n
    origin = start // VECTOR * VECTOR
    shift = (start - origin).to(tl.int32)
    offsets = tl.arange(0, BLOCK)
    begin = offsets // VECTOR * VECTOR
    inside = (offsets >= shift) & (offsets < shift + n)
    in_tensor = (begin < shift + n) & (begin + VECTOR <= total - origin)
    x = tl.load(x_ptr + origin + offsets, mask=in_tensor, other=0.0, eviction_policy="evict_first")
    end = tl.load(x_ptr + origin + offsets, mask=inside & ~in_tensor, other=0.0)
    x = tl.where(inside, tl.where(in_tensor, x, end), 0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(x * x, 0) / n + eps)
    weight = tl.load(weight_ptr + offsets - shift, mask=inside, other=0.0, eviction_policy="evict_last")
    y = (x * scale * weight.to(tl.float32)).to(y_ptr.dtype.element_ty)
    in_row = (begin >= shift) & (begin + VECTOR <= shift + n)
    tl.store(y_ptr + origin + offsets, y, mask=in_row)
    tl.store(y_ptr + origin + offsets, y, mask=inside & ~in_row)


@triton.jit
def _long_row_kernel(x_ptr, weight_ptr, y_ptr, n, eps, BLOCK: tl.constexpr):
    """One program a row of n elements, BLOCK of them at a time."""
    origin = tl.program_id(0).to(tl.int64) * n
    offsets = tl.arange(0, BLOCK)
    squares = tl.zeros((BLOCK,), dtype=tl.float32)
    for start in range(0, n, BLOCK):
        places = x_ptr + origin + start + offsets
        x = tl.load(places, mask=offsets < n - start, other=0.0, eviction_policy="evict_last").to(tl.float32)
        squares += x * x
    scale = tl.rsqrt(tl.sum(squares, 0) / n + eps)
    last = (n - 1) // BLOCK * BLOCK
    for back in range(0, n, BLOCK):
        start = last - back
        mask = offsets < n - start
        places = origin + start + offsets
        x = tl.load(x_ptr + places, mask=mask, other=0.0, eviction_policy="evict_first").to(tl.float32)
        weight = tl.load(weight_ptr + start + offsets, mask=mask, other=0.0, eviction_policy="evict_last")
        y = x * scale * weight.to(tl.float32)
        tl.store(y_ptr + places, y.to(y_ptr.dtype.element_ty), mask=mask)


def _settings(n: int, size: int) -> dict[str, int]:
    """How rows of `n` elements of `size` bytes are cut: 8 KiB or a row a program, 16 elements a thread."""
    block = max(16, triton.next_power_of_2(n if n % 16 == 0 else n + 7))
    if block * size > 2**16:
        return {"BLOCK": 8192, "ROWS": 0, "num_warps": 16}
    rows = max(1, 2**13 // (block * size))
    return {"BLOCK": block, "ROWS": rows, "num_warps": min(32, max(4, rows * block // 512))}


def fused(x: torch.Tensor, weight: torch.Tensor, eps: float, **settings: int) -> torch.Tensor:
    """`weight * x / sqrt(mean(x**2) + eps)` over the last dimensions, those of `weight`, computed in float32.

    `settings` may have ROWS (rows a program; 0: a row piece by piece), BLOCK (elements of a row at a time) and
    num_warps, all powers of two; what they lack is chosen by length and type.
    """
    if x.device.type == "cpu" and x.dtype == torch.bfloat16:  # triton's interpreter would cut digits off, not round
        return fused(x.float(), weight.float(), eps, **settings).bfloat16()
    x, weight = x.contiguous(), weight.contiguous()
    y = torch.empty_like(x)
    n = weight.numel()
    if not x.numel():
        return y
    rows = x.numel() // n
    chosen = {**_settings(n, x.element_size()), **settings}
    rows_a_program = chosen.pop("ROWS")
    if rows_a_program == 0:
        _long_row_kernel[(rows,)](x, weight, y, n, eps, **chosen)
    elif rows_a_program == 1 and n % 16:
        _shifted_row_kernel[(rows,)](x, weight, y, x.numel(), n, eps, VECTOR=16 // x.element_size(), **chosen)
    else:
        grid = (triton.cdiv(rows, rows_a_program),)
        _rows_kernel[grid](x, weight, y, rows, n, eps, ROWS=rows_a_program, **chosen)
    return y


class ModelNew(nn.Module):
    """torch.nn.functional.rms_norm over the dimensions of the weight; `configuration` is passed on to fused."""

    def __init__(self, eps: float, **configuration: int) -> None:
        super().__init__()
        self.eps = eps
        self.configuration = configuration

    def forward(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return fused(x, weight, self.eps, **self.configuration)
