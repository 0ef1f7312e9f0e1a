"""Drawn workloads: the same for a seed everywhere, with the bytes that they need; and a bench's quantiles over them.

No time here was measured: the timing child is made up.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stallgate.errors import BrokenFile
from stallgate.measure.drawn import DrawnPlan, drawn_requests, plan_drawn, plan_small, small_request, with_workloads
from stallgate.measure.plan import Request
from stallgate.project.load import Project, load_project
from stallgate.runs.bench import Bench, load_bench
from stallgate.runs.distribution import spread_of
from stallgate.runs.drawn import Draw
from tests import warm
from tests.conftest import ROOT, Stallgate, command_line, with_fakes
from tests.measure.drawing import REFERENCE, drawing_project
from tests.measure.test_bench import CHILD

DRAW = Draw(seed=7, numbers=[0, 1, 2])


@pytest.fixture(autouse=True)
def _warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children that a test starts itself begin with torch imported, as those of a command do."""
    monkeypatch.setattr(subprocess, "Popen", warm.starting_at(warm.address()))


# --- the drawing child ------------------------------------------------------------------------------------------------


def drawn(root: Path, draw: Draw = DRAW, **wishes: Any) -> dict[str, Any]:
    """The drawn workloads of the small project, by name."""
    project = load_project(root)
    requests = drawn_requests(draw, ["product"], **wishes)
    found = with_workloads(project, requests, sys.executable, 120).problems["product"].workloads
    return {name: workload for name, workload in found.items() if name in draw.names}


def test_a_seed_and_a_number_decide_on_a_workload(tmp_path: Path) -> None:
    root = drawing_project(tmp_path)
    found = drawn(root, needs=True)
    assert list(found) == ["drawn-7-0", "drawn-7-1", "drawn-7-2"]
    shapes = [found[name].arguments["shape"] for name in found]
    assert shapes == [[2, 371513], [2, 57755], [2, 337165]], "Python draws alike on every machine"
    assert [found[name].bytes for name in found] == [2 * 4 * rows * columns for rows, columns in shapes]
    alone = drawn(root, Draw(seed=7, numbers=[2]))
    assert alone["drawn-7-2"].arguments == found["drawn-7-2"].arguments
    other = drawn(root, Draw(seed=8, numbers=[2]))
    assert other["drawn-8-2"].arguments != found["drawn-7-2"].arguments


def test_a_draw_is_told_the_largest_size_only_if_it_takes_one(tmp_path: Path) -> None:
    limited = drawn(drawing_project(tmp_path / "limited"), largest=64)
    assert all(workload.arguments["shape"][1] < 32 for workload in limited.values())
    reference = REFERENCE.replace("def draw(rng, largest=2**20)", "def draw(rng)").replace("largest // 2", "2000")
    free = drawn(drawing_project(tmp_path / "free", reference=reference), largest=64)
    assert any(workload.arguments["shape"][1] > 64 for workload in free.values())


def test_a_reference_may_say_what_its_calls_need(tmp_path: Path) -> None:
    reference = REFERENCE + "\ndef needs(*, shape): return {'bytes': 10 * shape[1], 'flops': shape[1]}\n"
    found = drawn(drawing_project(tmp_path, reference=reference), needs=True)
    for workload in found.values():
        columns = workload.arguments["shape"][1]
        assert (workload.bytes, workload.flops) == (10 * columns, columns)


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        ("", "the reference has no draw(rng)"),
        ("def draw(rng): raise KeyError('size')", "KeyError: 'size'"),
        ("def draw(rng): raise SystemExit(0)", "SystemExit"),
        ("def draw(rng): return {'shape': {1, 2}}", "TypeError: Object of type set is not JSON serializable"),
        ("def draw(rng): return [1]", "draw(rng) returned list, not a dict"),
    ],
)
def test_a_draw_that_gives_no_arguments_is_the_problems_fault(tmp_path: Path, draw: str, words: str) -> None:
    reference = REFERENCE[: REFERENCE.index("def draw")] + draw
    with pytest.raises(BrokenFile) as error:
        drawn(drawing_project(tmp_path, reference=reference))
    assert error.value.message.startswith("kernels/product/reference.py: drawn-7-0 cannot be drawn: ")
    assert words in error.value.message


