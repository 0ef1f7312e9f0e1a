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
    about: str = ""
    """The case whose fault the words tell, or ''."""


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
        first = max(wrong, key=_most_used)
        about = f"{result.names[first.case]} on {first.case.workload}"
        said = f"Results wrong: {_counted(wrong, mine)}. {about}: {fault_in_words(first)}"
        return ResultsLine(words=said, style="fail", about=first.case.name)
    counted = _counted(right, mine)
    if not right:
        return ResultsLine(words=f"Results: not known, {counted} compared to the end", style="open")
    style: Literal["pass", "open"] = "pass" if len(right) == len(mine) else "open"
    return ResultsLine(words=f"Results right: {counted}{_worst(result, right)}", style=style)


def _counted(some: list[CaseResult], every: list[CaseResult]) -> str:
    return f"{len(some)} of {len(every)} {'case' if len(every) == 1 else 'cases'}"


def _most_used(case: CaseResult) -> float:
    """The largest error of a case over what is tolerated; 0 where it is not known."""
    return max((found.used for found in case.worst), default=0.0)


def fault_in_words(case: CaseResult) -> str:
    """What is wrong with the results of a case, and by how much: the largest error beside its tolerance."""
    why = (case.reason or case.edge_case_fault or "")[:_LONGEST_FAULT]
    if case.outcome != "wrong_result" or _most_used(case) <= 1:
        return why
    largest = max(case.worst, key=lambda found: found.used)
    which = f" of output {largest.output}" if len(case.worst) > 1 else ""
    return f"{why}; the largest error{which} is {times_over(largest.used)} its tolerance ({largest.rule})"


_LONGEST_FAULT = 300
"""Characters of why a result is wrong."""


def times_over(used: float) -> str:
    """How far an error is beyond its tolerance: ``3.10 times``; of an exact result any error is endless times that."""
    if used > _COUNTABLE:
        return "over a million times"
    return f"{rounded(used, 3, zeros=used < _WHOLE)} times"


_COUNTABLE = 1e6

_WHOLE = 100.0
"""From here on, three digits have no place after the point."""


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
