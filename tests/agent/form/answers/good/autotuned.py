import math

import torch
from torch import nn
import triton
import triton.language as tl

CONFIGS = [
    triton.Config({"BLOCK": block}, num_warps=warps) for block in (256, 1024) for warps in (2, 8)
]


@triton.autotune(configs=CONFIGS, key=["n", "inner"])
@triton.heuristics({"IS_FLOAT": lambda args: args["y_ptr"].dtype.is_floating_point})
@triton.jit
def _tuned(x_ptr, y_ptr, n, inner, IS_FLOAT: tl.constexpr, BLOCK: tl.constexpr):
    ACC: tl.constexpr = tl.float64 if IS_FLOAT else tl.int64
    sequence = tl.program_id(0).to(tl.int64)
    origin = (sequence // inner) * n * inner + sequence % inner
    carry = tl.full([1], 1, ACC)
    for start in range(0, n, BLOCK):
        k = start + tl.arange(0, BLOCK).to(tl.int64)
        x = tl.load(x_ptr + origin + k * inner, mask=k < n, other=1).to(ACC)
        y = carry * tl.cumprod(x, axis=0)
        tl.store(y_ptr + origin + k * inner, y.to(y_ptr.dtype.element_ty), mask=k < n)
        carry = tl.sum(tl.where(k == start + BLOCK - 1, y, 0), axis=0, keep_dims=True)


class ModelNew(nn.Module):
    """Cumulative product along one dimension."""

    def __init__(self, dim):
        super(ModelNew, self).__init__()
        self.dim = dim

    def forward(self, x):
        dtype = x.dtype if x.is_floating_point() else torch.int64
        y = torch.empty(x.size(), dtype=dtype, device=x.device)
        if x.numel() > 0:
            x = (x.view(torch.uint8) if x.dtype == torch.bool else x).contiguous()
            n = x.size(self.dim) if x.ndim else 1
            inner = math.prod(x.shape[self.dim % x.ndim + 1 :]) if x.ndim else 1
            grid = lambda meta: (x.numel() // n,)
            _tuned[grid](x, y, n, inner)
        return y
