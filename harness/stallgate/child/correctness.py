"""Is an output right, every element of it?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch

ExpectedPart = tuple[tuple[slice, ...], torch.Tensor]
"""Slices into the output, and the right elements there, in the output's own dtype."""


class Rule(NamedTuple):
    """How far an output may be from what is right. All bounds that are given have to hold."""

    rtol: float = 0.0
    """Per element, relative to the right one."""
    atol: float = 0.0
    """Per element, absolute; the two are added up."""
    norm: float | None = None
    """Of the Euclidean norm of all errors, relative to that of the right output."""
    of_norm_only: bool = False
    """Whether elements may be anything as long as the norm holds."""
    floor: float = 0.0
    """Per element, absolute, and half of it per element in the norm: below this the dtype has no relative precision."""

    @property
    def is_exact(self) -> bool:
        """Whether nothing but the right output will do."""
        return not (self.rtol or self.atol or self.norm or self.floor)

    def __str__(self) -> str:
        """The rule in words."""
        if self.is_exact:
            return "exact"
        elements = [] if self.of_norm_only else [f"rtol {self.rtol:.3g}", f"atol {self.atol:.3g}"]
        return ", ".join(elements + ([f"norm {self.norm:.3g}"] if self.norm is not None else []))


class ExpectedOutput(NamedTuple):
    """One right output: its parts, which together cover it, and how far from it a variant's may be."""

    parts: Iterable[ExpectedPart]
    rule: Rule
    trusted: torch.Tensor | None = None
    """Where elements are compared; None: everywhere."""
    not_finite_alike: bool = False
    """Whether NaN and the infinities stand for each other: which of them comes of an infinity depends on the order of
    steps, such as when a maximum is subtracted."""


class ComparedOutput(NamedTuple):
    """What came of comparing an output."""

    fault: str | None
    """What is wrong with it, in a sentence; None if nothing is."""
    used: float = 0.0
    """The largest error as a fraction of what is tolerated."""
    nbytes: int = 0


class _Part(NamedTuple):
    """Wrong elements of a part: how many, and the first in words; and the errors of all of its elements."""

    wrong: int = 0
    first: str = ""
    used: float = 0.0
    error: float = 0.0
    """The Euclidean norm of all errors."""
    size: float = 0.0
    """That of the right elements."""
    elements: int = 0
    """How many those are."""


def compare_output(output: torch.Tensor, expected: ExpectedOutput) -> ComparedOutput:
    """Compares an output with what is right, element by element.

    Args:
        output: what the variant returned.
        expected: the right result.
    """
    covered, found = 0, []
    for index, want in expected.parts:
        got = output[index] if len(index) <= output.dim() else output
        if got.shape != want.shape or got.dtype != want.dtype:
            return ComparedOutput(f"it returned {_form(got)}; expected {_form(want)}")
        covered += want.numel()
        found.append(_compared(got, want, expected, index))
    if covered != output.numel():
        return ComparedOutput(f"it returned {output.numel()} elements; expected {covered}")
    used = max((part.used for part in found), default=0.0)
    wrong = sum(part.wrong for part in found)
    if wrong:
        first = next(part.first for part in found if part.wrong)
        return ComparedOutput(f"{wrong} of {covered} elements are wrong; the first: {first}", used)
    in_norm = _norm_used(found, expected.rule)
    if not in_norm <= 1:
        error = in_norm * (expected.rule.norm or 0.0)
        fault = f"its error in norm is {error:.3g} of the right output's; at most {expected.rule.norm:.3g} is tolerated"
        return ComparedOutput(fault, in_norm)
    return ComparedOutput(None, max(used, in_norm), output.nbytes)


def _norm_used(parts: list[_Part], rule: Rule) -> float:
    """The error in norm as a fraction of what is tolerated; 0 where the rule has no norm."""
    if rule.norm is None:
        return 0.0
    error, size = math.hypot(*(part.error for part in parts)), math.hypot(*(part.size for part in parts))
    allowed = rule.norm * size + 0.5 * rule.floor * math.sqrt(sum(part.elements for part in parts))
    return error / allowed if allowed > 0 else (0.0 if error == 0 else math.inf)


