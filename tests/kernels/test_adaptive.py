"""adaptive_scan, whose code stays as it was recorded: a look at each form and at the drop-in.

The package that succeeds it has the tests in `scan/`.
"""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from conftest import load
from rightness import ratios, tolerance, verdict, with_segments

FORMS = {
    "rows": {"form": "rows", "BLOCK": 32, "num_warps": 1, "num_stages": 2},
    "short": {"form": "short", "ROWS": 2, "num_warps": 1},
    "strips": {"form": "strips", "ROWS": 4, "num_warps": 1, "num_stages": 1},
    "tiles": {
        "form": "tiles",
        "BLOCK": 32,
        "COLUMNS": 2,
        "LINES": 0,
        "WINDOW": 1,
        "num_warps": 1,
        "registers": 64,
    },
}


@pytest.fixture
def module() -> ModuleType:
    return load("adaptive_scan")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_right_on_special_segments(module: ModuleType, form: str) -> None:
    x = with_segments(ratios((70,), 0, torch.float32, seed=1), places=[30])
    x, dim = (x.mT.contiguous(), 0) if form == "strips" else (x, 1)
    assert not verdict(module.ModelNew(dim, **FORMS[form])(x), x, dim, tolerance(x, dim))


def test_it_trains(module: ModuleType) -> None:
    x = ratios((3, 5), 1, torch.float64, seed=2)
    x[1, 2] = 0
    leaves = [x.clone().requires_grad_() for _ in range(2)]
    for cumprod, leaf in zip((module.cumprod, torch.cumprod), leaves, strict=True):
        cumprod(leaf, 1).sin().sum().backward()
    torch.testing.assert_close(leaves[0].grad, leaves[1].grad)
