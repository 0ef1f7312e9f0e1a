"""What the compiler makes of the kernels for an H100 or H200. Compiling needs no GPU."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.shared import Shared

HERE = Path(__file__).parent
LONG: list[Any] = [2, 32768]
SMALL: dict[str, int] = {"BLOCK": 1024, "num_warps": 8}
"""Tiles of which a thread holds 4 elements, not 32: the same code, unrolled less often."""


def cases(configuration: dict[str, int]) -> list[list[Any]]:
    return [
        *([[2, 9000], 1, dtype, configuration] for dtype in ("float16", "float64", "bool")),  # every accumulator
        *(
            [[3, n], 1, "float32", configuration] for n in (1, 8209)
        ),  # a 1 is a constant; odd rows have no whole vectors
        [[4, 9000, 3], 1, "float32", configuration],  # elements that lie apart
    ]


DEFAULT: list[list[Any]] = [[LONG, 1, "float32", {}]]
SCANNED: list[list[Any]] = [
    [[200, 8192], 1, "float32", {"form": "rows"}],
    [[200, 8195], 1, "float32", {"form": "rows"}],
    [[200, 8195], 1, "float16", {"form": "rows"}],
    [[4096, 256], 1, "float32", {}],
    [[512, 32768], 0, "float32", {}],
    [[512, 65536], 0, "float32", {}],
    [[4, 1048576], 1, "float32", {}],
    [[65536, 60], 0, "float32", {}],
    [[65536, 3], 0, "int64", {}],
    [[1048576], 0, "float64", {}],
]
GRADIENTS: list[list[Any]] = [
    [[600, 8192], 1, "float32", "gradient"],
    [[600, 8195], 1, "float32", "gradient"],
    [[512, 65536], 0, "float32", "gradient"],
    [[1048576], 0, "float32", "gradient"],
]


def staged(*numbers: int) -> list[list[Any]]:
    return [[LONG, 1, "float32", {"num_stages": stages}] for stages in numbers]


TILED = ["blocked_scan", "two_pass_scan"]
VARIANTS = [*TILED, "naive_serial", "copy_roof"]
WANTED = {
    "blocked_scan": [*staged(1, 2), *cases(SMALL)],
    "two_pass_scan": DEFAULT + cases(SMALL),
    **dict.fromkeys(("naive_serial", "copy_roof"), DEFAULT + cases({})),
    "scan": SCANNED + GRADIENTS,
}
IN_FULL = {
    "blocked_scan": [*staged(3), *cases({})],
    "two_pass_scan": cases({}),
    "scan": [[[8, 65536, 256], 1, "float32", {}]],
}
"""What is compiled in the night: tiles as they are launched."""

Compiled = dict[str, list[list[dict[str, Any]]]]


@pytest.fixture
def compiled(shared: Shared) -> Compiled:
    """Each variant's launches of each of its cases."""
    return shared.get("compiled", lambda _: compile_wanted(WANTED))


def compile_wanted(wanted: dict[str, list[list[Any]]]) -> Compiled:
    """In one process, which takes seconds to start."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    told = subprocess.run(
        [sys.executable, HERE / "compile_for_hopper.py", HERE.parents[1] / "kernels" / "cumprod", json.dumps(wanted)],
        env={**environment, "TRITON_DEFAULT_FP_FUSION": "1"},  # triton 3.9 warns where it is not set
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    result: Compiled = json.loads(told.stdout)
    return result


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_compiles(compiled: Compiled, variant: str) -> None:
    kernels = 3 if variant == "two_pass_scan" else 1
    assert all(len(launches) == kernels for launches in compiled[variant])


HINTED = "ld.global.L1::evict_last.L2::cache_hint.v4"
"""A load of 16 bytes that the L2 cache keeps longer than what is written."""

FRAME = 16
"""Bytes of a stack that triton 3.9 gives a launch with functions of its own: a frame, or two or three registers."""

AHEAD = "cp.async.cg.shared.global"
"""A load of 16 bytes to shared memory that nothing waits for."""


def assert_loads_whole_vectors(launch: dict[str, Any], stages: int, *, most: int) -> None:
    """As many tiles as it holds, and one place where a tile is scanned again: an unproven alignment would silently cost
    the vectors. Nothing waits in shared memory, and a thread has at most so many bytes of a stack.
    """
    vectors = 8192 // (4 * 32 * 8)
    of_a_tile = 2 * vectors  # if it is whole, and if it is not, in a branch each
    assert (launch["ptx"].count(HINTED), launch["ptx"].count(AHEAD)) == (stages * of_a_tile + 1, 0)
    assert launch["ptx"].count("st.global.v4") == vectors + 1
    assert launch["spilled"] <= most


def test_the_blocked_scan_loads_whole_vectors_to_registers(compiled: Compiled) -> None:
    """A tile when it is its turn, and, unless it is told otherwise, the next one while it scans."""
    at_once, ahead = (launches[0] for launches in compiled["blocked_scan"][:2])
    assert_loads_whole_vectors(at_once, 1, most=FRAME)
    assert_loads_whole_vectors(ahead, 2, most=FRAME)


@pytest.mark.long
def test_everything_compiles_as_it_is_launched() -> None:
    compiled = compile_wanted(IN_FULL)
    assert {variant: [len(launches) for launches in compiled[variant]] for variant in IN_FULL} == {
        "blocked_scan": [1] * (1 + len(cases({}))),
        "two_pass_scan": [3] * len(cases({})),
        "scan": [1],
    }
    assert_loads_whole_vectors(compiled["blocked_scan"][0][0], 3, most=128)


def test_the_copy_moves_whole_vectors(compiled: Compiled) -> None:
    launch = compiled["copy_roof"][0][0]
    assert launch["ptx"].count(HINTED) == launch["ptx"].count("st.global.v4") == 1
    assert launch["spilled"] == 0


@pytest.fixture
def forms(compiled: Compiled) -> list[dict[str, Any]]:
    """scan's launch of each shape that is scanned."""
    return [launch for launches in compiled["scan"][: len(SCANNED)] for launch in launches]