def _compared(got: torch.Tensor, want: torch.Tensor, expected: ExpectedOutput, index: tuple[slice, ...]) -> _Part:
    """A part, in pieces of bounded memory."""
    trusted = expected.trusted[index] if expected.trusted is not None else None
    if got.is_floating_point() and got.dtype.itemsize == 1:  # torch compares none of these
        got, want = got.float(), want.float()
    if trusted is None and expected.rule.norm is None:
        used = _relative_error(got, want, expected.rule.rtol)
        if used is not None:
            return _Part(used=used)
    return _by_elements(got, want, expected._replace(trusted=trusted), index)


def _relative_error(got: torch.Tensor, want: torch.Tensor, tolerance: float) -> float | None:
    """The largest relative error as a fraction of the tolerance, if all elements are within it.

    None if they are not, or if a 0, infinity or NaN needs the longer check. It passes over the memory three times, the
    longer check ten times. The quotient is formed in float64 if float32 is too coarse for the tolerance.
    """
    if got.numel() == 0 or not got.is_floating_point() or tolerance == 0:
        return 0.0 if torch.equal(got, want) else None
    wide = torch.float32 if got.dtype.itemsize <= 4 and tolerance > COARSEST else torch.float64
    least, most = got.to(wide, copy=True).div_(want).aminmax()
    slack = tolerance - torch.finfo(wide).eps
    if not (1 - slack <= least.item() and most.item() <= 1 + slack):
        return None
    return max(1 - float(least), float(most) - 1) / tolerance


