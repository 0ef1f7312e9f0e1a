"""The compiling child, and who is stopped early: compiled for a GPU that is not there, with times that are made up."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import Any

import pytest

from stallgate.child.bench.elimination import Elimination
from stallgate.child.bench.order import OVER, ContenderOrder
from stallgate.child.sweep.work import note
from stallgate.measure.process import Spawned, watch
from stallgate.measure.sweep_compile import COMPILER_ENTRY
from tests.child.plans import entry_of, reference_of, workload_of
from tests.conftest import ROOT

# --- elimination ------------------------------------------------------------------------------------------------------


def entrant(name: str, *samples: float, role: str = "candidate", tunables: Any = None, call_us: float = 0) -> Any:
    spec = {"label": name, "role": role, "tunables": {"BLOCK": 1} if tunables is None else tunables}
    return SimpleNamespace(spec=spec, samples_us=[*samples], call_us=call_us)


def stopped(plan: Any, number: int, entrants: list[Any]) -> dict[str, str]:
    return {each.spec["label"]: reason for each, reason in Elimination(plan).hopeless(number, entrants)}


PLAN = {"rungs": [[0, 4.0], [3, 1.5]], "seconds": None}


def test_the_hopeless_are_stopped_at_rungs_and_who_is_noisy_has_the_benefit_of_the_doubt() -> None:
    entrants = [
        entrant("best", 100, 101, 99),
        entrant("near", 140, 141, 142),
        entrant("slow", 160, 170, 180),
        entrant("noisy", 300, 149, 300),
    ]
    assert stopped(PLAN, 3, entrants) == {"slow": "stopped after 3 rounds: 170 us, 1.7 times the best"}
    assert stopped(PLAN, 2, entrants) == {}
    assert stopped(None, 3, entrants) == {}
    assert not Elimination(None).is_on


def test_before_the_first_round_a_warm_call_tells() -> None:
    entrants = [entrant("best", call_us=100), entrant("slow", call_us=401)]
    assert stopped(PLAN, 0, entrants) == {"slow": "stopped after a warm call: 401 us, 4.01 times the best"}


def test_roofs_copies_and_the_default_stay_and_no_roof_is_the_best() -> None:
    entrants = [
        entrant("roof", 10, role="roof"),
        entrant("copy", 10, role="copy"),
        entrant("default", 900, tunables={}),
        entrant("other", 100),
    ]
    assert stopped(PLAN, 3, entrants) == {}


def test_the_time_for_rounds_ends_after_the_least_number() -> None:
    over = Elimination({"rungs": [], "seconds": 0.0})
    assert not over.is_over(2, 3)
    assert over.is_over(3, 3)
    assert not Elimination(PLAN).is_over(3, 3)


# --- workers ----------------------------------------------------------------------------------------------------------

WORK = """
import ctypes, os, sys, time
from stallgate.child.sweep.workers import TookTooLong, Workers

def say(line):
    os.write(1, line.encode() + b"\\n")  # whole, whoever else writes

def run(number):
    if number == 3:
        ctypes.string_at(0)  # a segmentation fault
    if number == 4:
        raise SystemExit(3)
    try:
        time.sleep(30 if number == 5 else 0.01)
        say(f"did {number}")
    except TookTooLong:
        say(f"over {number}")

Workers(9, run, lambda number: say(f"lost {number}"), limit_s=3).work(int(sys.argv[1]))
say("end")
"""


@pytest.mark.parametrize("processes", [1, 4, 40])
def test_each_item_is_done_once_and_one_that_ends_its_worker_costs_itself(processes: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(processes)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "harness")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.splitlines()
    expected = [f"did {number}" for number in (0, 1, 2, 6, 7, 8)] + ["lost 3", "lost 4", "over 5"]
    assert sorted(lines[:-1]) == sorted(expected), done.stderr
    assert lines[-1] == "end"


CROWD = """
import os
from stallgate.child.sweep.workers import Workers

Workers(300, lambda number: os.write(1, b"%d\\n" % number), lambda number: None, limit_s=30).work(24)
"""


def test_no_item_is_done_twice() -> None:
    """However many workers take the next one at once."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "harness")}
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", CROWD], env=environment, capture_output=True, timeout=60, check=True
        )
        assert sorted(map(int, done.stdout.split())) == [*range(300)]


# --- compilation ------------------------------------------------------------------------------------------------------

REFERENCE = """
import torch
def get_inputs(shape, device, seed):
    generator = torch.Generator(device).manual_seed(seed)
    return [torch.rand(shape, device=device, generator=generator).mul_(2)]
"""

