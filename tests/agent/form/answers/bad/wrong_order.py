import torch
import torch.nn as nn
import triton
import triton.language as tl


def scan(x):
    y = torch.empty_like(x)
    scan_rows[(x.numel() // x.shape[-1],)](x, y, x.shape[-1], BLOCK=1024)
    return y


@triton.jit
def scan_rows(x_ptr, y_ptr, n, BLOCK: tl.constexpr):  # refused: order
    row = tl.program_id(0).to(tl.int64) * n
    carry = tl.full((), 1, tl.float64)
    offsets = tl.arange(0, BLOCK)
    for start in range(0, n, BLOCK):
        inside = start + offsets < n
        tile = tl.load(x_ptr + row + start + offsets, mask=inside, other=1).to(tl.float64)
        products = tl.cumprod(tile, 0) * carry
        tl.store(y_ptr + row + start + offsets, products.to(y_ptr.dtype.element_ty), mask=inside)
        carry = tl.sum(tl.where(offsets == BLOCK - 1, products, 0), 0)


class ModelNew(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return scan(x.movedim(self.dim, -1).contiguous()).movedim(-1, self.dim)
