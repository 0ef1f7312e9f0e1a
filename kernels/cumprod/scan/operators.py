"""Cumulative products as torch's own operators: derivatives of any order and direction, torch.func, torch.compile."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import torch

from .gradient import gradient, recurrence
from .plan import Plan
from .private import (
    SingleLevelFunction,
    below_derivatives,
    forward_derivatives,
    is_untraced,
    may_derive_at_dispatcher,
    single_level,
)
from .shapes import result_dtype


def before(t: torch.Tensor, dim: int, first: float = 0) -> torch.Tensor:
    """For each element the one before it along `dim`, which counts from the front; `first` for the first."""
    along = (slice(None),) * dim
    return torch.cat([torch.full_like(t[(*along, slice(1))], first), t[(*along, slice(-1))]], dim)


def after(t: torch.Tensor, dim: int) -> torch.Tensor:
    """For each element the one after it along `dim`, which counts from the front; 0 for the last."""
    along = (slice(None),) * dim
    return torch.cat([t[(*along, slice(1, None))], torch.zeros_like(t[(*along, slice(1))])], dim)


class _Operator(SingleLevelFunction):
    """An operator of torch's with its derivatives. Each subclass has a `schema`, in which tensors come first.

    torch.library.register_autograd knows no forward mode, and torch.compile takes no autograd.Function that has one.
    So derivatives are attached where the former attaches them: at the dispatcher, which asks for them once for each
    level of torch.func's transforms.
    """

    schema: ClassVar[str]
    operator: ClassVar[Any]
    compute: ClassVar[Callable[..., torch.Tensor]]
    """The result for tensors of values only."""

    written: ClassVar[dict[Any, type["_Operator"]]] = {}
    """What operators were registered from."""

    @classmethod
    def derived(cls, *arguments: object) -> torch.Tensor:
        """The result, with its place in a graph of derivatives."""
        with single_level():
            return cls.apply(*arguments)

    @classmethod
    def forward(cls, *arguments: object) -> torch.Tensor:
        if _are_untraced(arguments):
            return cls.compute(*arguments)
        # Levels above this one differentiate what is done here; a Function by itself would keep them from that.
        with torch.enable_grad(), forward_derivatives(), below_derivatives():
            return cls.operator(*arguments)

    @classmethod
    def fake(cls, x: torch.Tensor, *_: object) -> torch.Tensor:
        """What a result is like: the first tensor, but for integers."""
        return torch.empty(x.shape, dtype=result_dtype(x.dtype), device=x.device)

    @classmethod
    def batched(cls, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[torch.Tensor, int]:
        """All of a batch in one call: it becomes the first dimension."""
        tensors = [
            t.expand(info.batch_size, *t.shape) if place is None else t.movedim(place, 0)
            for t, place in zip(arguments, in_dims, strict=True)
            if isinstance(t, torch.Tensor)
        ]
        dim, *others = arguments[len(tensors) :]
        return cls.operator(*tensors, dim + 1, *others), 0


def _are_untraced(arguments: tuple[object, ...]) -> bool:
    """Whether all tensors among some arguments are untraced."""
    return all(is_untraced(each) for each in arguments if isinstance(each, torch.Tensor))


def _registered(written: type[_Operator]) -> Any:
    """The operator that a class describes, known to torch. It stands where the class stood."""
    library = _library()
    name = written.schema.partition("(")[0]
    library.define(written.schema, tags=(torch.Tag.pt2_compliant_tag,))
    written.operator = getattr(getattr(torch.ops, library.ns), name).default
    library.impl(name, written.compute, "CompositeExplicitAutograd")
    if may_derive_at_dispatcher:
        library.impl(name, written.derived, "Autograd")
    else:
        torch.library.register_autograd(
            f"{library.ns}::{name}", written.backward, setup_context=written.setup_context, lib=library
        )
    torch.library.register_fake(f"{library.ns}::{name}", written.fake, lib=library)
    torch.library.register_vmap(f"{library.ns}::{name}", written.batched, lib=library)
    _Operator.written[written.operator] = written
    return written.operator


def result_of(operator: Any, *arguments: object) -> torch.Tensor:
    """An operator's result. It goes past torch's dispatcher where that has nothing to do but to derive."""
    is_direct = may_derive_at_dispatcher and _are_untraced(arguments)
    call = _Operator.written[operator].apply if is_direct else operator
    result: torch.Tensor = call(*arguments)
    return result


@cache
def _library() -> torch.library.Library:
    """The namespace of these operators: their own each time that this code is loaded.

    Named after what is in its files: compiled code that torch keeps for later processes calls operators by name.
    """
    digest = sha256(b"".join(path.read_bytes() for path in _own_files())).hexdigest()[:16]
    for copy in count():
        try:
            return torch.library.Library(f"cumprod_scan_{digest}_{copy}", "DEF")
        except RuntimeError:  # another copy of these files has that name
            continue
    raise AssertionError("there is always a next number")


def _own_files() -> list[Path]:
    """The files that this code stands in: those of the package, or the one that the package was made into."""
    here = Path(__file__)
    is_package = here.name == "operators.py" and here.with_name("__init__.py").is_file()
    return sorted(here.parent.glob("*.py")) if is_package else [here]


@_registered
class Cumprod(_Operator):
    """y[k] = x[0] ... x[k]."""

    schema = "cumprod(Tensor x, int dim) -> Tensor"

    @staticmethod
    def compute(x: torch.Tensor, dim: int) -> torch.Tensor:
        return Plan.follow(x, dim)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        x, ctx.dim = inputs
        ctx.save_for_backward(x, output)
        ctx.save_for_forward(x, output)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, y = ctx.saved_tensors
        return result_of(Gradient, x, y, g, ctx.dim), None

    @staticmethod
    def jvp(ctx: Any, dx: torch.Tensor, *_: None) -> torch.Tensor:
        x, y = ctx.saved_tensors
        return result_of(Recurrence, x, dx * before(y, ctx.dim, 1), ctx.dim, False)


@_registered
class Gradient(_Operator):
    """dL/dx[k] = y[k-1] s[k], where s is the adjoint recurrence of x and g = dL/dy."""

    schema = "gradient(Tensor x, Tensor y, Tensor g, int dim) -> Tensor"

    @staticmethod
    def compute(x: torch.Tensor, y: torch.Tensor, g: torch.Tensor, dim: int) -> torch.Tensor:
        with torch.cuda.device_of(x):
            return gradient(x, y, g, dim)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:  # noqa: ARG004  (torch names it)
        *tensors, ctx.dim = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, v: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, y, g = ctx.saved_tensors
        s = result_of(Recurrence, x, g, ctx.dim, True)
        for_g = result_of(Recurrence, x, v * before(y, ctx.dim, 1), ctx.dim, False)
        return before(for_g, ctx.dim) * s, after(v * s, ctx.dim), for_g, None

    @staticmethod
    def jvp(ctx: Any, dx: torch.Tensor, dy: torch.Tensor, dg: torch.Tensor, _: None) -> torch.Tensor:
        x, y, g = ctx.saved_tensors
        s = result_of(Recurrence, x, g, ctx.dim, True)
        ds = result_of(Recurrence, x, dg + after(dx * s, ctx.dim), ctx.dim, True)
        return before(dy, ctx.dim) * s + before(y, ctx.dim, 1) * ds


@_registered
class Recurrence(_Operator):
    """h[k] = a[k] h[k-1] + b[k]; adjoint: h[k] = a[k+1] h[k+1] + b[k]. Its derivatives are recurrences again."""

    schema = "recurrence(Tensor a, Tensor b, int dim, bool adjoint) -> Tensor"

    @staticmethod
    def compute(a: torch.Tensor, b: torch.Tensor, dim: int, adjoint: bool) -> torch.Tensor:
        with torch.cuda.device_of(a):
            return recurrence(a, b, dim, adjoint=adjoint)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        a, _, ctx.dim, ctx.adjoint = inputs
        ctx.save_for_backward(a, output)
        ctx.save_for_forward(a, output)

    @staticmethod
    def backward(ctx: Any, v: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        a, h = ctx.saved_tensors
        for_b = result_of(Recurrence, a, v, ctx.dim, not ctx.adjoint)
        for_a = before(for_b, ctx.dim) * h if ctx.adjoint else for_b * before(h, ctx.dim)
        return for_a, for_b, None, None

    @staticmethod
    def jvp(ctx: Any, da: torch.Tensor, db: torch.Tensor, *_: None) -> torch.Tensor:
        a, h = ctx.saved_tensors
        through_a = after(da * h, ctx.dim) if ctx.adjoint else da * before(h, ctx.dim)
        return result_of(Recurrence, a, db + through_a, ctx.dim, ctx.adjoint)
