"""What a sweep suggests: the fastest configuration that meets the stage on every workload, or the default."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Literal

from msgspec.structs import replace

from stallgate.extract.table import Summary
from stallgate.judge.bounds import Bound, holding
from stallgate.judge.front import TIME_AXIS, FrontAxis, ParetoFront, axis_named, pareto_front, reading_of
from stallgate.judge.sensitivity import TunableEffect, tunable_effects
from stallgate.judge.sweep_times import Gain, SweepTimes, TimeSpan, geometric_mean
from stallgate.model import Catalogue, Comparison, ExcuseTerms, FrozenStruct, Metric, Stage, Target
from stallgate.project.load import Project
from stallgate.runs.sweep import Sweep, Trial, TrialState, TunableValue, Yardstick

TargetAnswer = Literal["met", "missed", "undecided", "excused", "not_measured"]

Advised = Literal["change", "keep_default", "no_default", "nothing"]
"""change: another configuration is better than the default. no_default: it has no time to compare with. nothing: no
configuration was timed on every workload."""


class TargetCheck(FrozenStruct, frozen=True):
    """A target of the stage, held against a configuration on a workload."""

    workload: str
    metric: str
    unit: str
    answer: TargetAnswer
    comparison: Comparison | None = None
    bound: float | None = None
    """In the metric's unit; None where it depends on something that was not measured."""
    value: float | None = None
    """Median of the samples."""

    @property
    def holds(self) -> bool:
        return self.answer in ("met", "excused")


TargetsStyle = Literal["pass", "fail", "open", "plain"]
"""The colour of what several targets say together."""


def style_of(checks: Sequence[TargetCheck]) -> TargetsStyle:
    """Red only where a target is missed; open where one is undecided or not measured."""
    if not checks:
        return "plain"
    if any(check.answer == "missed" for check in checks):
        return "fail"
    return "pass" if all(check.holds for check in checks) else "open"


class Standing(FrozenStruct, frozen=True):
    """A configuration that was timed to the end on every judged workload."""

    configuration: str
    tunables: dict[str, TunableValue]
    times: dict[str, TimeSpan]
    """Workload -> time in microseconds; of the finals, where it is among them."""
    final: bool
    """Whether it was timed again among the finalists on every workload."""
    score: float
    """The geometric mean of its times."""
    gain: Gain | None
    """Over the default; None where that cannot be compared."""
    of_roof: float | None
    """The roof's time over its own, by the geometric mean; above 1 where it beats a library."""
    checks: list[TargetCheck]
    profiled: bool
    """Whether its counters were collected on every workload."""
    registers: int | None = None
    spills: int | None = None
    shared_bytes: int | None = None
    tie: bool = False
    """Whether it differs from the suggested one by no more than noise."""

    @property
    def style(self) -> TargetsStyle:
        return style_of(self.checks)

    @property
    def unmet(self) -> list[TargetCheck]:
        """Targets that it does not meet; those that no configuration was measured for are not among them."""
        return [check for check in self.checks if not check.holds]


class Suggestion(FrozenStruct, frozen=True):
    """The configuration to use, and what speaks for it."""

    advised: Advised
    configuration: str | None = None
    meets: bool = False
    """Whether it meets every target of the stage that was measured."""


class WorkloadBest(FrozenStruct, frozen=True):
    """The best configuration of one workload alone."""

    workload: str
    configuration: str
    time: TimeSpan
    gain: Gain | None
    """Over the default."""
    suggested: Gain | None
    """Over the configuration that is suggested for all workloads."""


class SweepResult(FrozenStruct, frozen=True):
    """What a sweep found."""

    workloads: list[str]
    """The workloads that the suggestion is for."""
    axis: FrontAxis | None
    """The metric that is weighed against time; None where no counter was collected."""
    suggestion: Suggestion
    standings: list[Standing]
    """The best first: finalists before others, then by time."""
    default: Standing | None
    """None where it was not timed to the end."""
    unmeasured: list[str]
    """Metrics of targets that were measured for no configuration."""
    roof: str
    """The name of the roof that `of_roof` is of; empty where there is none."""
    best: list[WorkloadBest]
    """One for each workload, where there are several."""
    fronts: list[ParetoFront]
    effects: list[TunableEffect]
    states: dict[TrialState, int]
    """State -> number of trials."""

    def standing(self, configuration: str | None) -> Standing | None:
        """The standing of a configuration; None where it has none."""
        return next((each for each in self.standings if each.configuration == configuration), None)

    @property
    def suggested(self) -> Standing | None:
        return self.standing(self.suggestion.configuration)


