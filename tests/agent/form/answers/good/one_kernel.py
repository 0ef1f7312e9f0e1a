"""One kernel: a program scans a row, tile by tile, and carries the product in double precision."""

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def scan_rows(x_ptr, y_ptr, n, ACC: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * n
    carry = tl.full((), 1, ACC)
    offsets = tl.arange(0, BLOCK)
    for start in range(0, n, BLOCK):
        inside = start + offsets < n
        tile = tl.load(x_ptr + row + start + offsets, mask=inside, other=1).to(ACC)
        products = tl.cumprod(tile, 0) * carry
        tl.store(y_ptr + row + start + offsets, products.to(y_ptr.dtype.element_ty), mask=inside)
        carry = tl.sum(tl.where(offsets == BLOCK - 1, products, 0), 0)


def cumprod_last(x):
    y = torch.empty(x.shape, dtype=x.dtype if x.dtype.is_floating_point else torch.int64, device=x.device)
    if y.numel() == 0:
        return y
    n = x.shape[-1]
    acc = tl.float64 if x.dtype.is_floating_point else tl.int64
    scan_rows[(x.numel() // n,)](x, y, n, acc, BLOCK=min(1024, triton.next_power_of_2(n)))
    return y


class ModelNew(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        x = x.view(torch.uint8) if x.dtype == torch.bool else x
        if x.dim() == 0:
            return cumprod_last(x.reshape(1)).reshape(())
        moved = x.movedim(self.dim, -1).contiguous()
        return cumprod_last(moved).movedim(-1, self.dim)
