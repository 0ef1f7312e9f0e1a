"""Times: the child's loop with a clock that is made up, the parent with a child that is made up, and what is shown.

No number here was measured: GPUs are called made-up, and the times are round.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from triton.runtime.interpreter import InterpretedFunction

from stallgate.child import roofs
from stallgate.child.bench.clock import GpuClock
from stallgate.child.bench.order import ContenderOrder
from stallgate.child.bench.pool import Pool, tensors_of
from stallgate.child.bench.renewal import Renewal
from stallgate.child.bench.row import GRAPH_BELOW_US, GRAPH_CALLS, LEAST_ROUNDS, DeviceLost, TimedRow
from stallgate.child.bench.work import measure
from stallgate.child.channel import PARENT_GONE
from stallgate.child.correctness import checksums
from stallgate.child.device import Interpreter
from stallgate.child.load import ProjectModules
from stallgate.child.reference import Reference
from stallgate.errors import BrokenFile
from stallgate.measure.bench import TIMER_ENTRY as ENTRY
from stallgate.measure.messages import Unable, timer_message
from stallgate.measure.process import Spawned, watch
from stallgate.model import Workload
from stallgate.render import bench_figure
from stallgate.render.sheet import Sheet
from stallgate.render.terminal_bench import show_bench
from stallgate.runs.bench import Bench, BenchEnvironment, BenchRow, Entry, load_bench
from tests.child.plans import entry_of, plain_case, reference_of, workload_of
from tests.child.test_child import REFERENCE, case_of
from tests.conftest import ROOT, Stallgate
from tests.kernels.quick import quick_interpreter

Outcomes = dict[str, dict[str, Any]]

# --- the child's loop -------------------------------------------------------------------------------------------------


class MadeUpClock:
    """A clock on the CPU by which every call takes the same time; its graphs run their calls again."""

    def __init__(self, call_us: float, graph: str = "whole") -> None:
        self.call_us = call_us
        self.kind = graph

    def describe(self) -> dict[str, object]:
        return {}

    def time(self, call: Callable[[], object]) -> tuple[float, object]:
        return self.call_us, call()

    def host_times(self, calls: Sequence[Callable[[], object]]) -> list[float]:
        return [float(number) for number, call in enumerate(calls, 1) if call() is not None]

    def graph(self, calls: Sequence[Callable[[], Any]]) -> Callable[[], list[Any]]:
        if self.kind == "refused":
            raise RuntimeError("operation not permitted when stream is capturing")
        outputs = [call() for call in calls]

        def replay() -> list[Any]:
            if self.kind == "whole":
                for output, call in zip(outputs, calls, strict=True):
                    for old, new in zip(tensors_of([output]), tensors_of([call()]), strict=True):
                        old.copy_(new)
            return outputs

        return replay


GRADIENT = """
import torch
from msgspec.structs import replace
def get_gradient_inputs(inputs, *, zeros, **_):
    (x,) = inputs
    x[:, 1 : 1 + zeros] = 0
    return [x, torch.ones_like(x)]
def expected_gradient(inputs, cotangent, **_):
    x = inputs[0].double().requires_grad_()
    yield (slice(None),), torch.autograd.grad(x.cumprod(1), x, cotangent.double())[0].float()
"""

BODIES = {
    "right": "return x.cumprod(1)",
    "other": "return x.clone().cumprod_(1)",
    "wrong": "return x.cumprod(1) * 1.001",
    "raising": "raise ValueError('no such thing')",
    "later": "return x.cumprod(1) * (1 if self.calls < 20 else 2)",
    "between": "return x.cumprod(1) * (2 if 55 < self.calls < 75 else 1)",
    "peer": "return x\nimport no_such_library",
    "way_back_is_wrong": "return x.cumprod(1) + 0.5 * (x - x.detach())",
    "no_way_back": "return x.detach().cumprod(1)",
    "lent": "return torch.from_dlpack(x).cumprod(1)",
}
COPY = {"label": "copy", "role": "copy"}


class Heard(list[dict[str, Any]]):
    """Takes the place of the channel to the parent."""

    def tell(self, event: str, **facts: object) -> None:
        self.append({"event": event, **facts})

    @property
    def outcomes(self) -> Outcomes:
        return {event["contender"]: event for event in self if event["event"] == "outcome"}


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Heard) -> Callable[..., Outcomes]:
    """Times variants on the CPU; gives outcomes by name."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")

    def run(
        clock: MadeUpClock,
        *names: str,
        usable: bool = True,
        gradient: str | None = None,
        zeros: int = 0,
        truth_text: str = REFERENCE,
        **changes: Any,
    ) -> Any:
        reference = tmp_path / "reference.py"
        reference.write_text(truth_text)
        truth = tmp_path / "gradient.py"
        truth.write_text(GRADIENT)
        contenders = [{**case_of(tmp_path, name, BODIES[name]), "label": name} for name in names]
        for contender in contenders:
            contender["role"] = "peer" if contender["label"] == "peer" else "candidate"
        plan = {
            "references": {"p": reference_of(reference)},
            "run_limit_s": 20.0,
            "rounds": 12,
            "row_budget_s": 4.0,
            **changes,
        }
        load = workload_of(arguments={"shape": [5, 8], "dim": 1, "dtype": "float32"}, bytes=320)
        row = {"name": "p/w", "problem": "p", **load, "contenders": [COPY, *contenders]}
        told = {"entry": entry_of(truth), "alone": gradient == "backward", "zeros": zeros}
        row["gradient"] = told if gradient is not None else None
        device = Interpreter()
        monkeypatch.setattr(device, "usable", lambda: usable)
        modules = ProjectModules(str(tmp_path), [])
        TimedRow(plan, row, device, clock, heard, modules, ContenderOrder(None)).measure()  # type: ignore[arg-type]
        return heard.outcomes

    return run


def test_whoever_is_right_is_timed_in_every_round_and_in_changing_order(times: Any, heard: Heard) -> None:
    found = times(MadeUpClock(500), "right", "other")
    assert {name: one["outcome"] for name, one in found.items()} == dict.fromkeys(("copy", "right", "other"), "timed")
    assert all(one["samples_us"] == [500] * 12 and one["method"] == "events" for one in found.values())
    assert all(len(one["host_us"]) == 50 for one in found.values())
    rounds = [event for event in heard if event.get("step", "").startswith("round")]
    orders = [tuple(event["contender"] for event in rounds[start : start + 3]) for start in range(0, 36, 3)]
    assert {frozenset(order) for order in orders} == {frozenset(found)}
    assert len(set(orders)) > 1


