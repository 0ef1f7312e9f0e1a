"""Sweeps with a GPU, a timing child and a compiling child that are made up: no number here was measured."""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from stallgate.cli import sweep as cli
from stallgate.errors import BadArgument, NotMeasured
from stallgate.measure import sweep_times
from stallgate.measure.clocks import clock_state, throttle_reasons
from stallgate.measure.device import Device
from stallgate.measure.profile import subject_of
from stallgate.measure.sweep_book import SweepBook, compiled_trial, settled
from stallgate.measure.sweep_compile import Compiled, compiler_count
from stallgate.measure.sweep_counters import compared_by, with_swept, within_reach
from stallgate.measure.sweep_plan import SweepRequest, check_resumable, new_sweep, sweep_case, swept_project
from stallgate.measure.sweep_site import ThisMachine
from stallgate.measure.sweep_times import SweepTimer, contenders_of, finalists, side_by_side, split
from stallgate.model import RUN_FORMAT, Case, CaseResult, Run
from stallgate.project.catalogue import asked_for, collected
from stallgate.project.load import Project, load_project
from stallgate.project.space import read_space
from stallgate.project.staleness import changes, stale_because
from stallgate.render import terminal
from stallgate.runs.bench import Bench, Entry
from stallgate.runs.sweep import Sweep, SweepOptions, Trial, load_sweep, save_sweep
from tests.conftest import FAKES, Stallgate

SPACE = """
[variants.blocked_scan.sweep]
BLOCK = [4096, 8192]
num_warps = [8, 16]
num_stages = { from = 2, to = 4, step = 1 }
constraints = ["BLOCK * 4 * (num_stages - 1) <= 90_000"]
"""

CHILD = f"""
import fcntl, json, os, signal, socket, sys, termios, time
from types import SimpleNamespace
from pathlib import Path
entry, plan_path = sys.argv[1:3]
if entry.endswith("referee/__main__.py"):
    os.execv(sys.executable, [sys.executable, {str(FAKES / "python")!r}, *sys.argv[1:]])
from stallgate.child.bench.elimination import Elimination
line = socket.socket(fileno=int(sys.argv[3]))
if entry.endswith("bench/__main__.py"):
    line.makefile("rb").readline()
plan = json.load(open(plan_path))
def tell(event, **facts):
    line.sendall(json.dumps({{"event": event, **facts}}).encode() + b"\\n")
def wait_until_known():
    while int.from_bytes(fcntl.ioctl(line, termios.TIOCOUTQ, bytes(4)), sys.byteorder):  # bytes that nobody has read
        time.sleep(0.01)
    time.sleep(0.5)
if entry.endswith("child/sweep/__main__.py"):
    for number, case in enumerate(plan["cases"]):
        tell("compiling", number=number)
        if os.environ.get("SWEEP_UNCOMPILED") in case["name"].split("/"):
            tell("compiled", number=number, outcome="does_not_compile", reason="CompilationError: at 3:4", seconds=0.5)
            continue
        tell("compiled", number=number, outcome="compiled", seconds=1.5, registers=40, spills=0, shared_bytes=1024)
    if os.environ.get("SWEEP_COMPILERS") == "stay":
        from stallgate.child.parent_watchdog import end_with_parent
        end_with_parent(int(sys.argv[4]))
        time.sleep(600)
    sys.exit(0)
if Path(os.environ["SWEEP_LOG"]).with_name("lost").exists() and os.environ["CUDA_VISIBLE_DEVICES"][-1] == "1":
    tell("unable", reason="its torch finds no CUDA device")
    sys.exit(3)
names = os.environ.get("FAKE_GPU_NAME", "NVIDIA H200").split(",")
gpu = names[int(os.environ["CUDA_VISIBLE_DEVICES"][-1]) % len(names)]
tell("environment", gpu=gpu, compute_capability="9.0", python="3", torch="2", triton="3", cuda="12",
     multiprocessors=100, l2_bytes=1, flush_us=1.0, event_us=1.0)
def time_of(contender):
    tunables = contender.get("tunables") or {{}}
    return {{2: 300.0, 3: 200.0, 4: 150.0}}[tunables.get("num_stages", 4)] + 8192 * 8 / tunables.get("BLOCK", 8192)
log = Path(os.environ["SWEEP_LOG"])
for row in plan["rows"]:
    entrants = []
    for contender in row["contenders"]:
        name = {{"row": row["name"], "contender": contender["label"]}}
        tell("step", **name, step="check")
        with log.open("a") as file:
            print(os.environ["CUDA_VISIBLE_DEVICES"][-1], "check" if "checked" not in contender else "again",
                  contender["label"], file=file)
        tunables = contender.get("tunables") or {{}}
        if os.environ.get("SWEEP_WRONG") and tunables.get("num_warps") == 8:
            tell("outcome", **name, outcome="wrong_result", reason="3 of 4 elements are wrong")
            continue
        if "SWEEP_UNCOMPILED" in os.environ and os.environ["SWEEP_UNCOMPILED"] in contender["label"]:
            notes = Path(plan.get("compiled", {{}}).get("notes", ""))
            while "compiled" in plan and not (notes.is_file() and "over" in notes.read_text().splitlines()):
                time.sleep(0.01)
            tell("outcome", **name, outcome="crashed", reason="it launches nothing")
            continue
        failing = os.environ.get("SWEEP_FAIL")
        if failing == "all" or failing == "default" and contender["role"] == "candidate" and not tunables:
            tell("outcome", **name, outcome="skipped", reason="its tensors need 8 GiB; 1 GiB of GPU memory are free")
            continue
        if os.environ.get("SWEEP_HANGS") == os.environ["CUDA_VISIBLE_DEVICES"][-1] and tunables:
            from stallgate.child.parent_watchdog import end_with_parent
            end_with_parent(int(sys.argv[4]))
            log.with_name("hangs").touch()
            for _ in range(6000):
                tell("step", **name, step="check")
                time.sleep(0.1)
        if os.environ.get("SWEEP_TAKES") == contender["label"]:
            from stallgate.child.parent_watchdog import end_with_parent
            end_with_parent(int(sys.argv[4]))
            wait_until_known()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
        if os.environ.get("SWEEP_LOST") == os.environ["CUDA_VISIBLE_DEVICES"][-1] and tunables:
            log.with_name("lost").touch()
            os.abort()
        if os.environ.get("SWEEP_DIES") and tunables.get("num_warps") == 8 and tunables["BLOCK"] == 4096:
            os.abort()
        tell("step", **name, step="warm-up")
        spec = {{"tunables": {{}}, **contender}}
        entrants.append(SimpleNamespace(spec=spec, samples_us=[], call_us=time_of(contender)))
    elimination = Elimination(plan.get("elimination"))
    def conclude(entrant, outcome, reason=""):
        with log.open("a") as file:
            print("concluded", file=file)
        limit = os.environ.get("SWEEP_KILL")
        if limit and sum("concluded" in each for each in log.read_text().splitlines()) > int(limit):
            wait_until_known()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(30)
        tell("outcome", row=row["name"], contender=entrant.spec["label"], outcome=outcome, reason=reason,
             method="events", calls=1, note="", samples_us=entrant.samples_us, host_us=[10.0])
    for number in range(plan["rounds"]):
        for entrant, reason in elimination.hopeless(number, entrants):
            entrants.remove(entrant)
            conclude(entrant, "stopped", reason)
        for entrant in entrants:
            entrant.samples_us.append(time_of(entrant.spec) + number % 3)
    for entrant in entrants:
        conclude(entrant, "timed")
tell("end")
"""


