"""The kernel says itself what it is called when it is compiled."""

from typing import Any

import torch
import triton
import triton.language as tl

from ways.kernels import BLOCK, launch


def _name(specialization: Any) -> str:
    return f"scaled_add_of_{specialization.constants['BLOCK']}"


@triton.jit(repr=_name)
def named_kernel(x_ptr, z_ptr, y_ptr, n, BLOCK: tl.constexpr):
    places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + places, mask=places < n)
    z = tl.load(z_ptr + places, mask=places < n)
    tl.store(y_ptr + places, x + 2 * z, mask=places < n)


def scaled_add(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return launch(named_kernel, x, z, BLOCK=BLOCK)
