"""Verdicts on the targets of a run's stages. ``reasons.py`` lists their reason codes.

A waiver, or a target's own ``unless``, covers a target that was measured and is not met; what is not measured stays so.
"""

from __future__ import annotations

from datetime import date
from itertools import chain
from typing import Literal

from msgspec.structs import replace

from stallgate.extract.read_run import ReadRun
from stallgate.extract.table import Summary
from stallgate.formatting import listed, quantity, scaled_apart, shortened, spaced
from stallgate.judge.baselines import accepted_of
from stallgate.judge.bounds import Bound, around, excuse_of, excused, no_slower, noted, terms_of, weigh
from stallgate.judge.reasons import GREEN, STATUS_OF_REASON, is_gated
from stallgate.judge.roof import Roof, Roofs, distance_from_roof, find_roofs, too_fast, unproven
from stallgate.judge.soundness import unsound_cases
from stallgate.model import (
    Case,
    CaseResult,
    Excuse,
    FrozenStruct,
    KernelPart,
    Metric,
    Reason,
    Run,
    Stage,
    Target,
    Verdict,
    Waiver,
)
from stallgate.project.catalogue import DURATION, ROOF_FRACTION
from stallgate.project.load import Project
from stallgate.project.staleness import derived_bytes, written_workload

ExitStatus = Literal[0, 1, 3]
"""Of the gate, where it judges."""

Targets = Literal["all", "absolute"]
"""The targets that are judged. absolute: only those that need neither a roof nor a baseline."""


class Uncollected(FrozenStruct, frozen=True):
    """What a stage needs and ncu reports made elsewhere do not have, and the ncu command line that collects it."""

    stage: str
    metrics: list[str]
    """Short names."""
    command: list[str]
    """``PROGRAM`` stands for the program and its arguments, where the run does not know them."""


class AbleStages(FrozenStruct, frozen=True):
    """The stages of a project that can judge an imported run."""

    whole: list[str] = []
    """As they are meant: nothing that they ask needs a roof, a baseline or a workload."""
    part: list[str] = []
    """By those of their targets that need none of these."""


class Judgement(FrozenStruct, frozen=True):
    """The gate's answer for a run."""

    stages: list[str]
    verdicts: list[Verdict]
    notes: list[str]
    """Remarks for the reader of the verdicts."""
    targets: Targets = "all"
    stages_by_problem: dict[str, list[str]] = {}
    uncollected: list[Uncollected] = []
    """Of an imported run."""
    able: AbleStages = AbleStages()
    """Of an imported run."""
    is_asked: bool = True
    """False for an imported run that no stage is for: it has no verdict."""

    @property
    def exit_status(self) -> ExitStatus | None:
        """0: all pass, or do not count. 1: something fails. 3: something, or everything, could not be judged.

        None where nothing is asked of the run.
        """
        if not self.is_asked:
            return None
        statuses = {verdict.status for verdict in self.verdicts if not verdict.warning}
        if "fail" in statuses:
            return 1
        return 0 if self.verdicts and statuses <= GREEN else 3


class Grounds(FrozenStruct, frozen=True):
    """A run with everything that its verdicts depend on."""

    read: ReadRun
    project: Project
    unsound: dict[Case, Reason]
    """Case -> why its numbers cannot be judged."""
    roofs: Roofs
    today: date
    """The day by which waivers end, UTC."""
    targets: Targets

    @property
    def run(self) -> Run:
        return self.read.run


def grounds_of(read: ReadRun, project: Project, today: date, targets: Targets) -> Grounds:
    """Finds the sound cases of a run and its roofs.

    Args:
        read: the run.
        project: yardsticks as they stand now, and the code that the numbers have to be of.
        today: the day by which waivers end, UTC.
        targets: which targets are judged.
    """
    unsound = unsound_cases(read, project)
    roofs = find_roofs(read, project, unsound)
    for result in read.run.cases:
        reason = too_fast(read, roofs, result) if result.role == "candidate" else None
        if reason is not None:
            unsound.setdefault(result.case, reason)
    return Grounds(read=read, project=project, unsound=unsound, roofs=roofs, today=today, targets=targets)


