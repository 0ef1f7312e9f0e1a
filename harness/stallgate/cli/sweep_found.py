"""What ``stallgate sweep --json`` prints of the result: the suggestion with its evidence, front and sensitivity."""

from __future__ import annotations

from stallgate.errors import BadArgument
from stallgate.judge.sensitivity import TunableEffect
from stallgate.judge.suggestion import Advised, Standing, SweepResult, WorkloadBest
from stallgate.model import FrozenStruct
from stallgate.project.apply import AppliedChange, apply_tunables
from stallgate.project.load import Project, load_project
from stallgate.render.sweep_words import headline_of
from stallgate.runs.sweep import Sweep, TrialState

_MOST = 10
"""Standings that are printed; ``sweep.json`` has every trial."""


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
    suggested: Standing | None
    """null where no configuration was timed to the end on every workload."""
    default: Standing | None
    """null where it was not timed to the end."""
    unmeasured: list[str]
    """Metrics of targets that were measured for no configuration."""
    roof: str
    """What `of_roof` is a fraction of; empty where there is none."""
    best: list[Standing]
    """At most ten: finalists first, then by time."""
    workloads: list[WorkloadBest]
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
        suggested=result.suggested,
        default=result.default,
        unmeasured=result.unmeasured,
        roof=result.roof,
        best=result.standings[:_MOST],
        workloads=result.best,
        fronts=fronts,
        effects=result.effects,
        states=result.states,
        applied=applied,
    )


def apply_suggestion(project: Project, sweep: Sweep, result: SweepResult) -> list[AppliedChange]:
    """Writes the suggested configuration where the variant declares its defaults; nothing if that is the default.

    Raises:
        BadArgument: the sweep is not complete.
        BrokenFile: the variant changed since the sweep, or a value is no literal in its file. No file was written.
    """
    if not sweep.complete:
        raise BadArgument(f"{sweep.name} is not complete", "finish it with `stallgate sweep --resume`, then apply it")
    suggested = result.suggested
    if suggested is None or suggested.configuration == "default":
        return []
    now = load_project(project.root)  # the files may have changed while it was measured
    return apply_tunables(now.root, now.problem(sweep.problem), sweep.variant, suggested.tunables, sweep.digests)
