"""A kernel that other modules import, and how it is launched."""

from typing import Any

import torch
import triton
import triton.language as tl

BLOCK = 1024


@triton.jit
def scaled_add_kernel(x_ptr, z_ptr, y_ptr, n, BLOCK: tl.constexpr):
    places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + places, mask=places < n)
    z = tl.load(z_ptr + places, mask=places < n)
    tl.store(y_ptr + places, x + 2 * z, mask=places < n)


def launch(kernel: Any, x: torch.Tensor, z: torch.Tensor, **constants: int) -> torch.Tensor:
    """What a kernel of this signature makes of two contiguous tensors; the kernel may choose BLOCK itself."""
    y = torch.empty_like(x)
    kernel[lambda chosen: (triton.cdiv(x.numel(), chosen["BLOCK"]),)](x, z, y, x.numel(), **constants)
    return y
