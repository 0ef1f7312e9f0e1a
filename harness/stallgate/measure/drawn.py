"""Workloads that nobody tuned to: a copy of the project whose problems have drawn workloads, or small ones."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from msgspec import to_builtins
from msgspec.structs import replace

from stallgate.errors import BrokenFile, NotMeasured
from stallgate.formatting import listed
from stallgate.measure.child_plan import as_json, child_workload, project_places, references
from stallgate.measure.messages import ArgumentsDrawn, Unable, Unreadable, drawer_message
from stallgate.measure.plan import Request, plan_cases
from stallgate.measure.process import Ended, Spawned, in_words, watch
from stallgate.model import CallDirection, Case, FrozenStruct, Workload
from stallgate.project.inputs import BadInput, tensor_input
from stallgate.project.load import Project
from stallgate.runs.drawn import Draw, drawn_name

SMALL_ELEMENTS = 2**14
"""Elements of a drawn workload in Triton's interpreter, which takes a second for a million."""

MISCOMPUTED = "bfloat16"
"""What Triton's interpreter adds, multiplies and compares as the integers that its bits are, and converts wrongly from
float64, from integers and where it is subnormal: whatever a kernel does with it may come out wrong. Of a kernel that
converts it to float32 before all else, only subnormal numbers do. Seen with triton 3.9."""

DRAWER_ENTRY = Path(__file__).resolve().parents[1] / "child" / "draw" / "__main__.py"


class DrawRequest(FrozenStruct, frozen=True):
    """A workload that is asked for."""

    problem: str
    workload: str
    """Its name."""
    kind: Literal["draw", "small"]
    key: str = ""
    """Decides on the random numbers of a draw."""
    largest: int | None = None
    """Elements that a draw may have; None: as many as the problem's ``draw`` thinks right."""
    arguments: dict[str, object] = {}
    inputs: list[object] = []
    direction: CallDirection = "forward"
    """Of the workload that a small one stands for."""
    needs: bool = False
    """Whether its bytes matter; without a ``needs`` in the reference it takes a second to derive them."""
    avoid: str = ""
    """A dtype that is drawn only if the problem draws no other."""

    @property
    def name(self) -> str:
        return f"{self.problem}/{self.workload}"


def drawn_requests(
    draw: Draw, problems: Iterable[str], *, largest: int | None = None, needs: bool = False, avoid: str = ""
) -> list[DrawRequest]:
    """One for each number and problem: the same seed and number give the same arguments, on every machine."""
    return [
        DrawRequest(
            problem,
            drawn_name(draw.seed, number),
            "draw",
            key=f"{draw.seed}/{number}",
            largest=largest,
            needs=needs,
            avoid=avoid,
        )
        for problem in problems
        for number in draw.numbers
    ]


def small_request(problem: str, workload: Workload, *, avoid: str = "") -> DrawRequest:
    """A request for a small workload of the same kind, which takes its name."""
    return DrawRequest(
        problem,
        workload.name,
        "small",
        arguments=workload.arguments,
        inputs=workload.inputs,
        direction=workload.direction,
        avoid=avoid,
    )


def with_workloads(project: Project, requests: list[DrawRequest], python: str, timeout_s: float) -> Project:
    """The project with the workloads that are asked for, added or in the place of those of the same names.

    Args:
        project: the project; its files are read by the drawing child.
        requests: the workloads.
        python: an interpreter that has torch.
        timeout_s: seconds that one answer may take.

    Raises:
        BrokenFile: a problem cannot draw, or raises an exception.
        NotMeasured: the drawing child cannot work, or ended before its time.
    """
    return _with_answers(project, requests, _answers(project, requests, python, timeout_s))


def _with_answers(project: Project, requests: list[DrawRequest], answers: list[ArgumentsDrawn]) -> Project:
    problems = dict(project.problems)
    for request, answer in zip(requests, answers, strict=True):
        if answer.fault:
            raise _refused(project, request, answer.fault)
        problem = problems[request.problem]
        workload = _workload(project, request, answer)
        problems[request.problem] = replace(problem, workloads={**problem.workloads, workload.name: workload})
    return replace(project, problems=problems)


