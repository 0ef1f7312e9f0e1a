"""Small jit functions, among them the combination that `tl.associative_scan` takes."""

import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def multiply(a, b):
    return a * b


@triton.jit
def load_tile(ptr, places, mask, ACC: tl.constexpr):
    return tl.load(ptr + places, mask=mask, other=1).to(ACC)


@triton.jit
def store_tile(ptr, places, values, mask):
    tl.store(ptr + places, values.to(ptr.dtype.element_ty), mask=mask)


@triton.jit
def total(values):
    return tl.reduce(values, 0, multiply)


@triton.jit
def scan_kernel(x_ptr, y_ptr, n, stride, ACC: tl.constexpr, BLOCK: tl.constexpr):
    pid = tl.program_id(0)
    row = pid.to(tl.int64)
    base = row // stride * n * stride + row % stride
    carry = tl.full((), 1, ACC)
    start = 0
    while start < n:
        k = start + tl.arange(0, BLOCK)
        places, mask = base + k.to(tl.int64) * stride, k < n
        tile = load_tile(x_ptr, places, mask, ACC)
        store_tile(y_ptr, places, tl.associative_scan(tile, 0, multiply) * carry, mask)
        carry *= total(tile)
        start += BLOCK


def _along(x, dim):
    """(elements of a sequence, distance between them)"""
    if not x.shape:
        return 1, 1
    return x.size(dim), x.stride(dim)


def _prepare(x):
    return (x.view(torch.uint8) if x.dtype is torch.bool else x).contiguous()


def scan(x, dim):
    x = _prepare(x)
    acc = tl.float64 if torch.is_floating_point(x) else tl.int64
    y = torch.zeros(x.shape, dtype=x.dtype if acc is tl.float64 else torch.int64, device=x.device)
    if x.numel():
        n, stride = _along(x, dim)
        scan_kernel[(x.numel() // n, )](x, y, n, stride, ACC=acc, BLOCK=max(16, min(512, triton.next_power_of_2(n))))
    return y


class ModelNew(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return scan(x, self.dim)
