"""Three Triton kernels with the same grid and block, two of which differ by the case of a letter."""

import torch
import triton
import triton.language as tl

SIZE, BLOCK = 1 << 24, 1024


@triton.jit
def double(source, target, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(target + at, 2.0 * tl.load(source + at))


@triton.jit
def Double(source, target, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(target + at, 2.5 * tl.load(source + at))


@triton.jit
def halve(source, target, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(target + at, 0.5 * tl.load(source + at))


source = torch.empty(SIZE, device="cuda")
target = torch.empty_like(source)
for kernel in (double, Double, halve):
    for _ in range(6):
        kernel[(SIZE // BLOCK,)](source, target, BLOCK)
torch.cuda.synchronize()