class SweepTerms(FrozenStruct, frozen=True):
    """What a sweep is judged by."""

    targets: list[Target] = []
    axis: FrontAxis | None = None
    """The metric beside time; None: nothing to weigh against."""
    workloads: list[str] = []
    """The workloads that count; empty: all that were swept."""


def sweep_terms(
    catalogue: Catalogue, stages: Iterable[Stage], sweep: Sweep, workloads: Iterable[str], *, against: str = ""
) -> SweepTerms:
    """The terms by stages, those that they include among them.

    Args:
        catalogue: the metrics.
        stages: the stages.
        sweep: what was measured.
        workloads: the workloads that the stages judge; if none of them was swept, all that were swept count.
        against: the metric to weigh against time; default: the first warp state or stall among the targets, or else
            the first metric of a target that was measured.
    """
    targets = [t for stage in stages for t in stage.targets if not t.variants or sweep.variant in t.variants]
    swept = list(dict.fromkeys(trial.workload for trial in sweep.trials))
    judged = set(workloads)
    measured = {name for trial in sweep.trials for name in trial.counters}
    name = catalogue.aliases.get(against, against) or _stall(targets, measured)
    axis = axis_named(catalogue, name) if name else None
    return SweepTerms(targets=targets, axis=axis, workloads=[each for each in swept if each in judged] or swept)


def _stall(targets: Sequence[Target], measured: set[str]) -> str:
    known = [target.metric for target in targets if target.metric.name in measured]
    ranked = sorted(known, key=lambda metric: (not _is_stall(metric), metric.name in _OF_TIME))  # stable
    named = [metric.name for metric in ranked]
    return next(iter([*named, *(["memory_dependency_stall"] if "memory_dependency_stall" in measured else [])]), "")


_OF_TIME = ("duration", "roof_fraction", "effective_bandwidth", "tflops", "tflops_needed")
"""Metrics that say the same as time."""


def _is_stall(metric: Metric) -> bool:
    return metric.state is not None or "stall" in metric.name


def sweep_result(project: Project, sweep: Sweep, *, against: str = "") -> SweepResult:
    """What a sweep found, by its stage as the project has it now.

    Args:
        project: the project; where it has the stage or the problem no more, no target is judged.
        sweep: what was measured.
        against: the metric beside time; default: the one that the sweep was begun with, or the stage's stall.
    """
    against = against or sweep.against
    if sweep.stage is None or sweep.stage not in project.stages:
        return judge_sweep(sweep, sweep_terms(project.catalogue, [], sweep, [], against=against))
    stages = project.with_included([sweep.stage])
    known = sweep.problem in project.problems
    judged = project.judged_workloads(sweep.problem, sweep.stage) if known else []
    return judge_sweep(sweep, sweep_terms(project.catalogue, stages, sweep, judged, against=against))


# --- judging ----------------------------------------------------------------------------------------------------------


def judge_sweep(sweep: Sweep, terms: SweepTerms) -> SweepResult:
    """What a sweep found, by these terms. The order of its trials does not matter."""
    workloads = terms.workloads or sorted({trial.workload for trial in sweep.trials})
    times = SweepTimes(sweep)
    standings = _standings(sweep, times, terms.targets, workloads)
    unmeasured = _unmeasured(standings)
    standings = [_without(each, unmeasured) for each in standings]
    suggestion = _suggestion(standings, times, workloads)
    chosen = suggestion.configuration
    axis = terms.axis
    return SweepResult(
        workloads=list(workloads),
        axis=axis,
        suggestion=suggestion,
        standings=[_marked(each, chosen, times, workloads) for each in standings],
        default=next((each for each in standings if each.configuration == "default"), None),
        unmeasured=unmeasured,
        roof=_roof_name(sweep, workloads),
        best=_best(standings, times, workloads, chosen) if len(workloads) > 1 else [],
        fronts=[pareto_front(sweep, each, TIME_AXIS, axis) for each in workloads] if axis is not None else [],
        effects=tunable_effects(sweep, workloads),
        states=_states(sweep),
    )