def judge_targets(grounds: Grounds, stage_names: list[str]) -> Judgement:
    """Judges every candidate of a run that was measured here. ``imports.py`` judges imported ones.

    Args:
        grounds: the run with everything that its verdicts depend on.
        stage_names: stages to judge by; empty for those that each problem names.

    Raises:
        UnknownName: no such stage.
    """
    verdicts: list[Verdict] = []
    judged_by: dict[str, list[str]] = {}
    left_out = 0
    for problem in _problems(grounds.run):
        stages = grounds.project.with_included(stage_names or grounds.project.stages_of(problem))
        judged_by[problem] = [stage.name for stage in stages]
        asked = [(stage, target) for stage in stages for target in stage.targets]
        wanted = [(stage, target) for stage, target in asked if grounds.targets == "all" or is_absolute(target)]
        left_out += len(asked) - len(wanted)
        found = [verdict for stage, target in wanted for verdict in _on_target(grounds, problem, stage, target)]
        idle = _idle_stages(grounds, problem, list(dict.fromkeys(stage.name for stage, _ in wanted)))
        silent = _untargeted(grounds, problem, [*idle, *found], wanted)
        verdicts += [*_without_numbers(grounds, problem), *silent, *idle, *found]
    notes = _notes(grounds, verdicts, left_out)
    stages_once = list(dict.fromkeys(chain.from_iterable(judged_by.values())))
    return Judgement(
        stages=stages_once, verdicts=verdicts, notes=notes, targets=grounds.targets, stages_by_problem=judged_by
    )


def _problems(run: Run) -> list[str]:
    """The problems that a run was made for, also one whose cases are missing."""
    return list(dict.fromkeys([*(result.case.problem for result in run.cases), *run.subjects]))


def is_absolute(target: Target) -> bool:
    """Whether a target needs neither a roof nor a baseline."""
    return target.of is None and target.bound is not None and target.metric.name != ROOF_FRACTION


# --- notes ------------------------------------------------------------------------------------------------------------


def _notes(grounds: Grounds, verdicts: list[Verdict], left_out: int) -> list[str]:
    run = grounds.run
    notes = []
    if not verdicts:
        notes.append("nothing to judge: the run has no candidate, or no stage has a target for it")
    if grounds.targets == "absolute":
        notes.append(only_absolute(left_out))
    notes += dict.fromkeys(note for result in run.cases if (note := _wrong_and_shown(result)))
    notes += dict.fromkeys(note for result in run.cases if (note := _other_bytes(grounds, result.case)))
    notes += [note for name in _problems(run) if (note := _not_asked(grounds, name))]
    if run.kind == "live" and not run.complete:
        notes.append("the run did not come to its end")
    return notes + [note for name in _problems(run) for note in _idle_waivers(name, grounds.project, verdicts)]


def _wrong_and_shown(result: CaseResult) -> str:
    """A note on a case that is not gated and wrong, or ''. A baseline without numbers is named beside its workload."""
    if is_gated(result):
        return ""
    name = result.case.display_name
    if result.edge_case_fault:
        return f"{name} is not gated; its numbers are shown although it is wrong: {result.edge_case_fault}"
    if result.outcome == "wrong_result" and result.role == "candidate":
        return f"{name} on {result.case.workload} is not gated, and its result is wrong: {result.reason}"
    return ""


def _not_asked(grounds: Grounds, problem: str) -> str:
    """What a run leaves out by request of what the gate looks at, in one line, or ''."""
    known, asked = grounds.project.problems.get(problem), grounds.run.selection
    if known is None:
        return ""
    candidates = [variant.name for variant in known.variants.values() if variant.role == "candidate"]
    variants = [name for name in candidates if not asked.has_variant(problem, name)]
    stages = grounds.project.with_included(grounds.project.stages_of(problem))
    judged = dict.fromkeys(load for stage in stages for load in grounds.project.judged_workloads(problem, stage.name))
    loads = [name for name in judged if not asked.has_workload(name)]
    parts = [listed(variants)] * bool(variants) + [f"workload{'s' * (len(loads) != 1)} {listed(loads)}"] * bool(loads)
    return f"not part of this run of {problem}, by request: {'; '.join(parts)}" if parts else ""


def only_absolute(left_out: int) -> str:
    """The note on ``--targets absolute``."""
    targets = f"{left_out} target{'s' * (left_out != 1)}"
    return f"judged by absolute targets only: {targets} that need a roof or a baseline were left out"


