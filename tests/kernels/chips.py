"""GPUs of every architecture that kernels are compiled for, and calls drawn at random: what the package may launch."""

from __future__ import annotations

import math
import random
from typing import NamedTuple


class Chip(NamedTuple):
    """What a choice of form and settings asks of a GPU."""

    name: str
    architecture: int
    processors: int
    shared: int
    """Bytes of shared memory that a program can have; a multiprocessor has 1 KiB more for each that it runs."""


CHIPS = [
    Chip("A100", 80, 108, 166912),
    Chip("A30", 80, 56, 166912),
    Chip("RTX 3090", 86, 82, 101376),
    Chip("RTX 3050", 86, 20, 101376),
    Chip("RTX 4090", 89, 128, 101376),
    Chip("L4", 89, 58, 101376),
    Chip("H100", 90, 132, 232448),
    Chip("H200", 90, 132, 232448),
    Chip("B200", 100, 148, 232448),
    Chip("RTX 5090", 120, 170, 101376),
    Chip("RTX 5060", 120, 30, 101376),
]

DTYPES = ["float16", "bfloat16", "float32", "float64", "int32", "int64"]


class Drawn(NamedTuple):
    """A call: cumulative products of a shape along a dimension, or what a gradient of them launches."""

    shape: tuple[int, ...]
    dim: int
    dtype: str
    kind: str
    """products, gradient, forward or adjoint: the last two are linear recurrences without a third tensor."""


NAMED = [
    *(Drawn((32768, n), 1, dtype, "products") for n in (3000, 8195, 32768, 32771) for dtype in DTYPES),
    *(Drawn((64, 2**24), 1, dtype, "products") for dtype in DTYPES),
    *(Drawn((2**20, n), 0, dtype, "products") for n in (3, 8, 16, 31, 32, 64) for dtype in DTYPES),
]
"""Calls of forms that few drawn ones take: long rows; tiles of one sequence, and of few and many columns."""


def _length(chance: random.Random, logarithm: float) -> int:
    """About 2**logarithm: whole vectors in half of all cases, a power of two in a quarter."""
    step = chance.choice([0, 16, 4, 1])
    return 2 ** round(logarithm) if step == 0 else max(1, round(2**logarithm / step) * step)


def drawn(seed: int, count: int) -> list[Drawn]:
    """Calls of 2**12 to 2**30 elements in up to three dimensions, of which a third is a gradient."""
    chance, calls = random.Random(seed), []
    while len(calls) < count:
        logarithm, rank = chance.uniform(12, 30), chance.randint(1, 3)
        cuts = sorted(chance.uniform(0, logarithm) for _ in range(rank - 1))
        shares = [end - begin for begin, end in zip([0, *cuts], [*cuts, logarithm], strict=True)]
        shape = tuple(_length(chance, share) for share in shares)
        kind = chance.choice(["products"] * 4 + ["gradient", chance.choice(["forward", "adjoint"])])
        dtype = chance.choice(DTYPES if kind == "products" else DTYPES[:4])
        if 2**12 <= math.prod(shape) <= 2**30:
            calls.append(Drawn(shape, chance.randrange(rank), dtype, kind))
    return calls
