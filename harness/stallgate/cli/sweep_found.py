"""What ``stallgate sweep --json`` prints of the result: the suggestion with its evidence, front and sensitivity."""

from __future__ import annotations

import shlex

from stallgate.cli.facts import MetricValue
from stallgate.errors import BadArgument
from stallgate.judge.sensitivity import TunableEffect
from stallgate.judge.suggestion import Advised, Standing, SweepResult, TargetCheck, WorkloadBest
from stallgate.judge.sweep_times import Gain, TimeSpan
from stallgate.model import FrozenStruct
from stallgate.project.apply import AppliedChange, apply_tunables
from stallgate.project.load import Project, load_project
from stallgate.render.sweep_words import headline_of
from stallgate.runs.sweep import Sweep, TrialState, TunableValue

_MOST = 10
"""Standings that are printed; ``sweep.json`` has every trial."""


class StandingFacts(FrozenStruct, frozen=True):
    """A configuration that was timed to the end on every judged workload."""

    configuration: str
    tunables: dict[str, TunableValue]
    times: dict[str, MetricValue]
    """Workload -> time of a call; of the finals where it is among them. `low` and `high` are quartiles of eight samples
    or more."""
    final: bool
    """Whether it was timed again among the finalists."""
    gain: Gain | None
    """Over the default; null where that cannot be compared."""
    of_roof: float | None
    """The roof's time over its own."""
    checks: list[TargetCheck]
    tie: bool
    """Whether it differs from the suggested one by no more than noise."""


class BestFacts(FrozenStruct, frozen=True):
    """The best configuration of one workload alone."""

    workload: str
    configuration: str
    time: MetricValue
    gain: Gain | None
    """Over the default."""
    suggested: Gain | None
    """Over the configuration that is suggested for all workloads."""


class FrontFacts(FrozenStruct, frozen=True):
    """The front of a workload: the fastest first."""

    workload: str
    metric: str
    """What is weighed against time."""
    configurations: list[str]
    ties: list[str]
    """Configurations that the front beats by no more than noise."""


class SweepFindings(FrozenStruct, frozen=True):
    """What a sweep found, by the stage as it stands now."""

    sentence: str
    advised: Advised
    meets: bool
    """Whether the suggested configuration meets every target of the stage that was measured."""
    suggested: StandingFacts | None
    """null where no configuration was timed to the end on every workload."""
    default: StandingFacts | None
    """null where it was not timed to the end."""
    unmeasured: list[str]
    """Metrics of targets that were measured for no configuration."""
    roof: str
    """What `of_roof` is a fraction of; empty where there is none."""
    best: list[StandingFacts]
    """At most ten: finalists first, then by time."""
    workloads: list[BestFacts]
    """The best of each workload alone, where there are several."""
    fronts: list[FrontFacts]
    effects: list[TunableEffect]
    """What each tunable explains of the spread of the times."""
    states: dict[TrialState, int]
    """State -> how many trials have it."""
    applied: list[AppliedChange] | None = None
    """With --apply: what was written; null without."""


def sweep_findings(result: SweepResult, applied: list[AppliedChange] | None = None) -> SweepFindings:
    """The result as facts."""
    fronts = [
        FrontFacts(
            workload=front.workload,
            metric=front.y.metric,
            configurations=[point.configuration for point in front.front],
            ties=[point.configuration for point in front.points if point.ties_with],
        )
        for front in result.fronts
    ]
    return SweepFindings(
        sentence=headline_of(result),
        advised=result.suggestion.advised,
        meets=result.suggestion.meets,
        suggested=_standing(result.suggested) if result.suggested is not None else None,
        default=_standing(result.default) if result.default is not None else None,
        unmeasured=result.unmeasured,
        roof=result.roof,
        best=[_standing(each) for each in result.standings[:_MOST]],
        workloads=[_best(each) for each in result.best],
        fronts=fronts,
        effects=result.effects,
        states=result.states,
        applied=applied,
    )


def _standing(each: Standing) -> StandingFacts:
    return StandingFacts(
        configuration=each.configuration,
        tunables=each.tunables,
        times={workload: _time(span) for workload, span in each.times.items()},
        final=each.final,
        gain=each.gain,
        of_roof=each.of_roof,
        checks=each.checks,
        tie=each.tie,
    )


def _best(best: WorkloadBest) -> BestFacts:
    return BestFacts(best.workload, best.configuration, _time(best.time), best.gain, best.suggested)


def _time(span: TimeSpan) -> MetricValue:
    return MetricValue(state="measured", median=span.median, low=span.low, high=span.high, unit="us")


def apply_suggestion(project: Project, sweep: Sweep, result: SweepResult) -> list[AppliedChange]:
    """Writes the suggested configuration where the variant declares its defaults; nothing if that is the default.

    Raises:
        BadArgument: the sweep is not complete.
        UnknownName: the project has the variant no more.
        BrokenFile: the variant changed since the sweep, or a value is no literal in its file. No file was written.
    """
    if not sweep.complete:
        raise BadArgument(
            f"{sweep.name} is not complete",
            f"finish it with `stallgate sweep --resume {shlex.quote(sweep.name)}`, then apply it",
        )
    suggested = result.suggested
    if suggested is None or suggested.configuration == "default":
        return []
    now = load_project(project.root)  # the files may have changed while it was measured
    now.variant(sweep.problem, sweep.variant)  # refuses one that is there no more
    return apply_tunables(now.root, now.problem(sweep.problem), sweep.variant, suggested.tunables, sweep.digests)
