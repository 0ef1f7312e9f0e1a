"""The kernel is behind an operator of torch that knows that it is triton's."""

import torch
import triton
from torch.library import triton_op, wrap_triton

from ways.kernels import BLOCK, scaled_add_kernel


@triton_op("ways::scaled_add_by_triton", mutates_args=())
def scaled_add(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    y = torch.empty_like(x)
    grid = (triton.cdiv(x.numel(), BLOCK),)
    wrap_triton(scaled_add_kernel)[grid](x, z, y, x.numel(), BLOCK=BLOCK)
    return y
