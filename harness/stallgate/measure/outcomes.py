"""The outcome of each case, from the child's messages, the referee's answers, and how the process ended.

The child runs the variants' code, so its messages alone prove nothing: a case counts as profiled only if the referee
found the output of every planned step right. A message can make a case worse, never better. A message that is out of
order, repeated or malformed makes the case *not profiled*, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from msgspec import convert, to_builtins
from msgspec.structs import replace

from stallgate.formatting import shortened
from stallgate.measure.messages import (
    CaseBegun,
    CaseEnded,
    ChildMessage,
    Described,
    End,
    InputsReturned,
    InputsWanted,
    OutputReady,
    OutputWritten,
    Question,
    StepBegun,
    Unable,
    Unreadable,
    child_message,
)
from stallgate.measure.ncu import Complaints
from stallgate.measure.process import Ended, in_words
from stallgate.measure.referee import Reply
from stallgate.model import Case, FrozenStruct, LaunchedKernel, Outcome, Role, WorstElement

OUT_OF_TURN: Reply = {"refused": "crashed", "reason": "it is not the turn of this case"}


class Asked(Protocol):
    """The referee, as far as outcomes depend on it."""

    def ask(self, what: str, **arguments: object) -> Reply: ...

    def dismiss(self) -> None: ...


class Finished(FrozenStruct, frozen=True):
    """What became of one case."""

    outcome: Outcome
    reason: str
    run_ms: float | None = None
    edge_case_fault: str = ""
    modules: dict[str, str] = {}
    packages: dict[str, str] = {}
    kernels: list[LaunchedKernel] = []
    needed_bytes: int | None = None
    worst: list[WorstElement] = []


class _Turn:
    """The current case, and what the referee has said of it."""

    def __init__(self, case: Case, role: Role, samples: int) -> None:
        self.case = case
        self.step = "load"
        self.lent = ""
        """The step whose inputs the child has."""
        self.right: set[str] = set()
        """Steps whose outputs the referee found right; ``edge`` after the last edge case."""
        self.wrong = ""
        self.edge_case_fault = ""
        self.edges = 0
        """Edge cases whose outputs were compared."""
        self.edge_is_open = False
        """Whether the child has the inputs of an edge case whose output was not compared."""
        self.fault = ""
        """The first message that the child should not have sent."""
        self.needed_bytes: int | None = None
        self.worst: dict[int, WorstElement] = {}
        """Output -> the element that came closest to its tolerance so far."""
        self.beyond: dict[int, WorstElement] = {}
        """The same of outputs that are wrong, where their largest error is known as a number."""
        self._is_candidate = role == "candidate"
        self._wanted = ["check", *(f"sample {number}" for number in range(1, samples + 1))]

    def finished(self, said: CaseEnded) -> Finished:
        """The outcome, from the child's word and the referee's."""
        fault = self.edge_case_fault or said.edge_case_fault
        if self.wrong or (self._is_candidate and fault):
            return Finished(outcome="wrong_result", reason=self.wrong or fault, worst=list(self.beyond.values()))
        if self.fault:
            return Finished(outcome="not_profiled", reason=self.fault)
        if said.outcome != "profiled":
            return Finished(outcome=said.outcome, reason=said.reason)
        missing = [step for step in self._wanted if step not in self.right]
        if self._is_candidate and "edge" not in self.right:
            missing.append("edge cases")
        if missing:
            reason = f"the child reported it as profiled, but these outputs were never compared: {', '.join(missing)}"
            return Finished(outcome="not_profiled", reason=reason)
        if "edge" not in self.right and not fault:
            fault = "its outputs on edge cases were not compared"
        return Finished(
            outcome="profiled",
            reason="",
            run_ms=said.run_ms,
            edge_case_fault=fault,
            modules=said.modules,
            packages=said.packages,
            kernels=said.kernels,
            needed_bytes=self.needed_bytes,
            worst=list(self.worst.values()),
        )

    def note_errors(self, answer: Reply) -> None:
        """Keeps the largest errors: of outputs that are right, and beside them those that are beyond the tolerance."""
        self.needed_bytes = self.needed_bytes or answer.get("needed_bytes")
        right = bool(answer.get("right"))
        kept = self.worst if right else self.beyond
        for found in convert(answer.get("worst", []), list[WorstElement]):
            is_larger = found.output not in kept or found.used > kept[found.output].used
            if is_larger and (right or found.used > 1):
                kept[found.output] = found


class Outcomes:
    """Takes a child's lines one by one, and passes questions on to the referee."""

    def __init__(
        self,
        cases: list[tuple[Case, Role]],
        samples: int,
        gpu: str,
        referee: Asked,
        on_step: Callable[[str, str], None],
    ) -> None:
        """Starts with nothing heard.

        Args:
            cases: the cases of the plan, in its order.
            samples: profiled calls of each.
            gpu: the GPU's name by its driver.
            referee: makes inputs and compares outputs.
            on_step: called with the case's name and the step that it has come to.
        """
        self._gpu = gpu
        self._left = list(cases)
        self._cases = {case.name: case for case, _ in cases}
        self._samples = samples
        self._referee = referee
        self._on_step = on_step
        self._standing_fault = ""
        self._turn: _Turn | None = None
        self._last: Case | None = None
        self.finished: dict[Case, Finished] = {}
        self.environment: Described | None = None
        self.unable: str | None = None
        """Why this interpreter measures nothing at all."""

    @property
    def step(self) -> str:
        return self._turn.step if self._turn is not None else "start"

    def hear(self, line: bytes, answer: Callable[[Reply], None]) -> bool:
        """Takes a line; whether it was a message.

        Args:
            line: what the child said.
            answer: sends the child the answer that it waits for.

        Raises:
            RefereeFailed: the referee has no answer.
        """
        try:
            message = child_message(line)
        except Unreadable as error:
            self._blame(f"the child sent an invalid message: {error}")
            return False
        if isinstance(message, Question):
            answer({**self._answer(message), "id": message.id})
        else:
            self._take(message)
        return True

    def conclude(self, ended: Ended, said: Complaints, timeout_s: float, referee_failed: str = "") -> None:
        """Gives the case that was current when the process ended its outcome; after an interrupt it has none."""
        if self._turn is None or ended.interrupted:
            return
        step = self._turn.step
        if referee_failed:
            found = Finished(outcome="crashed", reason=f"{referee_failed} (in step '{step}')")
        elif ended.timed_out:
            found = Finished(outcome="timed_out", reason=f"step '{step}' did not finish within {timeout_s:g} s")
        else:
            cause = f": {said.errors[0]}" if said.errors else ""
            reason = f"its process ended with {in_words(ended.exit_status)} in step '{step}'{cause}"
            found = Finished(outcome="crashed", reason=reason)
        self._finish(self._turn.case, found)

    # --- messages ---

    def _take(self, message: ChildMessage) -> None:
        match message:
            case Described():
                self._describe(message)
            case Unable():
                self.unable = message.reason
            case CaseBegun():
                self._begin(message.case)
            case CaseEnded():
                self._end(message)
            case StepBegun():
                turn = self._turn_of(message.case)
                if turn is not None:
                    turn.step = message.step
                    self._on_step(message.case, message.step)
            case End():
                if self._turn is None and not self._left:
                    self._referee.dismiss()
            case _:
                pass

    def _describe(self, message: Described) -> None:
        """Records where the child runs. The GPU's name has to be the driver's; torch adds the slice of a MIG device."""
        if self.environment is not None:
            self._blame("the child sent its environment twice")
            return
        self.environment = message
        if not re.fullmatch(rf"{re.escape(self._gpu)}( MIG \d+[a-z]*\.\d+gb)?", message.gpu):
            reported = shortened(message.gpu, 80)
            self._standing_fault = f"the child reports GPU '{reported}', but the driver reports '{self._gpu}'"

    def _begin(self, name: str) -> None:
        """Starts a case, if it is the next of the plan and the one before has its outcome."""
        if self._turn is not None or not self._left or self._left[0][0].name != name:
            self._blame(f"the child began with {shortened(name, 80)} out of turn")
            return
        case, role = self._left.pop(0)
        self._turn = _Turn(case, role, self._samples)
        self._turn.fault = self._standing_fault

    def _end(self, message: CaseEnded) -> None:
        """Records the outcome of the current case. A second outcome for an earlier case makes it *not profiled*."""
        case = self._cases.get(message.case)
        if self._turn is not None and self._turn.case == case:
            found = self._turn.finished(message)
            if found.outcome == "profiled":
                loaded = self._referee.ask("loaded").get("files", {})
                found = replace(found, modules={**found.modules, **loaded})
            self._finish(self._turn.case, found)
        elif case in self.finished:
            first = self.finished[case]
            self._discredit(case, f"the child reported two outcomes: {first.outcome}, then {message.outcome}")
        else:
            self._blame(f"the child reported an outcome for {shortened(message.case, 80)} out of turn")

    def _turn_of(self, name: str) -> _Turn | None:
        """The turn of a case. If it is not the current case, None: then the fault is the current case's."""
        if self._turn is not None and self._turn.case.name == name:
            return self._turn
        self._blame(f"the child spoke of {shortened(name, 80)} out of turn")
        return None

    def _answer(self, message: Question) -> Reply:
        turn = self._turn_of(message.case)
        if turn is None:
            return OUT_OF_TURN
        match message:
            case InputsWanted():
                return self._lend(turn, message)
            case InputsReturned():
                return self._returned(turn)
            case OutputReady():
                return self._referee.ask("output", tensors=to_builtins(message.tensors))
            case OutputWritten():
                return self._compare(turn)
            case _:
                return self._referee.ask("use_host_memory")

    def _lend(self, turn: _Turn, message: InputsWanted) -> Reply:
        """Inputs of a step. Edge cases come one after the other, each after the output of the one before."""
        if message.step == "edge":
            if turn.edge_is_open or message.number != turn.edges:
                self._blame("the child requested an edge case before it submitted the output of the last one")
                return OUT_OF_TURN
            turn.edge_is_open = True
        turn.lent = f"sample {message.number}" if message.step == "sample" else message.step
        answer = self._referee.ask("inputs", case=message.case, step=message.step, number=message.number)
        if message.step == "edge" and answer.get("end"):
            turn.lent, turn.edge_is_open = "", False
            self._note(turn, "edge", answer)
        return answer

    def _returned(self, turn: _Turn) -> Reply:
        """The referee's word on the inputs after a call; what is wrong with them is wrong with the step."""
        answer = self._referee.ask("returned")
        if not answer.get("right"):
            self._note(turn, turn.lent, answer)
        return answer

    def _compare(self, turn: _Turn) -> Reply:
        """The referee's word on an output; of an edge case only what is wrong is noted before the last."""
        step, turn.lent = turn.lent, ""
        if not step:
            self._blame("the child submitted an output for a step whose inputs it never requested")
            return OUT_OF_TURN
        answer = self._referee.ask("compare")
        turn.note_errors(answer)
        if step == "edge":
            turn.edges, turn.edge_is_open = turn.edges + 1, False
        if step != "edge" or not answer.get("right"):
            self._note(turn, step, answer)
        return answer

    def _note(self, turn: _Turn, step: str, answer: Reply) -> None:
        """Writes down what the referee said of a step; what it refused to judge stays open."""
        if answer.get("right") is True:
            turn.right.add(step)
        elif "reason" in answer and "refused" not in answer:
            if step == "edge":
                turn.edge_case_fault = turn.edge_case_fault or str(answer["reason"])
            else:
                turn.wrong = turn.wrong or str(answer["reason"])

    # --- blame ---

    def _finish(self, case: Case, found: Finished) -> None:
        self.finished[case] = found
        self._turn, self._last = None, case

    def _blame(self, fault: str) -> None:
        """Attributes a fault to the current case, or else to the last one."""
        if self._turn is not None:
            self._turn.fault = self._turn.fault or fault
        elif self._last is not None:
            self._discredit(self._last, fault)

    def _discredit(self, case: Case, fault: str) -> None:
        """Takes an outcome back; a result that the referee found wrong stays wrong."""
        if self.finished[case].outcome not in ("wrong_result", "not_profiled"):
            self.finished[case] = replace(self.finished[case], outcome="not_profiled", reason=fault)
