"""When a linear recurrence, or the gradient of a cumulative product, is right: said once for CPU and GPU.

An element is right within a rounding to its dtype, and the error of float64, of what a serial recurrence in float64
gives. The latter error is relative to the sum of its terms' sizes, since they may cancel. It is not finite where that
is not; NaN where that is NaN, but if the data hold infinities, NaN and infinity may stand for each other.
"""

from __future__ import annotations

import math

import torch


def recurred(a: torch.Tensor, b: torch.Tensor, dim: int, *, adjoint: bool) -> torch.Tensor:
    """h[k] = a[k] h[k-1] + b[k], or h[k] = a[k+1] h[k+1] + b[k], one after the other in float64."""
    if not b.dim():
        return b.double()
    a, h = a.double().movedim(dim, 0), b.double().movedim(dim, 0).clone()
    places = range(len(h) - 2, -1, -1) if adjoint else range(1, len(h))
    for k in places:
        factor, former = (a[k + 1], h[k + 1]) if adjoint else (a[k], h[k - 1])
        h[k].addcmul_(factor, former)
    return h.movedim(0, dim)


def before(y: torch.Tensor, dim: int) -> torch.Tensor:
    """In float64 what stands before each element; 1 before the first."""
    if not y.dim():
        return torch.ones_like(y, dtype=torch.float64)
    shifted = y.double().roll(1, dim)
    shifted.select(dim, 0).fill_(1)
    return shifted


def verdict(
    got: torch.Tensor, a: torch.Tensor, b: torch.Tensor, y: torch.Tensor | None, dim: int, *, adjoint: bool
) -> str:
    """What is wrong with a recurrence, times what stands before it in `y` if there is one; empty where nothing is."""
    if (got.shape, got.dtype, got.is_contiguous()) != (b.shape, b.dtype, True):
        return f"{got.dtype} of {list(got.shape)}, contiguous: {got.is_contiguous()}"
    times = torch.ones_like(b, dtype=torch.float64) if y is None else before(y, dim)
    want = times * recurred(a, b, dim, adjoint=adjoint)
    size = times.abs() * recurred(a.abs(), b.abs(), dim, adjoint=adjoint)
    infinite = a.isinf() | b.isinf() | times.isinf()
    if b.dim():
        infinite = infinite.any(dim, keepdim=True)
    return difference(got, want, size, b.shape[dim] if b.dim() else 1, infinite)


def difference(got: torch.Tensor, want: torch.Tensor, size: torch.Tensor, n: int, infinite: torch.Tensor) -> str:
    """Where `got` is not the float64 result `want` of `n` steps, whose terms are of a size; empty if nowhere.

    `infinite` says where data of the sequence are.
    """
    kind, exact = torch.finfo(got.dtype), torch.finfo(torch.float64)
    rounded = want.to(got.dtype)
    bound = kind.eps * want.abs() + max(84, 4 * math.sqrt(n)) * exact.eps * size + kind.smallest_normal * kind.eps
    near = ((got.double() - want).abs() <= bound) & rounded.isfinite()
    alike = torch.where(infinite, ~(got.isfinite() | rounded.isfinite()), got.isnan() & want.isnan())
    bad = ~(near | (got == rounded) | alike)
    if not bad.any():
        return ""
    first = tuple(bad.nonzero()[0].tolist())
    return (
        f"{int(bad.sum())} of {bad.numel()} wrong, first {list(first)}: {got[first].item()!r}, not {want[first].item()}"
    )
