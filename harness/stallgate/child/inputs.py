"""Inputs as a workload describes them: tensors of a dtype and a shape, with a distribution of their elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

DescribedInput = dict[str, Any]
"""``dtype``, ``shape``, ``distribution`` and ``numbers`` of a tensor; or ``value``."""

_SMALL = 256
"""Sizes up to this stay as they are."""


def made(described: list[DescribedInput], device: str, seed: int) -> list[Any]:
    """Fresh inputs; each tensor has random numbers of its own."""
    return [
        each["value"] if "value" in each else _tensor(each, torch.Generator(device).manual_seed(seed * 1000 + place))
        for place, each in enumerate(described)
    ]


def normal_like(tensor: torch.Tensor, device: str, seed: int) -> torch.Tensor:
    """Normal random numbers in the form of a tensor."""
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(tensor.shape, dtype=tensor.dtype, device=device, generator=generator)


def small(described: list[DescribedInput]) -> Iterator[list[DescribedInput]]:
    """The same with small shapes, the smallest first: a reference may not take all of them.

    Equal sizes stay equal and others stay apart, so that it shows when two are mixed up. They are as divisible by
    powers of two, up to 256, as before. Plain numbers that are sizes follow them.
    """
    sizes = _small_sizes({size for each in described for size in each.get("shape", [])})
    first = next((each["shape"][0] for each in described if each.get("shape")), 0)
    yield [_with_sizes(each, sizes, values=True) for each in described]
    yield [_with_sizes(each, sizes, values=False) for each in described]
    yield [_with_sizes(each, {first: _small_size(first)}, values=False) for each in described]


def _with_sizes(each: DescribedInput, sizes: dict[int, int], *, values: bool) -> DescribedInput:
    if "shape" in each:
        return {**each, "shape": [sizes.get(size, size) for size in each["shape"]]}
    return {"value": _scaled(each["value"], sizes)} if values else each


def _scaled(value: Any, sizes: dict[int, int]) -> Any:
    if isinstance(value, list):
        return [_scaled(part, sizes) for part in value]
    return sizes.get(value, value) if isinstance(value, int) and not isinstance(value, bool) else value


def _small_sizes(sizes: set[int]) -> dict[int, int]:
    """A small size for each; sizes that are small already keep theirs."""
    found = {size: size for size in sizes if size <= _SMALL}
    for size in sorted(sizes - found.keys()):
        small, step = _small_size(size), 2 * min(size & -size, _SMALL // 2)
        while small in found.values():
            small += step
        found[size] = min(small, size)
    return found


def _small_size(size: int) -> int:
    """A size of 256 to 511 that the same power of two divides, up to 256."""
    if size <= _SMALL:
        return size
    power = min(size & -size, _SMALL)
    return power * (_SMALL // power + 1) if power < _SMALL else _SMALL


def written(described: DescribedInput) -> Any:
    """An input as a project's file has it."""
    if "value" in described:
        return described["value"]
    numbers = ",".join(f"{number:g}" if number != int(number) else str(int(number)) for number in described["numbers"])
    shape = ",".join(map(str, described["shape"]))
    return f"{described['dtype']}[{shape}] {described['distribution']}" + (f"({numbers})" if numbers else "")


def special(fresh: Callable[[int], list[Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Inputs with special values in the first tensor of floating-point numbers, by what is special about them."""
    for number, (name, plant) in enumerate(_SPECIALS.items()):
        values = fresh(3 + number)
        target = next((each for each in values if isinstance(each, torch.Tensor) and each.is_floating_point()), None)
        if target is None or target.numel() == 0:
            return
        wide = target.float() if target.dtype.itemsize == 1 else target  # torch does no arithmetic in 8 bits
        plant(wide)
        target.copy_(wide)
        yield name, values


def _rows(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor as a matrix that shares its memory: what lies along the last dimension is a row."""
    return tensor.view(-1, tensor.shape[-1]) if tensor.dim() > 1 else tensor.view(-1, 1)


def _zeros(tensor: torch.Tensor) -> None:
    _rows(tensor)[::2] = 0


def _shrinking(tensor: torch.Tensor) -> None:
    """Rows a power of two smaller each, down to 2**-40: an epsilon shows in some of them."""
    rows = _rows(tensor)
    powers = torch.arange(rows.shape[0], device=tensor.device, dtype=torch.float64) % 41
    rows.mul_(powers.neg_().exp2_().to(tensor.dtype)[:, None])


def _tiny(tensor: torch.Tensor) -> None:
    """So small that their squares are lost beside an epsilon, in every row."""
    tensor.mul_(2.0**-20)


def _large(tensor: torch.Tensor) -> None:
    tensor.mul_(64)


def _not_finite(tensor: torch.Tensor) -> None:
    rows = _rows(tensor)
    for place, value in enumerate((math.inf, -math.inf, math.nan)):
        rows[place % rows.shape[0], (7 * place) % rows.shape[1]] = value


_SPECIALS: dict[str, Callable[[torch.Tensor], None]] = {
    "rows of zeros": _zeros,
    "rows that shrink": _shrinking,
    "tiny numbers": _tiny,
    "large numbers": _large,
    "infinities and NaN": _not_finite,
}


def _tensor(described: DescribedInput, generator: torch.Generator) -> torch.Tensor:
    """A tensor of the described form. Floats of 8 bits are rounded from float32: torch draws none of them."""
    dtype, shape = getattr(torch, described["dtype"]), described["shape"]
    numbers, distribution = described["numbers"], described["distribution"]
    device = generator.device
    if distribution == "integers" or dtype == torch.bool:
        low, high = (int(numbers[0]), int(numbers[1])) if distribution == "integers" else (0, 2)
        return torch.randint(low, high, shape, device=device, generator=generator).to(dtype)
    if distribution in ("zeros", "ones"):
        return torch.full(shape, float(distribution == "ones"), dtype=torch.float32, device=device).to(dtype)
    wide = dtype if dtype.itemsize > 1 else torch.float32
    if distribution == "normal":
        drawn = torch.randn(shape, dtype=wide, device=device, generator=generator)
        return drawn.mul_(numbers[1]).add_(numbers[0]).to(dtype)
    return (
        torch.rand(shape, dtype=wide, device=device, generator=generator)
        .mul_(numbers[1] - numbers[0])
        .add_(numbers[0])
        .to(dtype)
    )
