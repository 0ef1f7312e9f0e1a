"""The gradient of a cumulative product: for which cotangents it is timed, and what is right."""

from collections.abc import Iterator

import torch

Part = tuple[tuple[slice, ...], torch.Tensor]


def get_gradient_inputs(
    inputs: list[torch.Tensor], *, zeros: int, seed: int, shape: list[int], dim: int, **_: object
) -> list[torch.Tensor]:
    """The reference's inputs with so many zeros in each sequence, evenly spread, and a cotangent of the result.

    The cotangent has the signs of the products of what is not zero: nothing cancels in the gradient, so that the
    relative error of each of its elements means something.
    """
    (x,) = inputs
    for number in range(zeros):
        x.select(dim, (2 * number + 1) * shape[dim] // (2 * zeros)).zero_()
    g = torch.empty_like(x).uniform_(0.5, 1, generator=torch.Generator(x.device).manual_seed(seed))
    for index in _sequences(shape, dim):
        g[index].copysign_(torch.cumprod(x[index].masked_fill(x[index] == 0, 1).sign_(), dim))
    return [x, g]


def expected_gradient(
    inputs: list[torch.Tensor], cotangent: torch.Tensor, *, shape: list[int], dim: int, dtype: str
) -> Iterator[Part]:
    """The true gradient of the input for such a cotangent, formed in float64, part by part.

    It is the product before k times the sum, over j from k to the next zero, of g_j and the factors after k. With p,
    the products of what is not zero, that sum is one over g p, from k to the next zero, over p_k.
    """
    for index in _sequences(shape, dim):
        x = inputs[0][index].double()
        zero = x == 0
        p = torch.cumprod(x.masked_fill(zero, 1), dim)
        sums = torch.cumsum((cotangent[index] * p).flip(dim), dim)  # from the end; all terms are positive
        beyond = torch.cummax(sums.masked_fill(~zero.flip(dim), 0), dim).values
        sums -= _shifted(beyond, dim, 0)
        yield index, sums.flip(dim).div_(p).mul_(_shifted(torch.cumprod(x, dim), dim, 1)).to(getattr(torch, dtype))


def _shifted(x: torch.Tensor, dim: int, first: float) -> torch.Tensor:
    """Each element one place further along its sequence, behind a first one."""
    lead = torch.full_like(x.narrow(dim, 0, 1), first)
    return torch.cat([lead, x.narrow(dim, 0, x.shape[dim] - 1)], dim)


def _sequences(shape: list[int], dim: int, *, limit: int = 2**27) -> Iterator[tuple[slice, ...]]:
    """Cuts a tensor along its longest other axis, into parts of about `limit` elements."""
    others = [axis for axis in range(len(shape)) if axis != dim % len(shape)]
    if not others:
        yield (slice(None),)
        return
    axis = max(others, key=lambda other: shape[other])
    step = max(1, limit * shape[axis] // max(1, torch.Size(shape).numel()))
    for start in range(0, shape[axis], step):
        yield (*[slice(None)] * axis, slice(start, start + step))
