"""Takes longer than a case may: some three seconds of arithmetic that cannot be shortened, in one warp."""

import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def _slow_scale_kernel(x_ptr, y_ptr, factor, steps, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    idle = 0.25
    for _ in range(steps):
        idle = idle * idle - 0.5
    tl.store(y_ptr + offsets, tl.where(idle > 2, 0, tl.load(x_ptr + offsets) * factor))


def scale(x: torch.Tensor, factor: float) -> torch.Tensor:
    y = x * factor
    _slow_scale_kernel[(1,)](x, y, factor, 1_300_000_000, BLOCK=1024)
    return y


class ModelNew(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return scale(x, 2.0)
