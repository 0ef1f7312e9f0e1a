"""adaptive_scan takes a form that suits the shape, and is right in the one that it takes."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rightness import ratios, tolerance, verdict, with_segments

H100 = 132

pytestmark = pytest.mark.parametrize("variant", ["adaptive_scan"], indirect=True)


@pytest.mark.parametrize(
    ("shape", "dim", "form"),
    [
        ((32768, 32768), 1, "rows"),
        ((4096, 4096), 1, "rows"),
        ((256, 2**20), 1, "rows"),
        ((8192, 32771), 1, "rows"),
        ((128, 4000), 1, "short"),
        ((2**20, 256), 1, "short"),
        ((32, 100), 1, "short"),
        ((2**29,), 0, "lookback"),
        ((16, 2**24), 1, "lookback"),
        ((2**20, 64), 0, "lookback"),
        ((32768, 32768), 0, "strips"),
        ((256, 2**20), 0, "strips"),
        ((64, 1024, 4096), 1, "strips"),
        ((4096, 5, 3), 1, "lookback"),
    ],
    ids=str,
)
def test_the_form_follows_the_shape(variant: ModuleType, shape: tuple[int, ...], dim: int, form: str) -> None:
    axis, inner = variant._lines(torch.Size(shape), dim)
    outer = torch.Size(shape).numel() // (axis * inner)
    assert variant.choice(outer, axis, inner, torch.float32, H100)[0] == form


@pytest.mark.parametrize(("shape", "dim"), [((2**29,), 0), ((2**20, 64), 0)], ids=str)
def test_the_same_bits_are_a_form_of_their_own(variant: ModuleType, shape: tuple[int, ...], dim: int) -> None:
    axis, inner = variant._lines(torch.Size(shape), dim)
    assert variant.choice(1, axis, inner, torch.float32, H100, deterministic=True)[0] == "chain"
    assert variant.choice(1, axis, inner, torch.float64, H100)[0] == "chain"


def test_few_sequences_are_spread_over_the_processors(variant: ModuleType) -> None:
    many, few = (variant.choice(outer, 64, 1, torch.float32, H100)[1]["ROWS"] for outer in (2**22, 200))
    assert (many, few) == (16, 1)


@pytest.mark.parametrize(("form", "dim"), [("rows", 0), ("short", 0), ("columns", 1)])
def test_a_form_that_does_not_fit_is_refused(variant: ModuleType, form: str, dim: int) -> None:
    with pytest.raises(ValueError, match=f"form '{form}' is not for"):
        variant.ModelNew(dim, form=form)(torch.ones(3, 4))


@pytest.mark.parametrize(("dim", "columns"), [(1, 1), (0, 4)])
def test_codes_of_many_tiles_make_a_carry(
    variant: ModuleType, monkeypatch: pytest.MonkeyPatch, dim: int, columns: int
) -> None:
    """As on a GPU: of the tiles before it, most have told no carry yet when a tile looks back."""
    told: dict[tuple[int, int], Any] = {}
    tell, inside = variant._tell, 0

    def number(scalar: Any) -> int:
        return int(scalar.handle.data.item())

    def seldom(words: Any, tile: Any, value: Any, mark: Any) -> None:
        if mark == 2:
            told[number(words), number(tile)] = value
        if mark == 1 or number(tile) % 5 == 4:
            tell(words, tile, value, mark)

    def awaited(words: Any, tile: Any, *_: Any) -> Any:
        nonlocal inside
        inside += 1
        return told[number(words), number(tile)]

    monkeypatch.setattr(variant, "_tell", seldom)
    monkeypatch.setattr(variant, "_awaited_prefix", awaited)
    x = with_segments(ratios((200,), 0, torch.float32, seed=6), places=[29])
    if columns > 1:
        x = x.T.contiguous()
    model = variant.ModelNew(
        dim, form="lookback", COLUMNS=columns, BLOCK=16 * columns, SLOTS=8, num_warps=1, registers=64
    )
    assert not verdict(model(x), x, dim, tolerance(x, dim))
    assert inside, "some carries had to be waited for"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.lists(st.sampled_from([1, 2, 3, 5, 8, 17]), min_size=1, max_size=4).map(tuple),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16]),
    data=st.data(),
)
def test_any_shape_and_dimension(
    variant: ModuleType, shape: tuple[int, ...], dtype: torch.dtype, data: st.DataObject
) -> None:
    dim = data.draw(st.integers(0, len(shape) - 1))
    x = ratios(shape, dim, dtype, seed=sum(shape))
    assert not verdict(variant.ModelNew(dim)(x), x, dim, tolerance(x, dim))


def test_many_tiles_groups_and_clans(variant: ModuleType) -> None:
    """With 8 slots a group has 3 tiles and a clan 3 groups: 8 clans a line, 7 a strip of columns."""
    line = ratios((2, 1010), 1, torch.float32, seed=1)
    got = variant.ModelNew(1, form="chain", BLOCK=16, SLOTS=8, num_warps=1, resident=1)(line)
    assert not verdict(got, line, 1, tolerance(line, 1))
    columns = ratios((900, 5), 0, torch.float64, seed=2)
    got = variant.ModelNew(0, form="chain", BLOCK=128, SLOTS=8, num_warps=1, resident=1)(columns)
    assert not verdict(got, columns, 0, tolerance(columns, 0))
