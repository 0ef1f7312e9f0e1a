"""The kernel is made without a decorator: its function keeps its own name."""

import torch
import triton
import triton.language as tl

from ways.kernels import BLOCK, launch


def wrapped_function(x_ptr, z_ptr, y_ptr, n, BLOCK: tl.constexpr):
    places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + places, mask=places < n)
    z = tl.load(z_ptr + places, mask=places < n)
    tl.store(y_ptr + places, x + 2 * z, mask=places < n)


compiled_kernel = triton.jit(wrapped_function)


def scaled_add(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return launch(compiled_kernel, x, z, BLOCK=BLOCK)
