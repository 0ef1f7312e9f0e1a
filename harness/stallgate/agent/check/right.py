"""Is an answer right? Its results on the problem's workloads and on drawn ones, from a process within limits."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from msgspec.structs import replace

from stallgate.agent.check.adopt import Adopted, project_state
from stallgate.agent.limits.isolate import Isolation, KeptProcess, Limits
from stallgate.agent.objection import AnswerPart, Objection
from stallgate.errors import BrokenFile, NotMeasured
from stallgate.formatting import listed, quantity
from stallgate.measure.check import Checker, CheckOptions, CheckWatcher
from stallgate.measure.checked import CheckedCase, CheckReport, report_of
from stallgate.measure.device import Device
from stallgate.measure.drawn import DrawnPlan, plan_drawn, plan_small
from stallgate.measure.plan import Request, plan_cases
from stallgate.model import FrozenStruct
from stallgate.runs.drawn import Draw

_DRAWN_ELEMENTS = 2**12
"""Of a drawn workload in Triton's interpreter: with a program an element, it takes a minute for as many."""


class RightOptions(FrozenStruct, frozen=True):
    """How to check."""

    python: str
    timeout_s: float
    device: Device | None
    """The GPU; None for Triton's interpreter."""
    draw: Draw | None
    workloads: list[str]


class RightAnswer(FrozenStruct, frozen=True):
    """What came of it."""

    report: CheckReport
    objections: list[Objection]
    notes: list[str]
    unjudged: str
    """Why it could not be judged, in a sentence; empty where it could."""


def check_right(
    adopted: Adopted, options: RightOptions, isolation: Isolation, limits: Limits, watcher: CheckWatcher
) -> RightAnswer:
    """Checks an answer's results.

    Args:
        adopted: the answer in its copy of the project.
        options: how to check.
        isolation: the limits that its process runs within.
        limits: the same, to be named where one was reached.
        watcher: receives progress.

    Raises:
        UserFault: a workload is unknown, or the problem cannot draw.
        NotMeasured: nothing can be checked here.
    """
    plan, notes = _plan(adopted, options)
    before = project_state(adopted.project.root)
    asked = CheckOptions(
        python=options.python, timeout_s=options.timeout_s, device=options.device, within=isolation.within
    )
    unjudged = ""
    with tempfile.TemporaryDirectory(prefix="stallgate-check-") as name:
        try:
            checked = Checker(plan.project, plan.cases, asked, watcher).check(Path(name))
        except NotMeasured:
            if not (over := limit_objections(isolation.processes, limits, "right")):
                raise
            return RightAnswer(report=_nothing(plan, options), objections=over, notes=notes, unjudged="")
        line = _crash_line(Path(name), adopted.path)
    report = report_of(checked, plan, options.draw, options.device.name if options.device is not None else None)
    (variant,) = report.variants
    over = limit_objections(isolation.processes, limits, "right")
    objections = over or [each for case in variant.cases for each in _objection(case, line)]
    if project_state(adopted.project.root) != before:
        objections.append(Objection(part="right", code="changed_files", text="it changed files of the project"))
    unjudged = next((f"{each.workload}: {each.reason}" for each in variant.cases if _is_unjudged(each)), "")
    return RightAnswer(report=report, objections=_grouped(objections), notes=notes, unjudged=unjudged)


# --- the plan ---------------------------------------------------------------------------------------------------------


def _plan(adopted: Adopted, options: RightOptions) -> tuple[DrawnPlan, list[str]]:
    """The answer's cases; what has to be said of them."""
    try:
        plan, notes = _planned(adopted, options, options.draw), []
    except BrokenFile as error:
        if options.draw is None or "has no draw(rng)" not in error.message:
            raise
        plan = _planned(adopted, options, None)
        notes = [f"{adopted.problem} draws no workloads: only those that it names were checked"]
    if options.device is None:
        notes.append("checked in Triton's interpreter on small inputs: it shows no races, nor what only a GPU does")
    notes += plan.notes
    mine = [case for case in plan.cases if case.variant == adopted.answer]
    return replace(plan, cases=mine), notes


