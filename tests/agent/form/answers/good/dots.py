"""Signs on the tensor cores: the number of negative factors so far is a product with a triangular matrix."""

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _negatives_before(is_negative, SIDE: tl.constexpr):
    """For a SIDE x SIDE tile in row-major order: negative elements up to and including each. Exact: all are small."""
    i = tl.arange(0, SIDE)
    counts = is_negative.to(tl.float16)
    upper = (i[:, None] <= i[None, :]).to(tl.float16)
    lower = (i[None, :] < i[:, None]).to(tl.float16)
    within = tl.dot(counts, upper)
    above = tl.dot(lower, counts)
    return within + tl.sum(above, 1)[:, None]


@triton.jit
def _signed_scan(x_ptr, y_ptr, n, inner, ACC: tl.constexpr, SIDE: tl.constexpr):
    sequence = tl.program_id(0).to(tl.int64)
    origin = sequence // inner * n * inner + sequence % inner
    SIZE: tl.constexpr = SIDE * SIDE
    k = tl.arange(0, SIZE)
    carry = tl.full((), 1, ACC)
    for start in range(0, n, SIZE):
        at = (start + k).to(tl.int64)
        x = tl.load(x_ptr + origin + at * inner, mask=at < n, other=1).to(ACC)
        count = _negatives_before(tl.reshape(x < 0, [SIDE, SIDE]), SIDE)
        odd = (tl.reshape(count, [SIZE]).to(tl.int32) & 1) == 1
        sizes = tl.cumprod(tl.abs(x), 0)
        y = tl.where(odd, -sizes, sizes) * carry
        tl.store(y_ptr + origin + at * inner, y.to(y_ptr.dtype.element_ty), mask=at < n)
        carry = tl.sum(tl.where(k == SIZE - 1, y, 0), 0)


class ModelNew(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        floating = x.is_floating_point()
        y = torch.empty(x.shape, dtype=x.dtype if floating else torch.int64, device=x.device)
        if y.numel() == 0:
            return y
        if x.dtype == torch.bool:
            x = x.view(torch.uint8)
        x = x.contiguous()
        n, inner = (x.shape[self.dim], x.stride(self.dim)) if x.dim() > 0 else (1, 1)
        programs = x.numel() // n
        _signed_scan[(programs,)](x, y, n, inner, tl.float64 if floating else tl.int64, SIDE=16, num_warps=4)
        return y