@pytest.fixture
def space(tree: Path) -> Path:
    """A project whose variant has a space of 12 configurations, of which the constraint excludes two."""
    path = tree / "kernels/cumprod/problem.toml"
    path.write_text(_without_sweep(path) + SPACE)
    return tree


def _without_sweep(path: Path) -> str:
    """A problem's file without the spaces that it has."""
    kept, within = [], False
    for line in path.read_text().splitlines():
        if line.startswith("["):
            within = ".sweep" in line
        if not within:
            kept.append(line)
    return "\n".join(kept) + "\n"


@pytest.fixture
def sweep(space: Path, with_ncu: Stallgate, tmp_path: Path) -> Any:
    """``stallgate sweep`` of the made-up space, with the children that are made up."""
    python = tmp_path / "made_up_python"
    python.write_text(f"#!{sys.executable}\n{CHILD}")
    python.chmod(0o755)
    log = tmp_path / "log"
    log.touch()

    def run(*arguments: str, **variables: str) -> Any:
        words = (
            arguments if {"--resume", "--show"} & {*arguments} else ("cumprod/blocked_scan", "-w", "square", *arguments)
        )
        begun_with = ("--python", str(python)) if words is not arguments else ()
        told = {"SWEEP_LOG": str(log), "FAKE_GPU_UUID": "made-up", **variables}
        return with_ncu("sweep", *words, *begun_with, **told)

    return run


@pytest.fixture
def timed(sweep: Any, tmp_path: Path) -> Any:
    """The same on a machine without ncu."""
    (tmp_path / "bin" / "ncu").unlink()
    return sweep


def only_sweep(tree: Path) -> tuple[Path, Sweep]:
    (path,) = (tree / "reports").glob("*/sweep.json")
    return path.parent, load_sweep(path.parent)


