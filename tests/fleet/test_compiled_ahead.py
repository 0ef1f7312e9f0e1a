"""A sweep's trials are compiled ahead on the host of whoever times them; other stallgates are refused with a sentence.

The children are made up: nothing was compiled here, and no number was measured.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from msgspec.structs import replace

from stallgate.cli.sweep import _Bars
from stallgate.errors import NotMeasured
from stallgate.fleet import slot as slots
from stallgate.fleet import task
from stallgate.fleet.bench import FleetBencher, ModelBench
from stallgate.fleet.dispatch import Chunk, _Sent
from stallgate.fleet.hosts import WorkerFacts, faults_of
from stallgate.fleet.orders import (
    BenchJob,
    CheckJob,
    MeasuredPart,
    Order,
    Refusal,
    WorkerPlace,
    order_of,
    part_of,
    program_digest,
)
from stallgate.fleet.slot import Slot, claim
from stallgate.measure.bench import BenchOptions, new_bench
from stallgate.measure.device import Device
from stallgate.measure.sweep_compile import Compiled, ToCompile
from stallgate.measure.sweep_plan import SweepRequest, new_sweep, swept_project
from stallgate.measure.sweep_times import contenders_of
from stallgate.model import Case
from stallgate.project.load import Project
from stallgate.runs.bench import Bench, save_bench
from stallgate.runs.sweep import Sweep
from tests.conftest import environment
from tests.fleet.conftest import FleetTree
from tests.fleet.daemons import fleet_by_hand
from tests.fleet.test_fleet import nothing_is_left
from tests.fleet.test_other_commands import made_up as made_up
from tests.fleet.test_sweeps import Killed, best_of, is_gone_on_with, space, table_of, uncut
from tests.measure.test_sweep import only_sweep, states
from tests.processes import processes_in

__all__ = ["made_up", "space", "uncut"]

SWEEP = ("sweep", "cumprod/blocked_scan", "-w", "square", "--effort", "full")
ONE_GPU = {"FAKE_GPUS": "1"}
"""On two cores it has a compiler beside it, and two GPUs would have none."""

OTHER = "block4096-num_warps16-num_stages2"
GPU = Device(0, "GPU-made-up", "NVIDIA H200", "580", "9.0", 143771, 143000)

beside_a_compiler = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is no core for a compiler")


def compiled_in(sweep: Sweep) -> dict[str, tuple[float | None, int | None, int | None, int | None]]:
    """What compilers said of each trial that was not pruned."""
    return {
        trial.configuration: (trial.compile_s, trial.registers, trial.spills, trial.shared_bytes)
        for trial in sweep.trials
        if trial.state != "pruned"
    }


# --- sweeps -----------------------------------------------------------------------------------------------------------


@beside_a_compiler
def test_trials_are_compiled_ahead_on_the_workers_host(made_up: Any, small_fleet: FleetTree) -> None:
    done = made_up(*SWEEP, SWEEP_COMPILERS="stay", **ONE_GPU)
    assert done.returncode == 0, done.stderr
    folder, found = only_sweep(small_fleet.root)
    assert set(compiled_in(found).values()) == {(1.5, 40, 0, 1024)}
    (plan,) = (json.loads(path.read_text()) for path in folder.glob("times/0-1/processes/*/1.plan.json"))
    assert plan["compiled"]["names"] == [f"cumprod/blocked_scan/{name}/square" for name in compiled_in(found)]
    (compilers,) = (json.loads(path.read_text()) for path in folder.glob("times/0-1/compile/*/plan.json"))
    assert compilers["notes"] == plan["compiled"]["notes"]
    assert [case["name"] for case in compilers["cases"]] == plan["compiled"]["names"]
    assert compilers["target"]["device"] == "cuda"
    assert [*folder.glob("times/0-2/compile")] == [], "finals are compiled by then"
    nothing_is_left(small_fleet.tmp)


@beside_a_compiler
def test_a_fleet_says_of_each_trial_what_one_machine_says(made_up: Any, small_fleet: FleetTree, tmp_path: Path) -> None:
    """Of one that does not compile, too: the compilers' reason counts, not that of who tried it in spite of them."""
    done = made_up(*SWEEP, SWEEP_UNCOMPILED=OTHER, **ONE_GPU)
    assert done.returncode == 0, done.stderr
    folder, found = only_sweep(small_fleet.root)
    folder.rename(tmp_path / "on-fleet")
    assert found.trial(OTHER, "square").state == "does_not_compile"
    assert found.trial(OTHER, "square").reason == "CompilationError: at 3:4"
    log = {"SWEEP_LOG": str(tmp_path / "log"), "SWEEP_UNCOMPILED": OTHER}
    alone = small_fleet.run(*SWEEP, "--python", str(tmp_path / "made_up_python"), **log, **ONE_GPU)
    assert alone.returncode == 0, alone.stderr
    _, expected = only_sweep(small_fleet.root)
    assert compiled_in(found) == compiled_in(expected)
    assert [trial.reason for trial in found.trials] == [trial.reason for trial in expected.trials]
    assert table_of(found) == table_of(expected)
    assert best_of(found) == best_of(expected)


