"""JAX's scan. It runs on streams of its own: both sides are waited for, and the waiting is in its time."""

import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # most of the memory is torch's

import jax
import torch
from torch import nn


class ModelNew(nn.Module):
    """jax.numpy.cumprod along `dim`, compiled by XLA."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        jax.config.update("jax_enable_x64", True)
        self.scan = jax.jit(lambda x: jax.numpy.cumprod(x, axis=dim, dtype=_result_dtype(x.dtype)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.is_cuda:
            torch.cuda.current_stream().synchronize()
        return torch.from_dlpack(self.scan(jax.numpy.from_dlpack(x)).block_until_ready())


def _result_dtype(dtype):
    """What torch.cumprod makes of `dtype`."""
    return dtype if jax.numpy.issubdtype(dtype, jax.numpy.inexact) else jax.numpy.int64
