"""What the compiler makes of matmul and rmsnorm for an H100. Compiling needs no GPU."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.shared import Shared

HERE = Path(__file__).parent
SHARED_MEMORY = 232_448
"""Bytes that a program may have on an H100."""

AHEAD = "cp.async.cg.shared.global"
"""A load of 16 bytes to shared memory that nothing waits for."""


def product(m: int, n: int, k: int, dtype: str, *orders: str, **configuration: Any) -> list[Any]:
    """A product whose operands are stored by rows, or as `orders` says."""
    shapes = [[dtype, [m, k]], [dtype, [k, n]]]
    inputs = [
        [*shape, *([order] if order == "transposed" else [])] for shape, order in zip(shapes, orders, strict=True)
    ]
    return ["matmul/tiled.py", configuration, inputs]


def norm(rows: int, n: int, dtype: str) -> list[Any]:
    return ["rmsnorm/fused.py", {"eps": 1e-5}, [[dtype, [rows, n]], [dtype, [n]]]]


TYPES = ["bfloat16", "float16", "bfloat16", "float16"]
ORDERS = [(a, b) for a in ("rows", "transposed") for b in ("rows", "transposed")]
HALF = [product(4096, 4096, 4096, dtype, *orders) for dtype, orders in zip(TYPES, ORDERS, strict=True)]
TF32 = [product(4096, 4096, 4096, "float32", *orders) for orders in ORDERS if orders != ("rows", "transposed")]
DESCRIBED = [product(4096, 4096, 4096, dtype, "rows", "rows", use_tma=True) for dtype in ("bfloat16", "float32")]
ODD = [product(4000, 3001, 2999, "bfloat16", "rows", "rows")]
SKINNY = [
    product(16, 8192, 8192, "bfloat16", "rows", "rows"),
    product(8192, 5, 8192, "bfloat16", "rows", "rows"),
    product(32, 8192, 8192, "float32", "rows", "rows"),
]
NORMS = [norm(999, 128, "bfloat16"), norm(99, 4096, "bfloat16"), norm(99, 4096, "float32"), norm(9, 16384, "float32")]
SHIFTED_NORMS = [norm(99, 4097, "bfloat16"), norm(99, 4097, "float32")]
LONG_NORMS = [norm(9, 65536, "bfloat16")]
GROUPS = {
    "half": HALF,
    "tf32": TF32,
    "described": DESCRIBED,
    "odd": ODD,
    "skinny": SKINNY,
    "norms": NORMS,
    "shifted norms": SHIFTED_NORMS,
    "long norms": LONG_NORMS,
}

Launches = dict[str, list[dict[str, Any]]]


@pytest.fixture
def compiled(shared: Shared) -> Launches:
    """The one launch of each case, by group."""
    return shared.get("compiled-dense", lambda _: _compile())


def _compile() -> Launches:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    cases = [case for group in GROUPS.values() for case in group]
    told = subprocess.run(
        [sys.executable, HERE / "compile_dense.py", HERE.parents[1] / "kernels", json.dumps(cases)],
        env={**environment, "TRITON_DEFAULT_FP_FUSION": "1"},  # triton 3.9 warns where it is not set
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    launches = iter(json.loads(told.stdout))
    return {name: [launch for _ in group for launch in next(launches)] for name, group in GROUPS.items()}


def test_every_case_is_one_launch_that_fits(compiled: Launches) -> None:
    """In registers, too. An odd product spills some of them with triton 3.6, after its loop."""
    for name, launches in compiled.items():
        assert len(launches) == len(GROUPS[name])
        assert all(launch["shared"] <= SHARED_MEMORY for launch in launches)
        assert name == "odd" or not any(launch["spilled"] for launch in launches)


@pytest.mark.parametrize("group", ["half", "tf32", "odd"])
def test_large_products_feed_the_tensor_cores_by_whole_vectors_ahead(compiled: Launches, group: str) -> None:
    """Whatever the order of the operands, and whatever their alignment was."""
    for launch in compiled[group]:
        assert re.search(r"wgmma\.mma_async\.sync\.aligned\.m64n256k", launch["ptx"])
        assert launch["ptx"].count(AHEAD) == 48
        assert "cp.async.ca" not in launch["ptx"], "loads of 4 or 8 bytes"


def test_descriptors_load_by_the_tensor_memory_accelerator(compiled: Launches) -> None:
    for launch in compiled["described"]:
        assert launch["ptx"].count("cp.async.bulk.tensor.2d") == 8
        assert "wgmma.mma_async" in launch["ptx"]


def test_narrow_products_load_whole_vectors_ahead(compiled: Launches) -> None:
    for launch in compiled["skinny"]:
        assert "mma.sync.aligned.m16n8k" in launch["ptx"]
        assert launch["ptx"].count(AHEAD) >= 4
        assert "cp.async.ca" not in launch["ptx"]


@pytest.mark.parametrize("group", ["norms", "long norms"])
def test_norms_move_whole_vectors(compiled: Launches, group: str) -> None:
    for launch in compiled[group]:
        rows = set(re.findall(r"(?:ld|st)\.global\S*", launch["ptx"]))
        assert any("ld" in move and "v4.b32" in move for move in rows)
        assert all(".v4.b32" in move for move in rows if move.startswith("st"))


def test_rows_that_begin_anywhere_are_moved_by_whole_vectors_too(compiled: Launches) -> None:
    """16 elements a thread are as many 16-byte moves as they have bytes; the others are masked but at a row's ends."""
    for launch, size in zip(compiled["shifted norms"], (2, 4), strict=True):
        assert launch["kernel"] == "_shifted_row_kernel"
        assert len(re.findall(r"ld\.global\S*L1::evict_first\S*\.v4\.b32", launch["ptx"])) == size
        assert len(re.findall(r"st\.global\S*\.v4\.b32", launch["ptx"])) == size


def test_a_row_that_fits_is_read_once(compiled: Launches) -> None:
    """There are as many loads of x as stores of y, and of the weight at most as many."""
    for launch in compiled["norms"]:
        stores = launch["ptx"].count("st.global")
        assert stores < launch["ptx"].count("ld.global") <= 2 * stores
