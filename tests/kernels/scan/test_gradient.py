"""The gradient of a cumulative product, and the linear recurrences that it and its own gradients are made of."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from linear import verdict
from packages import get
from rightness import ratios, with_segments

H100 = 132
FORMS: dict[str, dict[str, Any]] = {
    "rows": {"form": "rows", "ROWS": 1, "BLOCK": 16, "chunks": 1, "num_warps": 1, "num_stages": 1},
    "rows, in chunks": {"form": "rows", "ROWS": 1, "BLOCK": 16, "chunks": 3, "num_warps": 1, "num_stages": 1},
    "short": {"form": "rows", "ROWS": 4, "BLOCK": 64, "chunks": 1, "num_warps": 1, "num_stages": 1},
    "strips": {"form": "strips", "ROWS": 4, "COLUMNS": 4, "chunks": 1, "num_warps": 1, "num_stages": 1},
    "strips, in chunks": {"form": "strips", "ROWS": 4, "COLUMNS": 4, "chunks": 3, "num_warps": 1, "num_stages": 1},
}
WAYS = ["gradient", "adjoint", "forward"]

pytestmark = pytest.mark.parametrize("variant", ["scan"], indirect=True)
each_form = pytest.mark.parametrize("form", FORMS)
each_way = pytest.mark.parametrize("way", WAYS)


def noise(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def fault(variant: ModuleType, way: str, form: str, x: torch.Tensor, g: torch.Tensor, dim: int) -> str:
    """What is wrong with a way of using `linear` in a form; rows are given along the last dimension."""
    if form.startswith("strips"):
        x, g, dim = x.mT.contiguous(), g.mT.contiguous(), dim - 1
    y = torch.cumprod(x, dim) if way == "gradient" else None
    adjoint = way != "forward"
    got = get(variant, "linear")(x, g, y, dim, adjoint=adjoint, **FORMS[form])
    return verdict(got, x, g, y, dim, adjoint=adjoint)


LENGTHS = [1, 15, 16, 3, 17, 31, 33, 48, 4, 61]
"""One element, primes, and around one tile and several."""


def in_turn(cases: list[Any], way: str, every: int = 2) -> list[Any]:
    """The cases that one way of using a form sees: another of the ways sees those between."""
    return cases[WAYS.index(way) % every :: every]


each_share = pytest.mark.parametrize("every", [2, pytest.param(1, marks=pytest.mark.long)])
"""A form sees every case, in one way or another; in the night in each of the three."""


@each_share
@each_way
@each_form
def test_every_form_at_every_length(variant: ModuleType, form: str, way: str, every: int) -> None:
    for n in in_turn(LENGTHS, way, every):
        x, g = ratios((2, n), 1, torch.float32, seed=n), noise((2, n), torch.float32, seed=n)
        assert not fault(variant, way, form, x, g, 1), n


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@each_form
def test_every_dtype(variant: ModuleType, form: str, dtype: torch.dtype) -> None:
    for way, n in (("gradient", 37), ("forward", 40)):
        x, g = ratios((3, n), 1, dtype, seed=1), noise((3, n), dtype, seed=2)
        assert not fault(variant, way, form, x, g, 1), (way, n)


ZEROS: list[list[int]] = [
    *([], [0], [1], [15], [16], [17], [31], [32], [38], [39]),
    *([0, 39], [15, 16], [3, 16, 17, 30], list(range(40))),
]


@each_share
@each_way
@each_form
def test_zeros_wherever_they_are(variant: ModuleType, form: str, way: str, every: int) -> None:
    places = in_turn(ZEROS, way, every)
    x, g = ratios((len(places), 40), 1, torch.float32, seed=3), noise((len(places), 40), torch.float32, seed=4)
    for row, zeros in enumerate(places):
        x[row, zeros] = 0
    assert not fault(variant, way, form, x, g, 1)


@pytest.mark.parametrize("zeros", [[], [2], [0], [5], [1, 4], [0, 1, 5], [2, 3, 4]], ids=str)
def test_it_is_the_gradient_that_autograd_finds(variant: ModuleType, zeros: list[int]) -> None:
    x, g = ratios((2, 6, 3), 1, torch.float64, seed=5), noise((2, 6, 3), torch.float64, seed=6)
    x[:, zeros, 1] = 0
    for dim in (-1, 0, 1):
        leaf = x.clone().requires_grad_()
        (want,) = torch.autograd.grad(torch.cumprod(leaf, dim), leaf, g)
        torch.testing.assert_close(variant.gradient(x, torch.cumprod(x, dim), g, dim), want, rtol=1e-13, atol=1e-13)


def test_adjoint_is_the_transpose(variant: ModuleType) -> None:
    a, b, v = (noise((4, 23), torch.float64, seed=seed) for seed in (7, 8, 9))
    there = (v * variant.recurrence(a, b, 1)).sum(1)
    back = (variant.recurrence(a, v, 1, adjoint=True) * b).sum(1)
    torch.testing.assert_close(there, back, rtol=1e-11, atol=1e-11)


@each_share
@each_way
@each_form
def test_special_factors(variant: ModuleType, form: str, way: str, every: int) -> None:
    """What leaves float32 on its way is right; results stop being finite where those of a serial recurrence do."""
    every_segment = with_segments(ratios((40,), 0, torch.float32, seed=10), places=[14])
    x = torch.stack(in_turn(list(every_segment), way, every))
    g = noise(tuple(x.shape), torch.float32, seed=11)
    assert not fault(variant, way, form, x, g, 1)


@each_form
def test_special_terms(variant: ModuleType, form: str) -> None:
    x = ratios((4, 40), 1, torch.float32, seed=12)
    g = noise((4, 40), torch.float32, seed=13)
    for row, (place, value) in enumerate([(0, "nan"), (16, "nan"), (39, "nan"), (31, "inf")]):
        g[row, place] = float(value)
    assert not fault(variant, "gradient", form, x, g, 1)


@each_form
def test_a_sequence_does_not_look_at_the_next(variant: ModuleType, form: str) -> None:
    """Nothing depends on the first factor: neither what begins there nor what ends before it."""
    for n in (32, 37):
        x, g = ratios((3, n), 1, torch.float32, seed=17), noise((3, n), torch.float32, seed=18)
        x[:, 0] = float("nan")
        assert not fault(variant, "adjoint", form, x, g, 1)
        assert not fault(variant, "forward", form, x, g, 1)


@each_form
def test_what_grows_behind_a_masked_loss_counts_for_nothing(variant: ModuleType, form: str) -> None:
    """Factors there multiply to far more than float64 holds; 0 times that is 0, as it is one by one."""
    x = torch.full((2, 60), 1e30)
    x[:, :10] = 0.5
    x[1, 25] = -1e30
    g = torch.ones(2, 60)
    g[:, 10:] = 0
    assert not fault(variant, "adjoint", form, x, g, 1)


def test_strides_empty_tensors_and_scalars(variant: ModuleType) -> None:
    x, g = ratios((24, 10), 0, torch.float32, seed=14), noise((1,), torch.float32, seed=15).expand(24, 10)
    apart, shifted = x[::2, 1::3], ratios((1, 97), 1, torch.float32, seed=16)[0, 1:].view(4, 24)
    for given, dim in ((x, 0), (x.T, 1), (apart, 0), (apart, -1), (shifted, 1), (x[0, 0], 0), (x[0, 0], -1)):
        ones = g if given.dim() == 2 and given.shape == g.shape else torch.ones_like(given)
        y = torch.cumprod(given, dim)
        got = variant.gradient(given, y, ones, dim)
        assert not verdict(got, given, ones, y, dim, adjoint=True)
    for shape, dim in (((0,), 0), ((3, 0), 1), ((3, 0), 0), ((0, 4, 2), 1)):
        nothing = torch.ones(shape)
        assert variant.recurrence(nothing, nothing, dim).shape == shape


def test_operands_are_alike(variant: ModuleType) -> None:
    x = torch.ones(3, 4)
    for other in (torch.ones(4, 3), torch.ones(3, 4, dtype=torch.float64)):
        with pytest.raises(ValueError, match="of one shape and one real dtype"):
            variant.recurrence(x, other, 1)
        with pytest.raises(ValueError, match="of one shape and one real dtype"):
            variant.gradient(x, other, x, 1)
    with pytest.raises(ValueError, match="of one shape and one real dtype"):
        variant.recurrence(x.int(), x.int(), 1)
    with pytest.raises(IndexError, match="Dimension out of range"):
        variant.recurrence(x, x, 2)


def chosen_for(variant: ModuleType, outer: int, axis: int, inner: int) -> tuple[str, dict[str, int]]:
    """The form on an H100, and its settings."""
    call = get(variant, "Call")(outer, axis, inner, torch.float32, H100)
    result: tuple[str, dict[str, int]] = get(variant, "gradient_choice")(call)
    return result


@pytest.mark.parametrize(
    ("shape", "dim", "form", "in_chunks"),
    [
        ((32768, 32768), 1, "rows", False),
        ((300, 40000), 1, "rows", False),
        ((2**20, 256), 1, "rows", False),
        ((2**29,), 0, "rows", True),
        ((16, 2**24), 1, "rows", True),
        ((32, 100), 1, "rows", False),
        ((32768, 32768), 0, "strips", False),
        ((64, 1024, 4096), 1, "strips", False),
        ((2**20, 64), 0, "strips", True),
        ((64, 300, 500), 1, "strips", False),
    ],
    ids=str,
)
def test_few_long_sequences_are_cut_into_chunks(
    variant: ModuleType, shape: tuple[int, ...], dim: int, form: str, in_chunks: bool
) -> None:
    axis, inner = get(variant, "lines_of")(torch.Size(shape), dim)
    outer = torch.Size(shape).numel() // (axis * inner)
    chosen, settings = chosen_for(variant, outer, axis, inner)
    assert (chosen, settings["chunks"] > 1) == (form, in_chunks)
    assert outer * settings["chunks"] * -(-inner // 128) >= H100 or axis <= 1024


def test_short_sequences_share_a_program(variant: ModuleType) -> None:
    many, few = (chosen_for(variant, outer, 64, 1)[1] for outer in (2**22, 200))
    assert (many["ROWS"], few["ROWS"]) == (8, 1)
