"""What the compiler makes of the kernels for an H100 or H200. Compiling needs no GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.shared import Shared

HERE = Path(__file__).parent
LONG: list[Any] = [2, 32768]
CASES: list[list[Any]] = [
    [LONG, 1, "float32", {}],
    *([[2, 9000], 1, dtype, {}] for dtype in ("float16", "float64", "bool")),  # every accumulator
    *([[3, n], 1, "float32", {}] for n in (1, 8209)),  # a 1 is a constant to triton; odd rows have no whole vectors
    [[4, 9000, 3], 1, "float32", {}],  # elements that lie apart
]
VARIANTS = ["blocked_scan", "two_pass_scan", "naive_serial", "copy_roof"]


Launches = list[list[dict[str, Any]]]
Compiled = Callable[[str], Launches]


@pytest.fixture
def compiled(shared: Shared) -> Compiled:
    """Gives a variant's launches of each case, and for the blocked scan of one more for each number of stages."""
    return lambda variant: shared.get(f"compiled-{variant}", lambda _: compile_cases(variant))


def compile_cases(variant: str) -> Launches:
    staged = [[LONG, 1, "float32", {"num_stages": stages}] for stages in (1, 2, 3)]
    cases = CASES + staged * (variant == "blocked_scan")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    path = HERE.parents[1] / "kernels" / "cumprod" / f"{variant}.py"
    told = subprocess.run(
        [sys.executable, HERE / "compile_for_hopper.py", path, json.dumps(cases)],
        env={**environment, "TRITON_DEFAULT_FP_FUSION": "1"},  # triton 3.9 warns where it is not set
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    result: Launches = json.loads(told.stdout)
    return result


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_compiles(compiled: Compiled, variant: str) -> None:
    kernels = 3 if variant == "two_pass_scan" else 1
    assert all(len(launches) == kernels for launches in compiled(variant))


HINTED = "ld.global.L1::evict_last.L2::cache_hint.v4"
"""A load of 16 bytes that the L2 cache keeps longer than what is written."""

AHEAD = "cp.async.cg.shared.global"
"""A load of 16 bytes to shared memory that nothing waits for."""


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_the_blocked_scan_loads_whole_vectors_ahead(compiled: Compiled, stages: int) -> None:
    """An unproven alignment would silently cost the vectors, and a barrier in the loop the pipeline."""
    launch = compiled("blocked_scan")[len(CASES) + stages - 1][0]
    vectors = 16384 // (4 * 32 * 16)
    ahead, at_once = launch["ptx"].count(AHEAD), launch["ptx"].count(HINTED)
    again = 3 * vectors  # where a tile may be wrong: a look at it, and in the loop that does a sequence again
    assert (ahead, at_once) == ((0, vectors + again) if stages == 1 else (stages * vectors, again))
    assert launch["ptx"].count("st.global.v4") >= vectors
    assert launch["spilled"] == 0


@pytest.mark.parametrize("stages", [2, 3])
def test_nothing_waits_in_shared_memory_where_a_function_is_called(compiled: Compiled, stages: int) -> None:
    """Triton gives a function of its own shared memory from the start, over whatever its caller has there."""
    ptx = compiled("blocked_scan")[len(CASES) + stages - 1][0]["ptx"]
    assert ptx.rindex("cp.async.cg") < ptx.rindex("cp.async.wait_group") < ptx.index("call.uni")


def test_the_copy_moves_whole_vectors(compiled: Compiled) -> None:
    launch = compiled("copy_roof")[0][0]
    assert launch["ptx"].count(HINTED) == launch["ptx"].count("st.global.v4") == 1
    assert launch["spilled"] == 0
