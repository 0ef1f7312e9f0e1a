"""Verdicts on imported runs, which are judged by a stage only where one was named for them.

An ncu report made elsewhere has neither a roof nor a baseline, and nobody knows what its kernels have to compute.
Targets that need one of these do not apply. What a stage needs and the reports do not have is said once for each
stage, with the ncu command line that collects it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from msgspec.structs import replace

from stallgate.extract.read_run import ReadRun
from stallgate.formatting import listed
from stallgate.judge.verdicts import (
    AbleStages,
    Grounds,
    Judgement,
    Uncollected,
    is_absolute,
    judge_case,
    only_absolute,
    verdict_of,
)
from stallgate.model import Case, CaseResult, FrozenStruct, Metric, Reason, Run, Stage, Target, Verdict
from stallgate.project.catalogue import OF_WORKLOAD, ROOF_FRACTION, asked_for, collects, is_measured
from stallgate.project.load import Project
from stallgate.runs.naming import place_name


def import_stages_of(project: Project, run: Run, named: Sequence[str]) -> list[Stage]:
    """The stages that judge an imported run: those that are named, else its own, else the project's for imports.

    Raises:
        BrokenFile: the file of one of them is broken.
        UnknownName: there is no such stage.
    """
    return project.with_included(named or run.stages or project.import_stages)


def judge_import(grounds: Grounds, named: Sequence[str]) -> Judgement:
    """Judges every case of an imported run; none where there is no stage for it.

    Args:
        grounds: the run with everything that its verdicts depend on.
        named: stages to judge by.

    Raises:
        BrokenFile: the file of a stage is broken.
        UnknownName: no such stage.
    """
    stages = import_stages_of(grounds.project, grounds.run, named)
    able = _able_stages(grounds.project, grounds.read)
    if not stages:
        return Judgement(stages=[], verdicts=[], notes=[], targets=grounds.targets, able=able, is_asked=False)
    of_stages = [_of_stage(grounds, stage) for stage in stages]
    names = [stage.name for stage in stages]
    left_out = sum(not is_absolute(target) for stage in stages for target in stage.targets)
    return Judgement(
        stages=names,
        verdicts=[*_without_numbers(grounds), *chain.from_iterable(found.verdicts for found in of_stages)],
        notes=[
            *([only_absolute(left_out)] if grounds.targets == "absolute" and left_out else []),
            *_on_excuses(stages),
        ],
        targets=grounds.targets,
        stages_by_problem={result.case.problem: names for result in grounds.run.cases},
        uncollected=list(chain.from_iterable(found.uncollected for found in of_stages)),
        able=able,
    )


def _able_stages(project: Project, read: ReadRun) -> AbleStages:
    """The stages with targets that need nothing which an imported run lacks, all of them on what was measured."""
    measured = {metric for (_, metric), summary in read.summaries.items() if summary.median is not None}
    asked = {s.name: {t.metric.name for t in s.targets if not _needs(t)} for s in project.stages.values()}
    able = [stage for stage in project.stages.values() if asked[stage.name] and asked[stage.name] <= measured]
    whole = [stage.name for stage in able if not any(_needs(t) or _is_excused_by_roof(t) for t in stage.targets)]
    return AbleStages(whole=whole, part=[stage.name for stage in able if stage.name not in whole])


class _Found(FrozenStruct, frozen=True):
    """What one stage says of a run."""

    verdicts: list[Verdict]
    uncollected: list[Uncollected]


def _of_stage(grounds: Grounds, stage: Stage) -> _Found:
    """The verdicts of one stage: what does not apply and what was not collected once, then each case."""
    applying = [target for target in stage.targets if not _needs(target)]
    usable = [result for result in grounds.run.cases if result.case not in grounds.unsound]
    found = [v for target in applying for result in usable for v in judge_case(grounds, stage, target, result)]
    lacking = _lacking(grounds, found)
    about = _Names(grounds.read)
    verdicts = [*_inapplicable(grounds, stage), *_on_lacking(stage, lacking, len(usable))]
    verdicts += [about.named(v) for v in found if v.reason != "absent"]
    if not verdicts and usable:
        verdicts = [_on_stage(stage, Reason(code="no_target", sentence=f"{stage.name} asks nothing of imported runs"))]
    return _Found(verdicts=verdicts, uncollected=_uncollected(grounds, stage, applying, lacking))


# --- cases without numbers --------------------------------------------------------------------------------------------


def _without_numbers(grounds: Grounds) -> list[Verdict]:
    """A verdict for each reason why cases cannot be judged."""
    cases: dict[Reason, list[CaseResult]] = {}
    for result in grounds.run.cases:
        if result.case in grounds.unsound:
            cases.setdefault(grounds.unsound[result.case], []).append(result)
    return [_on_cases(grounds.read, reason, results) for reason, results in cases.items()]


def _on_cases(read: ReadRun, reason: Reason, results: list[CaseResult]) -> Verdict:
    if len(results) == 1:
        return _Names(read).named(verdict_of(results[0].case, reason))
    return replace(verdict_of(_SEVERAL, reason), name=f"{len(results)} of {len(read.run.cases)} cases")


_SEVERAL = Case(problem="imported", variant="", configuration="", workload="")


class _Names:
    """Names verdicts as the report names what they are on."""

    def __init__(self, read: ReadRun) -> None:
        self._names = read.names
        self._identities = {result.case: result.identity for result in read.run.cases}

    def named(self, verdict: Verdict) -> Verdict:
        """A verdict with the kernel and the GPU of its case; as it is where the case has names of stallgate's own."""
        case = _case_of(verdict)
        identity = self._identities[case]
        if identity is None:
            return verdict
        return replace(verdict, name=self._names[case], place=place_name(identity))


