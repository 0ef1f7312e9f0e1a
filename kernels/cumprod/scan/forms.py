"""The forms by name, and cumulative products in the one that suits a call."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from .chip import generation, processors, program_memory
from .choose import Call, choice
from .launches import Task, Work
from .lines import lines_form, whole_lines_form
from .rows import rows_form
from .shapes import lines_of, readable, result_dtype
from .short import short_form
from .strips import strips_form
from .tiles import tiles_form

FORMS: dict[str, Callable[..., Work]] = {
    "rows": rows_form,
    "short": short_form,
    "strips": strips_form,
    "tiles": tiles_form,
    "lines": lines_form,
    "whole_lines": whole_lines_form,
}
"""Each takes a task and settings, and returns what is to be launched."""

BESIDE = {"rows", "short", "whole_lines"}
"""Forms for sequences whose elements lie beside each other."""


class Prepared(NamedTuple):
    """A call before its launches: what they read, what they fill, and the launches."""

    x: torch.Tensor
    y: torch.Tensor
    work: Work


def prepared(x: torch.Tensor, dim: int, *, form: str = "", **settings: int) -> Prepared:
    """The work of torch.cumprod(x, dim), as yet undone; arguments are those of `products`."""
    y = torch.empty(x.shape, dtype=result_dtype(x.dtype), device=x.device)
    axis, inner = lines_of(x.shape, dim)
    if not y.numel():
        return Prepared(x, y, Work([]))
    if axis == 1:  # each element is a product of its own, wherever the next of its sequence would be
        inner = 1
    outer = y.numel() // (axis * inner)
    if form and (form not in FORMS or (form in BESIDE and inner > 1)):
        raise ValueError(f"form {form!r} is not for elements {inner} apart: take one of {', '.join(FORMS)}")
    gpu = (processors(x.device), program_memory(x.device), generation(x.device))
    chosen, defaults = choice(Call(outer, axis, inner, y.dtype, *gpu), form)
    read = readable(x)
    return Prepared(read, y, FORMS[chosen](Task(read, y, outer, axis, inner), **{**defaults, **settings}))


def products(x: torch.Tensor, dim: int, *, form: str = "", **settings: int) -> torch.Tensor:
    """torch.cumprod(x, dim), the same bits call after call.

    `form` forces one: rows, short or whole_lines (for elements that lie beside each other), strips, tiles or lines.
    `settings` replace those that `choice` gives for it.

    Raises:
        ValueError: there is no such form, or it is not for such a dimension.
    """
    with torch.cuda.device_of(x):  # kernels are launched on the current device
        call = prepared(x, dim, form=form, **settings)
        call.work.run(call.x, call.y)
    return call.y