def _workload(project: Project, request: DrawRequest, answer: ArgumentsDrawn) -> Workload:
    """The workload of an answer; what it does not say is that of the workload of the same name.

    Raises:
        BrokenFile: an input is not what a workload can have.
    """
    known = project.problems[request.problem].workloads.get(request.workload, Workload(request.workload))
    for given in answer.inputs:
        try:
            tensor_input(given) if isinstance(given, str) else None
        except BadInput as error:
            raise _refused(project, request, str(error)) from None
    needs = {"bytes": answer.bytes or None, "flops": answer.flops}
    return replace(known, arguments=answer.arguments, inputs=answer.inputs, **needs)


def _refused(project: Project, request: DrawRequest, fault: str) -> BrokenFile:
    reference = project.problems[request.problem].reference
    where = reference.path or reference.written
    if request.kind == "draw":
        hint = "`stallgate docs bench` says what draw(rng) returns; the same seed and number give the same arguments"
        return BrokenFile(f"{where}: {request.workload} cannot be drawn: {fault}", hint)
    hint = "small_arguments(**arguments) has to return a small workload of the same kind"
    return BrokenFile(f"{where}: there is no small form of workload {request.workload}: {fault}", hint)


# --- plans with such workloads ----------------------------------------------------------------------------------------


class DrawnPlan(FrozenStruct, frozen=True):
    """Cases, and the project that they are cases of."""

    project: Project
    cases: list[Case]
    stand_ins: dict[str, str] = {}
    """``problem/workload`` that is left out -> the workload that is the same once both are small."""
    notes: list[str] = []
    """What has to be known of the workloads, a sentence each."""


def plan_drawn(
    project: Project,
    request: Request,
    draw: Draw,
    python: str,
    timeout_s: float,
    *,
    only_drawn: bool = False,
    needs: bool = False,
) -> DrawnPlan:
    """The cases of a request, and the same on drawn workloads, or these alone; with the bytes that they need or not.

    Raises:
        UserFault: the request names something unknown, or a problem cannot draw.
        NotMeasured: the drawing child cannot work.
    """
    drawn = with_workloads(project, drawn_requests(draw, _problems(project, request), needs=needs), python, timeout_s)
    named = [] if only_drawn else plan_cases(project, request)
    return DrawnPlan(drawn, _roofs_first(drawn, [*named, *_drawn_cases(drawn, request, draw)]))


def plan_small(
    project: Project,
    request: Request,
    draw: Draw | None,
    python: str,
    timeout_s: float,
    *,
    only_drawn: bool = False,
    largest: int = SMALL_ELEMENTS,
) -> DrawnPlan:
    """The same with small workloads in the place of the whole ones, and small drawn ones.

    Args:
        project: the project.
        request: what is asked for.
        draw: which workloads are drawn beside it.
        python: an interpreter that has torch.
        timeout_s: seconds that one answer may take.
        only_drawn: whether to leave out what the request names.
        largest: elements that a drawn workload may have.

    Raises:
        UserFault: the request names something unknown, or a problem cannot draw.
        NotMeasured: the drawing child cannot work.
    """
    named = [] if only_drawn else plan_cases(project, request)
    whole = dict.fromkeys((case.problem, case.workload) for case in named)
    requests = [
        small_request(problem, project.problems[problem].workloads[name], avoid=MISCOMPUTED) for problem, name in whole
    ]
    if draw is not None:
        requests += drawn_requests(draw, _problems(project, request), largest=largest, avoid=MISCOMPUTED)
    answers = _answers(project, requests, python, timeout_s)
    small = _with_answers(project, requests, answers)
    stand_ins = _stand_ins(small, list(whole))
    cases = [case for case in named if f"{case.problem}/{case.workload}" not in stand_ins]
    drawn = _drawn_cases(small, request, draw) if draw is not None else []
    return DrawnPlan(small, _roofs_first(small, [*cases, *drawn]), stand_ins, _notes(requests, answers))


