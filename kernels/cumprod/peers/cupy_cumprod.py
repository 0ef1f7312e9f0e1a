"""CuPy's scan, on torch's stream and on torch's memory."""

import cupy
import torch
from torch import nn


class ModelNew(nn.Module):
    """cupy.cumprod along `dim`; CuPy makes 64-bit results of integers, as torch does."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream):
            return torch.from_dlpack(cupy.cumprod(cupy.from_dlpack(x), axis=self.dim))
