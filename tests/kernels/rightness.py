"""When an element of a cumulative product is right, said once for the interpreter, the GPU and tuning.

It is right within the tolerance of the float64 product rounded to its dtype; or, because a serial product in the
computing precision may over- or underflow on its way, within the tolerance of that one. NaN where either has NaN.
"""

from __future__ import annotations

import math

import numpy as np
import torch

# Subnormal numbers are rounded to a fixed step, so that a relative bound says nothing there: a tree's result may differ
# from a serial one by a step or two for every level at which it was rounded while subnormal.
SUBNORMAL_STEPS = 8


def wrong(got: torch.Tensor, x: torch.Tensor, dim: int, tolerance: float) -> torch.Tensor:
    """Which elements of `got` are not what a cumulative product of `x` along `dim` may be. Computes on the CPU."""
    got, x = got.cpu(), x.cpu()
    if not x.is_floating_point():
        return got != torch.cumprod(x, dim)
    precision = torch.float64 if x.dtype == torch.float64 else torch.float32
    truth = _serial(x.double(), dim).to(x.dtype)
    serial = _serial(x.to(precision), dim).to(x.dtype)
    return ~(_close(got, truth, tolerance) | _close(got, serial, tolerance))


def verdict(got: torch.Tensor, x: torch.Tensor, dim: int, tolerance: float) -> str:
    """What is wrong with the whole result, dtype and layout included; empty where nothing is."""
    dtype = x.dtype if x.is_floating_point() else torch.int64
    if (got.shape, got.dtype, got.is_contiguous()) != (x.shape, dtype, True):
        return f"{got.dtype} of {list(got.shape)}, contiguous: {got.is_contiguous()}"
    bad = wrong(got, x, dim, tolerance)
    if not bad.any():
        return ""
    place = tuple(bad.nonzero()[0].tolist())
    want = torch.cumprod(x.cpu().double() if x.is_floating_point() else x.cpu(), dim)[place].item()
    return f"{int(bad.sum())} of {bad.numel()} wrong, first {list(place)}: {got[place].item()!r}, in float64 {want!r}"


def _serial(x: torch.Tensor, dim: int) -> torch.Tensor:
    """numpy multiplies one by one, on every machine; torch does so on the CPU, but does not promise it."""
    if x.dim() == 0:
        return x.clone()
    with np.errstate(all="ignore"):
        return torch.from_numpy(np.multiply.accumulate(x.numpy(), axis=dim))


def _close(got: torch.Tensor, want: torch.Tensor, tolerance: float) -> torch.Tensor:
    step = torch.finfo(want.dtype).smallest_normal * torch.finfo(want.dtype).eps
    error = (got.double() - want.double()).abs()
    near = (error <= want.double().abs() * tolerance + SUBNORMAL_STEPS * step) & want.isfinite()
    return near | (got == want) | (got.isnan() & want.isnan())


def tolerance(x: torch.Tensor, dim: int) -> float:
    """As the problem's reference has it, for the length of `x` along `dim`."""
    if not x.is_floating_point():
        return 0.0
    n = x.shape[dim] if x.dim() else 1
    epsilon = torch.finfo(torch.float64 if x.dtype == torch.float64 else torch.float32).eps
    return max(84, 4 * math.sqrt(n)) * epsilon + (torch.finfo(x.dtype).eps if x.dtype.itemsize == 2 else 0.0)


SPECIAL_SEGMENTS = {
    "zero before an overflow": [0.0, 1.0, 1e30, 1e30],
    "overflow in a segment": [1e-30, 1.0, 1e30, 1e30],
    "underflow in a segment": [1e30, 1.0, 1e-30, 1e-30],
    "subnormal segment": [1e30, 1.0, 1e-20, 1e-20],
    "overflow and back": [1e30, 1e30, 1e-30, 1e-30],
    "underflow and back": [1e-30, 1e-30, 1e30, 1e30],
    "subnormal and back": [1e-20, 1e-20, 1e-3, 1e38],
    "overflow, then zero": [1e30, -1e30, 0.0, 1.0],
    "overflow, then negative": [1e30, 1e30, -1.0, -2.0],
    "zero, then infinity": [0.0, 2.0, float("inf"), 1.0],
    "zero, then NaN": [0.0, 2.0, float("nan"), 1.0],
    "infinity": [float("inf"), 0.5, -1.0, 2.0],
    "minus infinity, then zero": [-float("inf"), 0.5, 0.0, 2.0],
    "NaN": [float("nan"), 1.0, 0.0, 1.0],
    "negative zero": [-0.0, 3.0, -1.0, 1e30],
    "subnormal factors": [1e-40, 1e38, 1e-44, 1e38],
    "largest and smallest": [3e38, 1e-38, 3e38, 1e-38],
    "zeros and large": [1e30, 0.0, 1e30, 1e30],
}


def with_segments(base: torch.Tensor, places: list[int]) -> torch.Tensor:
    """For each special segment and place a copy of the one-dimensional `base`, with the segment planted there."""
    rows = []
    for segment in SPECIAL_SEGMENTS.values():
        for place in places:
            row = base.clone()
            row[place : place + len(segment)] = torch.tensor(segment, dtype=torch.float64).to(base.dtype)
            rows.append(row)
    return torch.stack(rows)


def ratios(shape: tuple[int, ...], dim: int, dtype: torch.dtype, seed: int) -> torch.Tensor:
    """Factors whose products stay within 0.5 and 2."""
    w = torch.empty(shape, dtype=torch.float64).uniform_(-1, 1, generator=torch.Generator().manual_seed(seed)).exp2_()
    x = w.clone()
    x.narrow(dim, 1, shape[dim] - 1).div_(w.narrow(dim, 0, shape[dim] - 1))
    return x.to(dtype)
