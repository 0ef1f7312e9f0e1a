"""Whatever is asked of the package, what it launches fits the GPU that it is asked on. Compiling needs no GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE.parents[2] / "kernels" / "cumprod" / "scan"

SMALL_MULTIPROCESSOR = 101376
"""Bytes of shared memory that a program can have where a multiprocessor has 100 KiB: all but one, which it keeps."""


KNOWN_STACKS = {"_rows_kernel": 16}
"""Bytes that some of a kernel's launches have in spite of all that was tried: known limits of the package's README."""


def compiled(seed: int, calls: int, kinds: int = 0) -> list[dict[str, Any]]:
    """What each of so many kinds of launches needs (0: of all) that so many drawn calls lead to, and the named ones."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    told = subprocess.run(
        [sys.executable, HERE.parent / "compile_reachable.py", PACKAGE, str(seed), str(calls), str(kinds)],
        env={**environment, "TRITON_DEFAULT_FP_FUSION": "1"},  # triton 3.9 warns where it is not set
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return [json.loads(line) for line in told.stdout.splitlines()]


def faults(launch: dict[str, Any]) -> list[str]:
    """What a launch needs that it should not."""
    if "error" in launch:
        return [launch["error"]]
    found = {
        "a stack": launch["spilled"] > KNOWN_STACKS.get(launch["kernel"], 0),
        "more shared memory than there is": launch["shared"] > launch["room"],
        "all shared memory for one program": launch["room"] <= SMALL_MULTIPROCESSOR
        and 2 * (launch["shared"] + 1024) > launch["room"] + 1024,
        "20 seconds": launch["seconds"] > 20,
    }
    return [fault for fault, is_found in found.items() if is_found]


@pytest.mark.parametrize(
    ("calls", "kinds"), [(300, 20), pytest.param(300, 0, marks=pytest.mark.long)], ids=["some", "all"]
)
def test_nothing_spills_and_everything_fits(calls: int, kinds: int) -> None:
    launches = compiled(1, calls, kinds)
    assert len({launch["kernel"] for launch in launches}) >= 4
    found = [(each, launch) for launch in launches for each in faults(launch)]
    assert not found, found
