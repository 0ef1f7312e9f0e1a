"""Verdicts: what a run's numbers say of its stages' targets.

Reason codes, each of one status:

========================= ============= ==========================================================================
code                      status        meaning
========================= ============= ==========================================================================
met                       pass          every sample is on the right side of the bound
missed                    fail          every sample is on the wrong side
wrong_result              fail          the output is not the reference's
foreign_kernel            fail          it launches kernels that are neither its own nor allowed by problem.toml
straddles                 undecided     samples lie on both sides of the bound
stale                     not_measured  what was measured is not what the tree holds now
crashed, timed_out,       not_measured  the case's outcome
skipped, not_profiled,
planned, measuring
implausible               not_measured  fewer bytes moved than are needed, or far faster than the roof
damaged_report            not_measured  the ncu report does not show the case as it was planned
no_case                   not_measured  the run has no case that the target could be judged by
no_roof                   not_measured  the run has no measured roof to compare with
absent, no_value,         not_measured  the state of the metric's reading
not_finite, out_of_range
========================= ============= ==========================================================================
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from msgspec.structs import replace

from harness.catalogue import ROOF_FRACTION, resolve
from harness.extract.evidence import Evidence
from harness.model import (
    Case,
    CaseResult,
    Comparison,
    Metric,
    Noun,
    Run,
    Stage,
    Status,
    Target,
    Verdict,
)
from harness.project.tree import Project
from harness.soundness import doubts
from harness.staleness import changes, stale_because
from harness.table import Summaries, Summary
from harness.words import listed, number, quantity, spaced

HOLDS: dict[Comparison, Callable[[float, float], bool]] = {
    "at_least": operator.ge,
    "at_most": operator.le,
    "above": operator.gt,
    "below": operator.lt,
}

WORDS: dict[Comparison, str] = {
    "at_least": "at least",
    "at_most": "at most",
    "above": "above",
    "below": "below",
}


class Judgement(Noun, frozen=True):
    """Everything that the gate says of a run."""

    stages: list[str]
    verdicts: list[Verdict]
    notes: list[str]
    """What a reader has to know beside the verdicts."""

    @property
    def exit_status(self) -> int:
        """0: all pass. 1: something fails. 3: something, or everything, could not be judged."""
        statuses = {verdict.status for verdict in self.verdicts}
        if "fail" in statuses:
            return 1
        return 0 if statuses == {"pass"} else 3


def judge(run: Run, project: Project, evidence: Evidence, summaries: Summaries, stage_names: list[str]) -> Judgement:
    """Judges every candidate of a run; of an imported run, whose roles are unknown, every case.

    Args:
        run: the run.
        project: yardsticks as they stand now, and the code that the numbers have to be of.
        evidence: which cases have launches that can be relied on.
        summaries: their metrics.
        stage_names: stages to judge by; empty for those that each problem names.

    Raises:
        UnknownName: no such stage.
    """
    court = _Court(run, project, evidence, summaries)
    verdicts: list[Verdict] = []
    judged_by: list[str] = []
    for problem in _problems(run):
        names = stage_names or _stages_of(problem, project)
        stages = [project.stage(name) for name in names]
        judged_by += names
        verdicts += court.outcomes(problem)
        verdicts += [v for stage in stages for target in stage.targets for v in court.target(problem, stage, target)]
    return Judgement(stages=list(dict.fromkeys(judged_by)), verdicts=verdicts, notes=_notes(run, verdicts))


def _problems(run: Run) -> list[str]:
    return list(dict.fromkeys(result.case.problem for result in run.cases))


def _stages_of(problem: str, project: Project) -> list[str]:
    return project.problems[problem].stages if problem in project.problems else list(project.stages)


def _notes(run: Run, verdicts: list[Verdict]) -> list[str]:
    notes = []
    if not verdicts:
        notes.append("nothing to judge: the run has no candidate, or no stage has a target for it")
    if run.kind == "imported":
        notes.append("imported: roles and workloads are unknown; absolute targets are judged on every case")
    notes += [
        f"{result.case.variant} is no candidate, and its numbers are shown all the same: {result.strays}"
        for result in run.cases
        if result.strays and result.role != "candidate"
    ]
    if run.kind == "live" and not run.complete:
        notes.append("the run did not come to its end")
    return notes


class _Court:
    """A run with all that it takes to judge it."""

    def __init__(self, run: Run, project: Project, evidence: Evidence, summaries: Summaries) -> None:
        self._run = run
        self._project = project
        self._faults = evidence.faults
        self._summaries = summaries
        self._changed = changes(run, project)
        self._doubts = doubts(run, project, evidence, summaries)

    # --- which cases ---

    def _judged(self, problem: str) -> list[CaseResult]:
        """The cases that the gate looks at: candidates as they are called by default; all of an imported run."""
        return [
            result
            for result in self._run.cases
            if result.case.problem == problem
            and (result.role == "unknown" or (result.role == "candidate" and _by_default(result.case)))
        ]

    # --- whether a case can be judged ---

    def outcomes(self, problem: str) -> list[Verdict]:
        """A verdict for every case that has no numbers to judge by."""
        verdicts = [self._unusable(result) for result in self._judged(problem)]
        return [verdict for verdict in verdicts if verdict is not None] + self._lacking(problem)

    def _lacking(self, problem: str) -> list[Verdict]:
        """A verdict for every candidate of the tree that the run has no case of: it is not left out of a gate."""
        if self._run.kind == "imported" or problem not in self._project.problems:
            return []
        judged = {result.case.variant for result in self._judged(problem)}
        variants = self._project.problems[problem].variants.values()
        return [
            _verdict(
                Case(problem=problem, variant=variant.name, configuration="default", workload=""),
                "not_measured",
                "no_case",
                f"{variant.name} is a candidate, and the run has no case of it",
            )
            for variant in variants
            if variant.role == "candidate" and variant.name not in judged
        ]

    def _unusable(self, result: CaseResult) -> Verdict | None:
        """Why a case has no numbers to judge by; None where it has."""
        if result.case.problem in self._run.subjects and result.case.problem not in self._project.problems:
            sentence = f"measured when there was a problem {result.case.problem}; the project does not have it any more"
            return _verdict(result.case, "not_measured", "stale", sentence)
        stale = stale_because(result.case, self._changed)
        if stale:
            sentence = f"measured before {listed(stale)} changed"
            return _verdict(result.case, "not_measured", "stale", sentence)
        if result.outcome == "wrong_result":
            return _verdict(result.case, "fail", "wrong_result", f"wrong result: {result.reason}")
        if result.outcome != "profiled":
            reason = result.reason or "the run ended before it"
            return _verdict(result.case, "not_measured", result.outcome, f"{spaced(result.outcome)}: {reason}")
        if result.case.name in self._faults:
            return _verdict(result.case, "not_measured", "damaged_report", self._faults[result.case.name])
        doubt = self._doubts.get(result.case)
        return _verdict(result.case, doubt.status, doubt.reason, doubt.sentence) if doubt is not None else None

    # --- targets ---

    def target(self, problem: str, stage: Stage, target: Target) -> list[Verdict]:
        """The verdicts of one target on every case that it is for."""
        if self._run.kind == "imported":
            by_roof = target.of == "roof" or resolve(self._project.catalogue, target.metric).name == ROOF_FRACTION
            return [] if by_roof else [self._on_case(stage, target, result) for result in self._usable(problem)]
        verdicts = [
            self._on_case(stage, target, result) for result in self._usable(problem) if _in_scope(target, result.case)
        ]
        judged = [result.case for result in self._judged(problem)]
        scope = [replace(case, workload=name) for case in judged for name in target.workloads]
        missing = [case for case in dict.fromkeys(scope) if case not in judged]
        return verdicts + [self._without_case(case, stage, target) for case in missing]

    def _usable(self, problem: str) -> list[CaseResult]:
        return [result for result in self._judged(problem) if self._unusable(result) is None]

    def _without_case(self, case: Case, stage: Stage, target: Target) -> Verdict:
        metric = resolve(self._project.catalogue, target.metric)
        sentence = f"{metric.name} is judged on {case.workload}, which the run does not have of {case.variant}"
        return _verdict(case, "not_measured", "no_case", sentence, stage, target, metric)

    def _on_case(self, stage: Stage, target: Target, result: CaseResult) -> Verdict:
        """One target on one case that has numbers."""
        metric = resolve(self._project.catalogue, target.metric)
        summary = self._summary(result.case, metric)
        draft = _verdict(result.case, "not_measured", summary.state, "", stage, target, metric, summary)
        if summary.median is None:
            sentence = f"{metric.name} is not measured: {summary.ncu_name} is {spaced(summary.state)}"
            return replace(draft, sentence=sentence)
        comparison, bound = target.bound
        if target.of == "roof" or metric.name == ROOF_FRACTION:
            roof = self._roof(result.case, metric)
            if roof is None:
                sentence = f"{metric.name} is judged by the roof, and the run has no roof to rely on"
                return replace(draft, reason="no_roof", sentence=sentence)
            if target.of == "roof":
                draft = replace(draft, of_roof=bound, bound=bound * roof)
                bound *= roof
        return _weigh(draft, metric, summary, comparison, bound)

    def _roof(self, case: Case, metric: Metric) -> float | None:
        """The median of a metric of the fastest roof on the same workload that can be relied on."""
        roofs = [
            result.case
            for result in self._run.cases
            if (result.case.problem, result.case.workload) == (case.problem, case.workload)
            and result.role == "roof"
            and self._unusable(result) is None
        ]
        durations = {roof: self._summary(roof, self._project.catalogue.metrics["duration"]).median for roof in roofs}
        timed = {roof: value for roof, value in durations.items() if value is not None}
        return self._summary(min(timed, key=lambda roof: timed[roof]), metric).median if timed else None

    def _summary(self, case: Case, metric: Metric) -> Summary:
        """A metric of a case; absent where no launch has what it is computed from."""
        if (case, metric.name) in self._summaries:
            return self._summaries[case, metric.name]
        name = metric.formula or metric.name
        return Summary(state="absent", median=None, low=None, high=None, samples=0, ncu_name=name)


def _weigh(draft: Verdict, metric: Metric, summary: Summary, comparison: Comparison, bound: float) -> Verdict:
    """Median and spread against a bound."""
    assert summary.median is not None
    assert summary.low is not None
    assert summary.high is not None
    holds = [HOLDS[comparison](value, bound) for value in (summary.low, summary.median, summary.high)]
    status: Status = "pass" if all(holds) else "undecided" if any(holds) else "fail"
    reason = {"pass": "met", "fail": "missed", "undecided": "straddles"}[status]
    value, limit = quantity(summary.median, metric.unit), quantity(bound, metric.unit)
    share = f" ({draft.of_roof:g} of the roof's)" if draft.of_roof is not None else ""
    sentence = f"{metric.name} is {value}; wanted {WORDS[comparison]} {limit}{share}"
    if status == "undecided":
        sentence += f"; its samples reach from {number(summary.low)} to {number(summary.high)}"
    return replace(draft, status=status, reason=reason, sentence=sentence)


# --- small things -----------------------------------------------------------------------------------------------------


def _in_scope(target: Target, case: Case) -> bool:
    return not target.workloads or case.workload in target.workloads


def _by_default(case: Case) -> bool:
    return case.configuration == "default"


def _verdict(
    case: Case,
    status: Status,
    reason: str,
    sentence: str,
    stage: Stage | None = None,
    target: Target | None = None,
    metric: Metric | None = None,
    summary: Summary | None = None,
) -> Verdict:
    comparison, bound = target.bound if target is not None else (None, None)
    return Verdict(
        status=status,
        reason=reason,
        sentence=sentence,
        stage=stage.name if stage else None,
        problem=case.problem,
        variant=case.variant,
        configuration=case.configuration,
        workload=case.workload,
        metric=metric.name if metric else None,
        written_as=target.metric if target and metric and target.metric != metric.name else None,
        ncu_name=summary.ncu_name if summary else None,
        unit=metric.unit if metric else None,
        comparison=comparison,
        bound=bound,
        value=summary.median if summary else None,
        low=summary.low if summary else None,
        high=summary.high if summary else None,
        samples=summary.samples if summary else 0,
    )
