"""The kernel is behind an operator of torch, whose body torch does not look into."""

import torch

from ways.kernels import BLOCK, launch, scaled_add_kernel


@torch.library.custom_op("ways::scaled_add", mutates_args=())
def scaled_add(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return launch(scaled_add_kernel, x, z, BLOCK=BLOCK)


@scaled_add.register_fake
def _(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)