def _notes(requests: list[DrawRequest], answers: list[ArgumentsDrawn]) -> list[str]:
    """What of bfloat16 was avoided, and what was not."""
    both = list(zip(requests, answers, strict=True))
    avoided = dict.fromkeys(request.problem for request, answer in both if answer.avoided)
    kept = dict.fromkeys(request.problem for request, answer in both if answer.kept)
    found = []
    if avoided:
        drawn = f"no {MISCOMPUTED} was drawn for {listed(list(avoided))}"
        found.append(f"{drawn}: Triton's interpreter computes in it wrongly; a check on a GPU draws it")
    if kept:
        was = "was" if len(kept) == 1 else "were"
        checked = f"{listed(list(kept))} {was} checked in {MISCOMPUTED}, which Triton's interpreter gets right for sure"
        found.append(f"{checked} only where a kernel converts it to float32 first or gives it to tl.dot")
    return found


def _problems(project: Project, request: Request) -> list[str]:
    """The problems of a request, each once.

    Raises:
        UnknownName: one of them does not exist.
    """
    named = [subject.partition("/")[0] for subject in request.subjects] or list(project.problems)
    return [project.problem(name).name for name in dict.fromkeys(named)]


def _drawn_cases(project: Project, request: Request, draw: Draw) -> list[Case]:
    return plan_cases(project, replace(request, workloads=draw.names))


def _stand_ins(project: Project, whole: list[tuple[str, str]]) -> dict[str, str]:
    """The workloads that are the same as one before them, and which."""
    first: dict[str, str] = {}
    found = {}
    for problem, name in whole:
        key = json.dumps([problem, *_called_with(project.problems[problem].workloads[name])], sort_keys=True)
        if first.setdefault(key, name) != name:
            found[f"{problem}/{name}"] = first[key]
    return found


def _called_with(load: Workload) -> list[object]:
    return [load.arguments, load.inputs, load.direction]


def _roofs_first(project: Project, cases: list[Case]) -> list[Case]:
    """The order of a plan."""
    return sorted(cases, key=lambda case: project.problems[case.problem].variants[case.variant].role != "roof")


# --- the drawing child ------------------------------------------------------------------------------------------------


def _answers(project: Project, requests: list[DrawRequest], python: str, timeout_s: float) -> list[ArgumentsDrawn]:
    """An answer for each request, in their order."""
    if not requests:
        return []
    with tempfile.TemporaryDirectory(prefix="stallgate-draw-") as name:
        plan, log = Path(name, "plan.json"), Path(name, "log")
        planned = [{"name": request.name, **to_builtins(request), **_described(request)} for request in requests]
        places = {**project_places(project), "references": references(project)}
        plan.write_bytes(as_json({**places, "requests": planned}))
        child = Spawned([python, str(DRAWER_ENTRY), str(plan)], _environment(), log, grace_s=0)
        heard = _Answers()
        ended = watch(child, timeout_s, heard.hear)
        return heard.all_of(requests, ended, timeout_s)


def _described(request: DrawRequest) -> dict[str, object]:
    """The inputs of a request as a child reads them."""
    load = child_workload(Workload(request.workload, inputs=request.inputs, direction=request.direction))
    return {"described": load["inputs"]}


def _environment() -> dict[str, str]:
    """Arguments need no GPU; its start would take a second."""
    return {**os.environ, "CUDA_VISIBLE_DEVICES": ""}


class _Answers:
    """Takes the child's lines."""

    def __init__(self) -> None:
        self._answers: dict[str, ArgumentsDrawn] = {}
        self._unable = ""

    def hear(self, line: bytes) -> bool:
        """Takes a line; whether it was a message."""
        try:
            message = drawer_message(line)
        except Unreadable:
            return False
        match message:
            case ArgumentsDrawn():
                self._answers[message.name] = message
            case Unable():
                self._unable = message.reason
            case _:
                pass
        return True

    def all_of(self, requests: list[DrawRequest], ended: Ended, timeout_s: float) -> list[ArgumentsDrawn]:
        """The answers, in the order of the requests.

        Raises:
            NotMeasured: one is missing.
        """
        if ended.interrupted:
            raise NotMeasured("interrupted", "nothing was measured")
        if self._unable:
            raise NotMeasured(self._unable, "name an interpreter that has torch and triton with --python")
        missing = next((request for request in requests if request.name not in self._answers), None)
        if missing is not None:
            how = f"no response within {timeout_s:g} s" if ended.timed_out else in_words(ended.exit_status)
            raise NotMeasured(f"the arguments of {missing.name} could not be had: {how}", "see what its draw does")
        return [self._answers[request.name] for request in requests]
