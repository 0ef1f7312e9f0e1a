"""The package of ways to write a kernel: each runs on the CPU, or is imported; and the project's file names each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.child.run_ways import IMPORTED, INTERPRETED
from tests.shared import Shared

ROOT = Path(__file__).with_name("ways")


@pytest.fixture(scope="session")
def faults(shared: Shared) -> dict[str, str]:
    return shared.get("ways", lambda _: _faults())


def _faults() -> dict[str, str]:
    told = subprocess.run(
        [sys.executable, Path(__file__).with_name("run_ways.py")],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    found: dict[str, str] = json.loads(told.stdout)
    return found


@pytest.mark.parametrize("entry", [*INTERPRETED, *IMPORTED])
def test_a_way_adds_what_it_should(faults: dict[str, str], entry: str) -> None:
    assert faults[entry] == ""


def test_the_project_has_every_way_as_a_candidate() -> None:
    problems = tomllib.loads((ROOT / "stallgate.toml").read_text(encoding="utf-8"))["problems"]
    rows = [row for problem in problems.values() for row in problem["variants"].values() if "role" not in row]
    entries = {row["entry"].replace("loose/beside.py", "beside") for row in rows}
    assert entries == {*INTERPRETED, *IMPORTED}


def test_every_module_of_the_package_is_used() -> None:
    helpers = {"kernels", "__init__", "nested.tile", "nested.__init__"}
    modules = {
        ".".join(path.relative_to(ROOT / "ways").with_suffix("").parts) for path in (ROOT / "ways").rglob("*.py")
    }
    named = {entry.partition(":")[0].removeprefix("ways.") for entry in (*INTERPRETED, *IMPORTED)}
    assert modules - helpers == named - {"beside"}
