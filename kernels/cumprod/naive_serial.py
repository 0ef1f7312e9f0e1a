"""The slow start: one program a sequence, one element after the other. Its order of multiplication is what is right."""

import math

import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit(do_not_specialize=["inner"])
def _serial_kernel(x_ptr, y_ptr, begin, n, inner, ACCUMULATOR: tl.constexpr, INDEX: tl.constexpr):
    """One program a sequence, from sequence `begin` on: n elements, `inner` apart, one kernel for every `inner`."""
    sequence = begin + tl.program_id(0).to(tl.int64)
    origin = sequence // inner * n * inner + sequence % inner
    product = tl.full((), 1, ACCUMULATOR)
    for k in range(n):
        place = origin + tl.cast(k, INDEX) * inner
        product *= tl.load(x_ptr + place).to(ACCUMULATOR)
        tl.store(y_ptr + place, product.to(y_ptr.dtype.element_ty))


def _result_dtype(dtype: torch.dtype) -> torch.dtype:
    """What torch.cumprod makes of `dtype`: int64 of all integers.

    Raises:
        TypeError: it is neither real nor integer, or an 8-bit float.
    """
    if dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        return dtype
    if dtype in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        return torch.int64
    raise TypeError(f"cumprod is not implemented for {dtype}: convert the input to a real or integer dtype first")


def _accumulator(dtype: torch.dtype) -> tl.dtype:
    """The type in which products of a result dtype are formed: half types in float32."""
    return {torch.float64: tl.float64, torch.int64: tl.int64}.get(dtype, tl.float32)


def _lines(shape: torch.Size, dim: int) -> tuple[int, int]:
    """Length of a sequence along `dim`, and how far apart its elements are in contiguous memory.

    Raises:
        IndexError: there is no such dimension.
    """
    rank = max(len(shape), 1)
    if not -rank <= dim < rank:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim})")
    padded = tuple(shape) or (1,)
    return padded[dim], math.prod(padded[dim % rank + 1 :])


def _readable(x: torch.Tensor) -> torch.Tensor:
    """`x` as a kernel can read it: contiguous, and booleans as bytes."""
    return (x.view(torch.uint8) if x.dtype == torch.bool else x).contiguous()


def _launches(programs: int) -> list[tuple[int, tuple[int]]]:
    """The first program of each launch and its grid, which has room for 2**31 - 1."""
    return [(begin, (min(2**30, programs - begin),)) for begin in range(0, programs, 2**30)]


def naive_serial(x: torch.Tensor, dim: int, *, num_warps: int = 1) -> torch.Tensor:
    """torch.cumprod(x, dim). All threads of a program do the same: more warps only waste more."""
    y = torch.empty(x.shape, dtype=_result_dtype(x.dtype), device=x.device)
    n, inner = _lines(x.shape, dim)
    x = _readable(x)
    index = tl.int32 if n * inner < 2**31 else tl.int64
    for begin, grid in _launches(y.numel() // max(n, 1)):
        _serial_kernel[grid](x, y, begin, n, inner, _accumulator(y.dtype), index, num_warps=num_warps)
    return y


class ModelNew(nn.Module):
    """torch.cumprod along `dim`; `configuration` is passed on to naive_serial."""

    def __init__(self, dim: int, **configuration: int) -> None:
        super().__init__()
        self.dim = dim
        self.configuration = configuration

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return naive_serial(x, self.dim, **self.configuration)