def test_whoever_is_wrong_or_fails_is_not_timed_and_costs_itself_only(times: Any) -> None:
    found = times(MadeUpClock(500), "right", "wrong", "raising")
    assert {name: one["outcome"] for name, one in found.items()} == {
        "copy": "timed",
        "right": "timed",
        "wrong": "wrong_result",
        "raising": "crashed",
    }
    assert "elements are wrong" in found["wrong"]["reason"]
    assert found["raising"]["reason"] == "ValueError: no such thing"
    assert "samples_us" not in found["wrong"]


def test_whoever_becomes_wrong_while_it_is_timed_is_found_by_its_last_output(times: Any) -> None:
    found = times(MadeUpClock(500), "later")
    assert found["later"]["outcome"] == "wrong_result"


def test_the_slow_have_fewer_rounds_and_the_too_slow_none(times: Any) -> None:
    assert len(times(MadeUpClock(1e6), "right")["right"]["samples_us"]) == LEAST_ROUNDS
    assert len(times(MadeUpClock(0.4e6), "right")["right"]["samples_us"]) == 5
    found = times(MadeUpClock(1e6), "right", run_limit_s=0.5)
    assert found["right"]["outcome"] == "skipped"
    assert "one call takes 1.0 s, over the limit of 0.5 s" in found["right"]["reason"]


def test_short_calls_are_timed_many_in_a_graph(times: Any) -> None:
    found = times(MadeUpClock(GRAPH_BELOW_US / 2), "right")
    calls = GRAPH_CALLS[1]
    assert {(one["method"], one["calls"]) for one in found.values()} == {("graph", calls)}
    assert found["right"]["samples_us"] == [GRAPH_BELOW_US / 2 / calls] * 12


@pytest.mark.parametrize(
    ("kind", "why"), [("refused", "not permitted when stream is capturing"), ("empty", "elements are wrong")]
)
def test_a_graph_that_cannot_be_or_does_nothing_is_not_believed(times: Any, kind: str, why: str) -> None:
    """A library that works on a stream of its own leaves an empty graph, which would be the fastest of all."""
    right = times(MadeUpClock(GRAPH_BELOW_US / 2, kind), "right")["right"]
    assert (right["outcome"], right["method"], right["calls"]) == ("timed", "events", 1)
    assert why in right["note"]


ELIMINATION = {"rungs": [[3, 1.5]], "seconds": None}