def test_a_small_workload_takes_the_name_of_the_whole_one(tmp_path: Path) -> None:
    project = load_project(drawing_project(tmp_path))
    main = project.problems["product"].workloads["main"]
    small = with_workloads(project, [small_request("product", main)], sys.executable, 120)
    assert small.problems["product"].workloads["main"].arguments == {"shape": [3, 7]}
    assert project.problems["product"].workloads["main"] == main
    reference = REFERENCE.replace("def small_arguments", "def other")
    project = load_project(drawing_project(tmp_path / "without", reference=reference))
    whole = with_workloads(project, [small_request("product", main)], sys.executable, 120)
    assert whole.problems["product"].workloads["main"].arguments == main.arguments


def test_a_plan_has_the_drawn_workloads_beside_the_usual_ones_or_alone(tmp_path: Path) -> None:
    project = load_project(drawing_project(tmp_path, "right"))
    request, draw = Request(subjects=["product/right"]), Draw(seed=1, numbers=[4])

    def planned(plan: Any) -> list[str]:
        return [f"{case.variant} on {case.workload}" for case in plan.cases]

    plan = plan_drawn(project, request, draw, sys.executable, 120)
    beside = ["limit on main", "limit on other", "limit on drawn-1-4", "right on main", "right on other"]
    assert planned(plan) == [*beside, "right on drawn-1-4"]
    alone = plan_drawn(project, request, draw, sys.executable, 120, only_drawn=True)
    assert planned(alone) == ["limit on drawn-1-4", "right on drawn-1-4"]
    small = plan_small(project, request, draw, sys.executable, 120)
    assert planned(small) == ["limit on main", "limit on drawn-1-4", "right on main", "right on drawn-1-4"]
    assert small.stand_ins == {"product/other": "main"}


# --- what Triton's interpreter computes wrongly -----------------------------------------------------------------------

TYPES = """
import torch
def get_init_inputs(**_): return [1]
def get_inputs(*, device, seed, **arguments):
    return [torch.ones(arguments["shape"], device=device, dtype={type})]
def expected(inputs, **_): yield (slice(None),), inputs[0]
def small_arguments(**arguments): return arguments
def draw(rng, largest=2**20):
    return {{"shape": [rng.randrange(1, 9)], **rng.choice({choices})}}
"""
"""A problem that draws one of several dtypes."""

NAMED = "getattr(torch, arguments['dtype'])"
TWO, ONE = ([{"dtype": name} for name in names] for names in (("float32", "bfloat16"), ("bfloat16",)))
UNNAMED = "torch.bfloat16 if arguments['half'] else torch.float32"
MANY = Draw(seed=3, numbers=list(range(40)))


def typed_project(root: Path, kind: str, choices: object) -> Project:
    return load_project(drawing_project(root, "right", reference=TYPES.format(type=kind, choices=choices)))


def small_of(project: Project, draw: Draw = MANY) -> DrawnPlan:
    request = Request(subjects=["product/right"])
    return plan_small(project, request, draw, sys.executable, 120, only_drawn=True)


def arguments_of(plan: DrawnPlan, draw: Draw = MANY) -> list[dict[str, Any]]:
    return [plan.project.problems["product"].workloads[name].arguments for name in draw.names]


def test_what_the_interpreter_computes_wrongly_is_not_drawn_for_it(tmp_path: Path) -> None:
    """A GPU computes in bfloat16, and the workloads that it gets are as ever."""
    project = typed_project(tmp_path, NAMED, TWO)
    small = small_of(project)
    assert {each["dtype"] for each in arguments_of(small)} == {"float32"}
    assert len({str(each) for each in arguments_of(small)}) > 1, "they are drawn, not one for all"
    assert [note.partition(":")[0] for note in small.notes] == ["no bfloat16 was drawn for product"]
    whole = plan_drawn(project, Request(subjects=["product/right"]), MANY, sys.executable, 120, only_drawn=True)
    assert {each["dtype"] for each in arguments_of(whole)} == {"float32", "bfloat16"}
    assert whole.notes == []


