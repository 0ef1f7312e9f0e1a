"""Triton chooses the block by measuring."""

import torch
import triton
import triton.language as tl

from ways.kernels import launch


@triton.autotune(
    configs=[
        triton.Config({"BLOCK": 256}, num_warps=2),
        triton.Config({"BLOCK": 1024}, num_warps=4),
        triton.Config({"BLOCK": 4096}, num_warps=8),
    ],
    key=["n"],
)
@triton.jit
def tuned_kernel(x_ptr, z_ptr, y_ptr, n, BLOCK: tl.constexpr):
    places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + places, mask=places < n)
    z = tl.load(z_ptr + places, mask=places < n)
    tl.store(y_ptr + places, x + 2 * z, mask=places < n)


def scaled_add(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return launch(tuned_kernel, x, z)
