"""What the compiler makes of the package's forms on every architecture. Compiling needs no GPU."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE.parents[2] / "kernels" / "cumprod" / "scan"
ARCHITECTURES = [80, 86, 89, 90, 100, 120]
"""A100; 3090; 4090 and L40; H100 and H200; B200; 5090."""

OLDEST_AND_NEWEST = [80, 120]

Results = list[list[dict[str, Any]]]


def compiled(cases: list[list[Any]], architectures: list[int]) -> Results:
    """For each case its launch on each architecture; in one process, which takes seconds to start."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    told = subprocess.run(
        [sys.executable, HERE.parent / "compile_launches.py", PACKAGE, json.dumps(cases), json.dumps(architectures)],
        env={**environment, "TRITON_DEFAULT_FP_FUSION": "1"},  # triton 3.9 warns where it is not set
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    results: Results = json.loads(told.stdout)
    return results


def named(shape: list[int], dtype: str = "float32") -> list[Any]:
    """A case along dim 1 for which the package chooses the form."""
    return [shape, 1, dtype, "", {}, {}]


LINES: dict[int | None, list[list[Any]]] = {
    4: [named([2**20, 3, 32]), named([16384, 128, 64])],
    2: [
        named([2**18, 64, 8], "float16"),
        named([2**18, 64, 6], "int8"),
        named([2**18, 64, 18], "float64"),
    ],
    None: [named([2**24, 3]), named([2**18, 64, 3]), named([2**16, 2**15, 2]), named([2**18, 64, 17], "int64")],
}
"""By how many words a thread stores at once; None where sequences have no vectors."""

MORE_LINES: dict[int | None, list[list[Any]]] = {
    4: [named([2**20, 8, 8]), named([2**20, 8, 16], "bfloat16"), named([2**18, 128, 60])],
    2: [named([2**22, 2, 2]), named([2**18, 64, 24], "int64")],
    None: [named([2**16, 100, 5]), named([2**16, 100, 7], "float16"), named([2**19, 33, 2], "float64")],
}
"""For the night."""

WHOLE: list[list[Any]] = [named([2**24, 4]), named([2**24, 8], "bfloat16"), named([2**24, 2], "uint8")]
MORE_WHOLE: list[list[Any]] = [
    *(named([2**25, 2], dtype) for dtype in ("float16", "float32", "float64", "int32", "int64")),
    *(named([2**25, 1], dtype) for dtype in ("float16", "int64")),
]


def assert_serial(launches: list[dict[str, Any]], kernel: str) -> None:
    """No thread needs another: that is why products are serial ones, and need no check."""
    assert {launch["kernel"] for launch in launches} == {kernel}
    assert not any("shfl" in launch["ptx"] for launch in launches)
    assert not any(launch["spilled"] for launch in launches)
    assert max(launch["registers"] for launch in launches) <= 128
    assert max(launch["seconds"] for launch in launches) < 20


def assert_lines(cases: dict[int | None, list[list[Any]]], architectures: list[int]) -> None:
    results = iter(compiled([case for of_vector in cases.values() for case in of_vector], architectures))
    for vector, of_vector in cases.items():
        for case in of_vector:
            launches = next(results)
            assert len(launches) == len(architectures)
            assert_serial(launches, "_lines_kernel")
            for launch in launches:
                widths = set(re.findall(r"st\.global\S*\.(v\d)\.", launch["ptx"])) or {None}
                assert widths == {vector and f"v{vector}"}, (case, launch["architecture"])


def test_lines_spill_nowhere_and_move_vectors() -> None:
    assert_lines(LINES, OLDEST_AND_NEWEST)


@pytest.mark.long
def test_lines_spill_nowhere_and_move_vectors_on_every_architecture() -> None:
    assert_lines({vector: LINES[vector] + MORE_LINES[vector] for vector in LINES}, ARCHITECTURES)


@pytest.mark.parametrize(
    ("cases", "architectures"),
    [(WHOLE, OLDEST_AND_NEWEST), pytest.param(WHOLE + MORE_WHOLE, ARCHITECTURES, marks=pytest.mark.long)],
    ids=["some", "all"],
)
def test_whole_lines_spill_nowhere(cases: list[list[Any]], architectures: list[int]) -> None:
    for launches in compiled(cases, architectures):
        assert_serial(launches, "_whole_lines_kernel")


def test_rows_load_ahead_into_registers() -> None:
    """With one load of each vector before the loop and one in it, which nothing waits for at once."""
    (launch,) = compiled([[[32768, 32768], 1, "float32", "rows", {}, {}]], [90])[0]
    assert "cp.async" not in launch["ptx"]
    assert len(re.findall(r"ld\.global\S*\.v4", launch["ptx"])) >= 2 * 8192 // (256 * 4)
    assert launch["shared"] <= 8192  # how many programs run at once is for registers to say
    assert launch["spilled"] <= 16  # with triton 3.9; with 3.6 nothing


@pytest.mark.parametrize("shape", [[2**24 + 1], [3, 2**23 + 1]], ids=str)
def test_sequences_of_odd_lengths_move_in_vectors(shape: list[int]) -> None:
    """All tiles but the first and the last of each, which ask of every element whether it is inside."""
    (launch,) = compiled([[shape, -1, "float32", "tiles", {}, {}]], [90])[0]
    vectors = 8192 // (128 * 4)
    assert len(re.findall(r"ld\.global\S*\.v4", launch["ptx"])) >= vectors
    assert len(re.findall(r"st\.global\S*\.v4", launch["ptx"])) >= vectors
