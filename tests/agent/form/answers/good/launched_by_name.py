"""Whole rows at once, in one short kernel, which is launched by a name that holds kernel and grid."""

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def k(i, o, s, n, B: tl.constexpr):
    c = tl.arange(0, B)
    p = tl.program_id(0) * s + c
    tl.store(o + p, tl.cumprod(tl.load(i + p, c < n, 1.).to(tl.float64), 0), c < n)


def running_product(x, dim):
    x = x.swapaxes(dim, -1).contiguous()
    o = torch.empty_like(x)
    if (n := x.shape[-1]) and (rows := x.numel() // n):
        launch = k[rows,]
        launch(x, o, n, n, B=triton.next_power_of_2(n))
    return o.swapaxes(dim, -1)


class ModelNew(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return running_product(x, self.dim)
