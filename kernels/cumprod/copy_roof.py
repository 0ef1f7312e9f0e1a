"""The speed of light of a cumulative product: the same bytes read and written, and nothing done in between.

Marking what is read as the last to evict makes it 0.6 % faster on an H100 and 2 % on an H200 (docs/kernels.md).
"""

import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def _copy_kernel(x_ptr, y_ptr, begin, size, BLOCK: tl.constexpr):
    """One program a block, from block `begin` on."""
    start = (begin + tl.program_id(0).to(tl.int64)) * BLOCK
    offsets = tl.arange(0, BLOCK)
    mask = offsets < size - start
    x = tl.load(x_ptr + start + offsets, mask=mask, eviction_policy="evict_last")
    tl.store(y_ptr + start + offsets, x.to(y_ptr.dtype.element_ty), mask=mask)


def _result_dtype(dtype: torch.dtype) -> torch.dtype:
    """What torch.cumprod makes of `dtype`."""
    return dtype if dtype.is_floating_point or dtype.is_complex else torch.int64


def copy_roof(x: torch.Tensor, *, BLOCK: int = 1024, num_warps: int = 8) -> torch.Tensor:
    """`x` in the dtype of its cumulative product, contiguous; `BLOCK` elements a program (a power of two)."""
    y = torch.empty(x.shape, dtype=_result_dtype(x.dtype), device=x.device)
    x = (x.view(torch.uint8) if x.dtype == torch.bool else x).contiguous()
    blocks, limit = triton.cdiv(y.numel(), BLOCK), 2**30  # a launch has room for 2**31 - 1 programs
    for begin in range(0, blocks, limit):
        _copy_kernel[(min(limit, blocks - begin),)](x, y, begin, y.numel(), BLOCK, num_warps=num_warps)
    return y


class ModelNew(nn.Module):
    """A copy, whatever `dim`; `configuration` is passed on to copy_roof."""

    def __init__(self, dim: int, **configuration: int) -> None:
        super().__init__()
        self.dim = dim
        self.configuration = configuration

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return copy_roof(x, **self.configuration)
