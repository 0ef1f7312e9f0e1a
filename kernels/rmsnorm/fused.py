"""RMS norm at the speed of a copy: every element is read once and written once.

A row of up to 64 KiB stays in registers between the two. Of short rows a program takes several. Of a longer row a
program reads one piece after the other, and then the pieces again, last one first: the later ones are still in L2.
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
    x = tl.load(x_ptr + places, mask=mask, other=0.0, eviction_policy="evict_first").to(tl.float32)
    weight = tl.load(weight_ptr + column, mask=column < n, other=0.0, eviction_policy="evict_last").to(tl.float32)
    scale = tl.rsqrt(tl.sum(x * x, 1) / n + eps)
    y = x * scale[:, None] * weight[None, :]
    tl.store(y_ptr + places, y.to(y_ptr.dtype.element_ty), mask=mask)


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
    block = max(16, triton.next_power_of_2(n))
    if block * size > 2**16:
        return {"BLOCK": 8192, "ROWS": 0, "num_warps": 16}
    rows = max(1, 2**13 // (block * size))
    return {"BLOCK": block, "ROWS": rows, "num_warps": min(32, max(4, rows * block // 512))}


def fused(x: torch.Tensor, weight: torch.Tensor, eps: float, **settings: int) -> torch.Tensor:
    """`weight * x / sqrt(mean(x**2) + eps)` over the last dimensions, those of `weight`, computed in float32.

    `settings` may have ROWS (rows a program, of at most BLOCK elements; 0: a row piece by piece), BLOCK and num_warps,
    the first two powers of two; what they lack is chosen by length and type.
    """
    x, weight = x.contiguous(), weight.contiguous()
    y = torch.empty_like(x)
    n = weight.numel()
    if not x.numel():
        return y
    rows = x.numel() // n
    chosen = {**_settings(n, x.element_size()), **settings}
    rows_a_program = chosen.pop("ROWS")
    if rows_a_program:
        grid = (triton.cdiv(rows, rows_a_program),)
        _rows_kernel[grid](x, weight, y, rows, n, eps, ROWS=rows_a_program, **chosen)
    else:
        _long_row_kernel[(rows,)](x, weight, y, n, eps, **chosen)
    return y


class ModelNew(nn.Module):
    """torch.nn.functional.rms_norm over `normalized_shape`; `configuration` is passed on to fused."""

    def __init__(self, eps: float, **configuration: int) -> None:
        super().__init__()
        self.eps = eps
        self.configuration = configuration

    def forward(self, x: torch.Tensor, normalized_shape: list[int], weight: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Takes what torch's function takes; the shape of `weight` is `normalized_shape`."""
        return fused(x, weight, self.eps, **self.configuration)