def states(found: Sweep) -> dict[str, str]:
    return {trial.configuration: trial.state for trial in found.trials}


def test_all_are_timed_the_hopeless_stopped_and_the_default_profiled(sweep: Any, space: Path) -> None:
    """The fakes' ncu has a recording of the default alone: whose counters it does not deliver is timed, and no more."""
    done = sweep("--json", "--effort", "full")
    folder, found = only_sweep(space)
    assert done.returncode == 0, done.stderr
    told = states(found)
    assert told["default"] == "profiled"
    assert told["block4096-num_warps8-num_stages4"] == "timed"
    assert told["block4096-num_warps8-num_stages2"] == "stopped"
    assert told["block8192-num_warps8-num_stages4"] == "pruned"
    assert "block8192-num_warps8-num_stages2" not in told, "it is the default"
    stopped = found.trial("block4096-num_warps8-num_stages2", "square")
    assert stopped.reason == "stopped after 4 rounds: 316.5 us, 2 times the best"
    assert (len(stopped.samples_us), stopped.registers, stopped.compile_s) == (4, 40, 1.5)
    default = found.trial("default", "square")
    assert default.tunables == {"BLOCK": 8192, "num_warps": 8, "num_stages": 2}
    assert {"duration", "memory_dependency_stall", "roof_fraction"} <= set(default.counters)
    assert default.counters["duration"].samples == 5
    assert {final.configuration for final in found.finals} == {
        "default",
        "block4096-num_warps8-num_stages4",
        "block4096-num_warps16-num_stages4",
    }
    assert all(len(final.samples_us) == 60 and final.clock is not None for final in found.finals)
    assert {each.name: each.outcome for each in found.yardsticks} == {"copy": "timed", "copy_roof": "timed"}
    assert found.environment is not None
    assert found.complete
    facts = json.loads(done.stdout)
    assert facts["workloads"][0]["states"]["pruned"] == 2
    best = facts["workloads"][0]["best"][0]
    assert (best["configuration"], best["time"]["median"], best["counters"]["duration"]["unit"]) == (
        "default",
        159,
        "ns",
    )
    assert json.loads((folder / "run.json").read_bytes())["subjects"]["cumprod"]["swept"]["blocked_scan"]


def test_counters_of_all_are_those_that_trials_are_compared_by(sweep: Any, space: Path) -> None:
    done = sweep("--json", "--counters", "all", "--against", "stall_barrier")
    folder, _ = only_sweep(space)
    assert done.returncode == 0, done.stderr
    asked = json.loads((folder / "run.json").read_bytes())["settings"]["metrics"]
    assert "smsp__warp_issue_stalled_long_scoreboard_per_warp_active.pct" in asked
    assert "smsp__warp_issue_stalled_barrier_per_warp_active.pct" in asked
    assert "sm__throughput.avg.pct_of_peak_sustained_elapsed" not in asked


@pytest.mark.parametrize("stage", ["memory_access", "streaming", "tensor_core", "block_tiling", None])
@pytest.mark.parametrize("against", ["", "stall_barrier", "registers", "spills", "no metric"])
@pytest.mark.parametrize("chip", ["GH100", "TU102", None])
def test_what_trials_are_compared_by_can_be_collected_on_every_chip(
    repository: Project, stage: str | None, against: str, chip: str | None
) -> None:
    known, judged = repository.catalogue, [repository.stage(stage)] if stage is not None else []
    names = compared_by(known, chip, judged[0] if judged else None, against)
    assert collected(known, chip, names, judged)
    assert all(metric.name in names for stage in judged for metric in stage.shown if asked_for(known, metric, chip))
    assert (against in names) == (against in known.metrics and bool(asked_for(known, known.metrics[against], chip)))


def test_who_takes_times_is_told_what_is_compiled_ahead(timed: Any, space: Path) -> None:
    done = timed("--json")
    folder, found = only_sweep(space)
    assert done.returncode == 0, done.stderr
    (plan,) = (json.loads(path.read_text()) for path in folder.glob("times/0-1/processes/*.plan.json"))
    contenders = [each.get("name", "") for row in plan["rows"] for each in row["contenders"]]
    tried = [sweep_case(found, trial).name for trial in found.trials if trial.state != "pruned"]
    assert plan["compiled"]["names"] == tried
    assert [name for name in contenders if name in tried] == tried, "in the order in which they are compiled"
    assert Path(plan["compiled"]["notes"]).read_text().splitlines()[-1] == "over"


def test_without_ncu_there_are_times_alone(timed: Any, space: Path) -> None:
    done = timed("--json")
    _, found = only_sweep(space)
    assert done.returncode == 0, done.stderr
    assert found.complete
    assert set(states(found).values()) == {"timed", "stopped", "pruned"}
    assert "counters were not collected: ncu is not installed" in found.notes


