"""The decorator has another name."""

import torch
import triton
import triton.language as tl

from ways.kernels import BLOCK, launch

jit = triton.jit


@jit
def renamed_decorator_kernel(x_ptr, z_ptr, y_ptr, n, BLOCK: tl.constexpr):
    places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + places, mask=places < n)
    z = tl.load(z_ptr + places, mask=places < n)
    tl.store(y_ptr + places, x + 2 * z, mask=places < n)


def scaled_add(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return launch(renamed_decorator_kernel, x, z, BLOCK=BLOCK)