def test_where_many_are_timed_graphs_are_as_long_as_memory_allows(times: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An output has 160 bytes, and the graphs of three contenders may take half of the memory."""
    monkeypatch.setattr(Interpreter, "free_bytes", lambda self: 6 * 160 * 5)
    found = times(MadeUpClock(GRAPH_BELOW_US / 2), "right", "other", elimination=ELIMINATION)
    assert {(one["method"], one["calls"]) for one in found.values()} == {("graph", 5)}
    monkeypatch.setattr(Interpreter, "free_bytes", lambda self: 6 * 160)
    found = times(MadeUpClock(GRAPH_BELOW_US / 2), "right", "other", elimination=ELIMINATION)
    assert {(one["method"], one["calls"]) for one in found.values()} == {("events", 1)}


def test_in_a_sweep_all_have_all_rounds_in_turn_and_few_calls_on_the_host(times: Any, heard: Heard) -> None:
    found = times(MadeUpClock(0.4e6), "right", elimination=ELIMINATION, in_turn=True, host_calls=5)
    assert len(found["right"]["samples_us"]) == 12
    assert len(found["right"]["host_us"]) == 5
    order = [event["contender"] for event in heard if event.get("step", "").startswith("round")]
    assert order[:6] == ["copy", "right", "right", "copy", "copy", "right"]


SPOILER = "x *= 2\n        return x.cumprod(1)"


def test_in_a_sweep_what_contenders_are_checked_with_is_made_once(times: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless memory is short. Who writes into it is wrong, and nobody after it."""
    made: list[object] = []
    expected = Reference.expected
    monkeypatch.setattr(Reference, "expected", lambda *given: made.append(given) or expected(*given))
    monkeypatch.setitem(BODIES, "spoiler", SPOILER)
    names = ("right", "other", "wrong", "spoiler", "later")
    found = times(MadeUpClock(500), *names, elimination=ELIMINATION, in_turn=True)
    outcomes = {"right": "timed", "other": "timed", "wrong": "wrong_result", "spoiler": "wrong_result"}
    assert {name: found[name]["outcome"] for name in outcomes} == outcomes
    assert found["spoiler"]["reason"] == "it changed its input"
    assert found["later"]["outcome"] == "wrong_result", "its last output is compared with what is right for that input"
    kept = len(made)
    made.clear()
    monkeypatch.setattr(Interpreter, "free_bytes", lambda self: 3 * 320)
    found = times(MadeUpClock(500), *names, elimination=ELIMINATION, in_turn=True)
    assert {name: found[name]["outcome"] for name in outcomes} == outcomes
    assert kept < len(made)


class HostClock(MadeUpClock):
    """A clock by which a call takes what it takes on the host."""

    def time(self, call: Callable[[], object]) -> tuple[float, object]:
        begun = time.perf_counter()
        output = call()
        return 1e6 * (time.perf_counter() - begun) + self.call_us, output


KEPT = """known = torch.__dict__.setdefault("known_{name}", {{}})
        key = {key}
        if key not in known:
            __import__("time").sleep(0.005)
            known[key] = x.cumprod(1)
        return known[key].clone()"""


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Names a contender that keeps its results by what the parameter says of ``x``."""
    monkeypatch.setitem(BODIES, "keeper", KEPT.format(name=request.node.name, key=request.param))
    return "keeper"


@pytest.mark.parametrize("keeper", ["tuple(x[0, :3].tolist())", "x.sum().item()"], indirect=True)
def test_whoever_keeps_results_does_the_work_of_every_round(times: Any, keeper: str) -> None:
    """Only when a call is made again it is quick, and both times are told."""
    found = times(HostClock(500), "right", keeper, renewed=True)
    assert {one["outcome"] for one in found.values()} == {"timed"}
    assert all(len(one["samples_us"]) == len(one["repeated_us"]) == 12 for one in found.values())
    assert min(found[keeper]["samples_us"]) > 5500 > sorted(found[keeper]["repeated_us"])[6]
    assert sorted(times(HostClock(500), keeper)[keeper]["samples_us"])[6] < 5500, "it gains where inputs come again"
    assert not times(HostClock(500), "right")["right"]["repeated_us"]


@pytest.mark.parametrize("keeper", ["x.data_ptr()", "id(x)"], indirect=True)
def test_whoever_keeps_results_by_the_place_of_its_input_is_wrong(times: Any, keeper: str) -> None:
    assert times(HostClock(500), keeper, renewed=True)[keeper]["outcome"] == "wrong_result"


def test_whoever_is_right_in_its_first_and_last_rounds_only_is_found(times: Any) -> None:
    found = times(MadeUpClock(500), "right", "between", renewed=True)
    assert (found["right"]["outcome"], found["between"]["outcome"]) == ("timed", "wrong_result")


def test_a_graph_has_new_inputs_in_every_round(times: Any) -> None:
    found = times(MadeUpClock(GRAPH_BELOW_US / 2), "right", renewed=True)
    calls = GRAPH_CALLS[1]
    assert found["right"]["samples_us"] == found["right"]["repeated_us"] == [GRAPH_BELOW_US / 2 / calls] * 12


def test_inputs_that_take_long_to_make_are_made_for_fewer_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 2.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    renewal = Renewal(SimpleNamespace(renew=lambda *_: None), is_on=True)  # type: ignore[arg-type]
    assert [renewal.affordable(most, 3) for most in (25, 8, 2)] == [10, 8, 2]
    assert renewal.affordable(25, 3, 64) == 3
    assert Renewal(None, is_on=False).affordable(25, 3, 64) == 25  # type: ignore[arg-type]


FORMED = """
import numpy
import torch
def get_init_inputs(**_): return [1]
def get_inputs(*, shape, device, seed, **_):
    x = torch.rand(shape, generator=torch.Generator(device).manual_seed(seed)) + 0.5
    return {made}
def expected(inputs, **_): return [[((), inputs[0].detach().double().cumprod(1).to({dtype}))]]
def tolerance(**_): return 1e-2
"""

FORMS = {
    "expanded": "[x[:, :1].expand(shape)]",
    "one row for all": "[x[:1].expand(shape)]",
    "overlapping": "[x.flatten().unfold(0, 8, 4)[:5]]",
    "transposed": "[x.t().contiguous().t()]",
    "views of one tensor": "list(torch.cat([x, x + 1], 1).split(8, 1))",
    "one tensor twice": "[x, x]",
    "half": "[x.half()]",
    "tensors in a list": "[x, [x + 1, x + 2], {'a': (x, 3)}]",
    "an array": "[x, numpy.ones(3) * (seed + 1)]",
    "not a number": "[x, float('nan')]",
    "a gradient": "[x.requires_grad_()]",
    "made for inference": "torch.inference_mode()(lambda: [x.clone()])()",
    "a number of the seed": "[x, seed]",
    "a size of the seed": "[x[:, : 4 + seed % 4]]",
    "no elements": "[x[:, :0]]",
}


@pytest.mark.parametrize("call_us", [500, GRAPH_BELOW_US / 2])
@pytest.mark.parametrize("made", FORMS.values(), ids=FORMS)
def test_inputs_of_every_form_are_renewed(times: Any, monkeypatch: pytest.MonkeyPatch, made: str, call_us: int) -> None:
    values: list[tuple[float, ...]] = []
    sample = TimedRow._sample

    def noted(row: TimedRow, entrant: Any, number: int) -> bool:
        if entrant.spec["role"] != "copy":
            x = row._pool.inputs[row._places(entrant, number)[-1]][0]
            values.append(tuple(x.flatten()[:3].tolist()))
        return sample(row, entrant, number)

    monkeypatch.setattr(TimedRow, "_sample", noted)
    text = FORMED.replace("{made}", made).replace("{dtype}", "inputs[0].dtype")
    found = times(MadeUpClock(call_us), "right", renewed=True, truth_text=text)
    assert (found["right"]["outcome"], found["right"]["reason"]) == TIMED
    assert len(set(values)) == (1 if "[:, :0]" in made else 12)


@pytest.mark.parametrize("call_us", [500, GRAPH_BELOW_US / 2])
def test_a_backward_pass_has_new_gradients_in_every_round(times_kind: Any, call_us: float) -> None:
    """In a graph, what its forward pass kept is that of the inputs before."""
    workload = {"direction": "backward"}
    inputs = ["float32[6,50]", -1]
    found = times_kind("softmax", inputs, "softmax", workload=workload, call_us=call_us, renewed=True)
    assert reasons(found)["softmax"] == TIMED
    assert found["softmax"]["method"] == ("events" if call_us == 500 else "graph")


TAMPERING = {
    "its shape": "x.unsqueeze_(0).squeeze_(0).t_()",
    "its memory": "x.data = x.t().contiguous().t()",
}


@pytest.mark.parametrize("body", TAMPERING.values(), ids=TAMPERING)
def test_whoever_changes_the_object_of_an_input_has_it_renewed(body: str) -> None:
    """While it is warmed up nothing is compared; the values are new all the same, and the object is as it was."""
    pool = Pool({}, None, None, "cpu", lambda seed: [torch.full((2, 3), float(seed)), [seed > 9]])  # type: ignore[arg-type]
    pool.grow(1)
    x, members = pool.inputs[0]
    exec(body, {"x": x})
    members.append("more")
    assert pool.renew(0, 7)
    assert (pool.inputs[0][0] is x, x.stride(), x.tolist()) == (True, (3, 1), [[7.0] * 3] * 2)
    assert pool.inputs[0][1] == [False]


def test_inputs_of_another_form_take_the_place_of_those_that_no_graph_holds() -> None:
    made = [[torch.ones(3), 3], [torch.zeros(3), 3], [torch.zeros(4), 3], [torch.zeros(3), 4]]
    pool = Pool({}, None, None, "cpu", lambda seed: made[seed % 4])  # type: ignore[arg-type]
    pool.grow(1)
    kept = pool.inputs[0][0]
    assert pool.renew(0, 4)
    assert (pool.inputs[0][0] is kept, kept.tolist()) == (True, [1, 1, 1])
    assert pool.sums == [checksums([torch.ones(3)])]
    pool.is_fixed = True
    for seed in (2, 3):
        assert not pool.renew(0, seed)
        assert (pool.inputs[0][0] is kept, kept.tolist()) == (True, [1, 1, 1])
    pool.is_fixed = False
    for seed in (2, 3):
        assert not pool.renew(0, seed)
        assert pool.inputs[0] is made[seed]
        assert pool.sums == [checksums([made[seed][0]])]


FAILING = """
CALLS = []
made = get_inputs
def get_inputs(**given):
    CALLS.append(0)
    if len(CALLS) > 15: raise MemoryError("no room for more")
    return made(**given)
"""


def test_inputs_that_cannot_be_renewed_leave_everybody_without_a_time(times: Any) -> None:
    found = times(MadeUpClock(500), "right", "other", renewed=True, truth_text=REFERENCE + FAILING)
    assert {(one["outcome"], one["reason"]) for one in found.values()} == {("crashed", "MemoryError: no room for more")}
    assert len(found) == 3


def test_a_peer_whose_library_is_not_there_is_absent(times: Any) -> None:
    found = times(MadeUpClock(500), "peer")
    assert found["peer"]["outcome"] == "absent"
    assert found["peer"]["reason"] == "No module named 'no_such_library'"


def test_where_memory_is_short_two_inputs_take_turns(times: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    grow = Pool.grow
    monkeypatch.setattr(Pool, "grow", lambda pool, count: (counts.append(count), grow(pool, count)))
    assert times(MadeUpClock(500), "right")["right"]["outcome"] == "timed"
    assert counts[-1] == 4
    monkeypatch.setattr(Interpreter, "free_bytes", lambda self: 640)
    assert times(MadeUpClock(500), "right")["right"]["outcome"] == "timed"
    assert counts[-1] == 2


def test_what_does_not_fit_is_skipped_for_everybody(times: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Interpreter, "free_bytes", lambda self: 100)
    found = times(MadeUpClock(500), "right")
    assert {one["outcome"] for one in found.values()} == {"skipped"}
    assert "of GPU memory are free" in found["copy"]["reason"]


def test_a_capture_that_takes_the_device_along_is_blamed(times: Any, heard: Heard) -> None:
    with pytest.raises(DeviceLost):
        times(MadeUpClock(GRAPH_BELOW_US / 2, "refused"), "right", usable=False)
    assert {name: one["outcome"] for name, one in heard.outcomes.items()} == {"copy": "crashed"}


def test_a_device_that_is_lost_ends_the_process_after_the_blame(times: Any, heard: Heard) -> None:
    with pytest.raises(DeviceLost):
        times(MadeUpClock(500), "raising", "right", usable=False)
    assert set(heard.outcomes) == {"raising"}


# --- other kinds of kernels -------------------------------------------------------------------------------------------

KIND = """
import torch
def add_norm(residual, x):
    residual += x
    return residual * (residual.square().mean(-1, keepdim=True) + 1e-6).rsqrt()
def norm_of_copy(residual, x): return add_norm(residual.clone(), x)
def norm_into_other_memory(residual, x):
    total = residual + x
    y = add_norm(residual.clone(), x)
    residual.data = total
    return y
def both(residual, x): return add_norm(residual, x), residual
def pair(x): return x.relu(), x > 0
def pair_of_views(x): return x.relu(), torch.stack([x > 0, x < 0], -1)[..., 0]
def reversed_pair(x): return x > 0, x.relu()
def view(x): return x[:], x > 0
def softmax(x, dim): return torch.softmax(x, dim)
def detached(x, dim): return torch.softmax(x, dim).detach()
class Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return torch.softmax(x, -1)
    @staticmethod
    def backward(ctx, g): return g / 2
def halved(x, dim): return Halved.apply(x)
def total(x, y): return x + y
class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(30, 20)
    def forward(self, x):
        assert not torch.is_grad_enabled()
        return self.linear(x)
class Other(Layer):
    def __init__(self):
        super().__init__()
        torch.nn.init.zeros_(self.linear.bias)
def double(x):
    torch.set_float32_matmul_precision("high")
    torch.set_default_dtype(torch.float64)
    return x * 2
def double_plainly(x):
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.get_default_dtype() == torch.float32
    return x + x
"""
ROOF = {"path": "", "digest": "", "module": "stallgate", "attribute": "copy", "keywords": {}}


@pytest.fixture
def times_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Heard) -> Iterator[Callable[..., Outcomes]]:
    """Times functions of a file, beside the built-in roof; gives outcomes by name."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    path = tmp_path / "kind.py"
    path.write_text(KIND)

    def run(
        reference: str,
        inputs: list[object],
        *names: str,
        call_us: float = 500,
        graph: str = "whole",
        renewed: bool = False,
        **changes: Any,
    ) -> Outcomes:
        load = {**plain_case(*inputs), "bytes": None, **changes.pop("workload", {})}
        contenders = [{"label": "roof", **load, "role": "roof", "ceiling": "bytes", "entry": ROOF, "tunables": {}}]
        contenders += [
            {"label": name, **load, "entry": entry_of(path, attribute=name), "tunables": {}} for name in names
        ]
        spec = reference_of(path, entry=entry_of(path, attribute=reference), specials="library", **changes)
        plan = {"references": {"p": spec}, "run_limit_s": 20.0, "rounds": 12, "row_budget_s": 4.0, "renewed": renewed}
        row = {"name": "p/w", "problem": "p", **load, "contenders": [COPY, *contenders], "gradient": None}
        clock = MadeUpClock(call_us, graph)
        TimedRow(
            plan, row, Interpreter(), clock, heard, ProjectModules(str(tmp_path), []), ContenderOrder(None)
        ).measure()  # type: ignore[arg-type]
        return heard.outcomes

    with quick_interpreter():  # the roof is a kernel, and called in every round
        yield run


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(roofs._traffic_kernel, InterpretedFunction):
        monkeypatch.setattr(roofs, "_traffic_kernel", InterpretedFunction(roofs._traffic_kernel.fn))


def reasons(found: Outcomes) -> dict[str, tuple[str, str]]:
    return {name: (one["outcome"], one["reason"]) for name, one in found.items()}


TIMED = ("timed", "")


@pytest.mark.parametrize("call_us", [500, GRAPH_BELOW_US / 2])
def test_who_changes_an_input_finds_it_fresh_in_every_round(times_kind: Any, heard: Heard, call_us: float) -> None:
    inputs = ["float32[6,50]", "float32[6,50]"]
    names = ("add_norm", "both", "norm_of_copy", "norm_into_other_memory")
    found = times_kind("add_norm", inputs, *names, call_us=call_us, mutates=[0])
    told = reasons(found)
    assert (told["copy"], told["roof"], told["add_norm"], told["both"]) == (TIMED, TIMED, TIMED, TIMED)
    assert told["norm_of_copy"][0] == "wrong_result"
    assert told["norm_into_other_memory"] == ("wrong_result", "it resized an input, or gave it other memory")
    assert len(found["add_norm"]["samples_us"]) == 12
    if call_us < GRAPH_BELOW_US:
        assert (found["add_norm"]["method"], found["add_norm"]["note"]) == (
            "events",
            "single calls: it changes its inputs",
        )
        assert found["roof"]["method"] == "graph"
    (row,) = [event for event in heard if event["event"] == "row"]
    assert row["needed_bytes"] == 4 * 6 * 50 * 4, "two inputs are read, and two outputs written"


def test_several_outputs_are_all_compared(times_kind: Any) -> None:
    told = reasons(times_kind("pair", ["float32[6,50]"], "pair", "pair_of_views", "reversed_pair", "view"))
    assert (told["roof"], told["pair"], told["pair_of_views"]) == (TIMED, TIMED, TIMED)
    assert "expected float32[6, 50]" in told["reversed_pair"][1]
    assert told["view"] == ("wrong_result", "its output shares memory with its input")


@pytest.mark.parametrize("kind", ["whole", "empty"])
def test_a_graph_that_writes_none_of_several_outputs_is_not_believed(times_kind: Any, kind: str) -> None:
    pair = times_kind("pair", ["float32[6,50]"], "pair", call_us=GRAPH_BELOW_US / 2, graph=kind)["pair"]
    assert (pair["outcome"], pair["method"]) == ("timed", "graph" if kind == "whole" else "events")


@pytest.mark.parametrize("renewed", [False, True])
def test_a_graph_may_give_on_the_gradient_that_was_given(times_kind: Any, renewed: bool) -> None:
    inputs, workload = ["float32[6,50]", "float32[6,50]"], {"direction": "backward"}
    found = times_kind("total", inputs, "total", workload=workload, call_us=GRAPH_BELOW_US / 2, renewed=renewed)
    assert (reasons(found)["total"], found["total"]["method"]) == (TIMED, "graph")


def test_the_backward_pass_is_timed_alone(times_kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told = reasons(
        times_kind(
            "softmax", ["float32[6,50]", -1], "softmax", "halved", "detached", workload={"direction": "backward"}
        )
    )
    assert (told["roof"], told["softmax"]) == (TIMED, TIMED)
    assert "elements are wrong" in told["halved"][1]
    assert "0 of its results require a gradient" in told["detached"][1]


def test_a_gradient_may_be_the_one_that_was_given(times_kind: Any) -> None:
    found = times_kind("total", ["float32[6,50]", "float32[6,50]"], "total", workload={"direction": "backward"})
    assert reasons(found)["total"] == TIMED


def test_weights_are_the_references_and_no_forward_call_takes_notes(times_kind: Any) -> None:
    told = reasons(times_kind("Layer", ["float32[6,30]"], "Layer", "Other", seed=3))
    assert told["Layer"] == TIMED
    assert "elements are wrong" in told["Other"][1]


def test_what_one_contender_sets_is_not_what_the_others_find(times_kind: Any) -> None:
    told = reasons(times_kind("double_plainly", ["float32[6,50]"], "double", "double_plainly"))
    assert told == {"copy": TIMED, "roof": TIMED, "double": TIMED, "double_plainly": TIMED}
    assert torch.get_default_dtype() == torch.float32


# --- gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zeros", [0, 2])
@pytest.mark.parametrize("gradient", ["backward", "both"])
def test_a_gradient_is_compared_and_who_has_none_is_left_out(times: Any, gradient: str, zeros: int) -> None:
    clock = MadeUpClock(GRAPH_BELOW_US / 2)
    found = times(clock, "right", "way_back_is_wrong", "no_way_back", "lent", gradient=gradient, zeros=zeros)
    assert {name: one["outcome"] for name, one in found.items()} == {
        "copy": "timed",
        "right": "timed",
        "way_back_is_wrong": "wrong_result",
        "no_way_back": "skipped",
        "lent": "skipped",
    }
    assert "elements are wrong" in found["way_back_is_wrong"]["reason"]
    assert all(found[name]["reason"].startswith("no gradient: ") for name in ("no_way_back", "lent"))
    assert found["right"]["method"] == "events"
    assert len(found["right"]["samples_us"]) == 12


def test_the_forward_pass_is_in_the_time_of_both_and_not_in_that_of_the_backward_alone(
    times: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = torch.Tensor.cumprod
    timed: list[int] = []
    within = False

    class Watching(MadeUpClock):
        def time(self, call: Callable[[], object]) -> tuple[float, object]:
            nonlocal within
            within = True
            try:
                return super().time(call)
            finally:
                within = False

    def cumprod(x: torch.Tensor, dim: int) -> torch.Tensor:
        timed.append(1) if within else None
        return forward(x, dim)

    monkeypatch.setattr(torch.Tensor, "cumprod", cumprod)
    assert times(Watching(500), "right", gradient="backward")["right"]["outcome"] == "timed"
    assert not timed
    assert times(Watching(500), "right", gradient="both")["right"]["outcome"] == "timed"
    assert len(timed) >= 12


@pytest.mark.parametrize("zeros", [0, 1, 3])
@pytest.mark.parametrize(("shape", "dim"), [([5, 37], 1), ([40, 3], 0), ([33], 0)])
def test_the_true_gradient_of_cumprod_is_that_of_autograd(shape: list[int], dim: int, zeros: int) -> None:
    modules = ProjectModules(str(ROOT), [])
    reference, truth = (
        modules.load(entry_of(ROOT / f"kernels/cumprod/{name}.py")) for name in ("reference", "gradient")
    )
    arguments = {"shape": shape, "dim": dim, "dtype": "float64"}
    plain = reference.get_inputs(**arguments, device="cpu", seed=1)
    x, cotangent = truth.get_gradient_inputs(plain, zeros=zeros, seed=1, **arguments)
    assert int((x == 0).sum()) == zeros * x.numel() // shape[dim]
    x.requires_grad_()
    (right,) = torch.autograd.grad(x.cumprod(dim), x, cotangent)
    ((index, found),) = truth.expected_gradient([x.detach()], cotangent, **arguments)
    torch.testing.assert_close(found, right[index], rtol=1e-11, atol=0)


class MadeUpRow:
    def __init__(self, done: list[str], name: str, *, fits: bool) -> None:
        self._done, self._name, self._fits = done, name, fits

    def fits(self) -> bool:
        return self._fits

    def measure(self) -> None:
        self._done.append(self._name)


def test_a_row_that_does_not_fit_begins_a_process_and_is_never_left_out() -> None:
    done: list[str] = []
    fitting = {"first": False, "second": True, "third": False, "fourth": True}
    measure(MadeUpRow(done, name, fits=fits) for name, fits in fitting.items())
    assert done == ["first", "second"]


# --- the clock, with a GPU that is made up ----------------------------------------------------------------------------


def test_the_gpu_is_kept_busy_until_the_call_is_enqueued(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    event = SimpleNamespace(record=lambda: log.append("event"), synchronize=lambda: None, elapsed_time=lambda end: 0.05)
    scratch = SimpleNamespace(zero_=lambda: log.append("flush"))
    facts = SimpleNamespace(L2_cache_size=1000, multi_processor_count=100)
    monkeypatch.setattr(torch.cuda, "Event", lambda enable_timing: event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: log.append("wait"))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
    monkeypatch.setattr(torch, "empty", lambda size, dtype, device: scratch if size == 2000 else None)
    clock = GpuClock()
    assert clock.describe() == {
        "multiprocessors": 100,
        "l2_bytes": 1000,
        "flush_us": pytest.approx(50),
        "event_us": pytest.approx(50),
    }
    log.clear()
    took_us, returned = clock.time(lambda: log.append("call") or "output")
    assert (took_us, returned) == (pytest.approx(50), "output")
    assert log == ["wait", *["flush"] * 60, "event", "call", "event"]


# --- the parent, with a child that is made up -------------------------------------------------------------------------

CHILD = """
import json, os, socket, sys, time
plan = json.load(open(sys.argv[2]))
line = socket.socket(fileno=int(sys.argv[3]))
def tell(event, **facts):
    line.sendall(json.dumps({"event": event, **facts}).encode() + b"\\n")
if os.environ["MADE_UP"] == "unable":
    tell("unable", reason="this python cannot import torch")
    sys.exit(1)
tell("environment", gpu="a made-up GPU", compute_capability="9.0", python="3", torch="2", triton="3", cuda="12",
     multiprocessors=100, l2_bytes=1, flush_us=1.0, event_us=1.0)
for row in plan["rows"]:
    for place, contender in enumerate(row["contenders"]):
        name = {"row": row["name"], "contender": contender["label"]}
        tell("step", **name, step="check")
        if contender["label"] == "blocked_scan" and row["name"] == "cumprod/page":
            if os.environ["MADE_UP"] == "dies": os.abort()
            if os.environ["MADE_UP"] == "hangs": time.sleep(60)
            if os.environ["MADE_UP"] == "wrong":
                tell("outcome", **name, outcome="wrong_result", reason="3 of 4 elements are wrong")
                continue
            if os.environ["MADE_UP"] == "babbles":
                line.sendall(b'{"event": "outcome", "row": 5}\\n[[[[\\n\\xff\\n')
                tell("outcome", row="cumprod/nowhere", contender="nobody", outcome="timed", reason="")
                tell("outcome", row=row["name"], contender="nobody", outcome="timed", reason="")
                tell("outcome", **name, outcome="timed", reason="", samples_us=["abc"])
        if contender["role"] == "peer":
            tell("outcome", **name, outcome="absent", reason="No module named 'peer'")
            continue
        samples = [100.0 * (place + 1) + number for number in range(plan["rounds"])]
        tell("outcome", **name, outcome="timed", reason="", method="events", calls=1, note="", samples_us=samples,
             host_us=[10.0, 20.0, 30.0])
tell("end")
"""


@pytest.fixture
def bench(with_ncu: Stallgate, tmp_path: Path) -> Stallgate:
    """``stallgate bench`` of the default plan, with a made-up GPU and a made-up child."""
    python = tmp_path / "made_up_python"
    python.write_text(f"#!{sys.executable}\n{CHILD}")
    python.chmod(0o755)
    return lambda *arguments, **variables: with_ncu("bench", "--python", str(python), *arguments, **variables)


def outcomes(found: Bench) -> dict[str, str]:
    return {f"{entry.label} on {row.workload.name}": entry.outcome for row in found.rows for entry in row.entries}


def only_bench(tree: Path) -> Bench:
    (folder,) = [path for path in (tree / "reports").iterdir() if path.name != "recorded"]
    return load_bench(folder)


@pytest.mark.whole_recording
def test_a_bench_is_shown_kept_and_shown_again(bench: Stallgate, with_ncu: Stallgate, tree: Path) -> None:
    done = bench("--rounds", "5", MADE_UP="well")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines()[:-2])) <= 80
    assert "\x1b" not in done.stdout + done.stderr
    table = done.stdout[: done.stdout.index("cumprod · page")].splitlines()
    (line,) = [line.split() for line in table if line.startswith("blocked_scan ")]
    assert line == ["blocked_scan", "302", "µs", "-0.33", "+0.33", "%", "0.338", "0.669", "20.0"]
    assert any("blocked_scan: speed 1.33 × adaptive_scan, 1.66 × two_pass_scan, 1.99 ×" in line for line in table)
    assert "torch_compile is absent: No module named 'peer'" in done.stdout
    found = only_bench(tree)
    assert found.complete
    assert found.environment is not None
    assert found.environment.gpu == "a made-up GPU"
    assert [len(entry.samples_us) for entry in found.rows[0].entries[:6]] == [5] * 6
    assert {"the timing child", "peer torch_compile", "variant blocked_scan"} <= set(found.digests["cumprod"])
    assert (tree / "reports" / found.name / "bench.png").read_bytes()[:4] == b"\x89PNG"
    assert not (tree / "reports" / "latest").exists()
    again = with_ncu("bench", "--show")
    assert (again.returncode, again.stdout) == (0, done.stdout), again.stderr


def test_a_bench_of_gradients_says_so_and_leaves_the_roof_out(bench: Stallgate, tree: Path) -> None:
    forward = bench("cumprod/blocked_scan", "-w", "page", "--json", MADE_UP="well")
    bytes_forward = json.loads(forward.stdout)["rows"][0]["bytes"]
    for gradient, words, times in (("backward", "backward alone", 2), ("both", "forward and backward", 3)):
        options = ("cumprod/blocked_scan", "-w", "page", "--gradient", gradient, "--zeros", "1")
        assert f"cumprod · page · {words} · zeros per sequence: 1" in bench(*options, MADE_UP="well").stdout
        (row,) = json.loads(bench(*options, "--json", MADE_UP="well").stdout)["rows"]
        assert (row["gradient"], row["zeros"], row["bytes"]) == (gradient, 1, times * bytes_forward)
        assert "copy_roof" not in {entry["name"] for entry in row["entries"]}


def test_a_problem_that_does_not_say_what_gradient_is_right_has_none(bench: Stallgate, tree: Path) -> None:
    (tree / "kernels/cumprod/gradient.py").unlink()
    done = bench("--gradient", "both", MADE_UP="well")
    assert done.returncode == 2
    assert "there is no kernels/cumprod/gradient.py" in " ".join(done.stderr.split())


def test_zeros_are_planted_for_gradients_only(bench: Stallgate) -> None:
    done = bench("--zeros", "1", MADE_UP="well")
    assert done.returncode == 2
    assert "--gradient" in done.stderr


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text('{"format": 99}')
    with pytest.raises(BrokenFile, match="was written by a newer stallgate"):
        load_bench(tmp_path)


@pytest.mark.whole_recording
def test_a_wrong_variant_is_said_and_ends_with_1(bench: Stallgate, tree: Path) -> None:
    done = bench("cumprod/blocked_scan", "--json", MADE_UP="wrong")
    assert done.returncode == 1, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["status"], facts["ok"]) == (1, False)
    page = {entry["name"]: entry for entry in facts["rows"][1]["entries"]}
    assert page["blocked_scan"]["outcome"] == "wrong_result"
    assert page["blocked_scan"]["time"]["state"] == "not_measured"
    assert page["copy_roof"]["of_copy"]["median"] == pytest.approx(112 / 212)


@pytest.mark.parametrize(
    ("mode", "outcome", "why"),
    [
        ("dies", "crashed", "its process ended with signal 6 in step 'check'"),
        ("hangs", "timed_out", "it did not finish within 2 s in step 'check'"),
    ],
)
@pytest.mark.whole_recording
def test_who_takes_the_process_along_costs_itself_only(
    bench: Stallgate, tree: Path, mode: str, outcome: str, why: str
) -> None:
    done = bench("cumprod/blocked_scan", "cumprod/two_pass_scan", "--timeout", "2", MADE_UP=mode)
    assert done.returncode == 3, done.stderr
    assert f"blocked_scan: {outcome.replace('_', ' ')}: {why}" in " ".join(done.stdout.split())
    found = only_bench(tree)
    assert found.complete
    told = {name: one for name, one in outcomes(found).items() if one != "absent"}
    assert told.pop("blocked_scan on page") == outcome
    assert set(told.values()) == {"timed"}
    assert "two_pass_scan on page" in told


def test_what_a_child_says_that_is_no_message_or_of_nobody_costs_nothing(bench: Stallgate, tree: Path) -> None:
    done = bench("cumprod/blocked_scan", MADE_UP="babbles")
    assert done.returncode == 0, done.stderr
    assert {one for name, one in outcomes(only_bench(tree)).items() if one != "absent"} == {"timed"}


def test_an_interpreter_that_cannot(bench: Stallgate, with_ncu: Stallgate, tree: Path) -> None:
    done = bench(MADE_UP="unable")
    assert done.returncode == 3
    assert "cannot import torch" in done.stderr
    assert "--python" in done.stderr
    assert not only_bench(tree).complete


def test_no_gpu(stallgate: Stallgate, tree: Path) -> None:
    done = stallgate("bench")
    assert done.returncode == 3
    assert "no CUDA device, and a bench cannot be replayed" in " ".join(done.stderr.split())
    assert "hint:" in done.stderr
    assert not list((tree / "reports").glob("*bench*"))


def test_the_child_is_found_and_says_that_there_is_no_cuda(tmp_path: Path) -> None:
    """The real child, by its path: neither the packages beside it nor its own files become importable names."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    heard: list[bytes] = []
    child = child_of(tmp_path)
    child.channel.send({"begin": True})
    watch(child, 60, lambda line: not heard.append(line))
    assert len(heard) == 1, (tmp_path / "log").read_text()
    message = timer_message(heard[0])
    assert isinstance(message, Unable)
    assert "CUDA" in message.reason


def test_the_child_imports_torch_and_waits_for_its_plan(tmp_path: Path) -> None:
    """It may be started while another process measures: without a word it reads nothing, and opens no GPU."""
    plan = tmp_path / "plan.json"
    child = child_of(tmp_path)
    plan.unlink()
    end = time.monotonic() + 120
    while "libtorch_python" not in Path(f"/proc/{child.process.pid}/maps").read_text() and time.monotonic() < end:
        time.sleep(0.1)
    opened = [path.readlink() for path in Path(f"/proc/{child.process.pid}/fd").iterdir() if path.is_symlink()]
    assert not [path for path in opened if "nvidia" in str(path)]
    plan.write_text(json.dumps({"rows": []}))
    heard: list[bytes] = []
    child.channel.send({"begin": True})
    watch(child, 60, lambda line: not heard.append(line))
    assert heard, (tmp_path / "log").read_text()


def test_the_child_ends_with_whoever_started_it(tmp_path: Path) -> None:
    child = child_of(tmp_path)
    child.channel.close()
    assert child.process.wait(timeout=60) == PARENT_GONE


def child_of(folder: Path) -> Spawned:
    """The real child with an empty plan, started as an engineer's own interpreter is; it waits for a word."""
    (folder / "plan.json").write_text(json.dumps({"rows": []}))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return Spawned([sys.executable, str(ENTRY), str(folder / "plan.json")], environment, folder / "log", 10.0)


def test_integers_have_no_gradient(bench: Stallgate) -> None:
    done = bench("cumprod/blocked_scan", "-w", "square_i32", "--gradient", "backward", MADE_UP="well")
    assert done.returncode == 2
    assert "square_i32 is of int32, which has no gradient" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("roofs", "of_roof"),
    [
        ([("bytes", 10.0)], 0.5),
        ([("bytes", 10.0), ("bytes", 8.0)], 0.4),
        ([("bytes", 10.0), ("bytes", 8.0), ("flops", 15.0)], 0.75),
        ([("bytes", 10.0), ("library", 40.0)], 2.0),
        ([("bytes", 10.0), ("flops", None)], None),
        ([], None),
    ],
)
def test_the_slowest_of_the_fastest_roofs_of_each_ceiling_counts(roofs: list[Any], of_roof: float | None) -> None:
    workload = Workload(name="w", arguments={}, bytes=1, flops=1)
    entries = [
        Entry(name=f"roof{number}", role="roof", ceiling=kind, method="events", samples_us=[us] if us else [])
        for number, (kind, us) in enumerate(roofs)
    ]
    mine = Entry(name="mine", role="candidate", method="events", samples_us=[20.0])
    assert BenchRow(problem="p", workload=workload, entries=[*entries, mine]).fraction(mine, "roof") == of_roof