def _on_stage(stage: Stage, reason: Reason, about: str = "every case") -> Verdict:
    """A verdict of a stage on several cases."""
    return replace(verdict_of(_SEVERAL, reason), stage=stage.name, name=about)


def _case_of(verdict: Verdict) -> Case:
    return Case(verdict.problem, verdict.variant, verdict.configuration, verdict.workload)


# --- targets that cannot be judged ------------------------------------------------------------------------------------


def _needs(target: Target) -> str:
    """The reason code of what a target needs and an imported run does not have, or ''."""
    if target.bound is None:
        return "no_baseline"
    if not is_absolute(target):
        return "no_roof"
    return "no_workload" if target.metric.name in OF_WORKLOAD else ""


_NEEDED = {
    "no_roof": "an imported report has no roof",
    "no_baseline": "an imported report has no accepted baseline",
    "no_workload": "an imported report does not say what the workload needs",
}


def _inapplicable(grounds: Grounds, stage: Stage) -> list[Verdict]:
    """A verdict for each thing that targets of a stage need and no import has; none for what is left out on purpose."""
    metrics: dict[str, list[str]] = {}
    for target in stage.targets:
        if _needs(target) and (grounds.targets == "all" or is_absolute(target)):
            metrics.setdefault(_needs(target), []).append(target.metric.name)
    return [
        _on_stage(
            stage, Reason(code=code, sentence=f"{listed(list(dict.fromkeys(names)))} cannot be judged: {_NEEDED[code]}")
        )
        for code, names in metrics.items()
    ]


def _on_excuses(stages: list[Stage]) -> list[str]:
    """A note on each stage whose targets are excused by what no import has."""
    excused = {
        stage.name: [target.metric.name for target in stage.targets if _is_excused_by_roof(target)] for stage in stages
    }
    return [
        f"{name}: a miss of {listed(metrics)} is excused close to the roof: this cannot be judged, {_NEEDED['no_roof']}"
        for name, metrics in excused.items()
        if metrics
    ]


