"""scan takes a form that suits the shape, and is right in the one that it takes."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packages import get
from rightness import ratios, tolerance, verdict

H100 = 132

pytestmark = pytest.mark.parametrize("variant", ["scan"], indirect=True)


def chosen(
    variant: ModuleType, outer: int, axis: int, inner: int, dtype: torch.dtype = torch.float32, form: str = ""
) -> tuple[str, dict[str, int]]:
    """The form on an H100, and its settings."""
    result: tuple[str, dict[str, int]] = get(variant, "choice")(
        get(variant, "Call")(outer, axis, inner, dtype, H100), form
    )
    return result


@pytest.mark.parametrize(
    ("shape", "dim", "form"),
    [
        ((32768, 32768), 1, "rows"),
        ((4096, 4096), 1, "rows"),
        ((256, 2**20), 1, "tiles"),
        ((8192, 32771), 1, "rows"),
        ((128, 4000), 1, "short"),
        ((8112,), 0, "rows"),
        ((8193,), 0, "tiles"),
        ((2**20, 256), 1, "short"),
        ((32, 100), 1, "short"),
        ((2**29,), 0, "tiles"),
        ((16, 2**24), 1, "tiles"),
        ((2**20, 64), 0, "tiles"),
        ((32768, 32768), 0, "strips"),
        ((256, 2**20), 0, "strips"),
        ((64, 1024, 4096), 1, "strips"),
        ((4096, 5, 3), 1, "lines"),
    ],
    ids=str,
)
def test_the_form_follows_the_shape(variant: ModuleType, shape: tuple[int, ...], dim: int, form: str) -> None:
    axis, inner = get(variant, "lines_of")(torch.Size(shape), dim)
    outer = torch.Size(shape).numel() // (axis * inner)
    assert chosen(variant, outer, axis, inner)[0] == form


def test_few_sequences_are_spread_over_the_processors(variant: ModuleType) -> None:
    many, few = (chosen(variant, outer, 64, 1)[1]["BLOCK"] for outer in (2**22, 200))
    assert (many, few) == (4096, 256)


def test_a_sequence_of_one_tile_is_scanned_by_many_warps(variant: ModuleType) -> None:
    """Of 64 bits it is cut into tiles, if there are few."""
    assert chosen(variant, 1, 8192, 1) == ("rows", {"BLOCK": 8192, "num_warps": 8, "registers": 128})
    assert chosen(variant, 1, 8192, 1, torch.float64)[0] == "tiles"
    assert chosen(variant, 4096, 8192, 1)[1]["num_warps"] == 2


@pytest.mark.parametrize(
    ("outer", "inner", "dtype", "columns"),
    [
        (1, 3, torch.float32, 2),
        (1, 7, torch.bfloat16, 4),
        (1, 31, torch.float64, 8),
        (1, 31, torch.int64, 4),
        (1, 16, torch.float32, 8),
        (1, 9, torch.float32, 16),
        (3, 16, torch.float32, 16),
        (1, 33, torch.int64, 16),
    ],
)
def test_tiles_have_few_columns_where_there_are_few(
    variant: ModuleType, outer: int, inner: int, dtype: torch.dtype, columns: int
) -> None:
    """They share a window: of few columns it has more tiles."""
    assert chosen(variant, outer, 2**20, inner, dtype, "tiles")[1]["COLUMNS"] == columns


@pytest.mark.parametrize(
    ("outer", "inner", "dtype", "settings"),
    [
        (1, 256, torch.float32, (32, 16)),
        (1, 256, torch.bfloat16, (32, 16)),
        (8, 32, torch.float64, (32, 16)),
        (33, 64, torch.int32, (32, 16)),
        (1, 228, torch.float32, (32, 16)),
        (1, 227, torch.float32, (16, 32)),
        (1, 224, torch.float32, (16, 32)),
        (7, 32, torch.float32, (16, 32)),
        (16, 17, torch.float32, (32, 32)),
        (64, 16, torch.float32, (16, 32)),
        (1, 256, torch.int64, (16, 32)),
        (33, 64, torch.int64, (16, 32)),
    ],
    ids=str,
)
def test_wide_tiles_have_32_columns_and_windows_of_16(
    variant: ModuleType, outer: int, inner: int, dtype: torch.dtype, settings: tuple[int, int]
) -> None:
    """Where there are 256 columns at least, and no more than a ninth of a row of tiles is empty; not of int64, which
    has two words a column. Of 17 columns 32 are taken as they lie, with a window as large as of 16.
    """
    took = chosen(variant, outer, 2**20, inner, dtype, "tiles")[1]
    assert (took["COLUMNS"], took["LOOK"]) == settings


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
    stages = [chosen(variant, 1, 32768, inner)[1]["num_stages"] for inner in (32768, 65536)]
    assert stages == [6, 1]


@pytest.mark.parametrize(("form", "dim"), [("rows", 0), ("short", 0), ("columns", 1)])
def test_a_form_that_does_not_fit_is_refused(variant: ModuleType, form: str, dim: int) -> None:
    with pytest.raises(ValueError, match=f"form '{form}' is not for"):
        variant.ModelNew(dim, form=form)(torch.ones(3, 4))


@pytest.mark.parametrize("form", ["rows", "short", "strips", "tiles"])
def test_a_form_that_is_asked_for_has_settings_of_its_own(variant: ModuleType, form: str) -> None:
    """Whether or not it is the one that suits."""
    assert chosen(variant, 4, 40, 1, form=form)[0] == form
    x = ratios((4, 40), 1, torch.float32, seed=1)
    assert not verdict(variant.products(x, 1, form=form), x, 1, tolerance(x, 1))


def test_a_form_says_what_it_would_launch_and_launches_nothing(variant: ModuleType) -> None:
    """With 32768 sequences of 32768 elements, of which there is no memory here."""
    x = torch.empty(1).expand(32768, 32768)
    task = get(variant, "Task")(x, x, 32768, 32768, 1)
    (launch,), words = get(variant, "rows_form")(task, BLOCK=2048, num_warps=4, registers=80)
    assert (launch.grid, launch.numbers[:3], launch.options, words) == ((32768,), (0, 32768, 8192), {"num_warps": 4}, 0)


def test_a_grid_with_too_many_programs_is_cut(variant: ModuleType) -> None:
    launches = get(variant, "launches_of")(None, 2**31 + 5, (7,), (8,), num_warps=1)
    assert [(each.grid, each.numbers) for each in launches] == [
        ((2**30,), (0, 7, 8)),
        ((2**30,), (2**30, 7, 8)),
        ((5,), (2**31, 7, 8)),
    ]


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