# --- what limits a row ------------------------------------------------------------------------------------------------

MATMUL = Workload(name="w", arguments={"dtype": "bfloat16"}, bytes=100_663_296, flops=137_438_953_472)


def contender(name: str, role: Any, us: float, ceiling: Any = None) -> Entry:
    return Entry(
        name=name, role=role, ceiling=ceiling, outcome="timed", method="events", samples_us=[us] * 5, host_us=[20.0]
    )


def matmul_row(ceiling: str | None = "library", *, flops: int = MATMUL.flops, ridge: float | None = None) -> BenchRow:
    roofs = [contender("cublas", "roof", 205.0, ceiling)] if ceiling is not None else []
    entries = [contender("copy", "copy", 45.0), *roofs, contender("tiled", "candidate", 221.0)]
    return BenchRow(problem="matmul", workload=replace(MATMUL, flops=flops), entries=entries, ridge=ridge)


@pytest.mark.parametrize(
    ("row", "limit"),
    [
        (matmul_row(), "roof"),
        (matmul_row("flops"), "roof"),
        (matmul_row("bytes"), "copy"),
        (matmul_row("bytes", ridge=295.0), "roof"),
        (matmul_row("bytes", flops=1_000_000, ridge=295.0), "copy"),
        (matmul_row("bytes", flops=0, ridge=295.0), "copy"),
        (matmul_row(None, ridge=295.0), "roof"),
        (replace(matmul_row(ridge=295.0), gradient="both"), "copy"),
    ],
)
def test_a_copy_says_nothing_where_arithmetic_is_the_limit(row: BenchRow, limit: str) -> None:
    assert row.limit == limit


