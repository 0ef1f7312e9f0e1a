"""What becomes of a case: the child can make it worse, and only the referee makes it good."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stallgate.measure.ncu import Complaints
from stallgate.measure.outcomes import OUT_OF_TURN, Finished, Outcomes
from stallgate.measure.process import Ended
from stallgate.measure.referee import Reply
from stallgate.model import Case, Role, WorstElement
from tests.conftest import Stallgate, with_small_workloads

FIRST, SECOND, THIRD = (
    Case(problem="p", variant=name, configuration="default", workload="w") for name in ("first", "second", "third")
)
GPU = "NVIDIA H200"
ENVIRONMENT = {
    "event": "environment",
    "gpu": GPU,
    "compute_capability": "9.0",
    "python": "3",
    "torch": "2",
    "triton": "3",
    "cuda": "13",
}
FORM = {"dtype": "float32", "shape": [2], "stride": [1], "device": "cuda"}
ENDED = Ended(exit_status=9, timed_out=False, interrupted=False, seconds=1.0)
QUIET = Complaints(errors=[], counters_blocked=False)
SAMPLES = 2


class MadeUpReferee:
    """Finds outputs right, but for those of the steps that are named as wrong; has so many edge cases."""

    def __init__(self, wrong: tuple[str, ...] = (), edges: int = 2) -> None:
        self.wrong = wrong
        self.edges = edges
        self.step = ""
        self.asked: list[str] = []

    def ask(self, what: str, **arguments: object) -> Reply:
        self.asked.append(what)
        if what == "inputs":
            number = arguments["number"]
            self.step = f"{arguments['step']} {number}"
            if arguments["step"] == "edge" and number >= self.edges:  # type: ignore[operator]
                return {"end": True, "right": True, "reason": ""}
            return {"tensors": [], "memory": {"number": 1}, "about": "", "init": None}
        if what == "compare":
            right = self.step not in self.wrong
            return {"right": right, "reason": "" if right else f"wrong in {self.step}"}
        if what == "returned":
            right = f"inputs of {self.step}" not in self.wrong
            return {"right": right, "reason": "" if right else f"wrong in inputs of {self.step}"}
        return {"tensors": [], "memory": {}}

    def dismiss(self) -> None:
        self.asked.append("dismissed")


class Child:
    """Says what a child says."""

    def __init__(self, referee: MadeUpReferee | None = None, roles: tuple[Role, ...] = ("candidate",) * 3) -> None:
        self.referee = referee or MadeUpReferee()
        cases = list(zip((FIRST, SECOND, THIRD), roles, strict=True))
        self.outcomes = Outcomes(cases, SAMPLES, GPU, self.referee, lambda *_: None)
        self.answers: list[Reply] = []

    def say(self, event: str, **facts: object) -> bool:
        if event in ("inputs", "returned", "output", "written"):
            facts = {"id": len(self.answers), **facts}
        return self.raw(json.dumps({"event": event, **facts}).encode())

    def raw(self, line: bytes) -> bool:
        return self.outcomes.hear(line, self.answers.append)

    def step(self, case: Case, step: str, number: int) -> None:
        self.say("inputs", case=case.name, step=step, number=number)
        self.say("returned", case=case.name)
        self.say("output", case=case.name, tensors=[FORM])
        self.say("written", case=case.name)

    def begin(self, case: Case = FIRST) -> None:
        self.say("case", case=case.name)
        self.say("step", case=case.name, step="check")

    def work(self, case: Case = FIRST) -> None:
        """All that a child does for a case before it tells the outcome."""
        self.begin(case)
        self.step(case, "check", 0)
        for number in range(self.referee.edges):
            self.step(case, "edge", number)
        self.say("inputs", case=case.name, step="edge", number=self.referee.edges)
        for number in range(1, SAMPLES + 1):
            self.step(case, "sample", number)

    def end(self, case: Case = FIRST, outcome: str = "profiled", **facts: object) -> None:
        self.say("outcome", case=case.name, outcome=outcome, reason=facts.pop("reason", ""), **facts)

    def found(self, case: Case = FIRST) -> Finished:
        return self.outcomes.finished[case]


# --- as it should be ---


def test_the_referee_is_dismissed_after_the_last_case_and_never_before() -> None:
    child = Child()
    for case in (FIRST, SECOND, THIRD):
        child.say("end")
        child.work(case)
        child.say("end")
        assert "dismissed" not in child.referee.asked
        child.end(case)
    child.say("end")
    assert child.referee.asked[-1] == "dismissed"


def test_a_case_whose_every_output_is_right_is_profiled() -> None:
    child = Child()
    child.raw(json.dumps(ENVIRONMENT).encode())
    child.work()
    child.end(run_ms=1.5)
    assert child.found() == Finished(outcome="profiled", reason="", run_ms=1.5)
    assert child.outcomes.environment is not None
    assert child.referee.asked.count("compare") == 1 + child.referee.edges + SAMPLES


@pytest.mark.parametrize("outcome", ["wrong_result", "crashed", "skipped"])
def test_what_is_bad_is_believed(outcome: str) -> None:
    child = Child()
    child.begin()
    child.end(outcome=outcome, reason="a reason")
    assert child.found() == Finished(outcome=outcome, reason="a reason")  # type: ignore[arg-type]


# --- the child's word against the referee's ---


@pytest.mark.parametrize(
    "wrong", ["check 0", "edge 1", "sample 1", "sample 2", "inputs of check 0", "inputs of edge 0"]
)
def test_a_child_that_calls_wrong_right_is_not_believed(wrong: str) -> None:
    child = Child(MadeUpReferee(wrong=(wrong,)))
    child.work()
    child.end()
    assert child.found() == Finished(outcome="wrong_result", reason=f"wrong in {wrong}")


@pytest.mark.parametrize("left_out", ["check", "edge", "sample 1", "sample 2", "all"])
def test_an_output_that_was_never_compared_is_not_right(left_out: str) -> None:
    child = Child()
    child.begin()
    if left_out not in ("check", "all"):
        child.step(FIRST, "check", 0)
    if left_out not in ("edge", "all"):
        for number in range(child.referee.edges):
            child.step(FIRST, "edge", number)
        child.say("inputs", case=FIRST.name, step="edge", number=child.referee.edges)
    for number in (1, 2):
        if left_out not in (f"sample {number}", "all"):
            child.step(FIRST, "sample", number)
    child.end()
    assert child.found().outcome == "not_profiled"
    assert "these outputs were never compared: " in child.found().reason


def test_one_output_is_not_compared_for_two_inputs() -> None:
    child = Child()
    child.work()
    assert not any("refused" in answer for answer in child.answers)
    child.say("written", case=FIRST.name)
    assert child.answers[-1] == {**OUT_OF_TURN, "id": len(child.answers) - 1}
    child.end()
    assert child.found().outcome == "not_profiled"


@pytest.mark.parametrize("role", ["baseline", "roof"])
def test_what_is_not_gated_is_shown_with_its_fault_on_edge_cases(role: Role) -> None:
    child = Child(MadeUpReferee(wrong=("edge 1",)), roles=(role,) * 3)
    child.work()
    child.end(edge_case_fault="on 3x7 of zeros: wrong in edge 1")
    assert (child.found().outcome, child.found().edge_case_fault) == ("profiled", "wrong in edge 1")
    child = Child(MadeUpReferee(edges=0), roles=(role,) * 3)
    child.begin()
    for step in (("check", 0), ("sample", 1), ("sample", 2)):
        child.step(FIRST, *step)
    child.end()
    assert child.found().edge_case_fault == "its outputs on edge cases were not compared"


# --- what is said twice, out of turn, or not as a message ---


class ErringReferee(MadeUpReferee):
    """Says how large the errors were; those of wrong outputs are infinite."""

    def ask(self, what: str, **arguments: object) -> Reply:
        answer = super().ask(what, **arguments)
        if what != "compare":
            return answer
        used = {"check 0": 0.1, "edge 0": 0.4, "sample 1": 0.2}.get(self.step, 0.0) if answer["right"] else math.inf
        return {**answer, "needed_bytes": 16, "worst": [{"output": 0, "used": used, "rule": f"rule of {self.step}"}]}


def test_the_worst_element_is_that_of_all_calls_that_were_right() -> None:
    child = Child(ErringReferee(wrong=("edge 1",)), roles=("baseline",) * 3)
    child.work()
    child.end()
    found = child.found()
    assert (found.outcome, found.edge_case_fault, found.needed_bytes) == ("profiled", "wrong in edge 1", 16)
    assert found.worst == [WorstElement(output=0, used=0.4, rule="rule of edge 0")]


def test_of_a_wrong_result_the_largest_error_beyond_the_tolerance_is_kept() -> None:
    """What is within it, on other calls or of other outputs, says nothing of how wrong it is."""

    class Far(ErringReferee):
        def ask(self, what: str, **arguments: object) -> Reply:
            answer = super().ask(what, **arguments)
            if what != "compare" or answer["right"]:
                return answer
            used = [("worst", 0, 3.1), ("within", 1, 0.5)]
            return {**answer, "worst": [{"output": number, "used": u, "rule": rule} for rule, number, u in used]}

    child = Child(Far(wrong=("sample 1",)))
    child.work()
    child.end()
    found = child.found()
    assert found.outcome == "wrong_result"
    assert found.worst == [WorstElement(output=0, used=3.1, rule="worst")]


def test_an_infinite_error_is_a_wrong_result(tree: Path, with_ncu: Stallgate, latest: Callable[[str], Any]) -> None:
    """The child and the referee are real: where nothing is tolerated, any error is infinitely many times that."""
    path = tree / "kernels/cumprod/problem.toml"
    path.write_text(f"tolerance = {{ exact = true }}\n{with_small_workloads(path.read_text())}")
    done = with_ncu("profile", FAKE_NCU="run", FAKE_GPU_NAME="none")
    assert done.returncode == 1, done.stderr
    roof, candidate = latest("run.json")["cases"]
    assert (roof["outcome"], roof["worst"]) == ("profiled", [{"output": 0, "used": 0.0, "rule": "exact"}])
    assert candidate["outcome"] == "wrong_result"
    assert "elements are wrong; the first:" in candidate["reason"]


@pytest.mark.parametrize("second", ["wrong_result", "crashed", "skipped", "profiled"])
def test_a_second_outcome_takes_the_first_ones_worth_away(second: str) -> None:
    child = Child()
    child.work()
    child.end()
    child.end(outcome=second, reason="another")
    assert child.found().outcome == "not_profiled"
    assert child.found().reason == f"the child reported two outcomes: profiled, then {second}"


def test_a_wrong_result_stays_wrong_whatever_is_said_after_it() -> None:
    child = Child(MadeUpReferee(wrong=("check 0",)))
    child.begin()
    child.step(FIRST, "check", 0)
    child.end(outcome="wrong_result", reason="wrong in check 0")
    child.work(SECOND)
    child.end(FIRST)
    assert child.found() == Finished(outcome="wrong_result", reason="wrong in check 0")


OUT_OF_PLACE: list[Callable[[Child], object]] = [
    lambda child: child.end(SECOND),
    lambda child: child.say("outcome", case="p/nobody/default/w", outcome="profiled", reason=""),
    lambda child: child.say("case", case=SECOND.name),
    lambda child: child.say("case", case=FIRST.name),
    lambda child: child.say("case", case="p/nobody/default/w"),
    lambda child: child.say("step", case=SECOND.name, step="check"),
    lambda child: child.say("inputs", case=SECOND.name, step="check", number=0),
    lambda child: child.say("written", case=SECOND.name),
    lambda child: [child.raw(json.dumps(ENVIRONMENT).encode()) for _ in range(2)],
]


@pytest.mark.parametrize("number", range(len(OUT_OF_PLACE)))
def test_what_is_said_out_of_turn_costs_the_case_that_is_at_work(number: int) -> None:
    child = Child()
    child.begin()
    OUT_OF_PLACE[number](child)
    for step in (("check", 0), ("sample", 1), ("sample", 2)):
        child.step(FIRST, *step)
    child.say("inputs", case=FIRST.name, step="edge", number=child.referee.edges)
    child.end()
    assert child.found().outcome == "not_profiled"
    assert "out of turn" in child.found().reason or "twice" in child.found().reason
    assert SECOND not in child.outcomes.finished
    child.work(SECOND)
    child.end(SECOND)
    assert child.found(SECOND).outcome == "profiled"


NO_MESSAGES = [
    b"",
    b"5",
    b"{}",
    b"\xff\xfe",
    b'{"event": "ca',
    b'{"event": "something new"}',
    b"[" * 300_000,
    b'{"event": "case"}',
    b'{"event": "outcome", "case": "p/first/default/w", "outcome": "profiled"}',
    b'{"event": "outcome", "case": "p/first/default/w", "outcome": "profiled", "reason": "", "run_ms": "abc"}',
    b'{"event": "outcome", "case": "p/first/default/w", "outcome": "profiled", "reason": "", "run_ms": -1}',
    b'{"event": "outcome", "case": "p/first/default/w", "outcome": "profiled", "reason": "", "run_ms": 1e999}',
    b'{"event": "outcome", "case": "p/first/default/w", "outcome": "profiled", "reason": "", "run_ms": NaN}',
    b'{"event": "outcome", "case": "p/first/default/w", "outcome": "excellent", "reason": ""}',
    b'{"event": "outcome", "case": "p/first/default/w", "outcome": "crashed", "reason": "\\ud800"}',
    b'{"event": "outcome", "case": "p/first/default/w", "outcome": "profiled", "reason": "", "extra": 1}',
    b'{"event": "inputs", "case": "p/first/default/w", "step": "sample", "number": -1}',
    b'{"event": "output", "case": "p/first/default/w", "tensors": [{"dtype": "float32"}]}',
]


@pytest.mark.parametrize("line", NO_MESSAGES, ids=range(len(NO_MESSAGES)))
@pytest.mark.parametrize("when", ["within", "after"])
def test_a_line_that_is_no_message_costs_the_case_and_nothing_else(line: bytes, when: str) -> None:
    child = Child()
    child.work()
    if when == "within":
        assert not child.raw(line)
    child.end()
    if when == "after":
        assert not child.raw(line)
    assert child.found().outcome == "not_profiled"
    assert child.found().reason.startswith("the child sent an invalid message: ")
    assert len(child.found().reason) < 400
    child.work(SECOND)
    child.end(SECOND)
    assert child.found(SECOND).outcome == "profiled"


@pytest.mark.parametrize(("gpu", "is_ours"), [(f"{GPU} MIG 1g.18gb", True), ("NVIDIA H100", False), ("../../x", False)])
def test_a_gpu_that_the_driver_does_not_know_is_not_measured(gpu: str, is_ours: bool) -> None:
    child = Child()
    child.raw(json.dumps({**ENVIRONMENT, "gpu": gpu}).encode())
    child.work()
    child.end()
    assert child.found().outcome == ("profiled" if is_ours else "not_profiled")
    assert is_ours or f"the driver reports '{GPU}'" in child.found().reason


# --- how the process ended ---


def test_a_case_at_work_when_its_process_died_has_crashed() -> None:
    child = Child()
    child.begin()
    child.outcomes.conclude(ENDED, Complaints(errors=["LaunchFailed"], counters_blocked=False), 120)
    reason = "its process ended with status 9 in step 'check': LaunchFailed"
    assert child.found() == Finished(outcome="crashed", reason=reason)


def test_a_case_at_work_when_time_was_up_has_timed_out() -> None:
    child = Child()
    child.begin()
    child.outcomes.conclude(Ended(exit_status=None, timed_out=True, interrupted=False, seconds=1.0), QUIET, 120)
    assert child.found() == Finished(outcome="timed_out", reason="step 'check' did not finish within 120 s")


def test_a_case_whose_referee_failed_has_crashed() -> None:
    child = Child()
    child.begin()
    child.outcomes.conclude(ENDED, QUIET, 120, "the referee exited with signal 9")
    assert child.found().reason == "the referee exited with signal 9 (in step 'check')"


def test_an_interrupted_case_has_no_outcome() -> None:
    child = Child()
    child.begin()
    child.outcomes.conclude(Ended(exit_status=None, timed_out=False, interrupted=True, seconds=1.0), QUIET, 120)
    assert child.outcomes.finished == {}


# --- drawn at random ---

CASES = st.sampled_from([FIRST.name, SECOND.name, THIRD.name, "p/nobody/default/w"])
MESSAGES = st.one_of(
    st.builds(lambda case: {"event": "case", "case": case}, CASES),
    st.builds(lambda case: {"event": "step", "case": case, "step": "check"}, CASES),
    st.builds(
        lambda case, step, number: {"event": "inputs", "id": 1, "case": case, "step": step, "number": number},
        CASES,
        st.sampled_from(["check", "edge", "sample"]),
        st.integers(0, 3),
    ),
    st.builds(lambda case: {"event": "output", "id": 1, "case": case, "tensors": [FORM]}, CASES),
    st.builds(lambda case: {"event": "written", "id": 1, "case": case}, CASES),
    st.builds(
        lambda case, outcome: {"event": "outcome", "case": case, "outcome": outcome, "reason": ""},
        CASES,
        st.sampled_from(["profiled", "wrong_result", "crashed", "skipped"]),
    ),
)


class Witness(MadeUpReferee):
    """Notes for which steps of which case it found an output right."""

    def __init__(self) -> None:
        super().__init__(edges=1)
        self.found: set[tuple[str, str]] = set()
        self.case: Any = ""

    def ask(self, what: str, **arguments: object) -> Reply:
        answer = super().ask(what, **arguments)
        self.case = arguments.get("case", self.case)
        if what == "compare":
            self.found.add((self.case, self.step))
        return answer


@pytest.mark.parametrize("numbers", [[2], [1, 2], [0, 2], [0, 1, 2], [0, 0, 2]], ids=str)
def test_edge_cases_are_right_only_after_each_output_was_compared(numbers: list[int]) -> None:
    """Nobody can ask for the last one, or for one after the other, without an output of each."""
    child = Child()
    child.begin()
    child.step(FIRST, "check", 0)
    for number in numbers:
        child.say("inputs", case=FIRST.name, step="edge", number=number)
    for number in (1, 2):
        child.step(FIRST, "sample", number)
    child.end()
    assert child.found().outcome == "not_profiled"
    assert "requested an edge case before" in child.found().reason


def test_a_baseline_that_raises_on_an_edge_case_keeps_its_numbers() -> None:
    child = Child(roles=("baseline",) * 3)
    child.begin()
    child.step(FIRST, "check", 0)
    child.say("inputs", case=FIRST.name, step="edge", number=0)
    for number in (1, 2):
        child.step(FIRST, "sample", number)
    child.end(edge_case_fault="on fresh data it raises ValueError")
    assert (child.found().outcome, child.found().edge_case_fault) == ("profiled", "on fresh data it raises ValueError")


@given(st.lists(MESSAGES, max_size=60))
def test_nothing_that_a_child_can_say_makes_a_case_profiled_but_outputs_that_were_found_right(messages: Any) -> None:
    witness = Witness()
    child = Child(witness)
    for message in messages:
        child.raw(json.dumps(message).encode())
    for case, found in child.outcomes.finished.items():
        if found.outcome == "profiled":
            assert {(case.name, f"sample {number}") for number in range(1, SAMPLES + 1)} <= witness.found
            assert (case.name, "check 0") in witness.found
            assert (case.name, "edge 0") in witness.found