def _is_excused_by_roof(target: Target) -> bool:
    return not _needs(target) and target.unless is not None and target.unless.metric.name == ROOF_FRACTION


# --- what was not collected -------------------------------------------------------------------------------------------


class _Lacking(FrozenStruct, frozen=True):
    """A metric that a stage judges by, of a case whose report does not have it."""

    case: Case
    metric: Metric
    chip: str | None
    """None where the report does not say enough."""
    is_possible: bool
    """Whether the chip can count it, as far as the catalogue knows."""


def _lacking(grounds: Grounds, verdicts: list[Verdict]) -> list[_Lacking]:
    """What verdicts say is absent."""
    catalogue, chips = grounds.project.catalogue, _chips(grounds)
    found = []
    for verdict in verdicts:
        if verdict.reason == "absent":
            case, metric = _case_of(verdict), catalogue.metrics[str(verdict.metric)]
            possible = not is_measured(metric) or bool(asked_for(catalogue, metric, chips[case]))
            found.append(_Lacking(case=case, metric=metric, chip=chips[case], is_possible=possible))
    return found


def _chips(grounds: Grounds) -> dict[Case, str | None]:
    """Case -> the chip that it ran on, as the catalogue names it."""
    chips = grounds.project.catalogue.chips.values()
    of_attempts: dict[str | None, str | None] = {}
    for attempt in grounds.run.attempts:
        found = attempt.environment
        if found is not None:
            alike = [chip.name for chip in chips if chip.compute_capability == found.compute_capability]
            of_attempts[attempt.name] = found.chip or (alike[0] if len(alike) == 1 else None)
    return {result.case: of_attempts.get(result.attempt) for result in grounds.run.cases}


def _on_lacking(stage: Stage, lacking: list[_Lacking], cases: int) -> list[Verdict]:
    """A verdict on all that a stage needs and the reports do not have, and one on what a chip cannot count."""
    told = {True: "not collected", False: "not known to exist on the GPU"}
    parts = {possible: [each for each in lacking if each.is_possible == possible] for possible in told}
    return [_on_several(stage, found, told[possible], cases) for possible, found in parts.items() if found]


def _on_several(stage: Stage, lacking: list[_Lacking], said: str, cases: int) -> Verdict:
    metrics = list(dict.fromkeys(each.metric.name for each in lacking))
    without = len({each.case for each in lacking})
    sentence = f"{listed(metrics)} {'is' if len(metrics) == 1 else 'are'} {said}"
    about = "every case" if without == cases else f"{without} of {cases} cases"
    return _on_stage(stage, Reason(code="absent", sentence=sentence), about)


def _uncollected(grounds: Grounds, stage: Stage, applying: list[Target], lacking: list[_Lacking]) -> list[Uncollected]:
    """How to collect what a stage needs, for each chip whose cases lack some of it."""
    metrics = list({target.metric.name: target.metric for target in applying}.values())
    missing: dict[str | None, dict[str, None]] = {}
    for each in lacking:
        if each.is_possible:
            missing.setdefault(each.chip, {})[each.metric.name] = None
    return [
        Uncollected(stage=stage.name, metrics=list(names), command=_command(grounds, stage, metrics, chip))
        for chip, names in missing.items()
    ]


def _command(grounds: Grounds, stage: Stage, metrics: list[Metric], chip: str | None) -> list[str]:
    """The ncu command line that collects what a stage judges by."""
    wanted = ",".join(collects(grounds.project.catalogue, chip, stage, metrics))
    program = grounds.run.program.command if grounds.run.program is not None else ["PROGRAM"]
    return ["ncu", "--nvtx", *_sections(metrics), "--metrics", wanted, "--export", stage.name, *program]


def _sections(metrics: list[Metric]) -> list[str]:
    """Options for metrics that exist only in reports with every section."""
    return ["--set", "full"] if any(not is_measured(m) and m.formula is not None for m in metrics) else []