def _planned(adopted: Adopted, options: RightOptions, draw: Draw | None) -> DrawnPlan:
    request = Request([f"{adopted.problem}/{adopted.answer}"], options.workloads)
    if options.device is None:
        return plan_small(adopted.project, request, draw, options.python, options.timeout_s, largest=_DRAWN_ELEMENTS)
    if draw is None:
        return DrawnPlan(adopted.project, plan_cases(adopted.project, request))
    return plan_drawn(adopted.project, request, draw, options.python, options.timeout_s)


def _nothing(plan: DrawnPlan, options: RightOptions) -> CheckReport:
    """The report where no case came to an end."""
    return CheckReport(
        device="cpu" if options.device is None else "cuda",
        gpu=options.device.name if options.device is not None else None,
        small=options.device is None,
        stand_ins=plan.stand_ins,
        seed=options.draw.seed if options.draw is not None else None,
        notes=plan.notes,
        environment=None,
        variants=[],
        exit_status=1,
    )


# --- objections -------------------------------------------------------------------------------------------------------


def limit_objections(processes: list[KeptProcess], limits: Limits, part: AnswerPart) -> list[Objection]:
    """Limits that an answer's processes reached, and processes that they left behind."""
    allowed = {
        "time": f"{limits.wall_s:g} s for one answer",
        "processes": f"{limits.processes} processes",
        "memory": f"{quantity(limits.memory, 'byte')} of the host's memory",
    }
    over = dict.fromkeys(each.exceeded for each in processes if each.exceeded)
    found = [
        Objection(part=part, code=f"over_{name}", text=f"its process went over the limit of {allowed[name]}")
        for name in over
    ]
    left = max((each.left for each in processes), default=0)
    if left:
        text = f"it left {left} {'process' if left == 1 else 'processes'} running after its own had ended"
        found.append(Objection(part=part, code="left_processes", text=text))
    return found


def _objection(case: CheckedCase, line: int | None) -> list[Objection]:
    """What a case says against the answer, if it does."""
    if case.outcome == "right" or _is_unjudged(case) or case.reason.startswith("not tried:"):
        return []
    code = {"not_checked": "not_proven", "skipped": "out_of_memory"}.get(case.outcome, case.outcome)
    crashed = case.outcome == "crashed"
    text, place = f"{case.workload}: {case.reason}", line if crashed else None
    return [Objection(part="right", code=code, text=text, hint=interpreter_hint(case.reason), line=place)]


def interpreter_hint(reason: str) -> str:
    """What to write where Triton's interpreter cannot run what a GPU can; empty where the reason is another."""
    if not reason.startswith("InterpreterError: "):
        return ""
    return next((hint for words, hint in _ONLY_IN_INTERPRETER.items() if words in reason), "")


_ONLY_IN_INTERPRETER = {
    "'int' object has no attribute": "the interpreter's loop variables are Python's: write tl.cast(i, tl.int64), "
    "which is the same on a GPU",
    "must be of type tl.constexpr": "the interpreter reads annotations as they stand: write tl.constexpr without "
    "quotes",
}
"""Words of its error -> the same for both. Seen with triton 3.6 to 3.9."""


def _is_unjudged(case: CheckedCase) -> bool:
    """Whether a case was left out for a reason that is not the answer's."""
    if case.outcome == "crashed":
        return case.reason.startswith("ReferenceFailed: ")
    own = ("not tried:", "it does not fit in GPU memory")
    return case.outcome == "skipped" and not case.reason.startswith(own)


def _grouped(objections: list[Objection]) -> list[Objection]:
    """Objections of one code and reason on several workloads, as one."""
    groups: dict[tuple[str, str], list[Objection]] = {}
    for each in objections:
        workload, _, reason = each.text.partition(": ")
        groups.setdefault((each.code, reason or workload), []).append(each)
    return [_joined(group) for group in groups.values()]


def _joined(group: list[Objection]) -> Objection:
    if len(group) == 1:
        return group[0]
    names = listed([each.text.partition(": ")[0] for each in group])
    return replace(group[0], text=f"{names}: {group[0].text.partition(': ')[2]}")


def _crash_line(folder: Path, answer: Path) -> int | None:
    """The last line of the answer in the tracebacks that its processes printed."""
    place = re.compile(rf'File "[^"\n]*{re.escape(answer.name)}", line ([0-9]+)')
    found = [
        int(number)
        for log in sorted(folder.glob("*.log"))
        if not log.name.endswith(".referee.log")
        for number in place.findall(log.read_text(errors="replace"))
    ]
    return found[-1] if found else None