def _states(sweep: Sweep) -> dict[TrialState, int]:
    found: dict[TrialState, int] = {}
    for state in sorted(trial.state for trial in sweep.trials):
        found[state] = found.get(state, 0) + 1
    return found


def _standings(sweep: Sweep, times: SweepTimes, targets: Sequence[Target], workloads: Sequence[str]) -> list[Standing]:
    trials: dict[str, dict[str, Trial]] = {}
    for trial in sweep.trials:
        if trial.workload in workloads and trial.state in ("timed", "profiled") and trial.samples_us:
            trials.setdefault(trial.configuration, {})[trial.workload] = trial
    whole = {name: found for name, found in trials.items() if len(found) == len(workloads)}
    yardsticks = {workload: _roof(sweep, workload) for workload in workloads}
    made = [_standing(name, found, times, targets, yardsticks) for name, found in whole.items()]
    return sorted(made, key=_rank)


def _rank(standing: Standing) -> tuple[bool, float, bool, str]:
    """Finalists first, whose times are the better ones; among equals the default."""
    return not standing.final, standing.score, standing.configuration != "default", standing.configuration


def _standing(
    name: str,
    trials: dict[str, Trial],
    times: SweepTimes,
    targets: Sequence[Target],
    yardsticks: dict[str, Yardstick | None],
) -> Standing:
    workloads = list(yardsticks)
    shown = {workload: span for workload in workloads if (span := times.shown(name, workload)) is not None}
    roofs = {workload: roof.median_us for workload, roof in yardsticks.items() if roof is not None and roof.median_us}
    fractions = [roofs[workload] / shown[workload].median for workload in workloads if workload in roofs]
    whole = [trials[workload] for workload in workloads]
    return Standing(
        configuration=name,
        tunables=whole[0].tunables,
        times=shown,
        final=all(times.is_final(name, workload) for workload in workloads),
        score=geometric_mean(span.median for span in shown.values()),
        gain=times.gain(name, "default", workloads),
        of_roof=geometric_mean(fractions) if len(fractions) == len(workloads) else None,
        checks=[_check(target, t, yardsticks[t.workload], shown.get(t.workload)) for t in whole for target in targets],
        profiled=all(trial.state == "profiled" for trial in whole),
        registers=_most(trial.registers for trial in whole),
        spills=_most(trial.spills for trial in whole),
        shared_bytes=_most(trial.shared_bytes for trial in whole),
    )


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _roof(sweep: Sweep, workload: str) -> Yardstick | None:
    """The roof of a workload: the fastest of a ceiling, the slowest of several; the copy where there is no roof."""
    timed = [each for each in sweep.yardsticks if each.workload == workload and each.samples_us]
    roofs = [each for each in timed if each.role == "roof"] or [each for each in timed if each.role == "copy"]
    fastest: dict[str | None, Yardstick] = {}
    for roof in sorted(roofs, key=lambda each: (median(each.samples_us), each.name)):
        fastest.setdefault(roof.ceiling, roof)
    return max(fastest.values(), key=lambda each: median(each.samples_us), default=None)


def _roof_name(sweep: Sweep, workloads: Sequence[str]) -> str:
    found = [_roof(sweep, workload) for workload in workloads]
    return next((roof.name for roof in found if roof is not None), "")


# --- targets ----------------------------------------------------------------------------------------------------------


def _check(target: Target, trial: Trial, roof: Yardstick | None, time: TimeSpan | None) -> TargetCheck:
    """A target on a trial, whose time is that of the finals where it is among them."""
    metric = target.metric
    about = TargetCheck(workload=trial.workload, metric=metric.name, unit=metric.unit, answer="not_measured")
    found, bound = _reading(metric.name, trial, roof, time), _bound(target, roof)
    if found is None or bound is None:
        return about
    holds = holding(_summary(found), bound)
    answer: TargetAnswer = "met" if all(holds) else "undecided" if any(holds) else "missed"
    excusing = _reading(target.unless.metric.name, trial, roof, time) if target.unless is not None else None
    if answer != "met" and target.unless is not None and _is_excused(target.unless, excusing):
        answer = "excused"
    return TargetCheck(
        workload=trial.workload,
        metric=metric.name,
        unit=metric.unit,
        answer=answer,
        comparison=bound.comparison,
        bound=bound.value,
        value=found.median,
    )


