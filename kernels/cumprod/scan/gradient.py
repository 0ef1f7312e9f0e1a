"""The gradient of a cumulative product: a linear recurrence, adjoint to that of the products."""

from collections.abc import Callable

import torch

from .chip import processors
from .choose import Call, gradient_choice
from .launches import Launch
from .linear_rows import linear_rows_form
from .linear_strips import linear_strips_form
from .shapes import lines_of

LINEAR_FORMS: dict[str, Callable[..., list[Launch]]] = {"rows": linear_rows_form, "strips": linear_strips_form}
"""Each takes bytes of an element, `outer`, `axis` and `inner`, flags, and settings; and returns what is to be launched
on the operands: factors, terms, products, results, and factors and states of chunks.
"""


def _launch(launches: list[Launch], *operands: torch.Tensor) -> None:
    for launch in launches:
        launch.run(*operands)


def linear(
    a: torch.Tensor,
    b: torch.Tensor,
    y: torch.Tensor | None,
    dim: int,
    *,
    adjoint: bool,
    form: str = "",
    **settings: int,
) -> torch.Tensor:
    """`recurrence`, each result times the element of `y` before it where there is one (1 before the first).

    `form` forces one: rows (for elements that lie beside each other) or strips. `settings` replace those that
    `gradient_choice` gives for it.

    Raises:
        ValueError: the tensors are not of one shape and one real dtype.
    """
    given = (a, b) if y is None else (a, b, y)
    if not b.is_floating_point() or any((t.shape, t.dtype, t.device) != (b.shape, b.dtype, b.device) for t in given):
        raise ValueError(f"wanted tensors of one shape and one real dtype, not {[(t.shape, t.dtype) for t in given]}")
    out = torch.empty(b.shape, dtype=b.dtype, device=b.device)
    axis, inner = lines_of(b.shape, dim)
    if not out.numel():
        return out
    outer = out.numel() // (axis * inner)
    chosen, defaults = gradient_choice(Call(outer, axis, inner, b.dtype, processors(b.device)))
    chosen, settings = form or chosen, {**defaults, **settings} if form in ("", chosen) else settings
    read = tuple(t.contiguous() for t in (a, b, b if y is None else y))
    of_form = (b.element_size(), (outer, axis, inner))
    flags = (adjoint, y is not None)
    states = out  # of which nothing is read: what comes before the first chunk is 0
    if settings["chunks"] > 1:
        factors, ends = torch.empty((2, outer, settings["chunks"], inner), dtype=torch.float64, device=b.device)
        _launch(LINEAR_FORMS[chosen](*of_form, (*flags, True), **settings), *read, out, factors, ends)
        states = recurrence(factors, ends, 1)
    _launch(LINEAR_FORMS[chosen](*of_form, (*flags, False), **settings), *read, out, states, states)
    return out


def recurrence(a: torch.Tensor, b: torch.Tensor, dim: int, *, adjoint: bool = False) -> torch.Tensor:
    """h[k] = a[k] h[k-1] + b[k] along `dim`, from 0; adjoint, its transpose as a map of b: h[k] = a[k+1] h[k+1] + b[k].

    It is formed in float64, and never divides: zeros need no care. Elements are joined in the same order call after
    call. Of segments whose factors multiply to more than 1.7e308 or less than float64 holds, the product is cut there:
    a state that comes into one and is not 0 may come out wrong. From an infinite factor on, results are not finite,
    but infinity and NaN may stand for each other.

    Raises:
        ValueError: the tensors are not of one shape and one real dtype.
    """
    return linear(a, b, None, dim, adjoint=adjoint)


def gradient(x: torch.Tensor, y: torch.Tensor, g: torch.Tensor, dim: int) -> torch.Tensor:
    """dL/dx of y = cumprod(x, dim), for g = dL/dy: y[k-1] times the adjoint `recurrence` of x and g at k.

    Raises:
        ValueError: the tensors are not of one shape and one real dtype.
    """
    return linear(x, g, y, dim, adjoint=True)