@beside_a_compiler
def test_compilers_of_a_worker_that_is_lost_end_and_what_is_sent_again_is_compiled_again(
    uncut: Sweep, made_up: Any, small_fleet: FleetTree
) -> None:
    label = f"blocked_scan ({OTHER})"
    done = made_up(*SWEEP, "--wait", "300", SWEEP_TAKES=label, SWEEP_COMPILERS="stay", **ONE_GPU)
    assert done.returncode == 0, done.stderr
    _, found = only_sweep(small_fleet.root)
    assert found.trial(OTHER, "square").state == "crashed"
    others = [name for name in compiled_in(found) if name != OTHER]
    assert {compiled_in(found)[name] for name in others} == {(1.5, 40, 0, 1024)}
    assert {name: states(found)[name] for name in others} == {name: states(uncut)[name] for name in others}
    nothing_is_left(small_fleet.tmp)


@beside_a_compiler
@pytest.mark.usefixtures("signals")
def test_compilers_end_with_a_task_that_is_taken_back_and_their_worker_goes_on(
    uncut: Sweep, made_up: Any, small_fleet: FleetTree, tmp_path: Path
) -> None:
    recording = next((small_fleet.root / "reports" / "recorded").glob("*/cumprod"))
    fakes = {**ONE_GPU, "FAKE_GPU_UUID": "one", "FAKE_NCU_RECORDING": str(recording)}
    own = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "TMPDIR": str(small_fleet.tmp)}
    hangs = {"SWEEP_HANGS": "0", "SWEEP_COMPILERS": "stay", "SWEEP_LOG": str(tmp_path / "log")}
    around, dask = environment(**fakes, **own, **hangs), tmp_path / "dask"
    with fleet_by_hand(dask, 1, around) as address:
        killed = Killed(small_fleet, tmp_path, *SWEEP, on=address)
        assert killed.when(lambda: (tmp_path / "hangs").exists() and compilers_in(dask) != [], signal.SIGINT) == 3
        for _ in range(200):
            if not parts_in(dask):
                break
            time.sleep(0.1)
        assert parts_in(dask) == []
    is_gone_on_with(made_up, small_fleet, uncut, **ONE_GPU)


def parts_in(folder: Path) -> list[list[str]]:
    """What runs for a task of a worker."""
    return [words for words in processes_in(folder) if any("/part-" in word for word in words)]


def compilers_in(folder: Path) -> list[list[str]]:
    return [words for words in parts_in(folder) if any("child/sweep/" in word for word in words)]


# --- parts ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def planned(repository: Project) -> tuple[Project, Bench, list[Case]]:
    """A sweep's bench of two workloads, and the cases of its trials."""
    request = SweepRequest("cumprod", "blocked_scan", "", [GPU], ["square", "page"])
    sweep = new_sweep(repository, request, [])
    by_name = {(trial.configuration, trial.workload): trial for trial in sweep.trials if trial.state == "planned"}
    names = list(dict.fromkeys(name for name, _ in by_name))[:4]
    share = [by_name[name, load] for load in request.workloads for name in names]
    project = swept_project(repository, sweep)
    cases = [Case("cumprod", "blocked_scan", trial.configuration, trial.workload) for trial in share]
    bench = new_bench(project, contenders_of(repository, sweep, share), OPTIONS, [])
    return project, bench, cases


OPTIONS = BenchOptions(python="", rounds=1, timeout_s=1)


def bencher_of(planned: tuple[Project, Bench, list[Case]], folder: Path, told: list[Any]) -> FleetBencher:
    project, bench, cases = planned
    to_compile = ToCompile(cases, lambda case, found: told.append((case, found)))
    bar = _Bars(None).times()
    folder.mkdir(exist_ok=True)
    return FleetBencher(project, None, [ModelBench("m", folder, bench)], OPTIONS, bar, to_compile)  # type: ignore[arg-type]


def test_a_part_has_what_of_it_is_compiled_and_one_that_is_sent_again_what_is_left(
    planned: tuple[Project, Bench, list[Case]], tmp_path: Path
) -> None:
    bencher, cases = bencher_of(planned, tmp_path, []), planned[2]
    chunks = bencher.chunks()
    assert [bencher.job(chunk).ahead for chunk in chunks] == [cases[:4], cases[4:]]
    left = Chunk("m", [name for name in chunks[0].names if cases[1].configuration not in name])
    assert bencher.job(left).ahead == [cases[0], *cases[2:4]]


