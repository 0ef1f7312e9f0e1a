"""What ``stallgate loop --json`` prints: the ladder, the versions and the tries. ``journal.json`` has everything."""

from __future__ import annotations

from pathlib import Path

from stallgate.agent.loop.apply import AppliedAnswer
from stallgate.cli.facts import MetricValue
from stallgate.model import FrozenStruct
from stallgate.render.loop_words import loop_gain, loop_headline
from stallgate.runs.journal import Journal, KeptGain, KeptObjection, LoopStop, LoopTarget, LoopVersion, TryOutcome
from stallgate.runs.ladder import RungState, ladder


class LoopRungFacts(FrozenStruct, frozen=True):
    """A stage, and what came of it."""

    stage: str
    state: RungState
    rounds: list[int]


class LoopVersionFacts(FrozenStruct, frozen=True):
    """A version that was the best."""

    name: str
    source: str
    """Its file, relative to the loop's folder."""
    times: dict[str, MetricValue]
    """Workload -> profiled time of a call; empty where it was not measured."""
    roof_fraction: float | None
    """On the workload that is farthest from its roof."""
    met: list[str]
    targets: list[LoopTarget]


class LoopTryFacts(FrozenStruct, frozen=True):
    """An answer, or its repair."""

    name: str
    outcome: TryOutcome | None
    """null: not judged yet."""
    gain: KeptGain | None
    """Over the version that its round began with, in per cent of its time."""
    objections: list[KeptObjection]
    is_best: bool
    """Whether it became the best version."""


class LoopFacts(FrozenStruct, frozen=True):
    """A loop."""

    folder: str
    page: str | None
    problem: str
    variant: str
    sentence: str
    stop: LoopStop | None
    """null: it is not over."""
    gain_percent: float | None
    """How much less time the best takes than the start, over all workloads; null where that is not known."""
    best: str
    ladder: list[LoopRungFacts]
    versions: list[LoopVersionFacts]
    tries: list[LoopTryFacts]
    rehearsal: bool
    applied: AppliedAnswer | None = None
    """With --apply: what was written; null where nothing was."""


def loop_facts(
    journal: Journal, folder: Path, page: Path | None = None, applied: AppliedAnswer | None = None
) -> LoopFacts:
    """The facts of a loop, whether it is over or not."""
    best = {each.best for each in journal.rounds}
    return LoopFacts(
        folder=str(folder),
        page=str(page) if page is not None else None,
        problem=journal.problem,
        variant=journal.variant,
        sentence=loop_headline(journal),
        stop=journal.stop,
        gain_percent=loop_gain(journal),
        best=journal.best.name,
        ladder=[LoopRungFacts(each.stage, each.state, [r.number for r in each.rounds]) for each in ladder(journal)],
        versions=[_version(each) for each in journal.versions],
        tries=[
            LoopTryFacts(each.name, each.outcome, each.gain, each.objections, each.name in best)
            for each in journal.tries()
        ],
        rehearsal=journal.rehearsal,
        applied=applied,
    )


def _version(version: LoopVersion) -> LoopVersionFacts:
    reading = version.reading
    times = reading.times if reading is not None else {}
    return LoopVersionFacts(
        name=version.name,
        source=version.source.path,
        times={
            load: MetricValue(state="measured", median=time.median, low=time.low, high=time.high, unit="us")
            for load, time in times.items()
        },
        roof_fraction=reading.roof_fraction if reading is not None else None,
        met=reading.met if reading is not None else [],
        targets=reading.targets if reading is not None else [],
    )