def _by_elements(got: torch.Tensor, want: torch.Tensor, expected: ExpectedOutput, index: tuple[slice, ...]) -> _Part:
    """A part, element by element, some rows of it at a time."""
    rows = max(1, _LARGEST_PIECE // max(1, want.numel() // max(1, want.shape[0]))) if want.dim() else 1
    pieces = want.split(rows) if want.dim() else (want,)
    found, start = [], 0
    for piece in pieces:
        stop = start + (piece.shape[0] if want.dim() else 0)
        where = slice(start, stop) if want.dim() else ...
        trusted = expected.trusted[where] if expected.trusted is not None else None
        found.append(_piece(got[where], piece, expected._replace(trusted=trusted), (index, start)))
        start = stop
    return _Part(
        wrong=sum(part.wrong for part in found),
        first=next((part.first for part in found if part.wrong), ""),
        used=max((part.used for part in found), default=0.0),
        error=math.hypot(*(part.error for part in found)),
        size=math.hypot(*(part.size for part in found)),
        elements=sum(part.elements for part in found),
    )


def _piece(got: torch.Tensor, want: torch.Tensor, expected: ExpectedOutput, at: tuple[tuple[slice, ...], int]) -> _Part:
    """A NaN wants a NaN, an infinity itself; everything else is held to the rule."""
    rule, trusted, differs = expected.rule, expected.trusted, got != want
    if trusted is not None:
        differs &= trusted
    if rule.is_exact and not (got.is_floating_point() or got.is_complex()):
        return _Part(int(differs.count_nonzero()), _first(differs, got, want, *at) if differs.any() else "")
    finite = want.isfinite() if trusted is None else want.isfinite() & trusted
    size, error = _double(want).abs(), (_double(got) - _double(want)).abs()
    allowed = (size * rule.rtol).add_(rule.atol + rule.floor)
    used = (error / allowed).masked_fill_(error == 0, 0.0)
    differs &= ~(got.isnan() & want.isnan())
    if expected.not_finite_alike:
        differs &= got.isfinite() | want.isfinite()
    bad = differs & ~(finite & got.isfinite())
    if not rule.of_norm_only:
        bad |= differs & ~(used <= 1)
    ordinary = finite & got.isfinite()
    has_norm, count = rule.norm is not None, int(bad.count_nonzero())
    return _Part(
        wrong=count,
        first=_first(bad, got, want, *at) if count else "",
        used=float(used[ordinary].max()) if not rule.of_norm_only and bool(ordinary.any()) else 0.0,
        error=_euclidean(error[ordinary]) if has_norm else 0.0,
        size=_euclidean(size[ordinary]) if has_norm else 0.0,
        elements=int(ordinary.count_nonzero()) if has_norm else 0,
    )


def _euclidean(magnitudes: torch.Tensor) -> float:
    """The Euclidean norm of finite magnitudes, whose squares may overflow. They are overwritten."""
    largest = float(magnitudes.max()) if magnitudes.numel() else 0.0
    return largest * math.sqrt(float(magnitudes.div_(largest).square_().sum())) if largest > 0 else 0.0


# --- rules ------------------------------------------------------------------------------------------------------------

_TORCH_RTOL = {
    "bfloat16": 1.6e-2,
    "float16": 1e-3,
    "float32": 1.3e-6,
    "float64": 1e-7,
    "complex64": 1.3e-6,
    "complex128": 1e-7,
}
"""Those of ``torch.testing`` by dtype; of other dtypes, twice their spacing."""

_ATOL_OF_RMS = {
    "bfloat16": 2.4e-2,
    "float16": 3e-3,
    "float32": 1e-4,
    "float64": 1e-10,
    "complex64": 1e-4,
    "complex128": 1e-10,
}
"""Per element, relative to the root mean square of the right output, where ``torch.testing`` takes a fixed number: sums
that cancel keep the error of their terms. About six times what the norm tolerates on average, as the largest of
millions of errors is; 3 spacings of a half type."""

_NORM = {
    "bfloat16": 3.9e-3,
    "float16": 4.9e-4,
    "float32": 1e-5,
    "float64": 1e-10,
    "complex64": 1e-5,
    "complex128": 1e-10,
}
"""Half a spacing of a half type: one rounding of the result, and one of each term, lie within; sums that are formed in
the half type do not. Of float32, 100 roundings: a term in TF32 or a half type does not lie within."""


_WIDEST = 4.0
"""How much wider a rule may become for the reference's own errors: what is worse is no measure of what is right."""


def default_rule(want: torch.Tensor, own: torch.Tensor | None = None) -> Rule:
    """How far a variant's output may be from a right one where the problem does not say.

    ``rtol`` is that of ``torch.testing`` for the dtype, and ``atol`` relative to the output's root mean square. The
    error in norm is bounded as well, because elements alone would let sums in a half type pass. Integers are exact.

    Three things make it wider. The largest element may be rounded the other way, which counts in the norm where there
    are few elements, or one that dominates. Numbers below the dtype's normal ones have no relative precision: they may
    be two spacings away (and zero, where the dtype has the range of float32: GPUs flush them). And a variant is not
    held to more than the reference keeps by itself: where that rounds between its steps, its own error, and half as
    much again, is tolerated, up to four times the rule.

    Args:
        want: what is right.
        own: what the reference makes of the inputs in their own dtypes.
    """
    if not (want.is_floating_point() or want.is_complex()):
        return Rule()
    name = str(want.dtype).removeprefix("torch.")
    limits = torch.finfo(want.dtype)
    largest, rms = _magnitudes(want)
    share = largest / rms / math.sqrt(want.numel()) if rms > 0 else 0.0
    rule = Rule(
        rtol=_TORCH_RTOL.get(name, 2 * limits.eps),
        atol=_ATOL_OF_RMS.get(name, 3 * limits.eps) * rms,
        norm=math.hypot(_NORM.get(name, limits.eps / 2), limits.eps * share),
        floor=limits.tiny if limits.tiny < _FLUSHED else 2 * limits.tiny * limits.eps,
    )
    return rule if own is None else _widened_for(rule, want, own)


_FLUSHED = 1e-30
"""Dtypes whose smallest normal numbers lie below this have the range of float32 or more."""


def _widened_for(rule: Rule, want: torch.Tensor, own: torch.Tensor) -> Rule:
    """The rule, wide enough for what the reference computes in its own dtypes."""
    part = _compared(own, want, ExpectedOutput([], rule), ())
    by_elements, by_norm = (min(_WIDEST, max(1.0, 1.5 * used)) for used in (part.used, _norm_used([part], rule)))
    return rule._replace(rtol=rule.rtol * by_elements, atol=rule.atol * by_elements, norm=(rule.norm or 0.0) * by_norm)


def written_rule(table: dict[str, Any]) -> Rule:
    """The rule of a tolerance in a project's file."""
    if table.get("norm") is not None:
        return Rule(norm=float(table["norm"]), of_norm_only=True)
    return Rule(rtol=float(table.get("rtol") or 0.0), atol=float(table.get("atol") or 0.0))


def _magnitudes(tensor: torch.Tensor) -> tuple[float, float]:
    """The largest finite magnitude, and the root mean square; 0 where nothing is finite."""
    largest, norm, count = 0.0, 0.0, 0
    for piece in tensor.flatten().split(_LARGEST_PIECE):
        finite = _double(piece).abs()
        finite = finite[finite.isfinite()]
        largest = max(largest, float(finite.max())) if finite.numel() else largest
        norm, count = math.hypot(norm, _euclidean(finite)), count + finite.numel()
    return largest, norm / math.sqrt(count) if count else 0.0


def agree(got: torch.Tensor, want: torch.Tensor, rule: Rule) -> torch.Tensor:
    """Where two tensors of one form agree by a rule's bounds for elements."""
    if not (got.is_floating_point() or got.is_complex()):
        return got == want
    wide, right = _double(got), _double(want)
    close = (wide - right).abs() <= right.abs().mul_(rule.rtol).add_(rule.atol + rule.floor)
    return (close & right.isfinite()) | (wide == right) | (wide.isnan() & right.isnan())


# --- tensors ----------------------------------------------------------------------------------------------------------


def returned_fault(output: Any, device: str) -> str | None:
    """Why what a variant returned is not an output, in a sentence; None if it is a plain tensor on its device.

    A class derived from torch's could compute when it is looked at.
    """
    if type(output) is not torch.Tensor:
        return f"it returned {type(output).__name__}, not a tensor"
    if output.layout != torch.strided:
        return f"it returned a tensor of layout {str(output.layout).removeprefix('torch.')}, not a dense one"
    if output.device.type != device:
        return f"it returned a tensor on {output.device.type}, not on {device}"
    return None


def flat_outputs(returned: object) -> list[object]:
    """The outputs in what a call returned: a tensor, or tuples, lists and tables of them. None is no output."""
    if isinstance(returned, dict):
        returned = list(returned.values())
    if isinstance(returned, (tuple, list)):
        return [output for part in returned for output in flat_outputs(part)]
    return [] if returned is None else [returned]


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


def is_same_tensor(output: Any, other: torch.Tensor) -> bool:
    """Whether an output is another tensor: the object itself, or one that lies in the same place in the same form."""
    if output is other:
        return True
    is_plain = type(output) is torch.Tensor and output.layout == torch.strided and output.device == other.device
    return is_plain and output.numel() > 0 and is_same_place(output, other)


def is_same_place(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two dense tensors lie in the same place in the same form."""
    forms = [(each.data_ptr(), each.dtype, each.shape, each.stride()) for each in (one, other)]
    return forms[0] == forms[1]


def shares_memory(output: Any, other: Any) -> bool:
    """Whether what a variant returned lies in the memory of a tensor, in whole or in part, however it came by it."""
    if not all(isinstance(each, torch.Tensor) and each.layout == torch.strided for each in (output, other)):
        return False
    if output.numel() == 0 or other.numel() == 0 or output.device != other.device:
        return False
    (begin, end), (start, stop) = _extent(output), _extent(other)
    return begin < stop and start < end


def _extent(tensor: torch.Tensor) -> tuple[int, int]:
    """The addresses of a tensor's first byte, and behind its last."""
    span = 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + span * tensor.element_size()


COARSEST = 1e-6
"""The tolerance above which quotients in float32 will do: their own rounding is a tenth of it."""

_LARGEST_PIECE = 2**25
"""Elements that are compared at a time."""

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _form(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _double(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in 64 bits, which can be worked on in place; `double()` of what is float64 would be the tensor itself."""
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64, copy=True)


def _first(bad: torch.Tensor, got: torch.Tensor, want: torch.Tensor, index: tuple[slice, ...], row: int) -> str:
    flat = int(bad.flatten().to(torch.uint8).argmax())
    place = [int(axis) for axis in torch.unravel_index(torch.tensor(flat), bad.shape)]
    if place:
        place[0] += row
    for axis, part in enumerate(index):
        place[axis] += part.start or 0
    return f"{place} is {got.flatten()[flat].item()!r}, expected {want.flatten()[flat].item()!r}"