def test_who_is_wrong_or_takes_the_process_along_is_a_result(timed: Any, space: Path, tmp_path: Path) -> None:
    done = timed(SWEEP_DIES="1")
    _, found = only_sweep(space)
    assert done.returncode == 0, done.stderr
    crashed = {name for name, state in states(found).items() if state == "crashed"}
    assert crashed == {f"block4096-num_warps8-num_stages{number}" for number in (2, 3, 4)}
    trial = found.trial("block4096-num_warps8-num_stages2", "square")
    assert trial.reason == "its process ended with signal 6 in step 'check'"
    checks = [line.split()[1:] for line in (tmp_path / "log").read_text().splitlines()]
    first = [label for kind, *label in filter(lambda words: len(words) > 1, checks) if kind == "check"]
    assert first.count(["blocked_scan", "(block8192-num_warps16-num_stages3)"]) == 1, (
        "another's crash costs it no check"
    )


def test_killed_and_resumed_it_is_the_same_set(timed: Any, space: Path, tmp_path: Path) -> None:
    """Killed after the 2nd, the 6th and the 9th outcome; what has an outcome is not timed again.

    Its folder is renamed each time, and it is given another limit of time.
    """
    arguments: tuple[str, ...] = ("--counters", "all", "--against", "stall_barrier", "--grace", "3")
    for count in ("2", "6", "9"):
        assert timed(*arguments, SWEEP_KILL=count).returncode != 0
        folder, begun = only_sweep(space)
        assert not begun.complete
        renamed = folder.rename(folder.with_name(f"killed after {count}"))
        arguments = ("--resume", renamed.name, "--timeout", f"20{count}")
    assert only_sweep(space)[1].options == SweepOptions("all", "stall_barrier", 206.0, 3.0, [0])
    done = timed("--resume")
    assert done.returncode == 0, done.stderr
    _, found = only_sweep(space)
    assert found.complete
    assert {name for name, state in states(found).items() if state == "pruned"} == {
        f"block8192-num_warps{number}-num_stages4" for number in (8, 16)
    }
    assert set(states(found).values()) == {"timed", "stopped", "pruned"}
    assert found.trial("block4096-num_warps8-num_stages2", "square").state == "stopped"
    assert {final.configuration for final in found.finals} >= {"default", "block4096-num_warps8-num_stages4"}
    assert timed("--resume").returncode == 0
    assert only_sweep(space)[1].trials == found.trials


def test_a_sweep_is_gone_on_with_by_the_interpreter_that_it_was_begun_with(timed: Any, space: Path) -> None:
    assert timed(SWEEP_KILL="2").returncode != 0
    _, begun = only_sweep(space)
    python = str(begun.python)
    assert python.endswith("/made_up_python")
    done = timed("--resume", "--python", sys.executable)
    assert done.returncode == 2
    assert f"{begun.name} was begun with --python {python}, not {sys.executable}" in " ".join(done.stderr.split())
    assert only_sweep(space)[1] == begun, "nothing was measured with another"
    assert timed("--resume", "--python", python).returncode == 0
    assert only_sweep(space)[1].complete


def test_an_older_sweep_is_gone_on_with_by_the_interpreter_that_is_given(timed: Any, space: Path) -> None:
    """It says nowhere but in its arguments what it was begun with."""
    assert timed(SWEEP_KILL="2").returncode != 0
    folder, begun = only_sweep(space)
    save_sweep(folder, replace(begun, python=None))
    assert timed("--resume", "--python", str(begun.python)).returncode == 0
    assert only_sweep(space)[1].complete


def test_a_sweep_is_not_gone_on_with_after_its_code_changed(timed: Any, space: Path) -> None:
    assert timed(SWEEP_KILL="2").returncode != 0
    variant = space / "kernels/cumprod/blocked_scan.py"
    variant.write_text(variant.read_text() + "\n")
    done = timed("--resume")
    assert done.returncode == 2
    assert "variant blocked_scan has changed since" in " ".join(done.stderr.split())


def test_a_sweep_is_not_gone_on_with_on_another_model(timed: Any, space: Path) -> None:
    """Also where it was killed before anybody said where it was measured."""
    assert timed(SWEEP_KILL="2").returncode != 0
    _, found = only_sweep(space)
    assert any(trial.samples_us for trial in found.trials)
    assert (found.environment, found.model) == (None, "NVIDIA H200")
    done = timed("--resume", FAKE_GPU_NAME="NVIDIA H100 PCIe")
    assert done.returncode == 2
    assert "was begun on NVIDIA H200, not NVIDIA H100 PCIe" in " ".join(done.stderr.split())
    assert only_sweep(space)[1] == found
    assert timed("--resume").returncode == 0


