"""The reason codes of verdicts. Each belongs to exactly one status.

========================= ============= ==========================================================================
code                      status        meaning
========================= ============= ==========================================================================
met                       pass          every sample is on the right side of the bound
missed                    fail          every sample is on the wrong side
regressed                 fail          every sample is worse than the baseline by more than the tolerance
waiver_expired            fail          missed or regressed, and the waiver that covered it has ended
wrong_result              fail          the output is not the reference's
waived                    waived        not met, and a waiver of problem.toml holds
at_the_roof               excused       not met, and the metric that the target's `unless` names excuses it
no_slower                 excused       worse than the baseline at no loss of time, and the target does not `insist`
foreign_kernel            fail          it launches kernels that are neither its own nor allowed by problem.toml
straddles                 undecided     samples lie on both sides of the bound
stale                     not_measured  what was measured is not what the tree holds now
crashed, timed_out,       not_measured  the case's outcome
skipped, not_profiled,
planned, measuring
implausible               not_measured  fewer bytes moved than are needed, or far faster than the roof
damaged_report            not_measured  the ncu report does not show the case as it was planned
facts_missing             not_measured  run.json does not have a fact that a check of the case needs
no_case                   not_measured  the run has no case that the target could be judged by
no_target                 not_measured  no target of the stages is for the candidate, or a stage judges no workload
no_roof                   not_measured  a kind of roof has no sound measurement on the workload in this run
no_workload               not_measured  what an imported kernel has to compute is not known
no_baseline               not_measured  no number is accepted that the metric could be held to
other_gpu,                not_measured  the baseline was measured under other conditions, or those of the run are
other_clock_control,                    not known
other_cache_control
stale_baseline            not_measured  the baseline was accepted of another reference, workload or roof
absent, no_value,         not_measured  the state of the metric's reading
not_finite, out_of_range
========================= ============= ==========================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from stallgate.model import CaseResult, State, Status

STATUS_OF_REASON: dict[str, Status] = {
    "met": "pass",
    "missed": "fail",
    "regressed": "fail",
    "waiver_expired": "fail",
    "wrong_result": "fail",
    "waived": "waived",
    "at_the_roof": "excused",
    "no_slower": "excused",
    "foreign_kernel": "fail",
    "straddles": "undecided",
    "stale": "not_measured",
    "crashed": "not_measured",
    "timed_out": "not_measured",
    "skipped": "not_measured",
    "not_profiled": "not_measured",
    "planned": "not_measured",
    "measuring": "not_measured",
    "implausible": "not_measured",
    "damaged_report": "not_measured",
    "facts_missing": "not_measured",
    "no_case": "not_measured",
    "no_target": "not_measured",
    "no_roof": "not_measured",
    "no_workload": "not_measured",
    "no_baseline": "not_measured",
    "other_gpu": "not_measured",
    "other_clock_control": "not_measured",
    "other_cache_control": "not_measured",
    "stale_baseline": "not_measured",
    "absent": "not_measured",
    "no_value": "not_measured",
    "not_finite": "not_measured",
    "out_of_range": "not_measured",
}


def is_gated(result: CaseResult) -> bool:
    """Whether the gate looks at a case: at candidates in their default configuration."""
    return result.role == "candidate" and result.case.configuration == "default"


GREEN: frozenset[Status] = frozenset({"pass", "waived", "excused"})
"""The statuses that let a change be merged."""

OPEN: tuple[Status, ...] = ("undecided", "not_measured")
"""The statuses of verdicts that are neither met, nor covered, nor failed."""

_OPEN_OF_IMPORTS = ("no_roof", "no_baseline", "no_workload")
_OPEN = ("crashed", "timed_out", "damaged_report", "stale", "implausible", "straddles")


def open_reason(reasons: Iterable[str], *, is_import: bool) -> str:
    """The reason that a run is open for, of those of its verdicts that are neither met nor failed; '' for none.

    Args:
        reasons: reason codes, in the order of the verdicts.
        is_import: whether the run is imported: what a report made elsewhere lacks comes first then.
    """
    found = list(reasons)
    order = (*_OPEN_OF_IMPORTS, *_OPEN) if is_import else _OPEN
    return next((reason for reason in order if reason in found), found[0] if found else "")


UNMEASURED = {*get_args(State)} - {"measured"} | {"damaged_report", "facts_missing", "implausible", "stale"}
"""Codes of numbers that are missing in the run itself: with one of them `stallgate profile` does not end with 0."""