def test_a_draw_that_avoids_a_dtype_is_the_same_again_and_alone(tmp_path: Path) -> None:
    project = typed_project(tmp_path, NAMED, TWO)
    once = arguments_of(small_of(project))
    assert arguments_of(small_of(project)) == once
    alone = Draw(seed=3, numbers=[17])
    assert arguments_of(small_of(project, alone), alone) == [once[17]]


def test_a_dtype_that_only_the_inputs_show_is_avoided_too(tmp_path: Path) -> None:
    found = small_of(typed_project(tmp_path, UNNAMED, [{"half": True}, {"half": False}]))
    assert {each["half"] for each in arguments_of(found)} == {False}


def test_a_problem_of_bfloat16_alone_is_checked_in_it_with_a_note(tmp_path: Path) -> None:
    found = small_of(typed_project(tmp_path, NAMED, ONE))
    assert {each["dtype"] for each in arguments_of(found)} == {"bfloat16"}
    (note,) = found.notes
    assert note.startswith("product was checked in bfloat16")
    assert "convert" in note


def test_nothing_is_said_where_no_bfloat16_would_be_drawn(tmp_path: Path) -> None:
    assert small_of(typed_project(tmp_path, NAMED, [{"dtype": "float32"}, {"dtype": "float16"}])).notes == []


@pytest.mark.parametrize("problem", ["cumprod", "matmul", "rmsnorm"])
def test_no_problem_here_draws_bfloat16_for_the_interpreter(problem: str) -> None:
    """For a GPU each does."""
    project, request = load_project(ROOT), Request(subjects=[problem])
    draw = Draw(seed=11, numbers=list(range(60)))
    small = plan_small(project, request, draw, sys.executable, 120, only_drawn=True)
    whole = plan_drawn(project, request, draw, sys.executable, 120, only_drawn=True)
    kinds = [
        {re.search(r"b?float\d+|int64", repr(plan.project.problems[problem].workloads[name]))[0] for name in draw.names}  # type: ignore[index]
        for plan in (small, whole)
    ]
    assert kinds[0] == kinds[1] - {"bfloat16"} != kinds[1]


# --- the quantiles ----------------------------------------------------------------------------------------------------


def test_quantiles_lie_between_what_was_measured() -> None:
    spread = spread_of([0.5, None, 0.1, 0.9, 0.3, 0.7])
    assert spread is not None
    assert (spread.worst, spread.p25, spread.median, spread.p75, spread.best) == (0.1, 0.3, 0.5, 0.7, 0.9)
    assert spread.p5 == pytest.approx(0.14)
    assert spread_of([None]) is None
    assert spread_of([]) is None


# --- a bench ----------------------------------------------------------------------------------------------------------

TIMES = """
    if contender["label"] == "last" and row["name"].endswith("-3"): return None
    return {"copy": 100, "right": 200 + 100 * number, "last": 450}.get(contender["label"], 300)
"""


@pytest.fixture
def bench(tmp_path: Path, recording: Path) -> Stallgate:
    """``stallgate bench`` of the small project, with a made-up GPU, and times that depend on the workload's number."""
    root = drawing_project(tmp_path / "drawing", "right", "last")
    peer = root / "kernels/product/peers/friend.py"
    peer.parent.mkdir()
    peer.write_text("")
    python = tmp_path / "made_up_python"
    child = CHILD.replace("samples = [100.0 * (place + 1) + number for", "samples = [time_of(row, contender) for")
    child = child.replace('if contender["role"] == "peer"', "if time_of(row, contender) is None")
    real = f'if "/draw/" in sys.argv[1]: os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])\n'
    head = f"import os, sys\n{real}def time_of(row, contender):\n    number = int(row['name'].rpartition('-')[2])\n"
    python.write_text(f"#!{sys.executable}\n{head}{TIMES.strip(chr(10))}\n{child}")
    python.chmod(0o755)
    run = with_fakes(command_line(root), recording, tmp_path / "bin")
    return lambda *arguments: run("bench", "--python", str(python), *arguments, MADE_UP="well")