def test_two_gpus_share_the_trials_and_each_times_the_default(timed: Any, space: Path, tmp_path: Path) -> None:
    done = timed("--devices", "0,1", FAKE_GPUS="2")
    assert done.returncode == 0, done.stderr
    _, found = only_sweep(space)
    assert {trial.device for trial in found.trials if trial.state != "pruned"} == {0, 1}
    checks = [line.split(maxsplit=2) for line in (tmp_path / "log").read_text().splitlines() if " check " in line]
    trials = [gpu for gpu, _, label in checks if label == "blocked_scan"]
    assert {"0", "1"} <= set(trials)
    assert len({label for gpu, _, label in checks if gpu == "1"} & {label for gpu, _, label in checks}) > 1
    assert [state.device for state in found.clocks_before] == [0, 1]


def test_what_times_the_finals_starts_while_counters_are_collected(sweep: Any, space: Path) -> None:
    """It waits, and gets its plan when they are collected."""
    done = sweep("--json")
    assert done.returncode == 0, done.stderr
    folder, _ = only_sweep(space)
    started, planned = (folder / "times/0-2/processes" / name for name in ("1.log", "1.plan.json"))
    counted = (folder / "ncu/1.events.jsonl").stat().st_mtime_ns
    assert started.stat().st_mtime_ns < counted < planned.stat().st_mtime_ns


def test_each_of_two_gpus_times_the_finals_of_a_workload(timed: Any, space: Path) -> None:
    done = timed("-w", "page", "--devices", "0,1", FAKE_GPUS="2")
    assert done.returncode == 0, done.stderr
    folder, found = only_sweep(space)
    finals = [json.loads((folder / f"times/{number}-2/processes/1.plan.json").read_text()) for number in (0, 1)]
    assert [[row["name"] for row in plan["rows"]] for plan in finals] == [["cumprod/square"], ["cumprod/page"]]
    assert {(final.configuration, final.workload) for final in found.finals} == {
        (trial.configuration, trial.workload) for trial in finalists(found)
    }
    assert [final.workload for final in found.finals] == sorted((f.workload for f in found.finals), reverse=True)


def test_each_gpu_has_compilers_for_the_trials_that_it_times(timed: Any, space: Path, tmp_path: Path) -> None:
    timed("--devices", "0,1", FAKE_GPUS="2")
    _, found = only_sweep(space)
    planned = [replace(trial, state="planned") for trial in found.trials if trial.device is not None]
    devices = [replace(GPU, index=0), replace(GPU, index=1, uuid="GPU-other")]
    request = SweepRequest("cumprod", "blocked_scan", sys.executable, devices)
    book = SweepBook(replace(found, trials=planned), tmp_path)
    site = _AsksWhatIsCompiled()
    SweepTimer(load_project(space), request, book, site).time_trials(terminal.BenchBar(None))
    assert sorted(site.asked) == [0, 1]
    for device, cases in site.asked.items():  # every GPU times the default: its device is the one that was done first
        mine = [found.trial(case.configuration, case.workload) for case in cases if case.configuration != "default"]
        assert {trial.device for trial in mine} == {device}
    assert sum(len(cases) for cases in site.asked.values()) == len(planned)


