"""Verdicts: what a run's numbers say of its stages' targets.

Reason codes, each of one status:

========================= ============= ==========================================================================
code                      status        meaning
========================= ============= ==========================================================================
met                       pass          every sample is on the right side of the bound
missed                    fail          every sample is on the wrong side
regressed                 fail          every sample is worse than the baseline by more than the tolerance
waiver_expired            fail          missed or regressed, and the waiver that covered it has ended
wrong_result              fail          the output is not the reference's
waived                    waived        not met, and a waiver of problem.toml holds
foreign_kernel            fail          it launches kernels that are neither its own nor allowed by problem.toml
straddles                 undecided     samples lie on both sides of the bound
stale                     not_measured  what was measured is not what the tree holds now
crashed, timed_out,       not_measured  the case's outcome
skipped, not_profiled,
planned, measuring
implausible               not_measured  fewer bytes moved than are needed, or far faster than the roof
damaged_report            not_measured  the ncu report does not show the case as it was planned
no_case                   not_measured  the run has no case that the target could be judged by
no_target                 not_measured  no target of the stages is for the candidate
no_roof                   not_measured  the run has no measured roof to compare with
no_baseline               not_measured  no number is accepted that the metric could be held to
other_gpu,                not_measured  the baseline was measured under other conditions, or those of the run are
other_clock_control,                    not known
other_cache_control
stale_baseline            not_measured  the baseline was accepted of another reference, workload or roof
absent, no_value,         not_measured  the state of the metric's reading
not_finite, out_of_range
========================= ============= ==========================================================================

What is not measured stays so: a waiver covers what was measured and is not met, nothing else.
"""

from __future__ import annotations

from datetime import date

from msgspec.structs import replace

from stallgate.extract.evidence import Evidence
from stallgate.extract.table import Parts, Summaries, Summary
from stallgate.formatting import listed, number, shortened, spaced
from stallgate.judge.baselines import Gap, accepted_of
from stallgate.judge.bounds import Bound, around, asked, weigh
from stallgate.judge.soundness import doubts
from stallgate.model import (
    Case,
    CaseResult,
    FrozenStruct,
    KernelPart,
    Metric,
    Run,
    Stage,
    Status,
    Target,
    Verdict,
    Waiver,
)
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.load import Project
from stallgate.project.staleness import changes, stale_because


class Judgement(FrozenStruct, frozen=True):
    """Everything that the gate says of a run."""

    stages: list[str]
    verdicts: list[Verdict]
    notes: list[str]
    """What a reader has to know beside the verdicts."""

    @property
    def exit_status(self) -> int:
        """0: all pass, or do not count. 1: something fails. 3: something, or everything, could not be judged."""
        statuses = {verdict.status for verdict in self.verdicts if not verdict.warning}
        if "fail" in statuses:
            return 1
        return 0 if self.verdicts and statuses <= {"pass", "waived"} else 3


def judge(
    run: Run,
    project: Project,
    evidence: Evidence,
    summaries: Summaries,
    stage_names: list[str],
    *,
    parts: Parts,
    foreign: dict[Case, list[str]],
    today: date,
) -> Judgement:
    """Judges every candidate of a run; of an imported run, whose roles are unknown, every case.

    Args:
        run: the run.
        project: yardsticks as they stand now, and the code that the numbers have to be of.
        evidence: which cases have launches that can be relied on.
        summaries: their metrics.
        stage_names: stages to judge by; empty for those that each problem names.
        parts: the metrics of each kernel on its own.
        foreign: the kernels of each case that are neither its own nor allowed.
        today: the day by which waivers end, UTC.

    Raises:
        UnknownName: no such stage.
    """
    court = _Court(run, project, evidence, summaries, parts, foreign, today)
    verdicts: list[Verdict] = []
    judged_by: list[str] = []
    for problem in _problems(run):
        stages = project.with_included(stage_names or project.stages_of(problem))
        judged_by += [stage.name for stage in stages]
        found = [v for stage in stages for target in stage.targets for v in court.target(problem, stage, target)]
        verdicts += [*court.outcomes(problem), *court.untargeted(problem, found), *found]
    stages_once = list(dict.fromkeys(judged_by))
    return Judgement(stages=stages_once, verdicts=verdicts, notes=_notes(run, project, verdicts))


