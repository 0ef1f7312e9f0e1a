"""Sweeps on a fleet: a sweep for each GPU model, and sweeps that were cut short and are gone on with.

The children are made up: no number here was measured.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stallgate.runs.sweep import Sweep, load_sweep
from tests.cli.test_failures import said
from tests.conftest import environment
from tests.fleet.conftest import FleetTree
from tests.fleet.test_fleet import nothing_is_left
from tests.fleet.test_other_commands import made_up as made_up
from tests.measure.test_sweep import SPACE, _without_sweep, only_sweep, states
from tests.processes import processes_in

MODELS = {"FAKE_GPU_NAME": "NVIDIA H200,NVIDIA H100 PCIe"}
SWEEP = ("sweep", "cumprod/blocked_scan", "-w", "square", "--effort", "full")

_PATIENCE_S = 180


@pytest.fixture(autouse=True)
def space(small_fleet: FleetTree) -> None:
    path = small_fleet.root / "kernels/cumprod/problem.toml"
    path.write_text(_without_sweep(path) + SPACE)


def sweeps_of(root: Path) -> dict[str, tuple[Path, Sweep]]:
    """GPU model -> its sweep, with the folder."""
    found = [(path.parent, load_sweep(path.parent)) for path in (root / "reports").glob("*/sweep.json")]
    assert all(sweep.environment is not None and sweep.environment.gpu == sweep.gpu for _, sweep in found)
    return {sweep.gpu: (folder, sweep) for folder, sweep in found}


# --- each model -------------------------------------------------------------------------------------------------------


def test_gpu_models_have_sweeps_of_their_own(made_up: Any, small_fleet: FleetTree) -> None:
    refused = made_up(*SWEEP, **MODELS)
    assert refused.returncode == 2
    said(refused, "GPUs of 2 models: NVIDIA H100 PCIe and NVIDIA H200", "--gpu", "--each-model")
    done = made_up(*SWEEP, "--each-model", "--json", **MODELS, FAKE_GPUS="4")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    sweeps = sweeps_of(small_fleet.root)
    assert sorted(sweeps) == ["NVIDIA H100 PCIe", "NVIDIA H200"]
    assert [each["folder"] for each in [told, *told["others"]]] == [str(sweeps[model][0]) for model in sorted(sweeps)]
    for model, (folder, sweep) in sweeps.items():
        assert sweep.complete
        assert states(sweep)["default"] == "profiled"
        assert set(states(sweep).values()) <= {"timed", "stopped", "pruned", "profiled"}
        assert {trial.device for trial in sweep.trials if trial.state != "pruned"} == {0, 1}
        for path in [folder / "run.json", *folder.glob("devices/*/run.json")]:
            attempts = json.loads(path.read_bytes())["attempts"]
            assert {attempt["environment"]["gpu"] for attempt in attempts} == {model}
        assert (folder / "sweep.html").is_file()
    nothing_is_left(small_fleet.tmp)


def test_a_suggestion_is_not_applied_for_several_models(made_up: Any, small_fleet: FleetTree) -> None:
    refused = made_up(*SWEEP, "--each-model", "--apply", **MODELS)
    assert refused.returncode == 2
    said(refused, "each model may suggest another configuration", "--show SWEEP --apply")
    assert list((small_fleet.root / "reports").glob("*/sweep.json")) == []


def test_where_one_model_cannot_measure_the_other_is_measured_and_both_are_told(
    made_up: Any, small_fleet: FleetTree, tmp_path: Path
) -> None:
    (tmp_path / "lost").touch()  # the child of the second GPU cannot start
    done = made_up(*SWEEP, "--each-model", "--json", **MODELS)
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    said(done, "its torch finds no CUDA device", "`stallgate sweep --resume 20")
    assert [each["complete"] for each in [told, *told["others"]]] == [False, True]
    (whole,) = sweeps_of_any(small_fleet.root, complete=True)
    (cut,) = sweeps_of_any(small_fleet.root, complete=False)
    assert {trial.state for trial in load_sweep(cut).trials} <= {"planned", "pruned"}
    (tmp_path / "lost").unlink()
    done = made_up("sweep", "--resume", cut.name, "--gpu", "H100", **MODELS)
    assert done.returncode == 0, done.stderr
    assert load_sweep(cut).complete
    assert {model: folder for model, (folder, _) in sweeps_of(small_fleet.root).items()} == {
        "NVIDIA H200": whole,
        "NVIDIA H100 PCIe": cut,
    }
    nothing_is_left(small_fleet.tmp)


def test_a_configuration_that_takes_two_workers_with_it_is_crashed_and_the_others_are_timed(
    uncut: Sweep, made_up: Any, small_fleet: FleetTree
) -> None:
    name = "block4096-num_warps16-num_stages2"
    done = made_up(*SWEEP, "--wait", "300", SWEEP_TAKES=f"blocked_scan ({name})")
    assert done.returncode == 0, done.stderr
    _, found = only_sweep(small_fleet.root)
    crashed = found.trial(name, "square")
    assert crashed.state == "crashed"
    assert crashed.reason.startswith("its worker was lost 2 times: on ")
    assert crashed.reason.count("GPU-fake-one-") == 2
    others = {configuration: state for configuration, state in states(found).items() if configuration != name}
    assert {(each, states(uncut)[each]) for each in others} == set(others.items())
    nothing_is_left(small_fleet.tmp)


def sweeps_of_any(root: Path, *, complete: bool) -> list[Path]:
    found = [path.parent for path in (root / "reports").glob("*/sweep.json")]
    return [folder for folder in found if load_sweep(folder).complete == complete]


# --- going on ---------------------------------------------------------------------------------------------------------


def table_of(sweep: Sweep) -> list[tuple[Any, ...]]:
    """What a sweep says of each trial. Which GPU had it is the engine's to choose."""
    return [
        (trial.configuration, trial.workload, trial.state, trial.median_us, sorted(trial.counters))
        for trial in sweep.trials
    ]