class _AsksWhatIsCompiled(ThisMachine):
    """Takes no times."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[int, list[Case]] = {}

    def take_times(self, *given: Any) -> Bench:
        _, bench, _, device, _, _, to_compile = given
        self.asked[device.index] = to_compile.cases
        return bench  # type: ignore[no-any-return]


def test_without_a_gpu_nothing_is_swept(space: Path, stallgate: Stallgate) -> None:
    done = stallgate("sweep", "cumprod/blocked_scan")
    assert done.returncode == 3
    assert not list((space / "reports").glob("*/sweep.json"))


def test_where_nothing_can_run_each_says_why_and_the_status_is_3(sweep: Any, space: Path) -> None:
    done = sweep("--json", SWEEP_FAIL="all")
    _, found = only_sweep(space)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert found.complete
    assert set(states(found).values()) == {"crashed", "pruned"}
    assert "1 GiB of GPU memory are free" in found.trial("default", "square").reason
    assert json.loads(done.stdout)["found"]["suggested"] is None
    assert sweep("--show").returncode == 3


def test_where_the_default_fails_the_others_are_compared(timed: Any, space: Path) -> None:
    done = timed("--json", SWEEP_FAIL="default")
    _, found = only_sweep(space)
    assert done.returncode == 0, done.stderr
    assert states(found)["default"] == "crashed"
    told = json.loads(done.stdout)["found"]
    assert told["default"] is None
    assert told["suggested"]["configuration"].endswith("num_stages4")


def test_a_space_of_one(timed: Any, space: Path) -> None:
    path = space / "kernels/cumprod/problem.toml"
    for value, count in ((8192, 1), (4096, 2)):
        path.write_text(_without_sweep(path) + f"[variants.blocked_scan.sweep]\nBLOCK = [{value}]\n")
        done = timed("--json")
        assert done.returncode == 0, done.stderr
        newest = max((space / "reports").glob("*/sweep.json"), key=lambda each: each.stat().st_mtime)
        assert len(load_sweep(newest.parent).trials) == count


def test_one_gpu_of_two_is_lost(timed: Any, space: Path) -> None:
    """What the other measured is kept, and the sweep goes on with it alone."""
    done = timed("--devices", "0,1", FAKE_GPUS="2", SWEEP_LOST="1")
    _, found = only_sweep(space)
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert "--resume" in done.stderr
    assert {trial.device for trial in found.trials if trial.samples_us} == {0}
    assert any(trial.state == "planned" for trial in found.trials)
    done = timed("--resume", "--devices", "0", FAKE_GPUS="2")
    assert done.returncode == 0, done.stderr
    assert not any(trial.state == "planned" for trial in only_sweep(space)[1].trials)


def test_an_unreadable_result_is_refused_with_a_reason(timed: Any, space: Path) -> None:
    assert timed().returncode == 0
    folder, _ = only_sweep(space)
    text = (folder / "sweep.json").read_bytes()
    for content in (b"", text[: len(text) // 2], b"[1]", b'{"format": 99}'):
        (folder / "sweep.json").write_bytes(content)
        for option in ("--resume", "--show"):
            done = timed(option)
            assert done.returncode == 2, (option, content[:20], done.stderr)
            assert "Traceback" not in done.stderr
            assert "sweep.json" in done.stderr


# --- parts ------------------------------------------------------------------------------------------------------------

GPU = Device(0, "GPU-made-up", "NVIDIA H200", "580", "9.0", 1.0, 1.0)


def planned(project: Project, table: dict[str, Any], workloads: list[str] | None = None) -> tuple[Project, Sweep]:
    problem = project.problems["cumprod"]
    variant = replace(problem.variants["blocked_scan"], sweep=read_space("space", table))
    problem = replace(problem, variants={**problem.variants, "blocked_scan": variant})
    changed = replace(project, problems={**project.problems, "cumprod": problem})
    request = SweepRequest("cumprod", "blocked_scan", sys.executable, [GPU], workloads or ["square"])
    return changed, new_sweep(changed, request, [])


def test_a_space_is_crossed_with_workloads_and_each_trial_is_a_case(repository: Project) -> None:
    table = {"num_warps": [4, 16], "num_stages": [1, 3]}
    project, found = planned(repository, table, ["square", "page"])
    assert len(found.trials) == 2 * (1 + 4)
    assert found.trials[0].configuration == "default"
    case = contenders_of(project, found, found.trials[:2])
    assert [each.name for each in case] == [
        "cumprod/copy_roof/default/square",
        "cumprod/blocked_scan/default/square",
        "cumprod/blocked_scan/num_warps4-num_stages1/square",
    ]
    known = swept_project(project, found).problems["cumprod"].variants["blocked_scan"].configurations
    assert known["num_warps16-num_stages3"] == {"num_warps": 16, "num_stages": 3}


def test_of_a_variant_in_several_files_each_counts(repository: Project, tmp_path: Path) -> None:
    """Tunables are looked for in all of them; where one changed, the sweep is not gone on with."""
    root = tmp_path / "project"
    shutil.copytree(repository.root / "kernels", root / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    project = replace(repository, root=root)
    problem = project.problems["cumprod"]
    space = read_space("space", {"BLOCK": [2048, 4096], "registers": [128, 168]})
    variant = replace(problem.variants["adaptive_scan"], sweep=space)
    problem = replace(problem, variants={**problem.variants, "adaptive_scan": variant})
    project = replace(project, problems={"cumprod": problem})
    request = SweepRequest("cumprod", "adaptive_scan", sys.executable, [GPU], ["square"])
    found = new_sweep(project, request, [])
    assert len(found.trials) == 1 + 4
    check_resumable(project, found, [GPU])
    path = root / "kernels/cumprod/scan/rows.py"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(BadArgument, match=r"module kernels/cumprod/scan/rows\.py has changed since"):
        check_resumable(project, found, [GPU])


def test_constraints_on_the_gpu_prune_before_anything_runs(repository: Project) -> None:
    constraint = "BLOCK * 4 * (num_stages - 1) <= shared_memory_per_block_kb * 1024"
    _, found = planned(
        repository, {"BLOCK": [16384], "num_stages": [4, 5], "num_warps": [8], "constraints": [constraint]}
    )
    assert [trial.state for trial in found.trials] == ["planned", "planned", "pruned"]
    assert found.trials[2].reason == f"{constraint}: not with 262144 and 232448"


def test_a_sweep_says_which_number_of_the_gpu_is_unknown(repository: Project) -> None:
    spec = repository.gpu_spec_of(GPU.name)
    assert spec is not None
    table = {"num_warps": [4, 8], "constraints": ["num_warps <= fp8_tflops"]}
    _, known = planned(repository, table)
    without = replace(repository, gpu_specs={**repository.gpu_specs, spec.name: replace(spec, fp8_tflops=None)})
    _, unknown = planned(without, table)
    said = f"the data sheet {spec.name} leaves out fp8_tflops: such constraints exclude nothing"
    assert (said in known.notes, said in unknown.notes) == (False, True)


def test_what_the_stage_judges_is_collected_though_the_problem_does_not_name_it(repository: Project) -> None:
    project, _ = planned(repository, {"num_warps": [4, 8]})
    request = SweepRequest("cumprod", "blocked_scan", sys.executable, [GPU], ["square"], stage="block_tiling")
    found = new_sweep(project, request, [])
    assert found.stage == "block_tiling"
    assert swept_project(project, found).problems["cumprod"].stages == ["memory_access", "block_tiling"]


def test_a_large_space_is_not_tried_whole(repository: Project) -> None:
    _, found = planned(repository, {"BLOCK": {"from": 1, "to": 401, "step": 1}})
    assert not found.enumerated
    assert [trial.configuration for trial in found.trials] == ["default"]


def test_a_sweep_of_another_gpu_is_not_gone_on_with(repository: Project) -> None:
    project, found = planned(repository, {"num_warps": [4, 8]})
    check_resumable(project, found, [GPU])
    changed, _ = planned(repository, {"num_warps": [4, 16]})
    with pytest.raises(BadArgument, match="the space has changed"):
        check_resumable(changed, found, [GPU])


def timed_trial(name: str, time_us: float, state: Any = "timed") -> Trial:
    return Trial(name, {}, "w", state, samples_us=[time_us] * 3)


def swept(repository: Project, trials: list[Trial]) -> Sweep:
    return replace(planned(repository, {"num_warps": [4, 8]})[1], trials=trials)


def test_who_is_within_reach_of_the_best_is_profiled_and_the_default_always(repository: Project) -> None:
    trials = [timed_trial(f"t{number:02}", 100 + number) for number in range(30)]
    found = swept(repository, [*trials, timed_trial("default", 140), timed_trial("slow", 190, "stopped")])
    names = [trial.configuration for trial in within_reach(found)]
    assert names == [*(f"t{number:02}" for number in range(8)), "default"]
    full = [trial.configuration for trial in within_reach(replace(found, effort="full"))]
    assert full == [*(f"t{number:02}" for number in range(11)), "default"]
    assert len(within_reach(found, everything=True)) == 32
    close = swept(repository, [timed_trial(f"t{number:02}", 100) for number in range(30)])
    assert [len(within_reach(replace(close, effort=effort))) for effort in ("quick", "full")] == [8, 16]


def test_the_best_four_and_the_default_are_finalists(repository: Project) -> None:
    trials = [timed_trial(f"t{number}", 100 + number) for number in range(6)]
    names = [trial.configuration for trial in finalists(swept(repository, [*trials, timed_trial("default", 140)]))]
    assert names == ["t0", "t1", "t2", "t3", "default"]


def test_gpus_have_trials_in_turn() -> None:
    trials = [timed_trial(str(number), 1) for number in range(5)]
    assert [[trial.configuration for trial in share] for share in split(trials, 2)] == [["0", "2", "4"], ["1", "3"]]


@pytest.mark.parametrize(("memory_mib", "most"), [(81920.0, 16), (24576.0, 5), (6144.0, 1), (float("nan"), 16)])
def test_compilers_leave_the_gpu_its_memory(monkeypatch: pytest.MonkeyPatch, memory_mib: float, most: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    assert compiler_count(replace(GPU, memory_mib=memory_mib)) == most
    assert compiler_count(replace(GPU, memory_mib=memory_mib), 8) == min(most, 7)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(1))
    assert compiler_count(replace(GPU, memory_mib=memory_mib)) == 0


def test_a_space_too_large_to_be_tried_whole_needs_optuna_and_says_so(timed: Any, space: Path) -> None:
    if find_spec("optuna") is not None:
        pytest.skip("Optuna is installed")
    path = space / "kernels/cumprod/problem.toml"
    path.write_text(_without_sweep(path) + "[variants.blocked_scan.sweep]\nBLOCK = { from = 1, to = 401, step = 1 }\n")
    done = timed()
    assert done.returncode == 2
    assert "pip install 'stallgate[sweep]'" in done.stderr
    assert not list((space / "reports").glob("*/sweep.json"))


def test_the_user_interrupts_several_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    ended = Event()
    monkeypatch.setattr(sweep_times.time, "sleep", interrupted)
    with pytest.raises(NotMeasured, match="interrupted"):
        side_by_side([lambda: ended.wait(10), lambda: ended.wait(10)])
    ended.set()


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("OutOfResources: out of resource: shared memory, Required: 262144", "too_much_shared_memory"),
        ("OutOfResources: out of resource: tensor memory, Required: 1024", "does_not_compile"),
        ("CompilationError: at 3:4", "does_not_compile"),
        ("ValueError: no such thing", "crashed"),
    ],
)
def test_why_a_contender_failed_is_its_state(reason: str, state: str) -> None:
    entry = Entry("v", "candidate", outcome="crashed", reason=reason)
    assert settled(Trial("c", {}, "w"), entry, 0).state == state


def test_what_compilation_says_never_changes_an_outcome() -> None:
    found = Compiled(0, "too_much_shared_memory", "it needs 2 bytes", 1.0, None, None, 2)
    assert compiled_trial(Trial("c", {}, "w"), found).state == "too_much_shared_memory"
    timed = compiled_trial(timed_trial("c", 100), found)
    assert (timed.state, timed.shared_bytes) == ("timed", 2)
    assert compiled_trial(Trial("c", {}, "w"), Compiled(0, "unknown", "it needs values")) == Trial("c", {}, "w")


def test_gpus_of_different_models_are_refused(monkeypatch: pytest.MonkeyPatch, space: Path) -> None:
    other = replace(GPU, index=1, name="NVIDIA L4")
    with pytest.raises(ValueError, match="different models: NVIDIA H200, NVIDIA L4"):
        SweepRequest("cumprod", "blocked_scan", sys.executable, [GPU, other])
    monkeypatch.setattr(cli, "find_devices", lambda: [GPU, other])
    done = CliRunner().invoke(cli.sweep_command, ["cumprod/blocked_scan", "--devices", "0,1", "--root", str(space)])
    assert isinstance(done.exception, BadArgument)
    assert done.exception.hint == "their times cannot be put together: name GPUs of one model"


def test_reasons_for_low_clocks_have_names() -> None:
    assert throttle_reasons("0x0000000000000005") == ["idle", "software power cap"]
    assert throttle_reasons("0x0000000000001000") == ["another reason (0x1000)"]
    assert throttle_reasons("[N/A]") == []


@pytest.mark.parametrize("known", ["clocks_event_reasons", "clocks_throttle_reasons"])
def test_clocks_are_asked_by_either_name(known: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    answer = "1755, 2619, 41, 312.50, 0x0000000000000004"
    tool.write_text(f'#!/bin/sh\ncase "$1" in *{known}*) echo "{answer}";; *) exit 2;; esac\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = clock_state(GPU)
    assert (found.sm_mhz, found.memory_mhz, found.temperature_c, found.power_w) == (1755, 2619, 41, 312.5)
    assert found.throttle == ["software power cap"]


def test_without_the_tool_no_clock_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert clock_state(GPU).sm_mhz is None


def test_every_change_is_on_the_disk_at_once(repository: Project, tmp_path: Path) -> None:
    book = SweepBook(swept(repository, [Trial("c", {}, "w")]), tmp_path)
    book.settle(Entry("v", "candidate", "c", outcome="timed", samples_us=[1.0]), "w", 0)
    assert load_sweep(tmp_path).trials[0].state == "timed"


def test_the_run_of_a_sweep_is_not_stale_in_the_project_that_does_not_have_its_configurations(
    repository: Project,
) -> None:
    project, found = planned(repository, {"num_warps": [4, 8]})
    known = swept_project(project, found)
    case = sweep_case(found, found.trials[1])
    run = Run(
        format=RUN_FORMAT,
        name="",
        kind="live",
        created="",
        stallgate="",
        reader="",
        commit=None,
        dirty=False,
        arguments=[],
        settings=None,
        subjects={"cumprod": subject_of(known, "cumprod")},
        cases=[CaseResult(case=case, role="candidate")],
    )
    assert stale_because(run.cases[0], changes(run, repository)) == ["configuration num_warps4 of blocked_scan"], (
        "a configuration that somebody removed from problem.toml is another matter"
    )
    said = with_swept(found, run)
    assert stale_because(said.cases[0], changes(said, repository)) == []