_LARGEST_DIFFERENCE = 0.01
"""Between the bytes that a file says and those of the inputs and outputs, relative to the latter."""


def _other_bytes(grounds: Grounds, case: Case) -> str:
    """A note where a workload is said to need other bytes than its inputs and outputs have, or ''."""
    load = written_workload(grounds.run, grounds.project, case)
    derived = derived_bytes(grounds.run, case)
    if load is None or load.bytes is None or derived is None:
        return ""
    if abs(load.bytes - derived) <= _LARGEST_DIFFERENCE * derived:
        return ""
    problem = grounds.project.problems.get(case.problem)
    file = problem.file if problem is not None else "problem.toml"
    needed, found = scaled_apart(load.bytes, derived, "byte")
    said = f"{file} says that it needs {needed}"
    return f"{case.problem}/{case.workload}: {said}, and its inputs and outputs have {found}"


def _idle_waivers(problem: str, project: Project, verdicts: list[Verdict]) -> list[str]:
    """A note for each waiver of a target that is met everywhere."""
    notes = []
    for waiver in project.problems[problem].waivers if problem in project.problems else []:
        covered = [v for v in verdicts if v.problem == problem and _covers(waiver, v)]
        statuses = {verdict.status for verdict in covered}
        if statuses and statuses <= {"pass", "excused"}:
            met = "meets" if statuses == {"pass"} else "meets or is excused from"
            said = f"{waiver.variant} {met} {waiver.metric} of {waiver.stage}"
            notes.append(f"{said}: take its waiver out of problem.toml")
    return notes


def _covers(waiver: Waiver, verdict: Verdict) -> bool:
    """Whether a waiver is for the target and case of a verdict."""
    here = (waiver.variant, waiver.stage, waiver.metric) == (verdict.variant, verdict.stage, verdict.metric)
    return here and (not waiver.workloads or verdict.workload in waiver.workloads)


# --- which cases are judged -------------------------------------------------------------------------------------------


def _judged(grounds: Grounds, problem: str) -> list[CaseResult]:
    """The cases that the gate looks at."""
    return [result for result in grounds.run.cases if result.case.problem == problem and is_gated(result)]


def _usable(grounds: Grounds, problem: str) -> list[CaseResult]:
    return [result for result in _judged(grounds, problem) if result.case not in grounds.unsound]


def _without_numbers(grounds: Grounds, problem: str) -> list[Verdict]:
    """Verdicts without a target: on cases whose numbers cannot be judged, and on candidates without a case."""
    judged = _judged(grounds, problem)
    found = [verdict_of(r.case, grounds.unsound[r.case]) for r in judged if r.case in grounds.unsound]
    return found + _unproven(grounds, problem) + _missing(grounds, problem)


def _unproven(grounds: Grounds, problem: str) -> list[Verdict]:
    """A verdict for every candidate that may be faster than the hardware: its roof is not known."""
    usable = _usable(grounds, problem)
    reasons = [(result.case, unproven(grounds.read, grounds.roofs, result)) for result in usable]
    return [verdict_of(case, reason) for case, reason in reasons if reason is not None]


def _missing(grounds: Grounds, problem: str) -> list[Verdict]:
    """A verdict for every candidate that the run should have a case of and has not: the gate cannot overlook it."""
    if problem not in grounds.project.problems:
        return []
    judged = {result.case.variant for result in _judged(grounds, problem)}
    variants = grounds.project.problems[problem].variants.values()
    return [
        verdict_of(
            Case(problem=problem, variant=variant.name, configuration="default", workload=""),
            Reason(code="no_case", sentence="this candidate was not measured in this run"),
        )
        for variant in variants
        if variant.role == "candidate"
        and variant.name not in judged
        and grounds.run.selection.has_variant(problem, variant.name)
    ]


def _untargeted(
    grounds: Grounds, problem: str, verdicts: list[Verdict], wanted: list[tuple[Stage, Target]]
) -> list[Verdict]:
    """A verdict for every candidate with numbers that no target is for; not where its judged case has none."""
    asked_of = {verdict.variant for verdict in verdicts}
    for result in _judged(grounds, problem):
        if result.case in grounds.unsound and any(_is_for(grounds, result, *each) for each in wanted):
            asked_of.add(result.case.variant)
    silent = {r.case.variant: r.case for r in _usable(grounds, problem) if r.case.variant not in asked_of}
    return [
        verdict_of(
            replace(case, workload=""),
            Reason(code="no_target", sentence=f"no target applies to {variant}"),
        )
        for variant, case in silent.items()
    ]


