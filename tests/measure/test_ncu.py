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


@pytest.mark.parametrize(
    ("log", "errors", "blocked"),
    [
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
