"""With a gradient: an autograd.Function around two kernels."""

import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def forward_kernel(x_ptr, y_ptr, n, ACC: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * n
    lanes = tl.arange(0, BLOCK)
    carry = tl.full((), 1, ACC)
    for start in range(0, n, BLOCK):
        mask = lanes < n - start
        y = tl.cumprod(tl.load(x_ptr + row + start + lanes, mask=mask, other=1).to(ACC), 0) * carry
        tl.store(y_ptr + row + start + lanes, y.to(y_ptr.dtype.element_ty), mask=mask)
        carry = tl.sum(tl.where(lanes == BLOCK - 1, y, 0), 0)


@triton.jit
def backward_kernel(x_ptr, y_ptr, g_ptr, out_ptr, n):
    """From the end of a row: what follows an element is a recurrence, so that no zero is divided by."""
    row = tl.program_id(0).to(tl.int64) * n
    following = tl.full((), 0, tl.float64)
    for back in range(n):
        k = n - 1 - back
        after = tl.load(x_ptr + row + k + 1, mask=back > 0, other=0).to(tl.float64)
        following = tl.load(g_ptr + row + k).to(tl.float64) + after * following
        before = tl.load(y_ptr + row + k - 1, mask=k > 0, other=1).to(tl.float64)
        tl.store(out_ptr + row + k, (before * following).to(out_ptr.dtype.element_ty))


class CumprodOfRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        n = x.shape[-1]
        y = torch.empty(x.shape, dtype=x.dtype if x.dtype.is_floating_point else torch.int64, device=x.device)
        acc = tl.float64 if y.dtype.is_floating_point else tl.int64
        if x.numel():
            forward_kernel[(x.numel() // n,)](x, y, n, acc, BLOCK=1024)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        out = torch.empty_like(x)
        if x.numel():
            backward_kernel[(x.numel() // x.shape[-1],)](x, y, g.contiguous(), out, x.shape[-1])
        return out


class ModelNew(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        x = x.view(torch.uint8) if x.dtype == torch.bool else x
        if x.ndim == 0:
            return CumprodOfRows.apply(x.reshape(1)).reshape(x.shape)
        return CumprodOfRows.apply(x.movedim(self.dim, -1).contiguous()).movedim(-1, self.dim)