def best_of(sweep: Sweep) -> list[tuple[str, float | None]]:
    return [(final.configuration, final.median_us) for final in sweep.finals]


class Killed:
    """A command in a process of its own, which is ended from outside at a moment."""

    def __init__(self, fleet: FleetTree, folder: Path, *words: str, on: str = "local", **variables: str) -> None:
        recording = next((fleet.root / "reports" / "recorded").glob("*/cumprod"))
        usual = {"FAKE_GPU_UUID": "one", "FAKE_NCU_RECORDING": str(recording), "FAKE_GPUS": "2"}
        told = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "TMPDIR": str(fleet.tmp), "SWEEP_LOG": str(folder / "log")}
        around: Mapping[str, str] = environment(**{**usual, **told, **variables})
        python = str(folder / "made_up_python")
        command = [sys.executable, "-m", "stallgate", *words, "--python", python, "--on", on]
        self.log = folder / "command.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=fleet.root, env=around, stdout=log, stderr=log)

    def when(self, moment: Callable[[], bool], number: int) -> int:
        """Sends a signal once a moment has come; the command's exit status."""
        end = time.monotonic() + _PATIENCE_S
        try:
            while not moment():
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < end, self.log.read_text()
                time.sleep(0.02)
            os.kill(self._process.pid, number)
            return self._process.wait(_PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()


def the_only(root: Path) -> Sweep | None:
    """The sweep as it stands; None while it is not there."""
    paths = list((root / "reports").glob("*/sweep.json"))
    return load_sweep(paths[0].parent) if paths else None


@pytest.fixture
def uncut(made_up: Any, small_fleet: FleetTree, tmp_path: Path) -> Sweep:
    """The sweep that nobody cut short."""
    done = made_up(*SWEEP)
    assert done.returncode == 0, done.stderr
    folder, found = only_sweep(small_fleet.root)
    folder.rename(tmp_path / "uncut")
    return found


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_was_cut_short_while_one_gpu_had_times_ends_with_the_same_table(
    uncut: Sweep, made_up: Any, small_fleet: FleetTree, tmp_path: Path, number: int
) -> None:
    """One GPU's share has landed, and the other's is at work."""
    killed = Killed(small_fleet, tmp_path, *SWEEP, SWEEP_HANGS="1")

    def moment() -> bool:
        there = the_only(small_fleet.root)
        landed = there is not None and any(trial.state in ("timed", "stopped") for trial in there.trials)
        return landed and (tmp_path / "hangs").exists()

    assert killed.when(moment, number) != 0
    is_cut(small_fleet)
    before = {trial.configuration: trial for trial in only_sweep(small_fleet.root)[1].trials if trial.samples_us}
    assert 0 < len(before) < len([trial for trial in uncut.trials if trial.state != "pruned"])
    is_gone_on_with(made_up, small_fleet, uncut)
    after = {trial.configuration: trial for trial in only_sweep(small_fleet.root)[1].trials}
    assert all(after[name].samples_us == trial.samples_us for name, trial in before.items()), "timed again"


@pytest.mark.parametrize("gpus", ["1", "3"])
def test_a_sweep_that_was_killed_while_counters_were_collected_ends_with_the_same_table(
    uncut: Sweep, made_up: Any, small_fleet: FleetTree, tmp_path: Path, gpus: str
) -> None:
    """It was begun on two GPUs, and goes on with fewer or more."""
    killed = Killed(small_fleet, tmp_path, *SWEEP, FAKE_NCU_PAUSE="5")

    def moment() -> bool:
        there = the_only(small_fleet.root)
        if there is None or any(trial.state == "planned" for trial in there.trials):
            return False
        return any(Path(word).name == "ncu" for words in processes_in(small_fleet.tmp) for word in words)

    assert killed.when(moment, signal.SIGKILL) != 0
    is_cut(small_fleet)
    is_gone_on_with(made_up, small_fleet, uncut, FAKE_GPUS=gpus)


def is_cut(small_fleet: FleetTree) -> None:
    """Nothing of the command is left but a sweep that is not complete. Whoever is killed cannot remove its files."""
    for _ in range(200):
        if not processes_in(small_fleet.tmp):
            break
        time.sleep(0.1)
    assert processes_in(small_fleet.tmp) == []
    assert not only_sweep(small_fleet.root)[1].complete
    for path in small_fleet.tmp.glob("stallgate-fleet-*"):
        path.rename(small_fleet.tmp.parent / path.name)


def is_gone_on_with(made_up: Any, small_fleet: FleetTree, uncut: Sweep, **variables: str) -> None:
    done = made_up("sweep", "--resume", "--json", **variables)
    assert done.returncode == 0, done.stderr
    _, found = only_sweep(small_fleet.root)
    assert found.complete
    assert table_of(found) == table_of(uncut)
    assert best_of(found) == best_of(uncut)
    nothing_is_left(small_fleet.tmp)


@pytest.mark.usefixtures("signals")
def test_a_sweep_of_each_model_that_was_interrupted_leaves_nothing_and_is_gone_on_with_one_by_one(
    made_up: Any, small_fleet: FleetTree, tmp_path: Path
) -> None:
    killed = Killed(small_fleet, tmp_path, *SWEEP, "--each-model", SWEEP_HANGS="1", **MODELS)
    assert killed.when((tmp_path / "hangs").exists, signal.SIGINT) == 3
    nothing_is_left(small_fleet.tmp)
    log = " ".join(killed.log.read_text().split())
    cut = sweeps_of_any(small_fleet.root, complete=False)
    assert cut, "what hangs cannot be complete"
    assert all(f"`stallgate sweep --resume {folder.name}` goes on" in log for folder in cut)
    for folder in cut:
        model = "H100" if "h100" in folder.name else "H200"
        done = made_up("sweep", "--resume", folder.name, "--gpu", model, **MODELS)
        assert done.returncode == 0, done.stderr
    assert {model: sweep.complete for model, (_, sweep) in sweeps_of(small_fleet.root).items()} == {
        "NVIDIA H100 PCIe": True,
        "NVIDIA H200": True,
    }
    nothing_is_left(small_fleet.tmp)


@pytest.mark.usefixtures("signals")
def test_a_sweep_is_gone_on_with_on_the_model_that_it_was_begun_on(
    made_up: Any, small_fleet: FleetTree, tmp_path: Path
) -> None:
    """The fleet has another model, too, and nobody says which is meant."""
    killed = Killed(small_fleet, tmp_path, *SWEEP, "--gpu", "H200", SWEEP_HANGS="2", FAKE_GPUS="4", **MODELS)

    def moment() -> bool:
        there = the_only(small_fleet.root)
        return there is not None and there.environment is not None and (tmp_path / "hangs").exists()

    assert killed.when(moment, signal.SIGINT) == 3
    done = made_up("sweep", "--resume", FAKE_GPUS="4", **MODELS)
    assert done.returncode == 0, done.stderr
    assert [(model, sweep.complete) for model, (_, sweep) in sweeps_of(small_fleet.root).items()] == [
        ("NVIDIA H200", True)
    ]
    nothing_is_left(small_fleet.tmp)
