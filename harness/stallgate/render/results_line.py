"""Whether the results of a run are right, in one line: the same on the page, in the terminal and in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from stallgate.formatting import rounded, spaced
from stallgate.judge.reasons import is_gated
from stallgate.model import CaseResult, FrozenStruct

if TYPE_CHECKING:
    from stallgate.judge.evaluate import JudgedRun


class ResultsLine(FrozenStruct, frozen=True):
    """Whether the results are right."""

    words: str
    """Without full stop."""
    style: Literal["pass", "fail", "open", "plain"]


def results_line(result: JudgedRun) -> ResultsLine:
    """How many of the gated results are right, and how close the worst came to being wrong.

    Those of every candidate where none is gated, and of all cases where there is no candidate. What is not gated and
    wrong is a note of the gate.
    """
    cases = result.run.cases
    if result.run.kind == "imported":
        return ResultsLine(words="Results: not checked: an ncu report holds no results", style="plain")
    candidates = [case for case in cases if case.role in ("candidate", "unknown")]
    mine = [case for case in candidates if is_gated(case)] or candidates or list(cases)
    right = [case for case in mine if case.outcome == "profiled" and not case.edge_case_fault]
    wrong = [case for case in mine if case.outcome == "wrong_result" or case.edge_case_fault]
    if wrong:
        name, why = result.names[wrong[0].case], wrong[0].reason or wrong[0].edge_case_fault or ""
        said = f"Results wrong: {len(wrong)} of {len(mine)} cases. {name} on {wrong[0].case.workload}: {why[:300]}"
        return ResultsLine(words=said, style="fail")
    counted = f"{len(right)} of {len(mine)} {'case' if len(mine) == 1 else 'cases'}"
    if not right:
        return ResultsLine(words=f"Results: not known, {counted} compared to the end", style="open")
    style: Literal["pass", "open"] = "pass" if len(right) == len(mine) else "open"
    return ResultsLine(words=f"Results right: {counted}{_worst(result, right)}", style=style)


def _worst(result: JudgedRun, cases: list[CaseResult]) -> str:
    worst = [(found.used, case) for case in cases for found in case.worst]
    if not worst:
        return ""
    used, case = max(worst, key=lambda pair: pair[0])
    whose = f" ({result.names[case.case]} on {case.case.workload})" if len(cases) > 1 else ""
    return f", worst element at {fraction_used(used)} of its tolerance{whose}"


def fraction_used(used: float) -> str:
    """The fraction of a tolerance that an error takes."""
    return rounded(used, 2)


def wrong_on_edge_cases(case: CaseResult) -> bool:
    """Whether a case is right on its own inputs alone: only what is not gated keeps its numbers then."""
    return bool(case.edge_case_fault)


def standing(case: CaseResult) -> str:
    """What a case is beside its name: its role, and what became of it where it is not measured or not right."""
    if case.outcome != "profiled":
        return f"{case.role}, {spaced(case.outcome)}"
    return f"{case.role}, {WRONG}" if wrong_on_edge_cases(case) else case.role


WRONG = "wrong on edge cases"
"""The mark of a variant whose numbers are shown although it is wrong."""
