"""adaptive_scan takes a form that suits the shape, and is right in the one that it takes."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rightness import ratios, tolerance, verdict

H100 = 132

pytestmark = pytest.mark.parametrize("variant", ["adaptive_scan"], indirect=True)


@pytest.mark.parametrize(
    ("shape", "dim", "form"),
    [
        ((32768, 32768), 1, "rows"),
        ((4096, 4096), 1, "rows"),
        ((256, 2**20), 1, "tiles"),
        ((8192, 32771), 1, "rows"),
        ((128, 4000), 1, "short"),
        ((2**20, 256), 1, "short"),
        ((32, 100), 1, "short"),
        ((2**29,), 0, "tiles"),
        ((16, 2**24), 1, "tiles"),
        ((2**20, 64), 0, "tiles"),
        ((32768, 32768), 0, "strips"),
        ((256, 2**20), 0, "strips"),
        ((64, 1024, 4096), 1, "strips"),
        ((4096, 5, 3), 1, "tiles"),
    ],
    ids=str,
)
def test_the_form_follows_the_shape(variant: ModuleType, shape: tuple[int, ...], dim: int, form: str) -> None:
    axis, inner = variant._lines(torch.Size(shape), dim)
    outer = torch.Size(shape).numel() // (axis * inner)
    assert variant.choice(outer, axis, inner, torch.float32, H100)[0] == form


def test_few_sequences_are_spread_over_the_processors(variant: ModuleType) -> None:
    many, few = (variant.choice(outer, 64, 1, torch.float32, H100)[1]["ROWS"] for outer in (2**22, 200))
    assert (many, few) == (16, 1)


@pytest.mark.parametrize("num_stages", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_strips_of_any_length_wait_in_registers_or_in_shared_memory(
    variant: ModuleType, num_stages: int, dtype: torch.dtype
) -> None:
    for axis in (1, 4, 7, 8, 9, 13):
        x = ratios((2, axis, 5), 1, dtype, seed=axis)
        y = variant.ModelNew(1, form="strips", ROWS=4, num_warps=1, num_stages=num_stages)(x)
        assert not verdict(y, x, 1, tolerance(x, 1))


def test_few_strips_load_far_ahead(variant: ModuleType) -> None:
    """What two programs a processor hold in registers keeps its memory at work, but not what one does."""
    stages = [variant.choice(1, 32768, inner, torch.float32, H100)[1]["num_stages"] for inner in (32768, 65536)]
    assert stages == [6, 1]
    assert variant.choice(1, 32768, 65536, torch.int64, H100)[1]["num_stages"] == 6


@pytest.mark.parametrize(("form", "dim"), [("rows", 0), ("short", 0), ("columns", 1)])
def test_a_form_that_does_not_fit_is_refused(variant: ModuleType, form: str, dim: int) -> None:
    with pytest.raises(ValueError, match=f"form '{form}' is not for"):
        variant.ModelNew(dim, form=form)(torch.ones(3, 4))


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