def _is_for(grounds: Grounds, result: CaseResult, stage: Stage, target: Target) -> bool:
    """Whether a target of a stage is for a case."""
    is_named = not target.variants or result.case.variant in target.variants
    return is_named and result.case.workload in _judged_workloads(grounds, result.case.problem, stage)


def _idle_stages(grounds: Grounds, problem: str, stages: list[str]) -> list[Verdict]:
    """A verdict for every candidate and every stage that judges no workload of the problem."""
    if problem not in grounds.project.problems:
        return []
    idle = [name for name in stages if not grounds.project.judged_workloads(problem, name)]
    cases = {result.case.variant: result.case for result in _usable(grounds, problem)}
    return [
        replace(
            verdict_of(
                replace(case, workload=""),
                Reason(
                    code="no_target",
                    sentence=f"{name} judges no workload of {problem}: mark one with `judged` in problem.toml",
                ),
            ),
            stage=name,
        )
        for name in idle
        for case in cases.values()
    ]


# --- targets ----------------------------------------------------------------------------------------------------------


def _on_target(grounds: Grounds, problem: str, stage: Stage, target: Target) -> list[Verdict]:
    """The verdicts of one target on every case that it is for."""
    mine = [r for r in _judged(grounds, problem) if not target.variants or r.case.variant in target.variants]
    workloads = _judged_workloads(grounds, problem, stage)
    usable = [r for r in mine if r.case.workload in workloads and r.case not in grounds.unsound]
    verdicts = [verdict for result in usable for verdict in judge_case(grounds, stage, target, result)]
    cases = [result.case for result in mine]
    asked = [name for name in workloads if grounds.run.selection.has_workload(name)]
    wanted = [replace(case, workload=name) for case in cases for name in asked]
    missing = [case for case in dict.fromkeys(wanted) if case not in cases]
    return verdicts + [_without_case(case, stage, target) for case in missing]


def _judged_workloads(grounds: Grounds, problem: str, stage: Stage) -> list[str]:
    """The workloads that a stage judges, whether the run has them or not.

    None of a problem that the project no longer has: its cases are stale.
    """
    known = problem in grounds.project.problems
    return grounds.project.judged_workloads(problem, stage.name) if known else []


def _without_case(case: Case, stage: Stage, target: Target) -> Verdict:
    sentence = f"{target.metric.name} needs {case.variant} on {case.workload}, which this run did not measure"
    return _unjudged(_draft(case, stage, target), Reason(code="no_case", sentence=sentence))


def _draft(case: Case, stage: Stage, target: Target) -> Verdict:
    """A verdict of a target on a case, without its answer."""
    comparison, bound, of_roof = terms_of(target)
    return replace(
        verdict_of(case, Reason(code="absent", sentence="")),
        stage=stage.name,
        metric=target.metric.name,
        written_as=target.written_as,
        unit=target.metric.unit,
        comparison=comparison,
        bound=bound,
        of_roof=of_roof,
        tolerance=target.tolerance,
        tolerance_points=target.tolerance_points,
    )


def judge_case(grounds: Grounds, stage: Stage, target: Target, result: CaseResult) -> list[Verdict]:
    """One target on one case that has numbers: one verdict, or one for each kernel."""
    draft = _draft(result.case, stage, target)
    kernels = grounds.read.parts.get((result.case, target.metric.name), {})
    if target.scope == "call":
        drafts = [(replace(draft, parts=_parts(kernels)), _summary(grounds, result.case, target.metric))]
    elif kernels:
        drafts = [(replace(draft, kernel=kernel), summary) for kernel, summary in kernels.items()]
    else:
        drafts = [(draft, _absent(target.metric))]
    weighed = [_weighed(grounds, found, target, result, summary) for found, summary in drafts]
    return [_settled(grounds, _explained(grounds, verdict, target.metric), stage, target) for verdict in weighed]