def _problems(run: Run) -> list[str]:
    return list(dict.fromkeys(result.case.problem for result in run.cases))


def _notes(run: Run, project: Project, verdicts: list[Verdict]) -> list[str]:
    notes = []
    if not verdicts:
        notes.append("nothing to judge: the run has no candidate, or no stage has a target for it")
    if run.kind == "imported":
        notes.append("imported: roles and workloads are unknown; absolute targets are judged on every case")
    notes += dict.fromkeys(
        f"{result.case.variant} is no candidate, and its numbers are shown all the same: {result.edge_case_fault}"
        for result in run.cases
        if result.edge_case_fault and result.role != "candidate"
    )
    if run.kind == "live" and not run.complete:
        notes.append("the run did not come to its end")
    return notes + [note for name in _problems(run) for note in _idle_waivers(name, project, verdicts)]


def _idle_waivers(problem: str, project: Project, verdicts: list[Verdict]) -> list[str]:
    """Waivers of targets that are met everywhere: nothing needs them any more."""
    notes = []
    for waiver in project.problems[problem].waivers if problem in project.problems else []:
        covered = [v for v in verdicts if v.problem == problem and _covers(waiver, v)]
        if covered and all(v.status == "pass" for v in covered):
            notes.append(
                f"{waiver.variant} meets {waiver.metric} of {waiver.stage}: take its waiver out of problem.toml"
            )
    return notes


def _covers(waiver: Waiver, verdict: Verdict) -> bool:
    """Whether a waiver is about what a verdict says."""
    here = (waiver.variant, waiver.stage, waiver.metric) == (verdict.variant, verdict.stage, verdict.metric)
    return here and (not waiver.workloads or verdict.workload in waiver.workloads)


