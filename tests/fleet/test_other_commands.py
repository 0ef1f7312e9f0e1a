"""Sweep, bench and check on a fleet, with children that are made up: no number here was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stallgate.cli.check import _shown
from stallgate.fleet.check import FleetChecker
from stallgate.fleet.orders import MeasuredPart, WorkerPlace
from stallgate.measure.check import Checked
from stallgate.measure.checked import CheckReport
from stallgate.measure.plan import Request, plan_cases
from stallgate.model import CaseResult, Outcome
from stallgate.project.load import Project, load_project
from stallgate.runs.bench import load_bench
from tests.cli.test_failures import said
from tests.conftest import environment
from tests.fleet.conftest import FleetTree
from tests.fleet.daemons import fleet_by_hand
from tests.fleet.test_fleet import nothing_is_left
from tests.measure.test_sweep import CHILD, SPACE, _without_sweep, only_sweep, states
from tests.processes import processes_in


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
    assert found.finals
    assert all(final.clock is not None for final in found.finals)
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
    nothing_is_left(small_fleet.tmp)


MODELS = {"FAKE_GPUS": "3", "FAKE_GPU_NAME": "NVIDIA H200,NVIDIA H100 PCIe"}


def test_every_case_is_checked_on_each_model(small_fleet: FleetTree, tmp_path: Path) -> None:
    python = str(tmp_path / "bin" / "python")
    words = ("check", "cumprod/blocked_scan", "--drawn", "5", "--seed", "7", "--on", "local", "--python", python)
    refused = small_fleet.run(*words, **MODELS)
    assert refused.returncode == 2
    said(refused, "GPUs of 2 models: NVIDIA H100 PCIe and NVIDIA H200", "--gpu", "--each-model")
    done = small_fleet.run(*words, "--each-model", "--json", **MODELS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    reports = [found, *found["others"]]
    assert [each["gpu"] for each in reports] == ["NVIDIA H100 PCIe", "NVIDIA H200"]
    for each in reports:
        (variant,) = each["variants"]
        assert variant["answer"] == "right"
        assert sorted(case["number"] for case in variant["cases"] if case["number"] is not None) == list(range(5))
        assert each["seed"] == 7
    cases = [[case["workload"] for case in each["variants"][0]["cases"]] for each in reports]
    assert cases[0] == cases[1], "the same workloads on each"
    told = small_fleet.run(*words, "--each-model", **MODELS)
    assert told.stdout.count("NVIDIA H100 PCIe: whole workloads") == told.stdout.count("NVIDIA H200: whole") == 1
    nothing_is_left(small_fleet.tmp)


class _Played:
    """Stands in for the dispatcher: one model finds a case wrong, on another a case takes its workers with it."""

    def run(self, project: Project, work: FleetChecker, on_step: Any) -> None:
        for chunk in work.chunks():
            job = work.job(chunk)
            outcomes: dict[str, Outcome] = {"one": "wrong_result", "two": "profiled", "three": "profiled"}
            results = [CaseResult(case=case, role="candidate", outcome=outcomes[chunk.model]) for case in job.cases]
            if chunk.model == "three":
                work.give_up("three", results[0].case.name, "its worker was lost 2 times")
                results = results[1:]
            place = WorkerPlace(host="h", uuid="u")
            work.take(chunk, MeasuredPart(place=place, checked=Checked(results, None)))


class _Quiet:
    def __init__(self) -> None:
        self.finished_cases: list[str] = []

    def begun(self, cases: int) -> None:
        self.cases = cases

    def waiting(self) -> None: ...
    def at_work(self, case: str, step: str) -> None: ...

    def finished(self, result: CaseResult) -> None:
        self.finished_cases.append(result.case.name)


def test_what_is_wrong_on_one_model_is_not_wrong_on_another(tree: Path) -> None:
    project, watcher = load_project(tree), _Quiet()
    cases = plan_cases(project, Request(["cumprod"], [], []))
    gpus = {"one": 2, "two": 1, "three": 50}
    found = FleetChecker(project, cases, 60.0, gpus, watcher).check(_Played())  # type: ignore[arg-type]
    outcomes = {model: {result.outcome for result in checked.results} for model, checked in found.items()}
    assert outcomes["one"] == {"wrong_result"}
    assert outcomes["two"] == {"profiled"}
    assert "crashed" in outcomes["three"]
    assert {len(checked.results) for checked in found.values()} == {len(cases)}
    assert watcher.cases == len(watcher.finished_cases) == 3 * len(cases)
    assert {model: checked.status for model, checked in found.items()} == {"one": 1, "two": 0, "three": 3}


@pytest.mark.parametrize(("ended", "status"), [((0, 0), 0), ((0, 3), 3), ((1, 3), 1), ((3, 1), 1), ((1, 0), 1)])
def test_whoever_is_wrong_on_one_model_is_wrong(
    capsys: pytest.CaptureFixture[str], ended: tuple[int, ...], status: int
) -> None:
    blank = CheckReport("cuda", "a GPU", False, {}, None, [], None, [], 0)
    assert _shown(*(replace(blank, exit_status=each) for each in ended), as_json=False) == status
    assert capsys.readouterr().out.count("a GPU: whole workloads") == 2