def _weighed(grounds: Grounds, draft: Verdict, target: Target, result: CaseResult, summary: Summary) -> Verdict:
    """The verdict of a target by a case's numbers, or why there is none."""
    draft = replace(
        draft,
        ncu_name=summary.ncu_name,
        value=summary.median,
        low=summary.low,
        high=summary.high,
        samples=summary.samples,
    )
    name = target.metric.name
    bound = _bound(grounds, target, result)
    if summary.median is None and not (isinstance(bound, Reason) and name == ROOF_FRACTION):
        sentence = f"{name} is not measured: {summary.ncu_name} is {spaced(summary.state)}"
        return _unjudged(draft, Reason(code=summary.state, sentence=sentence))
    if isinstance(bound, Reason):
        return _unjudged(draft, replace(bound, sentence=f"{name} cannot be judged: {bound.sentence}"))
    return weigh(draft, target.metric, summary, bound)


def _explained(grounds: Grounds, verdict: Verdict, metric: Metric) -> Verdict:
    """Adds to a verdict's sentence what limits the metric, that a library is beaten, and each kernel's value."""
    case = Case(verdict.problem, verdict.variant, verdict.configuration, verdict.workload)
    more = ""
    if verdict.status in ("fail", "undecided") and metric.limiters:
        more += f"; {_limited(grounds, case, metric)}"
    roof = grounds.roofs[case.problem, case.workload].deciding
    if metric.name == ROOF_FRACTION and isinstance(roof, Roof) and roof.ceiling == "library" and verdict.value:
        more += f"; {distance_from_roof(verdict.value, roof)}"
    if verdict.parts:
        more += f"; its kernels: {_in_words(verdict.parts, verdict.unit or '')}"
    return replace(verdict, sentence=verdict.sentence + more)


_POSSIBLE, _FULL = "theoretical_occupancy", 100.0
"""The occupancy that the resources of a kernel allow, in per cent."""


def _limited(grounds: Grounds, case: Case, metric: Metric) -> str:
    """The smallest of the limits that hold a metric down, by name; none holds down what could be full."""
    metrics = grounds.project.catalogue.metrics
    possible = _summary(grounds, case, metrics[_POSSIBLE]).median if _POSSIBLE in metrics else None
    if possible is not None and possible >= _FULL:
        return "its resources do not limit it"
    medians = {name: _summary(grounds, case, metrics[name]).median for name in metric.limiters}
    known = {name: value for name, value in medians.items() if value is not None}
    if not known:
        return "what limits it is not measured"
    least = min(known.values())
    return f"limited by {listed([metric.limiters[name] for name, value in known.items() if value == least])}"


# --- bounds -----------------------------------------------------------------------------------------------------------


def _bound(grounds: Grounds, target: Target, result: CaseResult) -> Bound | Reason:
    """The bound of a target for a case, or why there is none."""
    if target.bound is None:
        accepted = accepted_of(grounds.project, grounds.run, result, target.metric)
        return accepted if isinstance(accepted, Reason) else around(accepted, target)
    comparison, value = target.bound
    if target.of is None and target.metric.name != ROOF_FRACTION:
        return Bound(comparison=comparison, value=value)
    roof = grounds.roofs[result.case.problem, result.case.workload].deciding
    if isinstance(roof, Reason):
        return roof
    if target.of is None:
        return Bound(comparison=comparison, value=value)
    of_roof = _summary(grounds, roof.case, target.metric).median
    if of_roof is None:
        return Reason(code="no_roof", sentence=f"the {roof.noun} {roof.case.variant} has no {target.metric.name}")
    return Bound(comparison=comparison, value=value * of_roof, of_roof=value)


def _summary(grounds: Grounds, case: Case, metric: Metric) -> Summary:
    """The summary of a case's metric; absent where the reports do not have it."""
    return grounds.read.summaries.get((case, metric.name)) or _absent(metric)


def _absent(metric: Metric) -> Summary:
    name = metric.formula or metric.name
    return Summary(state="absent", median=None, low=None, high=None, samples=0, ncu_name=name)


# --- excuses, waivers and warnings ------------------------------------------------------------------------------------