class _Court:
    """A run with all that it takes to judge it."""

    def __init__(
        self,
        run: Run,
        project: Project,
        evidence: Evidence,
        summaries: Summaries,
        parts: Parts,
        foreign: dict[Case, list[str]],
        today: date,
    ) -> None:
        self._run = run
        self._project = project
        self._faults = evidence.faults
        self._summaries = summaries
        self._parts = parts
        self._today = today
        self._changed = changes(run, project)
        self._doubts = doubts(run, foreign, summaries)

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

    def untargeted(self, problem: str, verdicts: list[Verdict]) -> list[Verdict]:
        """A verdict for every candidate with numbers that no target is for: nothing was asked of it."""
        if self._run.kind == "imported":
            return []
        asked_of = {verdict.variant for verdict in verdicts}
        silent = {r.case.variant: r.case for r in self._usable(problem) if r.case.variant not in asked_of}
        return [
            _verdict(
                replace(case, workload=""), "not_measured", "no_target", f"no target of the stages is for {variant}"
            )
            for variant, case in silent.items()
        ]

    def _unusable(self, result: CaseResult) -> Verdict | None:
        """Why a case has no numbers to judge by; None where it has."""
        if result.case.problem in self._run.subjects and result.case.problem not in self._project.problems:
            sentence = f"measured when there was a problem {result.case.problem}; the project does not have it any more"
            return _verdict(result.case, "not_measured", "stale", sentence)
        stale = stale_because(result.case, self._changed)
        if stale:
            return _verdict(result.case, "not_measured", "stale", f"measured before {listed(stale)} changed")
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
        metric = target.metric
        if self._run.kind == "imported":
            relative = target.of is not None or target.tolerance is not None or metric.name == ROOF_FRACTION
            return [] if relative else [v for r in self._usable(problem) for v in self._on_case(stage, target, r)]
        candidates = [r for r in self._judged(problem) if not target.variants or r.case.variant in target.variants]
        usable = [r for r in candidates if self._unusable(r) is None and _in_scope(target, r.case)]
        verdicts = [verdict for result in usable for verdict in self._on_case(stage, target, result)]
        cases = [result.case for result in candidates]
        scope = [replace(case, workload=name) for case in cases for name in self._wanted(problem, target)]
        missing = [case for case in dict.fromkeys(scope) if case not in cases]
        return verdicts + [self._without_case(case, stage, target) for case in missing]

    def _wanted(self, problem: str, target: Target) -> list[str]:
        """The workloads that a target has to be judged on, whether the run has them or not.

        Of those that the target names, the ones that the problem has: stages are shared by problems. Where it names
        none, those of the problem's default plan. Where the problem has none of them: all, so that it shows.
        """
        if problem not in self._project.problems:
            return target.workloads
        known = self._project.problems[problem].workloads
        if not target.workloads:
            return [workload.name for workload in known.values() if workload.default]
        return [name for name in target.workloads if name in known] or target.workloads

    def _usable(self, problem: str) -> list[CaseResult]:
        return [result for result in self._judged(problem) if self._unusable(result) is None]

    def _without_case(self, case: Case, stage: Stage, target: Target) -> Verdict:
        draft = self._draft(case, stage, target)
        sentence = f"{draft.metric} is judged on {case.workload}, which the run does not have of {case.variant}"
        return replace(draft, reason="no_case", sentence=sentence)

    def _draft(self, case: Case, stage: Stage, target: Target, summary: Summary | None = None) -> Verdict:
        """What a verdict of a target on a case has, whatever it will say."""
        metric = target.metric
        comparison, bound, of_roof = asked(target)
        return replace(
            _verdict(case, "not_measured", "", ""),
            stage=stage.name,
            metric=metric.name,
            written_as=target.written_as,
            unit=metric.unit,
            comparison=comparison,
            bound=bound,
            of_roof=of_roof,
            tolerance=target.tolerance,
            ncu_name=summary.ncu_name if summary else None,
            value=summary.median if summary else None,
            low=summary.low if summary else None,
            high=summary.high if summary else None,
            samples=summary.samples if summary else 0,
        )

    def _on_case(self, stage: Stage, target: Target, result: CaseResult) -> list[Verdict]:
        """One target on one case that has numbers: one verdict, or one for each kernel."""
        metric = target.metric
        kernels = self._parts.get((result.case, metric.name), {})
        if target.scope == "call":
            judged: dict[str | None, Summary] = {None: self._summary(result.case, metric)}
            parts = _parts(kernels)
        else:
            judged = dict(kernels.items()) if kernels else {None: _absent(metric)}
            parts = []
        verdicts = []
        for kernel, summary in judged.items():
            draft = replace(self._draft(result.case, stage, target, summary), kernel=kernel, parts=parts)
            verdict = self._weighed(draft, target, result, metric, summary)
            verdicts.append(self._settled(self._explained(verdict, result, metric), stage))
        return verdicts

    def _weighed(self, draft: Verdict, target: Target, result: CaseResult, metric: Metric, summary: Summary) -> Verdict:
        if summary.median is None:
            sentence = f"{metric.name} is not measured: {summary.ncu_name} is {spaced(summary.state)}"
            return replace(draft, reason=summary.state, sentence=sentence)
        bound = self._bound(target, result, metric)
        if isinstance(bound, Gap):
            sentence = f"{metric.name} cannot be judged: {bound.sentence}"
            return replace(draft, reason=bound.reason, sentence=sentence)
        return weigh(draft, metric, summary, bound)

    def _explained(self, verdict: Verdict, result: CaseResult, metric: Metric) -> Verdict:
        """A verdict that says what holds a number down, and what each kernel of the call shows."""
        more = ""
        if verdict.status in ("fail", "undecided") and metric.limiters:
            more += self._limited(result.case, metric)
        if verdict.parts:
            more += f"; its kernels: {_in_words(verdict.parts)}"
        return replace(verdict, sentence=verdict.sentence + more)

    def _limited(self, case: Case, metric: Metric) -> str:
        """The smallest of the limits that hold a metric down, by name."""
        medians = {name: self._summary(case, self._metric(name)).median for name in metric.limiters}
        known = {name: value for name, value in medians.items() if value is not None}
        if not known:
            return "; what limits it is not measured"
        least = min(known.values())
        words = [metric.limiters[name] for name, value in known.items() if value == least]
        return f"; limited by {listed(words)}"

    # --- what bounds are made of ---

    def _bound(self, target: Target, result: CaseResult, metric: Metric) -> Bound | Gap:
        if target.bound is None:
            accepted = accepted_of(self._project, self._run, result, metric)
            return accepted if isinstance(accepted, Gap) else around(accepted, target.tolerance or 0.0, metric)
        comparison, value = target.bound
        if target.of is None and metric.name != ROOF_FRACTION:
            return Bound(comparison=comparison, value=value)
        roof = self._roof(result.case, metric)
        if roof is None:
            return Gap("no_roof", "the run has no roof to rely on")
        if target.of is None:
            return Bound(comparison=comparison, value=value)
        return Bound(comparison=comparison, value=value * roof, of_roof=value)

    def _roof(self, case: Case, metric: Metric) -> float | None:
        """The median of a metric of the fastest roof on the same workload that can be relied on."""
        roofs = [
            result.case
            for result in self._run.cases
            if (result.case.problem, result.case.workload) == (case.problem, case.workload)
            and result.role == "roof"
            and self._unusable(result) is None
        ]
        durations = {roof: self._summary(roof, self._metric("duration")).median for roof in roofs}
        timed = {roof: value for roof, value in durations.items() if value is not None}
        return self._summary(min(timed, key=lambda roof: timed[roof]), metric).median if timed else None

    def _metric(self, name: str) -> Metric:
        return self._project.catalogue.metrics[name]

    def _summary(self, case: Case, metric: Metric) -> Summary:
        """A metric of a case; absent where no launch has what it is computed from."""
        return self._summaries.get((case, metric.name)) or _absent(metric)

    # --- what a missed target may still do ---

    def _settled(self, verdict: Verdict, stage: Stage) -> Verdict:
        """A verdict with what its stage and the problem's waivers say of it; what is not measured stays so."""
        if verdict.status not in ("fail", "undecided"):
            return verdict
        waiver = self._waiver(verdict)
        if waiver is not None and self._today <= waiver.until:
            sentence = f"{verdict.sentence}; waived until {waiver.until}: {waiver.reason}"
            return replace(verdict, status="waived", reason="waived", sentence=sentence, waiver=waiver)
        if waiver is not None:
            sentence = f"{verdict.sentence}; its waiver ended on {waiver.until}: {waiver.reason}"
            reason = "waiver_expired" if verdict.status == "fail" else verdict.reason
            verdict = replace(verdict, reason=reason, sentence=sentence, waiver=waiver)
        if verdict.status == "undecided" and stage.undecided == "warn":
            return replace(verdict, warning=True, sentence=f"{verdict.sentence}; {stage.name} takes this as a warning")
        return verdict

    def _waiver(self, verdict: Verdict) -> Waiver | None:
        """The waiver of what a verdict is about; of several, the one that holds longest."""
        problem = self._project.problems.get(verdict.problem)
        covering = [waiver for waiver in (problem.waivers if problem is not None else []) if _covers(waiver, verdict)]
        return max(covering, key=lambda waiver: waiver.until, default=None)


