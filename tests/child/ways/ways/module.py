"""The variant is a module of torch, and its kernel an attribute of a class."""

import torch
from torch import nn

from ways import kernels


class Launcher:
    kernel = kernels.scaled_add_kernel

    def __call__(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return kernels.launch(self.kernel, x, z, BLOCK=kernels.BLOCK)


class ScaledAdd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.launcher = Launcher()

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return self.launcher(x, z)
