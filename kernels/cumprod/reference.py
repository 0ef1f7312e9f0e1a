"""Cumulative product along one dimension: what is computed, on which data, and when a result is right."""

import math
import random
from collections.abc import Iterator
from functools import partial
from itertools import pairwise, product

import torch
from torch import nn

Part = tuple[tuple[slice, ...], torch.Tensor]


class Model(nn.Module):
    """The reference in KernelBench's form."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cumprod(x, dim=self.dim)


def get_init_inputs(*, dim: int, **_: object) -> list[int]:
    """Arguments of Model."""
    return [dim]


def get_inputs(
    *, shape: list[int], dim: int, dtype: str, device: str, seed: int, data: str = "ratios"
) -> list[torch.Tensor]:
    """A fresh input. At most three tensors of its size live.

    The products of ``ratios``, the default, neither vanish nor grow, however long a sequence is. Uniform random numbers
    would not do alone: their products are 0 after about 100 factors, and a kernel that computes 100 columns and writes
    zeros would pass. They are what a user may well have, though, and so drawn workloads have other data too:

    * ``near 1``: products that wander between about 0.02 and 50.
    * ``decaying``: 0.9 to 1, as a decay has it. float32 products vanish after about 1,700 factors.
    * ``normal``: they vanish after about 140 factors.
    * ``uniform``: 0 to 1; they vanish after about 90 factors.
    """
    generator = torch.Generator(device).manual_seed(seed)
    kind = getattr(torch, dtype)
    if data != "ratios":
        return [_DATA[data](torch.empty(shape, dtype=kind, device=device), shape[dim] if shape else 1, generator)]
    if kind == torch.bool:
        return [_mostly_true(shape, dim, generator)]
    if not kind.is_floating_point:
        return [_odd_numbers(shape, kind, generator)]
    return [_ratios(shape, dim, kind, generator) if kind.itemsize > 2 else _exact_ratios(shape, dim, kind, generator)]


def small_arguments(*, shape: list[int], dim: int, dtype: str, **data: str) -> dict[str, object]:
    """A workload of this kind that is small and odd: sequences of 1021 elements, a prime."""
    small = [min(size, 3) for size in shape]
    if shape:
        small[dim] = 1021
    return {"shape": small, "dim": dim, "dtype": dtype, **data}


def get_special_inputs(
    *, shape: list[int], dim: int, dtype: str, device: str, seed: int, data: str = "ratios"
) -> dict[str, list[torch.Tensor]]:
    """Inputs with special factors in known places, by what is special about them.

    All have one right result: whoever multiplies one after the other in float32 finds what float64 finds. Among other
    data than ratios that would not be so: float64 still has a product where float32 has 0.
    """
    kind = getattr(torch, dtype)
    if not shape or not kind.is_floating_point or data != "ratios":
        return {}
    plain = partial(get_inputs, shape=shape, dim=dim, dtype=dtype, device=device)
    return {
        name: [_planted(*plain(seed=seed + number), dim, at)]
        for number, (name, at) in enumerate(_SPECIALS.items())
        if kind in (torch.float32, torch.bfloat16) or name in _IN_EVERY_TYPE
    }


def expected(inputs: list[torch.Tensor], *, shape: list[int], dim: int, dtype: str, **_: str) -> Iterator[Part]:
    """The true result, formed in 64 bits and rounded to its dtype, part by part with its place in the output."""
    kind = getattr(torch, dtype)
    wide = torch.float64 if kind.is_floating_point else torch.int64
    for index in _parts(shape, dim):
        yield index, torch.cumprod(inputs[0][index].to(wide), dim).to(_result_dtype(kind))


def expected_roof(inputs: list[torch.Tensor], *, shape: list[int], dim: int, dtype: str, **_: str) -> Iterator[Part]:
    """What the roof returns, part by part: the input in the result's dtype."""
    for index in _parts(shape, dim):
        yield index, inputs[0][index].to(_result_dtype(getattr(torch, dtype)))


