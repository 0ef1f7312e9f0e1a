"""cumprod in the place of torch.cumprod: it raises where that raises, which also does what the kernels cannot."""

from numbers import Integral
from typing import Any

import torch
from torch import nn

from .forms import products
from .operators import Cumprod, result_of
from .plan import Plan
from .private import is_proxy, is_untraced, tell_torchscript
from .ranges import is_interpreted
from .shapes import TAKEN, lines_of


def cumprod(
    input: Any = None,  # noqa: A002  (torch's name)
    dim: Any = None,
    *,
    dtype: Any = None,
    out: Any = None,
    **others: Any,
) -> torch.Tensor:
    """torch.cumprod on a GPU, with derivatives of any order and direction; also for torch.func and torch.compile.

    It gives the same bits call after call. What the kernels do not take is left to torch: tensors that are not on an
    NVIDIA GPU, complex and 8-bit floats, sparse, nested and quantised tensors, subclasses; and what torch refuses.

    Args:
        input: a tensor; or `a`, `x` or `x1`, as torch takes it.
        dim: a dimension; or `axis`.
        dtype: to which the input is converted first.
        out: to be filled, of any strides. It may share memory with the input.
        others: the other names of input and dimension.

    Raises:
        TypeError, IndexError, RuntimeError: as torch.cumprod does.
    """
    if others:
        return _by_other_names(input, dim, dtype, out, others)
    if type(dim) is not int and isinstance(dim, Integral) and not isinstance(dim, bool):
        dim = int(dim)
    if type(dim) is not int or not -(2**63) <= dim < 2**63 or not _is_taken(input):
        return _by_torch(input, dim, dtype, out)
    if dtype is None and out is None and not _is_widened(input):
        return multiplied(input, dim)
    if not _is_wanted(input, dtype, out):
        return _by_torch(input, dim, dtype, out)
    if out is not None:
        return torch.mul(_converted(input, dim, out.dtype), 1, out=out)  # a copy that resizes and refuses as torch does
    return _converted(input, dim, dtype or torch.float32)


def _by_torch(x: Any, dim: Any, dtype: Any, out: Any, /, **others: Any) -> torch.Tensor:
    """torch.cumprod of the arguments that were given; a symbolic trace gets this one, to be called when it runs."""
    every = {"input": x, "dim": dim, **others, "dtype": dtype, "out": out}
    given = {name: each for name, each in every.items() if each is not None}
    if is_proxy(x):
        traced: torch.Tensor = torch.overrides.handle_torch_function(cumprod, (x,), **given)
        return traced
    return torch.cumprod(**given)


def _by_other_names(x: Any, dim: Any, dtype: Any, out: Any, others: dict[str, Any]) -> torch.Tensor:
    """The same by names that torch takes for numpy's sake; what it refuses, it refuses."""
    names = {"a": "input", "x": "input", "x1": "input", "axis": "dim"}
    given = [(name, each) for name, each in (("input", x), ("dim", dim)) if each is not None]
    renamed = [*given, *((names.get(name, ""), each) for name, each in others.items())]
    by_name = dict(renamed)
    if len(renamed) != 2 or by_name.keys() != {"input", "dim"} or not _is_taken(by_name["input"]):
        return _by_torch(x, dim, dtype, out, **others)
    return cumprod(**by_name, dtype=dtype, out=out)


def _is_taken(x: Any) -> bool:
    """Whether the kernels take an input, or torch's compiler stands in for one that they take."""
    if type(x) not in (torch.Tensor, nn.Parameter) and not _stands_in(x):
        return False
    is_there = (x.is_cuda and _IS_NVIDIA) or (x.is_cpu and is_interpreted())
    return is_there and x.dtype in TAKEN and x.layout is _STRIDED and not x.is_nested


_IS_NVIDIA, _STRIDED = torch.version.hip is None, torch.strided
"""Looked up once: every call asks."""


def _stands_in(x: Any) -> bool:
    """Whether torch traces with it what is done with a tensor of its own."""
    return isinstance(x, torch.Tensor) and type(x).__module__.startswith("torch._subclasses.")


def _is_widened(x: torch.Tensor) -> bool:
    """Whether autocast wants float32 of half types."""
    return x.dtype.itemsize == 2 and torch.is_autocast_enabled("cuda") and x.is_floating_point()


def _is_wanted(x: torch.Tensor, dtype: Any, out: Any) -> bool:
    """Whether the kernels give such a result; torch refuses some of the others."""
    has_gradient = _needs_gradient(x)
    if out is not None:
        is_alike = _is_taken(out) and out.device == x.device and dtype in (None, out.dtype)
        return is_alike and out.dtype != torch.bool and not (has_gradient or _needs_gradient(out))
    if dtype is None:
        return True
    is_known = isinstance(dtype, torch.dtype) and dtype in TAKEN and dtype != torch.bool
    return is_known and (dtype.is_floating_point or not has_gradient)


def _needs_gradient(x: torch.Tensor) -> bool:
    return torch.is_grad_enabled() and x.requires_grad


def _converted(x: torch.Tensor, dim: int, dtype: torch.dtype) -> torch.Tensor:
    """Cumulative products of `x` in `dtype`, by way of the type in which torch would form them."""
    return multiplied(x if x.dtype == dtype else x.to(dtype), dim).to(dtype)


def multiplied(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Cumulative products: at once if only their values are wanted, else by the operator, which torch knows."""
    if not _needs_gradient(x) and is_untraced(x):
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
        return multiplied(x, self.dim)


tell_torchscript(cumprod, "aten::cumprod")
