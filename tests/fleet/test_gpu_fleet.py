"""A sweep by a scheduler's address on one GPU and on two of one host, as ``docs/fleet.md`` starts their workers.

    pytest -s -m gpu tests/fleet/test_gpu_fleet.py

What was measured, and where the time went, is printed before it is judged: a failure has its figures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

from stallgate.measure.device import find_devices
from stallgate.runs.sweep import Sweep, load_sweep
from tests.fleet.daemons import fleet_by_hand
from tests.measure.test_gpu_sweep import environment, has_run, project_in, states, swept
from tests.measure.test_sweep import _without_sweep

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(len(find_devices()) < 2, reason="there are not two GPUs")]

SPACE = """
[variants.blocked_scan.sweep]
BLOCK = { from = 512, to = 16384, times = 2 }
num_warps = { from = 1, to = 32, times = 2 }
num_stages = { from = 1, to = 8, step = 1 }
constraints = [
    "num_warps * 128 <= BLOCK <= num_warps * 1024",
    "BLOCK * 4 * (num_stages - 1) <= shared_memory_per_block_kb * 1024",
]
"""
"""Half as many again as the variant's own."""

TWO = ("square", "square_f64")
"""Workloads. What a sweep does once, before and after its trials, is the less the more of them there are; with a third
there would be more trials than are tried whole."""

MOST_OF_ONE = 0.6
"""The part of one GPU's time that two may take."""


class FleetSweep(NamedTuple):
    """A sweep by a scheduler's address."""

    found: Sweep
    folder: Path
    seconds: float
    """From the command's start to its end; the workers were there before."""

    @property
    def gpus(self) -> set[str]:
        """UUIDs of the GPUs that profiled it."""
        runs = [json.loads(path.read_text()) for path in sorted(self.folder.rglob("run.json"))]
        return {attempt["environment"]["uuid"] for run in runs for attempt in run["attempts"]}

    @property
    def table(self) -> dict[tuple[str, str], str]:
        """Of each trial, by workload and configuration, how far it got."""
        return {(trial.workload, trial.configuration): has_run(trial.state) for trial in self.found.trials}

    def best_us(self) -> dict[str, float]:
        """Of each workload the shortest time of a call."""
        times: dict[str, list[float]] = {}
        for final in self.found.finals:
            times.setdefault(final.workload, []).append(median(final.samples_us))
        return {workload: min(found) for workload, found in times.items()}


def swept_by(workers: int, tmp_path: Path) -> FleetSweep:
    """A sweep by so many workers, with nothing compiled before."""
    place = tmp_path / f"by-{workers}"
    project = project_in(place / "project")
    path = project / "kernels/cumprod/problem.toml"
    path.write_text(_without_sweep(path) + SPACE)
    around = {**environment(), "TRITON_CACHE_DIR": str(place / "cache")}
    with fleet_by_hand(place / "dask", workers, around) as address:
        words = ("cumprod/blocked_scan", *(f"-w{workload}" for workload in TWO), "--on", address)
        _, folder, seconds = swept(project, *words, "--python", sys.executable)
    return FleetSweep(load_sweep(folder), folder, seconds)


def test_two_workers_take_at_most_six_tenths_of_the_time_of_one(tmp_path: Path) -> None:
    two, one = swept_by(2, tmp_path), swept_by(1, tmp_path)
    for each in (one, two):
        counted = states(each.found)
        print(f"{len(each.gpus)} GPUs: {each.seconds:.1f} s, {dict(counted)}, best in us: {each.best_us()}")
    print(f"one GPU {one.seconds:.1f} s, two {two.seconds:.1f} s: {two.seconds / one.seconds:.2f}")
    assert (len(one.gpus), len(two.gpus)) == (1, 2)
    assert {trial.device for trial in two.found.trials if trial.samples_us} == {0, 1}
    assert one.table == two.table
    assert one.best_us() == pytest.approx(two.best_us(), rel=0.05)
    assert two.seconds <= MOST_OF_ONE * one.seconds
