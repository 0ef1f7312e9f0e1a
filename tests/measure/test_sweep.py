"""Sweeps with a GPU, a timing child and a compiling child that are made up: no number here was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stallgate.errors import BadArgument
from stallgate.measure.clocks import throttle_reasons
from stallgate.measure.device import Device
from stallgate.measure.sweep_book import SweepBook, settled
from stallgate.measure.sweep_compile import Compiled, compiled_trial
from stallgate.measure.sweep_counters import within_reach
from stallgate.measure.sweep_plan import SweepRequest, check_resumable, new_sweep, swept_project
from stallgate.measure.sweep_times import contenders_of, finalists, split
from stallgate.model import TunableSpace
from stallgate.project.load import Project
from stallgate.project.space import read_space
from stallgate.runs.bench import Entry
from stallgate.runs.sweep import Sweep, Trial, load_sweep
from tests.conftest import FAKES, Stallgate

SPACE = """
[variants.blocked_scan.sweep]
BLOCK = [4096, 8192]
num_warps = [8, 16]
num_stages = { from = 2, to = 4, step = 1 }
constraints = ["BLOCK * 4 * (num_stages - 1) <= 90_000"]
"""

CHILD = f"""
import json, os, socket, sys, time
from types import SimpleNamespace
from pathlib import Path
entry, plan_path = sys.argv[1:3]
if "referee" in entry:
    os.execv(sys.executable, [sys.executable, {str(FAKES / "python")!r}, *sys.argv[1:]])
from stallgate.child.bench.elimination import Elimination
plan = json.load(open(plan_path))
line = socket.socket(fileno=int(sys.argv[3]))
def tell(event, **facts):
    line.sendall(json.dumps({{"event": event, **facts}}).encode() + b"\\n")
if "/sweep/" in entry:
    for number, case in enumerate(plan["cases"]):
        tell("compiling", number=number)
        tell("compiled", number=number, outcome="compiled", seconds=1.5, registers=40, spills=0, shared_bytes=1024)
    sys.exit(0)
tell("environment", gpu="NVIDIA H200", compute_capability="9.0", python="3", torch="2", triton="3", cuda="12",
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
        if os.environ.get("SWEEP_DIES") and tunables.get("num_warps") == 8 and tunables["BLOCK"] == 4096:
            os.abort()
        tell("step", **name, step="warm-up")
        spec = {{"tunables": {{}}, **contender}}
        entrants.append(SimpleNamespace(spec=spec, samples_us=[], call_us=time_of(contender)))
    elimination = Elimination(plan.get("elimination"))
    def conclude(entrant, outcome, reason=""):
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
        pause = os.environ.get("SWEEP_PAUSE")
        if pause and sum("concluded" in each for each in log.read_text().splitlines()) >= int(pause):
            time.sleep(30)
        with log.open("a") as file:
            print("concluded", file=file)
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
        words = arguments if "--resume" in arguments else ("cumprod/blocked_scan", "-w", "square", *arguments)
        told = {"SWEEP_LOG": str(log), "FAKE_GPU_UUID": "made-up", **variables}
        return with_ncu("sweep", *words, "--python", str(python), **told)

    return run


def only_sweep(tree: Path) -> tuple[Path, Sweep]:
    (path,) = (tree / "reports").glob("*/sweep.json")
    return path.parent, load_sweep(path.parent)


def states(found: Sweep) -> dict[str, str]:
    return {trial.configuration: trial.state for trial in found.trials}


def test_all_are_timed_the_hopeless_stopped_and_the_best_profiled(sweep: Any, space: Path) -> None:
    done = sweep("--json")
    folder, found = only_sweep(space)
    assert done.returncode == 0, done.stderr
    by_state: dict[str, list[str]] = {}
    for name, state in states(found).items():
        by_state.setdefault(state, []).append(name)
    assert found.complete
    assert len(found.trials) == 12
