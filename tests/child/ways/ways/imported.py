"""The kernel comes from another module."""

import torch

from ways.kernels import BLOCK, launch, scaled_add_kernel


def scaled_add(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return launch(scaled_add_kernel, x, z, BLOCK=BLOCK)
