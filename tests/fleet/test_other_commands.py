"""Sweep, bench and check on a fleet, with children that are made up: no number here was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from stallgate.runs.bench import load_bench
from tests.conftest import environment
from tests.fleet.conftest import FleetTree
from tests.fleet.daemons import fleet_by_hand
from tests.fleet.test_fleet import nothing_is_left, processes_in
from tests.measure.test_sweep import CHILD, SPACE, _without_sweep, only_sweep, states


@pytest.fixture
def made_up(small_fleet: FleetTree, tmp_path: Path) -> Any:
    """A command on a fleet of two GPUs, whose timing child is made up."""
    python = tmp_path / "made_up_python"
    python.write_text(f"#!{sys.executable}\n{CHILD}")
    python.chmod(0o755)
    (tmp_path / "log").touch()

    def run(*words: str, on: str = "local", **variables: str) -> Any:
        told = {"SWEEP_LOG": str(tmp_path / "log"), "FAKE_GPUS": "2", **variables}
        return small_fleet.run(*words, "--python", str(python), "--on", on, **told)

    return run


def test_a_sweep_is_shared_by_the_gpus(made_up: Any, small_fleet: FleetTree, tmp_path: Path) -> None:
    path = small_fleet.root / "kernels/cumprod/problem.toml"
    path.write_text(_without_sweep(path) + SPACE)
    done = made_up("sweep", "cumprod/blocked_scan", "-w", "square", "--effort", "full", "--json")
    assert done.returncode == 0, done.stderr
    two_gpus_swept(small_fleet, tmp_path, json.loads(done.stdout))
    nothing_is_left(small_fleet.tmp)


def test_a_sweep_is_shared_by_workers_that_were_started_by_hand(
    made_up: Any, small_fleet: FleetTree, tmp_path: Path
) -> None:
    path = small_fleet.root / "kernels/cumprod/problem.toml"
    path.write_text(_without_sweep(path) + SPACE)
    recording = next((small_fleet.root / "reports" / "recorded").glob("*/cumprod"))
    fakes = {"FAKE_GPUS": "2", "FAKE_GPU_UUID": "one", "FAKE_NCU_RECORDING": str(recording)}
    own = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "TMPDIR": str(small_fleet.tmp)}
    around = environment(**fakes, **own, SWEEP_LOG=str(tmp_path / "log"))
    with fleet_by_hand(tmp_path / "dask", 2, around) as address:
        done = made_up("sweep", "cumprod/blocked_scan", "-w", "square", "--effort", "full", "--json", on=address)
    assert done.returncode == 0, done.stderr
    two_gpus_swept(small_fleet, tmp_path, json.loads(done.stdout))
    nothing_is_left(small_fleet.tmp)
    assert processes_in(tmp_path / "dask") == []


def two_gpus_swept(small_fleet: FleetTree, tmp_path: Path, told: Any) -> None:
    """A sweep is complete, and each of two GPUs had a share."""
    folder, found = only_sweep(small_fleet.root)
    assert found.complete
    assert set(states(found).values()) <= {"timed", "stopped", "pruned", "profiled"}
    assert states(found)["default"] == "profiled"
    assert {each.name: each.outcome for each in found.yardsticks} == {"copy": "timed", "copy_roof": "timed"}
    assert told["workloads"][0]["best"][0]["time"]["median"] == 159
    log = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert {words[0] for words in log if words[1:2] == ["check"]} == {"0", "1"}, "a GPU of the two did nothing"
    environments = [a["environment"] for a in json.loads((folder / "run.json").read_bytes())["attempts"]]
    assert all(found["uuid"].startswith("GPU-fake-one-") for found in environments)


def test_the_rows_of_a_bench_are_timed_apart(made_up: Any, small_fleet: FleetTree) -> None:
    done = made_up("bench", "cumprod", "-w", "square", "-w", "page", "--json")
    assert done.returncode == 0, done.stderr
    bench = load_bench(Path(json.loads(done.stdout)["bench"]))
    assert [row.name for row in bench.rows] == ["cumprod/square", "cumprod/page"]
    assert {entry.outcome for row in bench.rows for entry in row.entries} == {"timed"}
    assert bench.complete
    assert bench.environment is not None


def test_drawn_workloads_are_checked_by_all(small_fleet: FleetTree, tmp_path: Path) -> None:
    python = str(tmp_path / "bin" / "python")
    words = ("check", "cumprod/blocked_scan", "--drawn", "6", "--seed", "7", "--on", "local", "--python", python)
    done = small_fleet.run(*words, "--json", FAKE_GPUS="2")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (variant,) = found["variants"]
    assert (variant["answer"], found["gpu"]) == ("right", "NVIDIA H200")
    assert sorted(case["number"] for case in variant["cases"] if case["number"] is not None) == list(range(6))