def test_a_matmul_is_shown_in_operations_a_second_and_of_its_roof(capsys: pytest.CaptureFixture[str]) -> None:
    show_bench(made_up_bench(matmul_row()))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    heading, line = (next(line for line in lines if word in line) for word in ("quartiles", "tiled  "))
    assert heading.split() == ["time", "quartiles", "TFLOP/s", "of", "roof", "host", "µs"]
    assert line.split()[-3:] == ["621.9", "0.928", "20.0"]
    assert "137 GFLOP to compute" in " ".join(lines)
    assert not any(line.startswith("copy ") for line in lines)


@pytest.mark.parametrize(
    ("rows", "title"),
    [
        ([matmul_row()], "Speed as a fraction of the roof, a made-up GPU"),
        ([matmul_row("bytes")], "Speed as a fraction of a copy of the same bytes, a made-up GPU"),
        ([matmul_row(), matmul_row("bytes")], "Speed as a fraction of a copy or of the roof, a made-up GPU"),
    ],
)
def test_the_figure_says_what_speeds_are_fractions_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rows: list[BenchRow], title: str
) -> None:
    texts: list[str] = []

    def drawn(sheet: Sheet) -> bytes:
        texts.extend(text.words for text in sheet.texts)
        return b"png"

    monkeypatch.setattr(bench_figure, "sheet_png", drawn)
    bench_figure.draw_bench(made_up_bench(*rows), tmp_path)
    assert texts[0] == title
    assert ("0.928 · 622 TFLOP/s" in texts) is (rows[0].limit == "roof")


def test_a_bench_knows_the_ridge_of_its_gpu(bench: Stallgate, tree: Path) -> None:
    path = tree / "metrics/gpus/h100_sxm.toml"
    path.write_text(path.read_text().replace("NVIDIA H100 80GB HBM3", "a made-up GPU"))
    bench("cumprod/blocked_scan", "-w", "page", MADE_UP="well")
    (row,) = only_bench(tree).rows
    assert row.ridge == pytest.approx(494.7e3 / 3350)
    assert row.limit == "copy"


def made_up_bench(*rows: BenchRow) -> Bench:
    environment = BenchEnvironment(
        gpu="a made-up GPU",
        device=0,
        compute_capability="9.0",
        driver="1",
        python="3",
        torch="2",
        triton="3",
        cuda="13",
        multiprocessors=1,
        l2_bytes=1,
        flush_us=1.0,
        event_us=1.0,
    )
    return Bench(
        format=1,
        name="bench",
        created="today",
        stallgate="1",
        commit=None,
        dirty=False,
        arguments=[],
        rounds=5,
        row_budget_s=1.0,
        timeout_s=1.0,
        clock_control="none",
        digests={},
        rows=list(rows),
        environment=environment,
        complete=True,
    )