# --- small things -----------------------------------------------------------------------------------------------------


def _in_scope(target: Target, case: Case) -> bool:
    return not target.workloads or case.workload in target.workloads


def _by_default(case: Case) -> bool:
    return case.configuration == "default"


def _absent(metric: Metric) -> Summary:
    name = metric.formula or metric.name
    return Summary(state="absent", median=None, low=None, high=None, samples=0, ncu_name=name)


MOST_PARTS = 4
"""Kernels of a call that a sentence names; the verdict has all."""

LONGEST_KERNEL = 60
"""Characters of a kernel's name in a sentence: a template's has hundreds."""


def _in_words(parts: list[KernelPart]) -> str:
    shown = [
        f"{shortened(part.kernel, LONGEST_KERNEL)} {number(part.value) if part.value is not None else '–'}"
        for part in parts[:MOST_PARTS]
    ]
    return ", ".join(shown) + (f" and {len(parts) - MOST_PARTS} more" if len(parts) > MOST_PARTS else "")


def _parts(kernels: dict[str, Summary]) -> list[KernelPart]:
    """What each kernel shows, where there are several."""
    if len(kernels) < 2:
        return []
    return [KernelPart(kernel=kernel, value=summary.median) for kernel, summary in kernels.items()]


def _verdict(case: Case, status: Status, reason: str, sentence: str) -> Verdict:
    """A verdict of a case that no target has to do with."""
    return Verdict(
        status=status,
        reason=reason,
        sentence=sentence,
        stage=None,
        problem=case.problem,
        variant=case.variant,
        configuration=case.configuration,
        workload=case.workload,
    )
