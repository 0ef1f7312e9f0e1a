"""Is an output right, every element of it?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch

ExpectedPart = tuple[tuple[slice, ...], torch.Tensor]
"""Slices into the output, and the right elements there, in the output's own dtype."""


class _Finding(NamedTuple):
    """Wrong elements of a part: how many, and the first in words."""

    wrong: int
    first: str


Allowed = float | dict[str, float]
"""The relative error of an element, 0 for exact; or ``rtol`` and ``atol``, which add up."""


def fault(output: torch.Tensor, parts: Iterable[ExpectedPart], tolerance: Allowed) -> str | None:
    """What is wrong with an output, in a sentence; None if nothing is.

    Args:
        output: what the variant returned.
        parts: the right result, part by part; together they cover the output.
        tolerance: the error that each element may have.
    """
    covered, findings = 0, []
    for index, want in parts:
        got = output[index] if len(index) <= output.dim() else output
        if got.shape != want.shape or got.dtype != want.dtype:
            return f"it returned {_form(got)}; expected {_form(want)}"
        covered += want.numel()
        findings += _wrong_elements(got, want, tolerance, index)
    if covered != output.numel():
        return f"it returned {output.numel()} elements; expected {covered}"
    if not findings:
        return None
    wrong = sum(finding.wrong for finding in findings)
    return f"{wrong} of {covered} elements are wrong; the first: {findings[0].first}"


def _wrong_elements(
    got: torch.Tensor, want: torch.Tensor, tolerance: Allowed, index: tuple[slice, ...]
) -> list[_Finding]:
    """The finding of a part; none where it is right."""
    relative, absolute = (tolerance["rtol"], tolerance["atol"]) if isinstance(tolerance, dict) else (tolerance, 0.0)
    if _is_close(got, want, relative):
        return []
    bad = _differs(got, want, relative, absolute)
    count = int(bad.count_nonzero())
    return [_Finding(count, _first(bad, got, want, index))] if count else []


def returned_fault(output: object) -> str | None:
    """Why a variant's return value is not an output, in a sentence; None if it is a plain tensor.

    A class derived from torch's could compute when it is looked at.
    """
    return None if type(output) is torch.Tensor else f"it returned {type(output).__name__}, not a tensor"


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two flat tensors of one dtype hold the same bits; they can be on different devices.

    It takes an eighth of their memory at most.
    """
    as_integers = _BITS.get(one.dtype.itemsize, torch.uint8)
    pairs = zip(one.view(as_integers).split(2**28), other.view(as_integers).split(2**28), strict=True)
    return all(torch.equal(ours, theirs.to(ours.device)) for ours, theirs in pairs)


def checksums(tensors: Iterable[torch.Tensor]) -> list[int]:
    """Two sums over the bits of each tensor, of all its elements and of every second one; they cost it no memory."""
    views = [tensor.contiguous().view(_BITS.get(tensor.dtype.itemsize, torch.uint8)).flatten() for tensor in tensors]
    return [int(part.sum(dtype=torch.int64)) for view in views for part in (view, view[::2])]


def shares_memory(output: object, other: torch.Tensor | None) -> bool:
    """Whether what a variant returned lies in the memory of a tensor, in whole or in part."""
    if not isinstance(output, torch.Tensor) or not isinstance(other, torch.Tensor):
        return False
    storage, known = output.untyped_storage(), other.untyped_storage()
    return bool(storage.nbytes() > 0 and storage.data_ptr() == known.data_ptr())


COARSEST = 1e-6
"""The tolerance above which quotients in float32 will do: their own rounding is a tenth of it."""

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _form(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _is_close(got: torch.Tensor, want: torch.Tensor, tolerance: float) -> bool:
    """Whether all elements are within the tolerance. False also if a 0, infinity or NaN needs the longer check.

    It passes over the memory three times, the longer check ten times. The quotient is formed in float64 if float32 is
    too coarse for the tolerance.
    """
    if got.numel() == 0 or not got.is_floating_point():
        return bool(torch.equal(got, want))
    wide = torch.float32 if got.dtype.itemsize <= 4 and tolerance > COARSEST else torch.float64
    least, most = got.to(wide, copy=True).div_(want).aminmax()
    slack = tolerance - torch.finfo(wide).eps
    return bool(1 - slack <= least.item() and most.item() <= 1 + slack)


def _differs(got: torch.Tensor, want: torch.Tensor, tolerance: float, absolute: float = 0.0) -> torch.Tensor:
    """Where elements differ by more than the tolerance; a NaN wants a NaN, an infinity itself."""
    bad = got != want
    if got.is_floating_point():
        error = _double(got).sub_(want).abs_()
        bad &= ~((error <= _double(want).abs_().mul_(tolerance).add_(absolute)) & want.isfinite())
        bad &= ~(got.isnan() & want.isnan())
    return bad


def _double(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in float64, which can be worked on in place; `double()` of what is float64 would be the tensor itself."""
    return tensor.to(torch.float64, copy=True)


def _first(bad: torch.Tensor, got: torch.Tensor, want: torch.Tensor, index: tuple[slice, ...]) -> str:
    flat = int(bad.flatten().to(torch.uint8).argmax())
    place = [int(axis) for axis in torch.unravel_index(torch.tensor(flat), bad.shape)]
    for axis, part in enumerate(index):
        place[axis] += part.start or 0
    return f"{place} is {got.flatten()[flat].item()!r}, expected {want.flatten()[flat].item()!r}"
