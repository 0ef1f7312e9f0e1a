"""Both: triton measures blocks, and a rule says whether a mask is needed."""

import torch
import triton
import triton.language as tl

from ways.kernels import launch


@triton.autotune(configs=[triton.Config({"BLOCK": size}) for size in (512, 2048)], key=["n"])
@triton.heuristics({"IS_WHOLE": lambda given: given["n"] % given["BLOCK"] == 0})
@triton.jit
def tuned_heuristic_kernel(x_ptr, z_ptr, y_ptr, n, BLOCK: tl.constexpr, IS_WHOLE: tl.constexpr):
    places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = (places < n) | IS_WHOLE
    x = tl.load(x_ptr + places, mask=inside)
    z = tl.load(z_ptr + places, mask=inside)
    tl.store(y_ptr + places, x + 2 * z, mask=inside)


def scaled_add(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return launch(tuned_heuristic_kernel, x, z)
