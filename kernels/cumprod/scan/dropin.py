"""cumprod in the place of torch.cumprod."""

import torch
from torch import nn

from .forms import products
from .operators import Cumprod, result_of
from .plan import Plan
from .private import is_untraced
from .ranges import is_interpreted
from .shapes import lines_of, result_dtype


def cumprod(
    input: torch.Tensor,  # noqa: A002  (torch's name)
    dim: int,
    *,
    dtype: torch.dtype | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """torch.cumprod on a GPU, with derivatives of any order and direction; also for torch.func and torch.compile.

    It gives the same bits call after call. What is on the CPU is left to torch.

    Raises:
        IndexError: there is no such dimension.
        TypeError: the result would be neither real nor integer.
        RuntimeError: `out` is not of `dtype`, or a gradient is wanted of what goes into it.
    """
    if not (input.is_cuda or is_interpreted()):
        return torch.cumprod(input, dim, dtype=dtype, out=out)
    if out is not None:
        return _into(out, input, dim, dtype)
    if dtype is None and input.dtype.itemsize == 2 and torch.is_autocast_enabled("cuda") and input.is_floating_point():
        dtype = torch.float32
    if dtype is None or dtype == input.dtype == result_dtype(dtype):
        return _multiplied(input, dim)
    return _multiplied(input.to(dtype), dim).to(_checked(dtype))


def _checked(dtype: torch.dtype) -> torch.dtype:
    """A dtype that a result may have.

    Raises:
        TypeError: it may not.
    """
    if dtype == torch.bool:
        raise TypeError("cumprod has no results of torch.bool: all() along the dimension says as much")
    result_dtype(dtype)
    return dtype


def _into(out: torch.Tensor, x: torch.Tensor, dim: int, dtype: torch.dtype | None) -> torch.Tensor:
    """Cumulative products in `out`, which may have any strides and share memory with `x`."""
    if torch.is_grad_enabled() and (x.requires_grad or out.requires_grad):
        raise RuntimeError(
            "cumprod(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    if dtype not in (None, out.dtype):
        raise RuntimeError(f"Expected out tensor to have dtype {dtype}, but got {out.dtype} instead")
    return torch.mul(cumprod(x, dim, dtype=out.dtype), 1, out=out)  # a copy that resizes and refuses as torch does


def _multiplied(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Cumulative products: at once if only their values are wanted, else by the operator, which torch knows."""
    if not (x.requires_grad and torch.is_grad_enabled()) and is_untraced(x):
        return Plan.follow(x, dim)
    lines_of(x.shape, dim)  # refuses a dimension that there is not
    if not x.dim():
        return result_of(Cumprod, x.reshape(1), 0).reshape(())
    return result_of(Cumprod, x, dim % x.dim())


class ModelNew(nn.Module):
    """torch.cumprod along `dim`; `configuration` is passed on to `products`."""

    def __init__(self, dim: int, **configuration: int | str) -> None:
        super().__init__()
        self.dim = dim
        self.configuration = configuration

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.configuration:
            return products(x, self.dim, **self.configuration)
        return _multiplied(x, self.dim)
