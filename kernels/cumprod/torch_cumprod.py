"""What PyTorch itself offers: the time to beat."""

import torch
from torch import nn


class ModelNew(nn.Module):
    """torch.cumprod along `dim`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cumprod(x, self.dim)
