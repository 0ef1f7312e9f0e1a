"""Is an output right, every element of it?"""

from __future__ import annotations

from collections.abc import Iterable

import torch

Part = tuple[tuple[slice, ...], torch.Tensor]
"""Slices into the output, and what stands there if it is right, in the output's own dtype."""


def fault(output: object, parts: Iterable[Part], tolerance: float) -> str | None:
    """What is wrong with an output, in a sentence; None where nothing is.

    Args:
        output: what the variant returned.
        parts: the right result, part by part; together they cover the output.
        tolerance: relative, of each element; 0 for exact.
    """
    # A class of its own could compute when it is looked at.
    if not isinstance(output, torch.Tensor) or type(output) is not torch.Tensor:
        return f"it returned {type(output).__name__}, not a tensor"
    covered = wrong = 0
    first = ""
    for index, want in parts:
        got = output[index] if len(index) <= output.dim() else output
        if got.shape != want.shape or got.dtype != want.dtype:
            return f"it returned {_form(got)} where {_form(want)} is right"
        covered += want.numel()
        if _is_close(got, want, tolerance):
            continue
        bad = _differs(got, want, tolerance)
        count = int(bad.count_nonzero())
        if count and not wrong:
            first = _first(bad, got, want, index)
        wrong += count
    if covered != output.numel():
        return f"it returned {output.numel()} elements where {covered} are right"
    return f"{wrong} of {covered} elements are wrong; the first: {first}" if wrong else None


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


_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _form(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _is_close(got: torch.Tensor, want: torch.Tensor, tolerance: float) -> bool:
    """Whether all elements are within the tolerance. False also where a 0, infinity or NaN needs the longer look.

    It passes over the memory three times, the longer look ten times.
    """
    if got.numel() == 0 or not got.is_floating_point():
        return bool(torch.equal(got, want))
    least, most = _double(got).div_(want).aminmax()
    return bool(1 - tolerance <= least.item() and most.item() <= 1 + tolerance)


def _differs(got: torch.Tensor, want: torch.Tensor, tolerance: float) -> torch.Tensor:
    """Where elements differ by more than the tolerance; a NaN wants a NaN, an infinity itself."""
    bad = got != want
    if got.is_floating_point():
        error = _double(got).sub_(want).abs_()
        bad &= ~((error <= _double(want).abs_().mul_(tolerance)) & want.isfinite())
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
    return f"{place} is {got.flatten()[flat].item()!r} where {want.flatten()[flat].item()!r} is right"