def only(tmp_path: Path) -> Bench:
    (folder,) = [path for path in (tmp_path / "drawing/reports").iterdir() if path.is_dir()]
    return load_bench(folder)


def test_a_bench_of_drawn_workloads_shows_how_they_are_distributed(bench: Stallgate, tmp_path: Path) -> None:
    done = bench("product/right", "product/last", "--drawn", "5", "--seed", "7")
    assert done.returncode == 3, done.stderr
    assert max(map(len, done.stdout.splitlines()[:-2])) <= 80
    lines = [line.split() for line in done.stdout.splitlines()]
    assert "product · right on drawn workloads of seed 7" in done.stdout
    assert ["of", "roof", "0.500", "0.520", "0.600", "0.750", "1.000", "1.500"] in lines
    assert ["of", "copy", "0.167", "0.173", "0.200", "0.250", "0.333", "0.500"] in lines
    assert ["×", "friend", "0.500", "0.520", "0.600", "0.750", "1.000", "1.500", "3", "of", "5"] in lines
    assert ["×", "last", "0.750", "0.806", "1.031", "1.312", "1.688", "2.250", "1", "of", "4"] in lines
    assert "timed on 4 of 5; the larger a number, the faster last is" in done.stdout
    found = only(tmp_path)
    assert found.drawn == Draw(seed=7, numbers=[0, 1, 2, 3, 4])
    assert found.rounds == 9
    assert [row.workload.name for row in found.rows] == found.drawn.names


def test_the_worst_cases_can_be_run_again(bench: Stallgate, tmp_path: Path) -> None:
    done = bench("product/right", "--drawn", "12", "--seed", "7", "--json")
    (each,) = json.loads(done.stdout)["drawn"]["distributions"]
    worst = [case["number"] for case in each["worst"]]
    assert worst == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]
    rows = {row.workload.name: row.workload for row in only(tmp_path).rows}
    assert each["worst"][0]["arguments"] == rows["drawn-7-11"].arguments
    assert each["worst"][0]["slower_than"] == ["friend"]
    again = bench("product/right", "--seed", "7", "--drawn-only", "11", "--rounds", "5")
    words = " ".join(again.stdout.split())
    assert "timed on 1 of 1" in words
    assert f"11 0.231 1.30 ms arguments = {{ shape = {rows['drawn-7-11'].arguments['shape']} }}" in words
    assert "stallgate bench product/right --seed 7 --drawn-only 11" in words


def test_gradients_are_not_drawn(bench: Stallgate) -> None:
    done = bench("--drawn", "2", "--gradient", "both")
    assert done.returncode == 2
    assert "gradients are not timed on drawn workloads" in " ".join(done.stderr.split())


# --- problems without a file of their own -----------------------------------------------------------------------------

PROJECT = """
[problems.softmax]
reference = { entry = "torch.softmax", keywords = { dim = -1 } }
draw = "mine:draw"
stages = []
[problems.softmax.workloads.main]
inputs = ["float32[512,512]"]
[problems.softmax.variants.mine]
entry = "mine:softmax"
[problems.softmax.variants.copy]
entry = "stallgate:copy"
role = "roof"
ceiling = "bytes"
"""

MINE = """
import torch
def softmax(x):
    return torch.exp(x - x.amax(-1, keepdim=True)) / torch.exp(x - x.amax(-1, keepdim=True)).sum(-1, keepdim=True)
def draw(rng):
    return {"inputs": [f"float32[{rng.randrange(1, 64)},{rng.randrange(1, 64)}] normal(0,4)"]}
"""


def test_a_function_draws_inputs_for_a_problem_of_a_few_lines(tmp_path: Path) -> None:
    (tmp_path / "stallgate.toml").write_text(PROJECT)
    (tmp_path / "mine.py").write_text(MINE)
    done = command_line(tmp_path)("check", "softmax/mine", "--drawn", "4", "--seed", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (variant,) = json.loads(done.stdout)["variants"]
    drawn_inputs = [case["inputs"] for case in variant["cases"] if case["number"] is not None]
    assert len(drawn_inputs) == 4
    assert all(len(each) == 1 and each[0].endswith("normal(0,4)") for each in drawn_inputs)