@pytest.fixture
def gradients(compiled: Compiled) -> list[dict[str, Any]]:
    """Its launches of each gradient: the last one is cut into chunks, which takes three."""
    return [launch for launches in compiled["scan"][len(SCANNED) :] for launch in launches]


def test_every_form_compiles_without_spills_and_moves_vectors(forms: list[dict[str, Any]]) -> None:
    names = [launch["kernel"] for launch in forms]
    assert names == ["_rows_kernel"] * 3 + ["_short_kernel"] + ["_strips_kernel"] * 2 + ["_tiles_kernel"] * 4
    assert all(launch["spilled"] <= FRAME for launch in (*forms[:6], *forms[7:]))
    assert forms[6]["spilled"] <= 32, "one sequence of float32, whose tile is turned again for its zeros"
    assert all(re.search(r"st\.global(\.L\d::\w+)*\.v4", launch["ptx"]) for launch in forms[:8])
    assert forms[4]["ptx"].count(AHEAD)
    assert all(launch["ptx"].count(HINTED) for launch in (*forms[:4], *forms[5:8]))


def test_a_thread_multiplies_the_rows_of_its_columns_one_by_one(forms: list[dict[str, Any]]) -> None:
    """Strips are right without any check because no other thread takes part."""
    assert not any("shfl" in launch["ptx"] for launch in forms[4:6])


def test_a_tile_is_turned_and_turned_back(forms: list[dict[str, Any]]) -> None:
    """Whole tiles go through shared memory twice, one sequence of floats once more for its zeros, and nothing else that
    is large.
    """
    times = []
    for launch in forms[6:]:
        found = re.findall(r"convert_layout .*tensor<([0-9x]+)x\w+, #\w+> loc", launch["ttgir"])
        sizes = [math.prod(map(int, each.split("x"))) for each in found]
        large = [size for size in sizes if size > 512]
        assert large == [max(sizes)] * len(large)
        assert large[0] >= 2048
        times.append(len(large))
    assert times == [3, 2, 2, 3]


def test_no_two_threads_wait_for_the_same_word(forms: list[dict[str, Any]]) -> None:
    """Of copies of a word that another program is publishing, only one is asked whether it is there."""
    for launch in forms[6:]:
        layouts = dict(re.findall(r"^(#\w+) = #ttg\.blocked<\{(.*)\}>$", launch["ttgir"], re.MULTILINE))
        loads = re.findall(r"tt\.load .*isVolatile = true.*tensor<([0-9x]+)x!tt\.ptr<i64>, (#\w+)>", launch["ttgir"])
        many = [(shape, layouts[name]) for shape, name in loads if not shape.startswith("1x")]
        assert many
        for shape, layout in many:
            held = [[int(n) for n in part.split(", ")] for part in re.findall(r"\[([0-9, ]+)\]", layout)[:3]]
            extent = [math.prod(of_dimension) for of_dimension in zip(*held, strict=True)]
            assert all(e <= int(size) for e, size in zip(extent, shape.split("x"), strict=True)), (shape, layout)


def test_gradients_compile_without_spills_and_move_vectors(gradients: list[dict[str, Any]]) -> None:
    names = [launch["kernel"] for launch in gradients]
    assert names == ["_linear_rows_kernel"] * 2 + ["_linear_strips_kernel"] + ["_linear_rows_kernel"] * 3
    assert not any(launch["spilled"] for launch in gradients)
    rows, _, strips, totals, _, chunks = (launch["ptx"] for launch in gradients)
    assert all(ptx.count("st.global.v4") for ptx in (rows, strips, chunks))
    assert all(re.search(r"ld\.global\.(\S+\.)?v4", ptx) for ptx in (rows, totals, chunks))
    assert AHEAD in strips


def test_a_gradient_shuffles_runs_and_not_elements(gradients: list[dict[str, Any]]) -> None:
    """A thread holds whole runs: of 8 elements two maps are scanned, of two float64 numbers in five steps each."""
    rows, odd, strips = (launch["ptx"].count("shfl") for launch in gradients[:3])
    assert strips == 0
    assert 0 < rows == odd <= 2 * 5 * 4 + 50