VARIANT = """
import torch, triton, triton.language as tl
from torch import nn

@triton.jit
def double(x, y, n, BLOCK: tl.constexpr, BAD: tl.constexpr):
    tl.static_assert(BAD == 0)
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + places, tl.load(x + places, mask=places < n) * 2, mask=places < n)

@triton.jit
def product(x, y, BLOCK: tl.constexpr, num_stages: tl.constexpr):
    places = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK, BLOCK), tl.float32)
    for start in tl.range(0, 1024, BLOCK, num_stages=num_stages):
        a = tl.load(x + places[:, None] * 1024 + start + places[None, :])
        total = tl.dot(a, a, total)
    tl.store(y + places[:, None] * BLOCK + places[None, :], total)

tuned = triton.autotune([triton.Config({"BLOCK": 64, "num_stages": each}) for each in (2, 5)], key=[])(product)
listed = triton.autotune([triton.Config({"BLOCK": 64, "BAD": each}) for each in (0, 1)], key=[])(double)

class ModelNew(nn.Module):
    def __init__(self, **tunables):
        super().__init__()
        self.tunables = tunables
    def forward(self, x, BLOCK=64, BAD=0, ask=0, stages=0):
        tunables = {"BLOCK": BLOCK, "BAD": BAD, **self.tunables}
        if tunables.pop("ask", 0):
            assert x.sum().item() > 0
        y = torch.empty_like(x).contiguous()
        stages = tunables.pop("stages", 0)
        if tunables.pop("tuned", 0):
            tuned[(1,)](x, y)
            listed[(1,)](x, y, x.numel())
        elif stages:
            product[(1,)](x, y, tunables["BLOCK"], stages)
        else:
            double[(triton.cdiv(x.numel(), tunables["BLOCK"]),)](x, y, x.numel(), **tunables)
        return y.sum() + 1
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a compiling process says of tunables."""
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "reference.py").write_text(REFERENCE)
    (folder / "v.py").write_text(VARIANT)
    load = workload_of(arguments={"shape": [2**20]}, bytes=1)
    tried: list[dict[str, Any]] = [
        {"BLOCK": 128},
        {"BLOCK": 128, "BAD": 1},
        {"BLOCK": 128, "ask": 1},
        {"BLOCK": 128, "nonsense": 1},
        {"BLOCK": 64, "stages": 5},
        {"BLOCK": 100},
        {"tuned": 1},
    ]
    cases = [
        {**load, "name": f"c{k}", "problem": "p", "entry": entry_of(folder / "v.py"), "tunables": each}
        for k, each in enumerate(tried)
    ]
    target = {"device": "cpu", "compute_capability": "9.0", "shared_bytes": 20_000}
    references = {"p": reference_of(folder / "reference.py")}
    plan = {"root": str(folder), "import_paths": [], "references": references, "target": target, "cases": cases}
    plan |= {"processes": 2, "limit_s": 60, "notes": str(folder / "notes")}
    (folder / "plan.json").write_text(json.dumps(plan))
    kept = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment = {**kept, "PYTHONPATH": str(ROOT / "harness"), "TRITON_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, str(COMPILER_ENTRY), str(folder / "plan.json")]
    lines: list[bytes] = []
    watch(Spawned(command, environment, folder / "log", 1.0), 120, lambda line: lines.append(line) is None)
    told = [json.loads(line) for line in lines]
    found = sorted((each for each in told if each["event"] == "compiled"), key=lambda each: int(each["number"]))
    noted = (folder / "notes").read_text().split() if found else []
    assert sorted(noted) == [f"c{each['number']}" for each in found], "whoever takes times waits for these"
    return found or [{"log": (folder / "log").read_text()}]


def test_what_is_compiled_and_not_run_has_facts(answers: list[dict[str, Any]]) -> None:
    found = answers[0]
    assert found.get("outcome") == "compiled", answers
    assert found["seconds"] > 0
    assert found["shared_bytes"] == 0


def test_why_it_is_not_compiled(answers: list[dict[str, Any]]) -> None:
    assert [each["outcome"] for each in answers[1:]] == [
        "does_not_compile",
        "unknown",
        "unknown",
        "too_much_shared_memory",
        "does_not_compile",
        "unknown",
    ], "which of an autotuner's kernels is launched, and whether it fits, is not known before it was timed"
    assert answers[2]["reason"].startswith("NeedsValues: ")
    assert "the GPU has 20000" in answers[4]["reason"]


# --- who takes times waits for the compilers --------------------------------------------------------------------------


def order_by(notes: Path, *names: str, patience_s: float = 30.0) -> ContenderOrder:
    return ContenderOrder({"notes": str(notes), "names": list(names)}, patience_s)


def in_turn(ahead: ContenderOrder, *names: str) -> list[str]:
    """The names of contenders in the order in which they are taken; a copy has none."""
    left: list[dict[str, Any]] = [{"name": name} if name else {} for name in names]
    taken: list[str] = []
    while left:
        taken.append(ahead.take(left).get("name", ""))
    return taken


def test_without_compilers_contenders_are_taken_as_planned() -> None:
    assert in_turn(ContenderOrder(None), "", "roof", "a", "b") == ["", "roof", "a", "b"]


def test_what_is_compiled_is_taken_before_what_is_not(tmp_path: Path) -> None:
    """Names come in while it is asked; what nobody compiles waits for nobody."""
    notes, names = tmp_path / "notes", [f"p/v/c{k}/w" for k in range(40)]
    compiled = random.Random(3).sample(names, len(names))
    ahead = order_by(notes, *names)
    left: list[dict[str, Any]] = [{}, {"name": "p/roof/default/w"}, *({"name": name} for name in names)]
    assert [ahead.take(left), ahead.take(left)] == [{}, {"name": "p/roof/default/w"}]
    taken = []
    for name in compiled:
        note(notes, name)
        taken.append(ahead.take(left)["name"])
    assert taken == compiled
    assert left == []


def test_it_waits_for_the_compilers_and_no_longer(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    ahead = order_by(notes, "a", "b", "c")
    timer = Timer(0.3, lambda: note(notes, "b"))
    begin = time.monotonic()
    timer.start()
    assert ahead.take([{"name": "a"}, {"name": "b"}]) == {"name": "b"}
    assert time.monotonic() - begin >= 0.3
    timer.join()
    note(notes, OVER)
    assert in_turn(ahead, "a", "c") == ["a", "c"]


def test_compilers_that_say_nothing_are_not_waited_for(tmp_path: Path) -> None:
    ahead = order_by(tmp_path / "notes", "a", "b", patience_s=0.2)
    assert in_turn(ahead, "a", "b") == ["a", "b"]
