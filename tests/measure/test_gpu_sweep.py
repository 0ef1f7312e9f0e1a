"""Sweeps on a GPU, through the real command line: in time, with counters, resumed after kills, on two GPUs.

    pytest -s -m gpu tests/measure/test_gpu_sweep.py

Each test prints what it measured, and where the time went, before it judges: a failure has its figures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from stallgate.measure.device import find_devices
from stallgate.runs.sweep import Sweep, load_sweep
from tests.conftest import ROOT, python_path

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not find_devices(), reason="there is no GPU")]

SEVERAL = pytest.mark.skipif(len(find_devices()) < 2, reason="there is one GPU")
TIME_FRAME_S = 90
"""For a space of a hundred on the largest workload, with nothing compiled before."""

COUNTERS_S = 41.0 * 1.2
"""What counters of 137 configurations may take, one sample each: 1.2 times what ncu takes without checks."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return project_in(tmp_path)


def project_in(folder: Path) -> Path:
    """A project with this repository's problems and without runs."""
    for name in ("kernels", "metrics"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "stallgate", "sweep", *arguments, "--json"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": python_path()}


def swept(project: Path, *arguments: str, environ: dict[str, str] | None = None) -> tuple[Any, Path, float]:
    """The result as it is printed, the sweep's folder, and the seconds that it took."""
    begun, started = time.monotonic(), time.time()
    done = subprocess.run(
        command(*arguments),
        cwd=project,
        env={**environment(), **(environ or {})},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    took = time.monotonic() - begun
    folders = [path.parent for path in project.glob("reports/*/sweep.json")]
    for folder in folders[-1:]:
        folder = max(folders, key=lambda each: (each / "sweep.json").stat().st_mtime)
        print(f"\nsweep {' '.join(arguments)}: {took:.1f} s, status {done.returncode}")
        show_timeline(folder, started)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder, took


def show_timeline(folder: Path, started: float) -> None:
    """Where the time went: when each process spoke first and last, and its steps; then the states."""
    for path in sorted(folder.rglob("*.events.jsonl"), key=lambda each: each.stat().st_mtime):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        said = [(line["at"], line["said"]) for line in lines if "said" in line]
        if not said:
            continue
        steps = Counter(words(each) for _, each in said)
        ends = {words(each): at for at, each in said}
        shown = ", ".join(f"{count} {step} until {ends[step]:.1f}" for step, count in steps.items())
        ended = path.stat().st_mtime - started
        print(f"  {path.relative_to(folder)}: {said[-1][0]:.1f} s, ended at {ended:.1f} s: {shown}")
    found = load_sweep(folder)
    logs = [path.stat().st_mtime - started for path in folder.glob("times/*/compile/*.log")]
    compiled = [trial.compile_s for trial in found.trials if trial.compile_s is not None]
    if compiled:
        print(f"  compiled ahead: {len(compiled)}, {median(compiled):.2f} s each, {len(logs)} processes")
    for load in dict.fromkeys(trial.workload for trial in found.trials):
        states = Counter(trial.state for trial in found.trials if trial.workload == load)
        print(f"  {load}: {dict(states)}")


def words(said: dict[str, Any]) -> str:
    """A step without its number, or an event."""
    return str(said.get("step") or said.get("event") or next(iter(said), "")).split(" of ")[0].rstrip("0123456789 ")


def states(found: Sweep) -> Counter[str]:
    return Counter(trial.state for trial in found.trials)


def standing(told: dict[str, Any]) -> str:
    return ", ".join(f"{load} {time['median']:.1f} us" for load, time in told["times"].items())


# --- a space of a hundred ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, float]:
    """The sweep of a space of a hundred on the largest workload, with an empty cache of Triton."""
    folder = tmp_path_factory.mktemp("square")
    arguments = ("cumprod/blocked_scan", "-w", "square")
    return swept(project_in(folder / "project"), *arguments, environ={"TRITON_CACHE_DIR": str(folder / "cache")})


def test_a_space_of_96_has_times_and_the_best_have_counters(square: tuple[Any, Path, float]) -> None:
    _, folder, _ = square
    found = load_sweep(folder)
    tried = [trial for trial in found.trials if trial.state != "pruned"]
    failed = {trial.configuration: (trial.state, trial.reason) for trial in tried if not trial.samples_us}
    print(f"{len(tried)} tried; failed: {failed}")
    assert len(tried) >= 96
    assert states(found)["planned"] == 0
    profiled = [trial for trial in found.trials if trial.state == "profiled"]
    assert len(profiled) >= 2
    assert all({"duration", "roof_fraction", "memory_dependency_stall"} <= set(trial.counters) for trial in profiled)
    assert all(final.clock is not None and final.clock.sm_mhz for final in found.finals)


def test_what_is_compiled_ahead_is_known(square: tuple[Any, Path, float]) -> None:
    """Registers come from the driver, of code that was compiled for tensors without memory."""
    _, folder, _ = square
    found = load_sweep(folder)
    known = [trial for trial in found.trials if trial.registers is not None]
    reasons = {line for path in folder.glob("times/*/compile/*.log") for line in path.read_text().splitlines()[-1:]}
    print(f"registers of {len(known)}; the last lines of the compilers: {reasons}")
    assert len(known) >= 48, "compilation ahead found little out"
    assert all(trial.registers and 16 <= trial.registers <= 255 for trial in known)


def test_its_suggestion_meets_the_stage_and_is_no_slower_than_the_default(square: tuple[Any, Path, float]) -> None:
    told = square[0]["found"]
    print(f"{told['sentence']}\nsuggested: {standing(told['suggested'])}; default: {standing(told['default'])}")
    for check in told["suggested"]["checks"]:
        print(f"  {check['metric']} {check['value']} {check['comparison']} {check['bound']}: {check['answer']}")
    assert told["meets"]
    assert not told["unmeasured"]
    suggested, default = (told[name]["times"]["square"] for name in ("suggested", "default"))
    assert suggested["median"] <= default["median"] * 1.005, "0.5 % is a tie"


def test_a_space_of_96_ends_in_time(square: tuple[Any, Path, float]) -> None:
    assert square[2] < TIME_FRAME_S


# --- a product of matrices --------------------------------------------------------------------------------------------


def test_a_product_of_matrices_is_near_the_library(project: Path) -> None:
    told, folder, _ = swept(project, "matmul/tiled", "-w", "bf16")
    found = load_sweep(folder)
    library = next(each for each in found.yardsticks if each.ceiling == "library")
    best = min(found.finals, key=lambda final: median(final.samples_us))
    assert library.median_us is not None
    of_library = library.median_us / median(best.samples_us)
    print(f"{told['found']['sentence']}\n{best.configuration}: {of_library:.3f} of the library")
    assert sum(trial.state != "pruned" for trial in found.trials) >= 200
    assert of_library >= 0.95


# --- killed -----------------------------------------------------------------------------------------------------------


def killed_when(project: Path, arguments: tuple[str, ...], is_time: Callable[[Path], bool]) -> None:
    """Begins or resumes a sweep, and kills it once a condition on its folder holds."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=project,
        env=environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        if any(is_time(path.parent) for path in project.glob("reports/*/sweep.json")):
            break
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it was to be killed"
    process.kill()
    process.wait()


def outcomes_in(folder: Path) -> int:
    return sum(trial.state not in ("planned", "pruned") for trial in load_sweep(folder).trials)


def test_killed_three_times_and_resumed_it_is_the_same_table(project: Path) -> None:
    """Killed while it compiles, while outcomes come in, and while counters are collected."""
    arguments = ("cumprod/blocked_scan", "-w", "page")
    killed_when(project, arguments, lambda folder: any(t.compile_s for t in load_sweep(folder).trials))
    killed_when(project, ("--resume",), lambda folder: outcomes_in(folder) >= 5)
    killed_when(project, ("--resume",), lambda folder: (folder / "run.json").is_file())
    _, folder, _ = swept(project, "--resume")
    resumed = load_sweep(folder)
    assert resumed.complete
    content = (folder / "sweep.json").read_bytes()
    swept(project, "--resume")
    assert (folder / "sweep.json").read_bytes() == content, "of a sweep that is complete nothing is measured again"
    _, folder, _ = swept(project, *arguments)
    whole = load_sweep(folder)
    tables = [{t.configuration: has_run(t.state) for t in each.trials} for each in (resumed, whole)]
    print(f"states resumed {states(resumed)}, in one {states(whole)}; best {best_us(resumed)} and {best_us(whole)} us")
    assert tables[0] == tables[1]
    assert best_us(resumed) == pytest.approx(best_us(whole), rel=0.05)


def has_run(state: str) -> str:
    """A state, but for how long it was timed: that depends on noise where configurations are alike."""
    return "timed" if state in ("stopped", "timed", "profiled") else state


def best_us(found: Sweep) -> float:
    return min(median(final.samples_us) for final in found.finals)


# --- counters of all, and two GPUs ------------------------------------------------------------------------------------

ALL = ("cumprod/blocked_scan", "-w", "square", "--counters", "all")


def test_counters_of_all_take_little_more_than_ncu_alone(project: Path) -> None:
    _, folder, _ = swept(project, *ALL)
    run = json.loads((folder / "run.json").read_text())
    took = sum(attempt["seconds"] or 0 for attempt in run["attempts"])
    profiled = sum(case["outcome"] == "profiled" for case in run["cases"])
    print(f"counters of {profiled} configurations: {took:.1f} s; ncu alone: {41.0 * profiled / 137:.1f} s")
    assert took <= COUNTERS_S * max(profiled, 100) / 137 + 12, "12 s are what ncu and torch take to start"


LARGE = """
[workloads.large]
arguments = { shape = [49152, 32768], dim = 1, dtype = "float32" }
bytes = 12_884_901_888
flops = 1_610_612_736
"""
THREE = ("square", "square_f64", "large")
"""Workloads that keep a GPU at work: two ncu of one host hinder each other in what they do between launches. With a
fourth there would be more trials than are tried whole."""

MOST_OF_ONE = 0.6
"""The part of one GPU's time that two may take."""


@SEVERAL
def test_two_gpus_take_at_most_six_tenths_of_the_time(project: Path, tmp_path: Path) -> None:
    """Times and counters of a space of a hundred on three large workloads, each time with nothing compiled before."""
    path = project / "kernels/cumprod/problem.toml"
    path.write_text(path.read_text() + LARGE)
    arguments = ("cumprod/blocked_scan", *(f"-w{workload}" for workload in THREE), "--counters", "all")
    caches = [{"TRITON_CACHE_DIR": str(tmp_path / f"cache-{count}")} for count in (1, 2)]
    _, folder, together = swept(project, *arguments, "--devices", "0,1", environ=caches[1])
    _, _, alone = swept(project, *arguments, environ=caches[0])
    print(f"one GPU {alone:.1f} s, two {together:.1f} s: {together / alone:.2f}")
    assert {trial.device for trial in load_sweep(folder).trials if trial.samples_us} == {0, 1}
    assert together <= MOST_OF_ONE * alone
