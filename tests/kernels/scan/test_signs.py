"""The sign of every result, of zeros as well; and carries that float32 cannot hold, but that come back."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from rightness import ratios

FORMS: dict[str, dict[str, Any]] = {
    "rows": {"form": "rows", "BLOCK": 32, "num_warps": 1},
    "short": {"form": "short", "BLOCK": 64, "num_warps": 1},
    "strips": {"form": "strips", "ROWS": 4, "num_warps": 1, "num_stages": 1},
    "strips ahead": {"form": "strips", "ROWS": 4, "num_warps": 1, "num_stages": 3},
    "tiles": {"form": "tiles", "BLOCK": 32, "COLUMNS": 2, "num_warps": 1, "registers": 64},
    "tiles of columns": {"form": "tiles", "BLOCK": 128, "COLUMNS": 4, "num_warps": 1, "registers": 64},
}
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 1e-30, -1e-30, 1e30, -1e30, 1e-45, -3.0]
WILD = [*SPECIAL, float("inf"), float("-inf"), float("nan")]

pytestmark = pytest.mark.parametrize("variant", ["scan"], indirect=True)
each_form = pytest.mark.parametrize("form", FORMS)


def scanned(variant: ModuleType, form: str, x: torch.Tensor) -> torch.Tensor:
    """Rows along the last dimension, in a form that takes them so or as columns."""
    if form.startswith("strips") or form.endswith("columns"):
        return variant.products(x.mT.contiguous(), 0, **FORMS[form]).mT
    return variant.products(x, 1, **FORMS[form])


def serial(x: torch.Tensor) -> torch.Tensor:
    """Products one by one in float64, whose signs are exact: those of factors multiplied."""
    with np.errstate(all="ignore"):
        return torch.from_numpy(np.multiply.accumulate(x.double().numpy(), axis=1))


def drawn(seed: int, n: int, dtype: torch.dtype) -> torch.Tensor:
    """Rows of usual factors of both signs, with special ones at places: few, some, or nothing but them."""
    generator = torch.Generator().manual_seed(seed)
    x = ratios((12, n), 1, torch.float64, seed) * (torch.randint(0, 2, (12, n), generator=generator) * 2 - 1)
    for row, (share, values) in enumerate(
        [(s, v) for s in (0.02, 0.1, 0.5, 1.0) for v in (SPECIAL[:2], SPECIAL, WILD)]
    ):
        chosen = torch.rand(n, generator=generator) < share
        which = torch.randint(0, len(values), (n,), generator=generator)
        x[row] = torch.where(chosen, torch.tensor(values, dtype=torch.float64)[which], x[row])
    return x.to(dtype)


def wrong_signs(got: torch.Tensor, x: torch.Tensor) -> list[tuple[int, ...]]:
    """Where a number has another sign than the serial product; NaN has none."""
    want = serial(x)
    both = ~(got.isnan() | want.isnan())
    return [tuple(place.tolist()) for place in ((got.signbit() != want.signbit()) & both).nonzero()]


@each_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "lengths", [(5, 31, 100), pytest.param((64, 150, 33), marks=pytest.mark.long)], ids=["some", "more"]
)
def test_every_sign_is_the_product_of_the_signs(
    variant: ModuleType, form: str, dtype: torch.dtype, lengths: tuple[int, ...]
) -> None:
    for seed, n in enumerate(lengths, start=1):
        x = drawn(seed, n, dtype)
        got = scanned(variant, form, x)
        assert not wrong_signs(got, x), (seed, wrong_signs(got, x)[:3])


@each_form
def test_a_zero_has_the_sign_that_torch_gives_it(variant: ModuleType, form: str) -> None:
    x = torch.tensor([[5.0, -0.0, -1.0], [-1.0, 0.0, 2.0], [0.0, -3.0, -3.0]])
    got = scanned(variant, form, x)
    assert got.signbit().tolist() == torch.cumprod(x, 1).signbit().tolist()
    assert got.signbit().tolist()[0] == [False, True, False]


@each_form
def test_signs_of_data_that_sink_or_grow_out_of_range(variant: ModuleType, form: str) -> None:
    """Tiles that are settled without a careful scan tell signs too."""
    generator = torch.Generator().manual_seed(7)
    signs = torch.randint(0, 2, (3, 500), generator=generator) * 2 - 1
    for scale in (0.3, 0.9, 3.0):
        x = torch.rand(3, 500, generator=generator) * scale * signs
        x[1, 300], x[2, 350] = 0.0, -0.0
        assert not wrong_signs(scanned(variant, form, x), x), scale


@pytest.mark.parametrize("form", [form for form in FORMS if "strips" not in form])
def test_a_carry_far_below_float32_comes_back(variant: ModuleType, form: str) -> None:
    """Products down to 2**-1022 are told on, in float32 too. Strips are multiplied in float32, as torch multiplies."""
    x = torch.ones(3, 700)
    x[0, 100:102], x[0, 150:160], x[0, 600:608] = 1e38, 1e-38, 1e38
    x[1, 40:48], x[1, 300:307] = 1e-38, 1e38
    x[2, 64:200:16], x[2, 400:406] = -1e-34, 1e38
    got, want = scanned(variant, form, x), serial(x)
    torch.testing.assert_close(got, want.float(), rtol=1e-4, atol=1e-44)
    assert abs(float(got[0, -1]) - 1) < 1e-3
