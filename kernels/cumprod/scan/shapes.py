"""What a call is about: result dtypes, the type of products, and where the elements of a sequence lie."""

import math

import torch
import triton.language as tl

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
TAKEN = {*FLOATS, *INTEGERS}
"""Dtypes that kernels read."""


def result_dtype(dtype: torch.dtype) -> torch.dtype:
    """What torch.cumprod makes of `dtype`: int64 of all integers.

    Raises:
        TypeError: kernels do not read it.
    """
    if dtype not in TAKEN:
        raise TypeError(f"the kernels have no products of {dtype}: cumprod has, where torch has")
    return dtype if dtype in FLOATS else torch.int64


def accumulator(dtype: torch.dtype) -> tl.dtype:
    """The type in which products of a result dtype are formed: half types in float32."""
    return {torch.float64: tl.float64, torch.int64: tl.int64}.get(dtype, tl.float32)


def lines_of(shape: torch.Size, dim: int) -> tuple[int, int]:
    """Length of a sequence along `dim`, and how far apart its elements are in contiguous memory.

    Raises:
        IndexError: there is no such dimension.
    """
    rank = max(len(shape), 1)
    if not -rank <= dim < rank:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim})")
    padded = tuple(shape) or (1,)
    return padded[dim], math.prod(padded[dim % rank + 1 :])


def readable(x: torch.Tensor) -> torch.Tensor:
    """`x` as a kernel can read it: contiguous, and booleans as bytes."""
    return (x.view(torch.uint8) if x.dtype == torch.bool else x).contiguous()
