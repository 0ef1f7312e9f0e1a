"""Whole rows at once, in one short kernel, which is launched by a name that holds kernel and grid."""

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def k(i, o, s, n, A: tl.constexpr, B: tl.constexpr):
    c = tl.arange(0, B)
    p = tl.program_id(0) * s + c
    tl.store(o + p, tl.cumprod(tl.load(i + p, c < n, 1).to(A), 0).to(o.dtype.element_ty), c < n)


def running_product(x, dim):
    x = x.swapaxes(dim, -1).contiguous()
    real = x.dtype.is_floating_point
    o = torch.empty(x.shape, dtype=x.dtype if real else torch.int64, device=x.device)
    if (n := x.shape[-1]) and (rows := x.numel() // n):
        launch = k[rows,]
        launch(x, o, n, n, A=tl.float64 if real else tl.int64, B=triton.next_power_of_2(n))
    return o.swapaxes(dim, -1)


class ModelNew(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        x = x.view(torch.uint8) if x.dtype == torch.bool else x
        if x.dim() == 0:
            return running_product(x.reshape(1), 0).reshape(())
        return running_product(x, self.dim)
