"""Which cases share a process, and which of its outcomes are believed.

A variant's code can spoil the process for those after it. So an outcome that speaks against a case counts only if no
other variant ran in its process before; otherwise the case is run again, alone.
"""

from __future__ import annotations

from collections.abc import Collection

from stallgate.measure.outcomes import Finished
from stallgate.model import Case

NEEDS_A_WITNESS = ("wrong_result", "crashed", "skipped", "not_profiled")
"""Outcomes that are believed only of a process in which no other variant's code ran before."""


def next_group(
    planned: list[Case], to_be_confirmed: Collection[Case], *, isolate: bool, apart: Collection[str] = ()
) -> list[Case]:
    """The cases that share the next process: all that are left, or those of one variant.

    Variants are kept apart on request, and where a result has to be confirmed.

    Args:
        planned: the cases without an outcome; not empty.
        to_be_confirmed: those whose outcome counts only from a process of their variant's own.
        isolate: whether every variant has one.
        apart: names of variants that have one, in any case.
    """
    fresh = [case for case in planned if case not in to_be_confirmed]
    left = fresh or planned
    together = [case for case in fresh if case.variant not in apart]
    if together and not isolate:
        return together
    return [case for case in left if code_of(case) == code_of(left[0])]


def is_its_own(cases: list[Case], case: Case, finished: Finished) -> bool:
    """Whether an outcome is the variant's own: nothing that another left in the process can be the cause.

    Args:
        cases: those of the process, in their order.
        case: one of them.
        finished: its outcome.
    """
    before = cases[: cases.index(case)]
    return finished.outcome not in NEEDS_A_WITNESS or all(code_of(each) == code_of(case) for each in before)


def code_of(case: Case) -> tuple[str, str]:
    """What distinguishes a case's code from that of others."""
    return case.problem, case.variant
