"""The best that the library offers: torch.matmul, allowed to multiply float32 as TF32 as the candidates do."""

import torch
from torch import nn


class ModelNew(nn.Module):
    """`a @ b` by cuBLAS."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            return torch.matmul(a, b)
        finally:
            torch.set_float32_matmul_precision(precision)