def _settled(grounds: Grounds, verdict: Verdict, stage: Stage, target: Target) -> Verdict:
    """Applies excuses, waivers and warnings to failed or undecided verdicts."""
    if verdict.status not in ("fail", "undecided"):
        return verdict
    excuse = _excuse(grounds, verdict, target)
    if excuse is not None:
        return excused(verdict, excuse)
    note = _time_kept(grounds, verdict, target)
    if note is not None:
        return noted(verdict, note)
    waiver = _waiver(grounds.project, verdict)
    if waiver is not None and grounds.today <= waiver.until:
        sentence = f"{verdict.sentence}; waived until {waiver.until}: {waiver.reason}"
        return replace(verdict, status=STATUS_OF_REASON["waived"], reason="waived", sentence=sentence, waiver=waiver)
    if waiver is not None:
        sentence = f"{verdict.sentence}; its waiver ended on {waiver.until}: {waiver.reason}"
        reason = "waiver_expired" if verdict.status == "fail" else verdict.reason
        verdict = replace(verdict, reason=reason, sentence=sentence, waiver=waiver)
    if verdict.status == "undecided" and stage.undecided == "warn":
        return replace(verdict, warning=True, sentence=f"{verdict.sentence}; {stage.name} takes this as a warning")
    return verdict


def _excuse(grounds: Grounds, verdict: Verdict, target: Target) -> Excuse | None:
    """What excuses a target that is not met. A roof of unknown speed, or a metric without a number, excuses nothing."""
    if target.unless is None:
        return None
    metric = target.unless.metric
    roof = grounds.roofs[verdict.problem, verdict.workload].deciding
    if metric.name == ROOF_FRACTION and not isinstance(roof, Roof):
        return None
    case = Case(verdict.problem, verdict.variant, verdict.configuration, verdict.workload)
    return excuse_of(target.unless, _summary(grounds, case, metric))


def _time_kept(grounds: Grounds, verdict: Verdict, target: Target) -> Excuse | None:
    """The accepted time, where a counter is worse than its baseline and the time is not; None where it counts."""
    if target.bound is not None or target.insist or target.metric.name == DURATION:
        return None
    case = Case(verdict.problem, verdict.variant, verdict.configuration, verdict.workload)
    result = next((result for result in grounds.run.cases if result.case == case), None)
    duration = grounds.project.catalogue.metrics[DURATION]
    accepted = accepted_of(grounds.project, grounds.run, result, duration) if result is not None else None
    if accepted is None or isinstance(accepted, Reason):
        return None
    return no_slower(accepted, duration, _summary(grounds, case, duration))


def _waiver(project: Project, verdict: Verdict) -> Waiver | None:
    """The waiver that covers a verdict; of several, the one that holds longest."""
    problem = project.problems.get(verdict.problem)
    covering = [waiver for waiver in (problem.waivers if problem is not None else []) if _covers(waiver, verdict)]
    return max(covering, key=lambda waiver: waiver.until, default=None)


# --- parts of verdicts ------------------------------------------------------------------------------------------------

_MOST_PARTS = 4
"""Kernels of a call that a sentence names; the verdict has all."""

_LONGEST_KERNEL = 60
"""Characters of a kernel's name in a sentence: a template's has hundreds."""


def _in_words(parts: list[KernelPart], unit: str) -> str:
    shown = [
        f"{shortened(part.kernel, _LONGEST_KERNEL)} {quantity(part.value, unit) if part.value is not None else '–'}"
        for part in parts[:_MOST_PARTS]
    ]
    return ", ".join(shown) + (f" and {len(parts) - _MOST_PARTS} more" if len(parts) > _MOST_PARTS else "")


def _parts(kernels: dict[str, Summary]) -> list[KernelPart]:
    """What each kernel shows, where there are several."""
    if len(kernels) < 2:
        return []
    return [KernelPart(kernel=kernel, value=summary.median) for kernel, summary in kernels.items()]


def verdict_of(case: Case, reason: Reason) -> Verdict:
    """A verdict on a case as a whole."""
    return Verdict(
        status=STATUS_OF_REASON[reason.code],
        reason=reason.code,
        sentence=reason.sentence,
        stage=None,
        problem=case.problem,
        variant=case.variant,
        configuration=case.configuration,
        workload=case.workload,
    )


def _unjudged(draft: Verdict, reason: Reason) -> Verdict:
    """A verdict of a target that could not be judged."""
    return replace(draft, status=STATUS_OF_REASON[reason.code], reason=reason.code, sentence=reason.sentence)
