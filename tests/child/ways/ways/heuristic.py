"""The block follows from the size by a rule."""

import torch
import triton
import triton.language as tl

from ways.kernels import launch


@triton.heuristics({"BLOCK": lambda given: min(1024, triton.next_power_of_2(given["n"]))})
@triton.jit
def heuristic_kernel(x_ptr, z_ptr, y_ptr, n, BLOCK: tl.constexpr):
    places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + places, mask=places < n)
    z = tl.load(z_ptr + places, mask=places < n)
    tl.store(y_ptr + places, x + 2 * z, mask=places < n)


def scaled_add(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return launch(heuristic_kernel, x, z)
