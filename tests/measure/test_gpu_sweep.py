"""Sweeps on a GPU, through the real command line: in time, with counters, resumed after kills, on two GPUs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from stallgate.measure.device import find_devices
from stallgate.runs.sweep import Sweep, load_sweep
from tests.conftest import ROOT

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not find_devices(), reason="there is no GPU")]

SEVERAL = pytest.mark.skipif(len(find_devices()) < 2, reason="there is one GPU")
TIME_FRAME_S = 90


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with this repository's problems and without runs."""
    for name in ("kernels", "metrics"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "stallgate", "sweep", *arguments, "--json"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "harness")}


def swept(project: Path, *arguments: str) -> tuple[Any, Sweep, float]:
    begun = time.monotonic()
    done = subprocess.run(
        command(*arguments), cwd=project, env=environment(), capture_output=True, text=True, timeout=900, check=False
    )
    took = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    newest = max(project.glob("reports/*/sweep.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(done.stdout), load_sweep(newest.parent), took


def states(found: Sweep) -> dict[str, int]:
    counts: dict[str, int] = {}
    for trial in found.trials:
        counts[trial.state] = counts.get(trial.state, 0) + 1
    return counts


def best_us(found: Sweep) -> float:
    return min(median(final.samples_us) for final in found.finals)


def test_a_space_of_96_ends_in_time_and_is_no_slower_than_the_default(project: Path) -> None:
    """The machine is warm or not: the cache of Triton may be empty, and everything is compiled within the time."""
    _, found, took = swept(project, "cumprod/blocked_scan", "-w", "square")
    tried = [trial for trial in found.trials if trial.state != "pruned"]
    print(f"{len(tried)} configurations in {took:.1f} s: {states(found)}")
    assert len(tried) >= 96
    assert states(found).get("planned", 0) == 0
    assert took < TIME_FRAME_S
    profiled = [trial for trial in found.trials if trial.state == "profiled"]
    assert profiled
    assert all({"duration", "roof_fraction", "memory_dependency_stall"} <= set(trial.counters) for trial in profiled)
    compiled = [trial for trial in tried if trial.registers is not None]
    print(f"compiled ahead: {len(compiled)}")
    assert compiled, "compilation ahead found nothing out: see compile/*.log of the sweep"
    default = next(final for final in found.finals if final.configuration == "default")
    assert best_us(found) <= median(default.samples_us) * 1.01
    assert all(final.clock is not None and final.clock.sm_mhz for final in found.finals)


def test_a_product_of_matrices_is_near_the_library(project: Path) -> None:
    _, found, took = swept(project, "matmul/tiled", "-w", "bf16")
    print(f"{len(found.trials)} configurations in {took:.1f} s: {states(found)}")
    library = next(each for each in found.yardsticks if each.ceiling == "library")
    assert library.median_us is not None
    assert library.median_us / best_us(found) >= 0.95


def test_killed_three_times_and_resumed_it_is_the_same_set(project: Path) -> None:
    arguments: tuple[str, ...] = ("cumprod/blocked_scan", "-w", "page")
    for seconds in (12, 18, 24):
        process = subprocess.Popen(command(*arguments), cwd=project, env=environment(), start_new_session=True)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if list(project.glob("reports/*/sweep.json")):
            arguments = ("--resume",)
    _, found, _ = swept(project, "--resume")
    _, whole, _ = swept(project, "cumprod/blocked_scan", "-w", "page")
    names = [[(trial.configuration, trial.workload) for trial in each.trials] for each in (found, whole)]
    assert names[0] == names[1]
    assert states(found).get("planned", 0) == 0
    assert best_us(found) == pytest.approx(best_us(whole), rel=0.05)


@SEVERAL
def test_two_gpus_take_at_most_six_tenths_of_the_time(project: Path) -> None:
    swept(project, "cumprod/blocked_scan", "-w", "square", "--effort", "full")  # compiles
    _, _, alone = swept(project, "cumprod/blocked_scan", "-w", "square", "--effort", "full", "--counters", "all")
    both = ("--devices", "0,1", "--counters", "all")
    _, found, together = swept(project, "cumprod/blocked_scan", "-w", "square", "--effort", "full", *both)
    print(f"one GPU {alone:.1f} s, two {together:.1f} s")
    assert {trial.device for trial in found.trials if trial.samples_us} == {0, 1}
    assert together <= 0.6 * alone