def tolerance(*, shape: list[int], dim: int, dtype: str, data: str = "ratios") -> float | dict[str, float]:
    """The largest relative error of a right element: what n roundings in any order add up to, and the result's own.

    Half types are multiplied in float32. Up to 441 factors, 84 roundings are allowed, which is 1e-5 in float32.
    Integers are exact.

    Where products vanish, an absolute error is allowed beside it (``rtol`` and ``atol``). A right kernel has to be
    allowed these errors:

    * Below t, the smallest normal number of the result's dtype, numbers no longer lie closer together, and a GPU may
      flush them to 0. The error is t at most.
    * The computing precision (float32 for half types) has its own t. A product that falls below it loses digits, and so
      does the product of a segment: it is off by t at most. That error is multiplied by later factors, and by the
      product before the segment. With factors of at most 1 it does not grow.
    * Products of normal factors grow at times. One may fall to t/100, lose its last digits there, and come back to t.
      E[x**2] = 1, so the chance that products grow by a factor of g from a given place is 1/g**2 at most. About 50
      places of a sequence are close enough to t to matter. Millions of sequences stay below g = 2**20.

    Elements well above the absolute error are held to the relative one as ever: in normal data 120 of the 140 that do
    not vanish. What a kernel does in longer sequences is seen on ``ratios``.
    """
    kind = getattr(torch, dtype)
    if not kind.is_floating_point:
        return 0.0
    computed = torch.finfo(torch.promote_types(kind, torch.float32))
    n = shape[dim] if shape else 1
    relative = max(84, 4 * math.sqrt(n)) * computed.eps + (torch.finfo(kind).eps if kind.itemsize == 2 else 0.0)
    if data not in _GROWTH:
        return relative
    return {"rtol": relative, "atol": max(torch.finfo(kind).smallest_normal, _GROWTH[data] * computed.smallest_normal)}


def needs(*, shape: list[int], dim: int, dtype: str, **_: str) -> dict[str, int]:  # noqa: ARG001  (a workload's arguments)
    """What any implementation has to do: read the input once, write the output once, form a product an element."""
    kind, elements = getattr(torch, dtype), math.prod(shape)
    return {"bytes": max(1, elements * (kind.itemsize + _result_dtype(kind).itemsize)), "flops": elements}


def draw(rng: random.Random, largest: int = 2**28) -> dict[str, object]:
    """Arguments of a workload that nobody chose: about 2**12 to ``largest`` elements, on a logarithmic scale.

    Sequences are many and short, few and long, or neither. Half of all sizes are multiples of 8 or powers of 2, as most
    tensors have them.
    """
    most = math.log2(largest)
    elements = rng.uniform(min(12.0, most), most)
    rank = rng.choice((1, 2, 2, 2, 2, 3, 3, 4))
    kinds = {"many short": rng.uniform(1, 9), "few long": elements - rng.uniform(0, 6), "any": rng.uniform(0, elements)}
    length = elements if rank == 1 else min(max(kinds[rng.choice(list(kinds))], 0.0), elements)
    cuts = sorted(rng.uniform(0, elements - length) for _ in range(rank - 2))
    ends = [0.0, *cuts, elements - length]
    others = [above - below for below, above in pairwise(ends)] if rank > 1 else []
    dim = rng.randrange(rank)
    shape = [_size(rng, exponent) for exponent in [*others[:dim], length, *others[dim:]]]
    dtype = rng.choice(("float32",) * 6 + ("float16", "bfloat16", "float64", "int64"))
    data = rng.choice(_DRAWN_DATA)
    if dtype == "int64" or (data == "near 1" and dtype not in ("float32", "float64")):
        data = "ratios"
    return {"shape": shape, "dim": dim - rank * rng.randrange(2), "dtype": dtype, "data": data}


def _size(rng: random.Random, exponent: float) -> int:
    """A size of about 2**exponent, never above."""
    size, form = 2**exponent, rng.randrange(4)
    if form == 0:
        return 2 ** int(exponent)
    return int(size) // 8 * 8 if form == 1 and size >= 8 else max(1, int(size))


def _result_dtype(kind: torch.dtype) -> torch.dtype:
    return kind if kind.is_floating_point else torch.int64


def _near_1(x: torch.Tensor, n: int, generator: torch.Generator) -> torch.Tensor:
    """Factors whose logarithms have a variance of 1/n: those of the products have 1 at most.

    Not for half types: they hold 1 and the next number below, but nothing closer, and rounded factors would drift.
    """
    width = math.sqrt(3 / max(n, 12))
    return x.uniform_(1 - width, 1 + width, generator=generator)


def _decaying(x: torch.Tensor, n: int, generator: torch.Generator) -> torch.Tensor:  # noqa: ARG001
    return x.uniform_(0.9, 1, generator=generator)


def _normal(x: torch.Tensor, n: int, generator: torch.Generator) -> torch.Tensor:  # noqa: ARG001
    return x.normal_(generator=generator)


def _uniform(x: torch.Tensor, n: int, generator: torch.Generator) -> torch.Tensor:  # noqa: ARG001
    return x.uniform_(generator=generator)


_DATA = {"near 1": _near_1, "decaying": _decaying, "normal": _normal, "uniform": _uniform}
"""Kind of data beside ``ratios`` -> fills a tensor, given the length of its sequences."""

