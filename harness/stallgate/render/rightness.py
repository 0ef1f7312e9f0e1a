"""How right the results on a workload are, and what the variants used: autotuners' choices, packages' versions.

A wrong result is said elsewhere: of a candidate among the troubles, of other variants in the gate's notes.
"""

from __future__ import annotations

from collections.abc import Iterable

from stallgate.formatting import tunables
from stallgate.model import CaseResult, FrozenStruct, LaunchedKernel, Role, WorstElement
from stallgate.render.results_line import WRONG, fraction_used, wrong_on_edge_cases
from stallgate.render.view import View


class WorstRow(FrozenStruct, frozen=True):
    """An output of a case: its element that came closest to the tolerance."""

    variant: str
    case: str
    role: Role
    output: int
    outputs: int
    """How many the case has."""
    used: float
    """The error as a fraction of what is tolerated."""
    text: str
    rule: str
    remark: str
    """Empty where the variant is right on edge cases too."""


class Rightness(FrozenStruct, frozen=True):
    """The results on a workload. Empty for a run that does not say how far they were from the tolerance."""

    finding: str
    """A sentence without full stop."""
    rows: list[WorstRow]


class ChoiceRow(FrozenStruct, frozen=True):
    """What an autotuner chose for a kernel of a case."""

    variant: str
    kernel: str
    choice: str


def rightness(view: View) -> Rightness:
    """The worst element of each output of each case that was measured."""
    rows = [_row(case, worst) for case in view.cases for worst in case.worst]
    return Rightness(finding=_finding(view.cases, rows) if rows else "", rows=rows)


def _row(case: CaseResult, worst: WorstElement) -> WorstRow:
    return WorstRow(
        variant=case.case.display_name,
        case=case.case.name,
        role=case.role,
        output=worst.output,
        outputs=len(case.worst),
        used=worst.used,
        text=fraction_used(worst.used),
        rule=worst.rule,
        remark=WRONG if wrong_on_edge_cases(case) else "",
    )


def _finding(cases: list[CaseResult], rows: list[WorstRow]) -> str:
    """How many cases are right, and which of them came closest to being wrong."""
    right = [case for case in cases if case.outcome == "profiled" and not case.edge_case_fault]
    counted = "Every result is right" if len(right) == len(cases) else f"{len(right)} of {len(cases)} results are right"
    worst = max(rows, key=lambda row: row.used)
    whose = f"of {worst.variant} " if len(cases) > 1 else ""
    return f"{counted}; the worst element {whose}is at {worst.text} of its tolerance: {worst.rule}"


def worst_of(case: CaseResult) -> str:
    """How close a case came to being wrong, or '–' where the run does not say."""
    return fraction_used(max(found.used for found in case.worst)) if case.worst else "–"


# --- what was used ----------------------------------------------------------------------------------------------------


def choices(view: View) -> list[ChoiceRow]:
    """What autotuners chose on a workload."""
    return [
        ChoiceRow(variant=case.case.display_name, kernel=kernel.name, choice=tunables(kernel.configuration))
        for case in view.cases
        for kernel in _tuned(case)
    ]


def _tuned(case: CaseResult) -> Iterable[LaunchedKernel]:
    """The autotuned kernels; of a function that became several, the first."""
    tuned = [kernel for kernel in reversed(case.kernels) if kernel.configuration]
    return reversed({(kernel.module, kernel.function): kernel for kernel in tuned}.values())


def packages(cases: Iterable[CaseResult]) -> list[str]:
    """Installed packages that variants loaded, with their versions and the variants."""
    users: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        for package in case.packages.items():
            users.setdefault(package, []).append(case.case.variant)
    return [f"{name} {version} ({', '.join(dict.fromkeys(by))})" for (name, version), by in sorted(users.items())]
