"""ncu's command line, whole, and what its output means."""

from __future__ import annotations

from pathlib import Path

import pytest

from stallgate.measure.ncu import Invocation, command, complaints


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
