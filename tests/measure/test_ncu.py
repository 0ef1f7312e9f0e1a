"""ncu's command line, whole, and what its output means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stallgate.measure.ncu import (
    AroundProgram,
    Invocation,
    command,
    command_around,
    complaints,
    pattern_of,
    program_status,
    written_report,
)


def test_the_command_line_of_samples() -> None:
    invocation = Invocation(
        report=Path("run/ncu/1.ncu-rep"),
        metrics=["gpu__time_duration.sum", "lts__t_sectors.sum"],
        detail=False,
        application=["python", "child", "plan.json"],
    )
    assert " ".join(command(Path("ncu"), invocation)) == (
        "ncu --config-file off --clock-control none --cache-control all --profile-from-start off --nvtx "
        "--target-processes all --metrics gpu__time_duration.sum,lts__t_sectors.sum "
        "--force-overwrite --export run/ncu/1.ncu-rep python child plan.json"
    )


def test_the_command_line_of_detail() -> None:
    invocation = Invocation(report=Path("r.ncu-rep"), metrics=["ignored"], detail=True, application=["app"])
    words = " ".join(command(Path("ncu"), invocation))
    assert "--set full --import-source yes" in words
    assert "--metrics" not in words


def test_the_command_line_around_a_program() -> None:
    around = AroundProgram(
        report=Path("run/ncu/counters.ncu-rep"),
        log=Path("run/ncu/counters.log"),
        metrics=["gpu__time_duration.sum", "lts__t_sectors.sum"],
        cache_control="all",
        program=["python", "train.py", "--fast"],
        kernels=["gemm", "operator()"],
        launches=4,
    )
    assert command_around(Path("ncu"), around) == [
        *("ncu", "--config-file", "off", "--clock-control", "none", "--cache-control", "all", "--nvtx"),
        *("--target-processes", "all", "--replay-mode", "kernel"),
        *("--kernel-name-base", "function", "--kernel-name", r"regex:^(gemm|operator\(\))$"),
        *("--filter-mode", "per-launch-config", "--launch-count", "4"),
        *("--metrics", "gpu__time_duration.sum,lts__t_sectors.sum", "--force-overwrite"),
        *("--export", "run/ncu/counters.ncu-rep", "--log-file", "run/ncu/counters.log"),
        *("python", "train.py", "--fast"),
    ]


def test_the_command_line_around_a_program_for_all_its_kernels() -> None:
    paths = {"report": Path("r.ncu-rep"), "log": Path("r.log")}
    words = command_around(Path("ncu"), AroundProgram(**paths, metrics=["m"], cache_control="none", program=["app"]))
    assert not {"--kernel-name", "--launch-count", "--filter-mode", "--kill"} & set(words)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_a_pattern_matches_its_names_alone(names: list[str]) -> None:
    pattern = re.compile(pattern_of(names).removeprefix("regex:"))
    assert all(pattern.fullmatch(name) for name in names)
    assert not any(pattern.fullmatch(f"{name}x") for name in names if f"{name}x" not in names)


@pytest.mark.parametrize(
    ("log", "exit_status", "status"),
    [
        ("", 0, 0),
        ("==ERROR== The application returned an error code (3).", 3, 3),
        ("==ERROR== The application returned an error code (11).", 1, 11),
        ("==ERROR== The application returned an error code (3).", None, None),
        ("==ERROR== Cuda driver is not compatible", 1, 1),
    ],
)
def test_a_programs_exit_status_is_what_ncu_tells(log: str, exit_status: int | None, status: int | None) -> None:
    assert program_status(log, exit_status) == status


@pytest.mark.parametrize("name", ["1.ncu-rep", "1.ncu-repz", "1.ncu-rep.ncu-repz"])
def test_a_report_is_found_under_the_suffix_that_ncu_chose(tmp_path: Path, name: str) -> None:
    assert written_report(tmp_path / "1.ncu-rep") is None
    (tmp_path / name).touch()
    assert written_report(tmp_path / "1.ncu-rep") == tmp_path / name


DRIVER = "An error was reported by the driver"
RESOURCE = "Profiling failed because a driver resource was unavailable. Ensure that no other tool is collecting data."
KERNEL = 'Failed to profile "k" in process 7'


@pytest.mark.parametrize(
    ("log", "errors", "blocked"),
    [
        (f"==ERROR== {DRIVER}:\n==ERROR== {RESOURCE}\n", [f"{DRIVER}: {RESOURCE}"], False),
        (  # without a colon, with empty lines, and with more errors behind
            f"==ERROR== {DRIVER}\n\n==ERROR== {RESOURCE}\n==ERROR== {KERNEL}\n==PROF== Trying to shutdown\n",
            [f"{DRIVER}: {RESOURCE}", KERNEL],
            False,
        ),
        (  # the program says something between the two
            f"==ERROR== {DRIVER}:\nstep 1 done\n==ERROR== {RESOURCE}\n",
            [f"{DRIVER}: {RESOURCE}"],
            False,
        ),
        (f"==ERROR== {DRIVER}:\n  LibraryNotFound\n", [f"{DRIVER}: LibraryNotFound"], False),
        (f"==ERROR== {DRIVER}:\nLibraryNotFound\n==PROF== x\n", [f"{DRIVER}: LibraryNotFound"], False),
        (f"==ERROR== {DRIVER}:\n", [f"{DRIVER}:"], False),
        (f"==ERROR== {DRIVER}:\n==PROF== Disconnected\n", [f"{DRIVER}:"], False),
        (
            "==ERROR== Failed to prepare kernel for profiling\n==ERROR== Unknown Error on device 0.\n",
            ["Failed to prepare kernel for profiling: Unknown Error on device 0."],
            False,
        ),
        (  # a sentence over two lines
            "==ERROR== Profiling failed. Ensure that no\nother tool collects data.\nTraceback\n",
            ["Profiling failed. Ensure that no other tool collects data."],
            False,
        ),
        ("==ERROR== LaunchFailed\nTraceback (most recent call last):\n", ["LaunchFailed"], False),
        ("==ERROR== LaunchFailed\n==ERROR== LaunchFailed\n", ["LaunchFailed"], False),
        ('==PROF== Profiling "k" - 0: 0%....50%==ERROR== LaunchFailed\n', ["LaunchFailed"], False),
        (
            "==ERROR== Profiling is not supported on device 0. To find out supported GPUs refer --list-chips option.\n",
            ["Profiling is not supported on device 0. To find out supported GPUs refer --list-chips option."],
            False,
        ),
        (
            f"==ERROR== {DRIVER}\n\n==ERROR== Cannot lock GPU clock frequencies on MIG! Try locking them externally.\n",
            [f"{DRIVER}: Cannot lock GPU clock frequencies on MIG! Try locking them externally."],
            False,
        ),
        (
            f"==ERROR== {DRIVER}:\n==ERROR== ERR_NVGPUCTRPERM - no permission\n",
            [f"{DRIVER}: ERR_NVGPUCTRPERM - no permission"],
            True,
        ),
        ("==PROF== Connected to process 1\n", [], False),
        (
            "==ERROR== The application returned an error code (1).\n",
            ["The application returned an error code (1)."],
            False,
        ),
        ("==WARNING== No kernels were profiled.\n", ["ncu profiled no kernel"], False),
        ("x\n==ERROR== ERR_NVGPUCTRPERM - no permission\n", ["ERR_NVGPUCTRPERM - no permission"], True),
    ],
)
def test_complaints(log: str, errors: list[str], blocked: bool) -> None:
    said = complaints(log)
    assert said.errors == errors
    assert said.counters_blocked is blocked
