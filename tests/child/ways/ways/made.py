"""The kernel is made within a function, when it is first needed."""

from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl

from ways.kernels import BLOCK, launch


@cache
def made() -> Any:
    @triton.jit
    def made_kernel(x_ptr, z_ptr, y_ptr, n, BLOCK: tl.constexpr):
        places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + places, mask=places < n)
        z = tl.load(z_ptr + places, mask=places < n)
        tl.store(y_ptr + places, x + 2 * z, mask=places < n)

    return made_kernel


def scaled_add(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return launch(made(), x, z, BLOCK=BLOCK)
