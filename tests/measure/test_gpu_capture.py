"""``stallgate capture`` on a GPU: the shares that torch.profiler sees, and programs that do not end well."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stallgate.measure.device import find_devices
from tests.conftest import ROOT

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not find_devices() or shutil.which("ncu") is None, reason="there is no GPU, or no ncu"),
]

PROGRAMS = Path(__file__).with_name("capture_on_gpu")
LARGEST_DIFFERENCE = 0.05
"""Between the share of a kernel under ncu and under torch.profiler."""


def capture(folder: Path, program: str, *arguments: str, options: tuple[str, ...] = ()) -> Any:
    """The object that ``capture --json`` prints of a program; its exit status is in it."""
    command = ["capture", "--json", *options, "--", sys.executable, str(PROGRAMS / program), *arguments]
    done = subprocess.run(
        [sys.executable, "-m", "stallgate", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "harness"), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert "Traceback" not in done.stdout
    found = json.loads(done.stdout)
    assert found["status"] == done.returncode
    print(done.stderr[-2000:], done.stdout[:500])
    return found


def profiled(folder: Path, program: str) -> Counter[str]:
    """Function -> nanoseconds, as torch.profiler has them of every process of the same program without ncu."""
    into = folder / "profiled"
    into.mkdir()
    paths = [str(PROGRAMS / "profiled"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "KERNELS_INTO": str(into)}
    subprocess.run([sys.executable, PROGRAMS / program], env=environment, timeout=300, check=True)
    found: Counter[str] = Counter()
    for path in into.glob("*.json"):
        for name, time_ns in json.loads(path.read_text()):
            found[function_of(name)] += time_ns
    return found


def function_of(demangled: str) -> str:
    """The function of a C++ signature, without return type, namespace, template arguments and parameters."""
    text, depth, kept = demangled.replace("(anonymous namespace)", "anonymous"), 0, ""
    for sign in text:
        depth += sign == "<"
        if depth == 0:
            if sign == "(":
                break
            kept += sign
        depth -= sign == ">"
    return kept.split()[-1].rpartition("::")[2]


def shares(times: Counter[str]) -> dict[str, float]:
    whole = sum(times.values())
    return {name: time / whole for name, time in times.most_common()}


@pytest.mark.parametrize("program", ["training_step.py", "autotuned.py", "starting_others.py"])
def test_shares_are_those_of_torchs_profiler(tmp_path: Path, program: str) -> None:
    found = capture(tmp_path, program, options=("--report",))
    assert found["status"] == 0, found
    assert found["program"]["exit_status"] == 0
    times: Counter[str] = Counter()
    for kernel in found["program"]["kernels"]:
        times[kernel["kernel"]] += kernel["time"]["median"]
    ours, theirs = shares(times), shares(profiled(tmp_path, program))
    names = [name for name in {**ours, **theirs} if max(ours.get(name, 0), theirs.get(name, 0)) > 0.01]
    for name in names:
        print(f"{ours.get(name, 0):7.3f} {theirs.get(name, 0):7.3f} {name}")
    assert all(abs(ours.get(name, 0) - theirs.get(name, 0)) < LARGEST_DIFFERENCE for name in names)
    measured = [kernel for kernel in found["program"]["kernels"] if kernel["counters"] == "measured"]
    assert sum(kernel["share"] for kernel in measured) > 0.85 or len(measured) >= 10
    assert (Path(tmp_path) / "reports/latest/report.html").is_file()


def test_kernels_of_the_same_geometry_all_have_counters(tmp_path: Path) -> None:
    found = capture(tmp_path, "same_geometry.py")
    assert found["status"] == 0, found
    counters = {kernel["kernel"]: kernel["counters"] for kernel in found["program"]["kernels"]}
    assert counters == dict.fromkeys(("double", "Double", "halve"), "measured")
    assert len(found["cases"]) == 3
    run = json.loads((Path(tmp_path) / "reports/latest/run.json").read_text())
    assert [case["identity"]["launches"] for case in run["cases"]] == [3, 3, 3]


def test_only_the_kernels_that_are_named(tmp_path: Path) -> None:
    found = capture(tmp_path, "same_geometry.py", options=("--kernel", "^halve$", "--launches", "2"))
    counters = {kernel["kernel"]: kernel["counters"] for kernel in found["program"]["kernels"]}
    assert counters == {"double": "not_wanted", "Double": "not_wanted", "halve": "measured"}


@pytest.mark.parametrize("ending", ["raise", "segfault", "killed", "fault"])
def test_a_crash_keeps_what_was_measured(tmp_path: Path, ending: str) -> None:
    found = capture(tmp_path, "ending.py", ending)
    assert found["program"]["exit_status"] != 0
    assert found["program"]["failures"]
    heaviest = found["program"]["kernels"][0]
    assert heaviest["launches"] >= 10
    assert heaviest["counters"] == "measured"
    assert found["status"] in (0, 3)  # 3: a kernel of the crash itself cannot be measured


def command_lines() -> list[bytes]:
    """Of every process of this machine that can be asked."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes())
    return found


@pytest.mark.parametrize("ending", ["hang", "deaf"])
def test_a_program_that_does_not_end_is_ended(tmp_path: Path, ending: str) -> None:
    begun = time.monotonic()
    found = capture(tmp_path, "ending.py", ending, options=("--timeout", "25", "--grace", "5"))
    assert time.monotonic() - begun < 150
    assert any("--timeout" in failure for failure in found["program"]["failures"])
    assert not [line for line in command_lines() if b"ending.py" in line]
    if ending == "hang":
        assert found["program"]["kernels"][0]["counters"] == "measured"
        assert found["status"] == 0


def test_a_program_without_a_kernel(tmp_path: Path) -> None:
    program = tmp_path / "hello.py"
    program.write_text("print('hello')")
    found = capture(tmp_path, str(program))
    assert found["status"] == 3
    assert found["error"]["message"].startswith("ncu timed no kernel")