def _bound(target: Target, roof: Yardstick | None) -> Bound | None:
    """What a target asks; None for a tolerance around a baseline, and where the roof's counter is not known."""
    if target.bound is None:
        return None
    comparison, value = target.bound
    if target.of is None:
        return Bound(comparison=comparison, value=value)
    limit = roof.counters.get(target.metric.name) if roof is not None else None
    return Bound(comparison=comparison, value=value * limit.median, of_roof=value) if limit is not None else None


def _is_excused(terms: ExcuseTerms, found: TimeSpan | None) -> bool:
    if found is None or terms.bound is None:
        return False
    comparison, value = terms.bound
    return all(holding(_summary(found), Bound(comparison=comparison, value=value)))


def _reading(metric: str, trial: Trial, roof: Yardstick | None, time: TimeSpan | None) -> TimeSpan | None:
    """A metric of a trial; the fraction of the roof by the time that is shown, where it was not profiled beside it."""
    found = reading_of(trial, metric)
    if found is not None or metric != "roof_fraction":
        return found
    if time is None or roof is None or not roof.median_us:
        return None
    ends = roof.median_us / time.high, roof.median_us / time.low
    return TimeSpan(median=roof.median_us / time.median, low=ends[0], high=ends[1], samples=time.samples)


def _summary(found: TimeSpan) -> Summary:
    return Summary("measured", found.median, found.low, found.high, found.samples, "")


def _unmeasured(standings: Sequence[Standing]) -> list[str]:
    """Metrics of targets that no configuration has a reading of: nothing can be chosen by them."""
    asked = dict.fromkeys(check.metric for each in standings for check in each.checks)
    known = {check.metric for each in standings for check in each.checks if check.answer != "not_measured"}
    return [metric for metric in asked if metric not in known]


def _without(standing: Standing, metrics: Sequence[str]) -> Standing:
    return replace(standing, checks=[check for check in standing.checks if check.metric not in metrics])


# --- choosing ---------------------------------------------------------------------------------------------------------


def _suggestion(standings: Sequence[Standing], times: SweepTimes, workloads: Sequence[str]) -> Suggestion:
    """The fastest that meets every target, else the fastest; the default where that gains nothing beyond noise."""
    if not standings:
        return Suggestion(advised="nothing")
    meeting = [each for each in standings if each.checks and not each.unmet]
    best = next(iter(meeting or standings))
    default = next((each for each in standings if each.configuration == "default"), None)
    if default is None:
        return Suggestion(advised="no_default", configuration=best.configuration, meets=bool(meeting))
    gain = times.gain(best.configuration, "default", workloads)
    as_good = default in meeting or not meeting
    if best is default or (as_good and (gain is None or gain.tie or gain.percent <= 0)):
        return Suggestion(advised="keep_default", configuration="default", meets=default in meeting)
    return Suggestion(advised="change", configuration=best.configuration, meets=bool(meeting))


def _marked(each: Standing, chosen: str | None, times: SweepTimes, workloads: Sequence[str]) -> Standing:
    """A standing that knows whether it is a tie with the chosen one."""
    if chosen is None or each.configuration == chosen:
        return each
    gain = times.gain(each.configuration, chosen, workloads)
    return replace(each, tie=gain is not None and gain.tie)


def _best(
    standings: Sequence[Standing], times: SweepTimes, workloads: Sequence[str], chosen: str | None
) -> list[WorkloadBest]:
    return [_best_of(workload, standings, times, chosen) for workload in workloads] if standings else []


def _best_of(workload: str, standings: Sequence[Standing], times: SweepTimes, chosen: str | None) -> WorkloadBest:
    def rank(each: Standing) -> tuple[bool, float, str]:
        return not times.is_final(each.configuration, workload), each.times[workload].median, each.configuration

    best = min(standings, key=rank)
    return WorkloadBest(
        workload=workload,
        configuration=best.configuration,
        time=best.times[workload],
        gain=times.gain(best.configuration, "default", [workload]),
        suggested=times.gain(best.configuration, chosen, [workload]) if chosen else None,
    )
