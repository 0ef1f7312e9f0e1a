"""Whether a case's numbers are a measurement of the work that its variant has to do.

The checks here concern a case alone: it was measured, with the code in the tree; its result is right; it launched its
own kernels; it moved the bytes that its workload needs. ``roof.py`` checks whether it is too fast to be true.
"""

from __future__ import annotations

from stallgate.extract.kernels import line_to_paste
from stallgate.extract.read_run import ReadRun
from stallgate.formatting import listed, scaled_apart, shortened, spaced
from stallgate.model import Case, CaseResult, Reason
from stallgate.project.catalogue import L2_SECTORS
from stallgate.project.load import Project
from stallgate.project.staleness import changes, measured_workload, stale_because
from stallgate.runs.conditions import conditions, settings_of

_SECTOR_BYTES = 32
"""Of an L2 cache, on every chip that ncu knows."""

_LONGEST_NAME = 120
"""Characters of a kernel's name in a sentence."""

_LONGEST_LINE = 300
"""Characters of a line to paste in a sentence."""


def unsound_cases(read: ReadRun, project: Project) -> dict[Case, Reason]:
    """Case -> why its numbers cannot be judged; without the sound cases.

    Of a case that a damaged run.json has twice, the first reason is kept.
    """
    changed = changes(read.run, project)
    found: dict[Case, Reason] = {}
    for result in read.run.cases:
        reason = _unmeasured(read, project, changed, result) or _unsound(read, project, result)
        if reason is not None:
            found.setdefault(result.case, reason)
    return found


# --- measured ---------------------------------------------------------------------------------------------------------


def _unmeasured(read: ReadRun, project: Project, changed: dict[str, list[str]], result: CaseResult) -> Reason | None:
    """Why there is no measurement of the code in the tree."""
    stale = _stale(read, project, changed, result)
    return stale or _outcome(result) or _wrong_on_edge_cases(result) or _damaged(read, result)


def _stale(read: ReadRun, project: Project, changed: dict[str, list[str]], result: CaseResult) -> Reason | None:
    case = result.case
    if case.problem in read.run.subjects and case.problem not in project.problems:
        sentence = f"stale: problem {case.problem} no longer exists in the project"
        return Reason(code="stale", sentence=sentence)
    stale = stale_because(result, changed)
    return Reason(code="stale", sentence=f"stale: {listed(stale)} changed since it was measured") if stale else None


def _outcome(result: CaseResult) -> Reason | None:
    if result.outcome == "profiled":
        return None
    if result.outcome == "wrong_result":
        return Reason(code="wrong_result", sentence=f"wrong result: {result.reason}")
    why = result.reason or "the run ended before it"
    return Reason(code=result.outcome, sentence=f"{spaced(result.outcome)}: {why}")


def _damaged(read: ReadRun, result: CaseResult) -> Reason | None:
    if result.case.name in read.faults:
        return Reason(code="damaged_report", sentence=read.faults[result.case.name])
    if settings_of(read.run, result.case.problem) is None and read.run.kind != "imported":
        return _missing("how many samples were planned")
    if conditions(read.run, result).gpu is None and read.run.kind != "imported":
        return _missing("on which GPU the case was measured")
    return None


def _missing(what: str) -> Reason:
    return Reason(code="facts_missing", sentence=f"run.json does not say {what}: it is damaged")


# --- sound ------------------------------------------------------------------------------------------------------------


def _unsound(read: ReadRun, project: Project, result: CaseResult) -> Reason | None:
    """Why the measured launches did not do the required work. Baselines and imported cases are shown in any case."""
    if result.role == "candidate":
        return _edge_case_fault(result) or _foreign(read, result) or _moved_too_little(read, project, result)
    if result.role == "roof" and _moves_the_bytes(project, result.case):
        return _moved_too_little(read, project, result)
    return None


def _moves_the_bytes(project: Project, case: Case) -> bool:
    """Whether a roof has to move the bytes of its workload: one of kind ``flops`` may only compute."""
    return project.problems[case.problem].variants[case.variant].ceiling != "flops"


def _edge_case_fault(result: CaseResult) -> Reason | None:
    """A wrong result on edge-case inputs. The child lets only baselines pass with one; a baseline can be promoted."""
    if result.edge_case_fault is None:
        return _missing(f"whether {result.case.variant} is right on small edge-case inputs")
    return _wrong_on_edge_cases(result)


def _wrong_on_edge_cases(result: CaseResult) -> Reason | None:
    """A result that is known to be wrong is so whatever became of its counters."""
    if not result.edge_case_fault or result.role != "candidate":
        return None
    return Reason(code="wrong_result", sentence=f"wrong result: {result.edge_case_fault}")


def _foreign(read: ReadRun, result: CaseResult) -> Reason | None:
    names = read.foreign_kernels.get(result.case, [])
    if not names:
        return None
    shown = [shortened(name.removeprefix("void "), _LONGEST_NAME) for name in names[:3]]
    said = ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    kernels = "a kernel" if len(names) == 1 else "kernels"
    paste = shortened(line_to_paste(result, names), _LONGEST_LINE)
    sentence = f"it launches {kernels} that no file of the project defines: {said}; if this is its own work: {paste}"
    return Reason(code="foreign_kernel", sentence=sentence)


def _moved_too_little(read: ReadRun, project: Project, result: CaseResult) -> Reason | None:
    """Fewer bytes through L2 than the workload needs. Where that cannot be checked, the case is not measured."""
    workload = measured_workload(read.run, project, result.case)
    if workload is None or workload.bytes is None:
        return _missing(f"what {result.case.workload} needs")
    sectors = read.summaries.get((result.case, L2_SECTORS))
    if sectors is None or sectors.low is None:
        state = "absent" if sectors is None else sectors.state
        sentence = f"cannot check that all required bytes were moved: {L2_SECTORS} is {spaced(state)}"
        return Reason(code=state, sentence=sentence)
    moved = sectors.low * _SECTOR_BYTES
    if moved >= workload.bytes:
        return None
    through, needed = scaled_apart(moved, workload.bytes, "byte")
    sentence = f"implausible: {through} went through L2, and the workload needs {needed}"
    return Reason(code="implausible", sentence=sentence)