_DRAWN_DATA = ("ratios", "ratios", "ratios", *_DATA)

_GROWTH = {"decaying": 1.0, "uniform": 1.0, "normal": 2.0**20}
"""Kind of data whose products vanish -> by how much they may still grow on their way."""


def _ratios(shape: list[int], dim: int, kind: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    """Factors w_k / w_(k-1), whose products are the w: log-uniform in 0.5 to 2, with random signs."""
    empty = partial(torch.empty, shape, dtype=kind, device=generator.device)
    sizes, signs = (empty().uniform_(-1, 1, generator=generator) for _ in range(2))
    return _quotients(sizes.exp2_().copysign_(signs), dim)


def _exact_ratios(shape: list[int], dim: int, kind: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    """Factors that a half type holds exactly: rounded ones would drift, by a factor of 3 in 2**20 of bfloat16.

    They are quotients of +-0.5, 1 and 2, so that products come back; 16 of them in a sequence are 0.75 or 1.25 times
    that, so that products have long mantissas to get wrong.
    """
    choice = torch.randint(0, 6, shape, dtype=torch.int8, device=generator.device, generator=generator)
    x = _quotients((choice % 3 - 1).to(kind).exp2_().mul_(1 - choice // 3 * 2), dim)
    if shape:
        few = x.transpose(dim, 0)[:: math.ceil(shape[dim] / 16) or 1]
        few *= torch.randint(0, 2, few.shape, dtype=kind, device=x.device, generator=generator).mul_(0.5).add_(0.75)
    return x


_LARGE, _SMALL = 2.0**100, 2.0**-100
_IN_EVERY_TYPE = ("zeros", "infinities and NaN")
_SPECIALS: dict[str, dict[int, list[float]]] = {
    "zeros": {300: [0.0], 700: [-0.0]},
    "infinities and NaN": {300: [math.inf], 600: [-math.inf], 800: [math.nan]},
    "large factors after a zero": {130: [0.0], 301: [_LARGE, -_LARGE], 600: [_LARGE, _LARGE]},
    "factors that overflow on their own": {at: [_SMALL, _LARGE, _LARGE, _SMALL] for at in (100, 255, 510, 800, 1003)},
    "factors that underflow on their own": {at: [_LARGE, _SMALL, _SMALL, _LARGE] for at in (100, 255, 510, 800, 1003)},
    "products that overflow": {500: [_LARGE, _LARGE]},
    "products that vanish": {500: [_SMALL, _SMALL]},
}
"""What is special -> place in the sequence -> factors from there on. Their powers of 2 are exact in every type."""


def _planted(x: torch.Tensor, dim: int, at: dict[int, list[float]]) -> torch.Tensor:
    for place, factors in at.items():
        for number, factor in enumerate(factors):
            x.select(dim, place + number).fill_(factor)
    return x


def _quotients(w: torch.Tensor, dim: int) -> torch.Tensor:
    x = w.clone()
    if w.dim() and w.shape[dim] > 1:
        x.narrow(dim, 1, w.shape[dim] - 1).div_(w.narrow(dim, 0, w.shape[dim] - 1))
    return x


def _odd_numbers(shape: list[int], kind: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    """1, at times 3, with random signs if there are any. Odd products stay odd as they wrap; 64 factors of 2 make 0."""
    choice = torch.randint(0, 16, shape, dtype=torch.int8, device=generator.device, generator=generator)
    magnitude = (choice < 2).to(torch.int8).mul_(2).add_(1)
    return (magnitude.mul_(1 - choice % 2 * 2) if kind.is_signed else magnitude).to(kind)


def _mostly_true(shape: list[int], dim: int, generator: torch.Generator) -> torch.Tensor:
    """About one False a sequence, somewhere."""
    n = shape[dim] if shape else 1
    return torch.empty(shape, device=generator.device).uniform_(generator=generator) > 1 / max(n, 1)


def _parts(shape: list[int], dim: int, *, limit: int = 2**27) -> Iterator[tuple[slice, ...]]:
    """Cuts a tensor, never across a sequence, into parts of `limit` elements at most, or of one sequence each."""
    room = max(1, limit // max(shape[dim], 1)) if shape else 1
    cuts = []
    for axis in reversed(range(len(shape))):
        is_scanned = axis == dim % len(shape)
        step = max(1, shape[axis] if is_scanned else min(shape[axis], room))
        room = room if is_scanned else room // step
        cuts.append([slice(start, min(start + step, shape[axis])) for start in range(0, shape[axis], step)])
    yield from product(*reversed(cuts))