def test_what_was_compiled_before_a_part_was_refused_is_told(
    planned: tuple[Project, Bench, list[Case]], tmp_path: Path
) -> None:
    told: list[Any] = []
    bencher, cases = bencher_of(planned, tmp_path, told), planned[2]
    found = [(cases[0], Compiled(0, "compiled", registers=40))]
    part = MeasuredPart(WorkerPlace("h", "u"), Refusal("no torch", ""), compiled=found)
    bencher.take(bencher.chunks()[0], part_of(part.packed()))
    assert told == found


class _Takes:
    """Stands in for what measures on one machine."""

    devices = 0

    def __init__(self, devices: int) -> None:
        _Takes.devices = devices

    def take_times(self, *given: Any) -> Bench:
        _, bench, options, device, folder, _, to_compile = given
        assert (options.python, device) == ("/its/python", GPU)
        save_bench(folder, bench)
        for number, case in enumerate(to_compile.cases):
            to_compile.tell(case, Compiled(number, "compiled"))
        raise NotMeasured("its torch finds no CUDA device", "")


def test_a_worker_takes_its_share_of_the_cores_and_hands_back_what_it_compiled_with_a_refusal(
    monkeypatch: pytest.MonkeyPatch, planned: tuple[Project, Bench, list[Case]], tmp_path: Path
) -> None:
    monkeypatch.setattr(task, "ThisMachine", _Takes)
    project, bench, cases = planned
    job, slot = BenchJob(bench, OPTIONS, cases), Slot("h", GPU, gpus=8)
    order, part = an_order(job), MeasuredPart(WorkerPlace("h", "u"))
    done = task._timed(project, order, job, slot, tmp_path, task._Teller(order), part)
    assert _Takes.devices == 8
    assert done.refusal is not None
    assert [case for case, _ in done.compiled] == cases
    assert part_of(done.packed()) == done


def test_a_slot_counts_the_gpus_that_its_process_may_not_see(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    devices = [replace(GPU, index=number, uuid=f"GPU-made-up-{number}") for number in range(4)]
    monkeypatch.setattr(slots, "find_devices", lambda: devices)
    monkeypatch.setattr(slots, "_claimed", [])
    monkeypatch.setattr(slots.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    slot = claim()
    assert slot is not None
    assert (slot.device.index, slot.gpus) == (2, 4)


# --- other stallgates -------------------------------------------------------------------------------------------------


def an_order(job: BenchJob | CheckJob) -> Order:
    digest = program_digest()
    return Order("part-1", "m", "sources", {}, "/its/python", digest, "topic", job)


def with_news(content: bytes) -> bytes:
    """A message of a stallgate that says more."""
    message = msgspec.msgpack.decode(zstandard.decompress(content))
    return zstandard.compress(msgspec.msgpack.encode({**message, "news": 1}))


def test_a_form_that_is_not_known_is_said_and_does_not_end_the_command() -> None:
    with pytest.raises(NotMeasured, match=r"its stallgate is another one.*`news`"):
        order_of(with_news(an_order(CheckJob([], 1.0)).packed()))
    part = with_news(MeasuredPart(WorkerPlace("h", "u")).packed())
    with pytest.raises(NotMeasured, match=r"a worker's stallgate is another one.*`news`"):
        part_of(part)
    sent = _Sent(None, None, None, None)  # type: ignore[arg-type]
    sent._take_part(Chunk("m", []), part)
    assert ["another one" in refused.message for refused in sent._refused] == [True]


def test_a_worker_says_which_order_it_does_not_know(tmp_path: Path) -> None:
    part = task._measured(with_news(an_order(CheckJob([], 1.0)).packed()), Slot("h", GPU, 1), tmp_path)
    assert part.refusal is not None
    assert "does not know this order" in part.refusal.message
    assert part.refusal.hint.startswith("install the same stallgate")
    known = msgspec.msgpack.decode(zstandard.decompress(part.packed()))
    assert set(known) == {"place", "refusal"}, "a command of an older stallgate can read it"


def test_a_worker_with_another_program_is_named_before_anything_starts() -> None:
    facts = WorkerFacts("tcp://w", "h", "0.1", program_digest(), GPU, "2025.3", "open", mig=False, vgpu=False)
    assert faults_of(facts) == []
    (fault,) = faults_of(replace(facts, child="another"))
    assert fault.startswith("its stallgate (0.1) measures by other code than this one")


def test_a_part_of_another_program_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(task, "tell_step", lambda *_: None)
    order = replace(an_order(CheckJob([], 1.0)), child="another")
    part = task._measured(order.packed(), Slot("h", GPU, 1), tmp_path)
    assert part.refusal is not None
    said_in_one_line = f"{part.refusal.message}: {part.refusal.hint}"
    assert said_in_one_line.startswith("its stallgate is another one: it measures by other code: install the same")
