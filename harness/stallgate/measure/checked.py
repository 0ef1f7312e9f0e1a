"""The result of a check, as it is shown and printed: each variant's answer, and the cases behind it."""

from __future__ import annotations

from typing import Literal

from stallgate.measure.check import Checked
from stallgate.measure.drawn import DrawnPlan
from stallgate.measure.messages import Described
from stallgate.model import CaseResult, FrozenStruct, Outcome, Role, Workload, WorstElement, display_name
from stallgate.runs.drawn import Draw

CheckAnswer = Literal["right", "wrong", "not_checked"]
CheckOutcome = Literal["right", "wrong_result", "crashed", "timed_out", "skipped", "not_checked"]
"""not_checked: it ended, but its outputs were not compared."""

_OUTCOMES: dict[Outcome, CheckOutcome] = {
    "profiled": "right",
    "wrong_result": "wrong_result",
    "crashed": "crashed",
    "timed_out": "timed_out",
    "skipped": "skipped",
}


class CheckedCase(FrozenStruct, frozen=True):
    """What became of a variant on one workload."""

    workload: str
    number: int | None
    """Of a drawn workload."""
    arguments: dict[str, object]
    """What its inputs were made of; empty where the problem describes them."""
    inputs: list[object]
    """As the problem describes them; empty where the reference makes them."""
    outcome: CheckOutcome
    reason: str
    """Why it is not right, in a sentence."""
    note: str
    """What is wrong on edge cases with a variant that is not gated."""
    worst: list[WorstElement]
    """The element of each output that came closest to its tolerance."""


class CheckedVariant(FrozenStruct, frozen=True):
    """Whether a variant is right."""

    problem: str
    variant: str
    configuration: str
    role: Role
    answer: CheckAnswer
    """wrong: on one workload at least. not_checked: on one at least, and wrong on none."""
    right: int
    """Workloads that it is right on."""
    cases: list[CheckedCase]

    @property
    def worst(self) -> WorstElement | None:
        """The element that came closest to its tolerance on any workload; None where none is known."""
        return max((each for case in self.cases for each in case.worst), key=lambda each: each.used, default=None)

    @property
    def name(self) -> str:
        return f"{self.problem}/{display_name(self.variant, self.configuration)}"


class CheckReport(FrozenStruct, frozen=True, tag_field="what", tag="variants"):
    """A whole check."""

    device: Literal["cuda", "cpu"]
    gpu: str | None
    """None in Triton's interpreter."""
    small: bool
    """Whether small workloads took the place of the whole ones."""
    stand_ins: dict[str, str]
    """``problem/workload`` that is left out -> the workload that is the same once both are small."""
    seed: int | None
    """Of the drawn workloads; None where there are none."""
    notes: list[str]
    """What has to be known of the workloads, a sentence each: a dtype that was not drawn."""
    environment: Described | None
    variants: list[CheckedVariant]
    exit_status: int


def report_of(checked: Checked, plan: DrawnPlan, draw: Draw | None, gpu: str | None) -> CheckReport:
    """The report of a check.

    Args:
        checked: what became of the cases.
        plan: the plan that they are of.
        draw: what was drawn.
        gpu: by its driver's name; None in Triton's interpreter.
    """
    groups: dict[tuple[str, str, str], list[CaseResult]] = {}
    for result in checked.results:
        case = result.case
        groups.setdefault((case.problem, case.variant, case.configuration), []).append(result)
    return CheckReport(
        device="cpu" if gpu is None else "cuda",
        gpu=gpu,
        small=gpu is None,
        stand_ins=plan.stand_ins,
        seed=draw.seed if draw is not None else None,
        notes=plan.notes,
        environment=checked.environment,
        variants=[_variant(plan, draw, results) for results in groups.values()],
        exit_status=checked.status,
    )


def _variant(plan: DrawnPlan, draw: Draw | None, results: list[CaseResult]) -> CheckedVariant:
    case = results[0].case
    workloads = plan.project.problems[case.problem].workloads
    return CheckedVariant(
        problem=case.problem,
        variant=case.variant,
        configuration=case.configuration,
        role=results[0].role,
        answer=_answer(results),
        right=sum(result.outcome == "profiled" for result in results),
        cases=[_case(workloads[result.case.workload], draw, result) for result in results],
    )


def _answer(results: list[CaseResult]) -> CheckAnswer:
    outcomes = {result.outcome for result in results}
    if "wrong_result" in outcomes:
        return "wrong"
    return "right" if outcomes == {"profiled"} else "not_checked"


def _case(workload: Workload, draw: Draw | None, result: CaseResult) -> CheckedCase:
    return CheckedCase(
        workload=workload.name,
        number=draw.number_of(workload.name) if draw is not None else None,
        arguments=workload.arguments,
        inputs=workload.inputs,
        outcome=_OUTCOMES.get(result.outcome, "not_checked"),
        reason=result.reason,
        note=result.edge_case_fault or "",
        worst=result.worst,
    )
