"""What ``stallgate sweep --json`` prints: the states and the best of each workload. ``sweep.json`` has every trial."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median

from stallgate.cli.sweep_found import SweepFindings
from stallgate.measure.sweep_times import ranked_trials
from stallgate.model import FrozenStruct
from stallgate.runs.sweep import Sweep, SweepSpace, Trial, TunableValue

_MOST_SHOWN = 5


class SweptTrial(FrozenStruct, frozen=True):
    """A configuration that was timed to the end."""

    configuration: str
    tunables: dict[str, TunableValue]
    median_us: float
    final_us: float | None
    """Median of the finals; null where it was not in them."""
    counters: dict[str, float]
    """Short name of a metric -> median; empty where it was not profiled."""


class SweptWorkload(FrozenStruct, frozen=True):
    """What a sweep found on one workload."""

    workload: str
    states: dict[str, int]
    """State -> how many trials have it."""
    best: list[SweptTrial]
    """The fastest, and the default behind them."""
    yardsticks: dict[str, float]
    """``copy`` or the name of a roof -> its median time in microseconds."""


class SweepFacts(FrozenStruct, frozen=True):
    """A sweep."""

    folder: str
    problem: str
    variant: str
    stage: str | None
    complete: bool
    space: SweepSpace
    enumerated: bool
    """Whether the whole space was tried."""
    workloads: list[SweptWorkload]
    notes: list[str]
    found: SweepFindings | None = None
    """The suggestion with its evidence; null where the sweep was cut short."""


def sweep_facts(sweep: Sweep, folder: Path, found: SweepFindings | None = None) -> SweepFacts:
    """The facts of a sweep."""
    return SweepFacts(
        folder=str(folder),
        problem=sweep.problem,
        variant=sweep.variant,
        stage=sweep.stage,
        complete=sweep.complete,
        space=sweep.space,
        enumerated=sweep.enumerated,
        workloads=[_workload(sweep, name) for name in dict.fromkeys(trial.workload for trial in sweep.trials)],
        notes=sweep.notes,
        found=found,
    )


def _workload(sweep: Sweep, name: str) -> SweptWorkload:
    ranked = ranked_trials(sweep, name)
    shown = ranked[:_MOST_SHOWN] + [trial for trial in ranked[_MOST_SHOWN:] if trial.configuration == "default"]
    return SweptWorkload(
        workload=name,
        states=dict(Counter(trial.state for trial in sweep.trials if trial.workload == name)),
        best=[_trial(sweep, trial) for trial in shown],
        yardsticks={y.name: y.median_us for y in sweep.yardsticks if y.workload == name and y.median_us is not None},
    )


def _trial(sweep: Sweep, trial: Trial) -> SweptTrial:
    key = (trial.configuration, trial.workload)
    final = next((each.median_us for each in sweep.finals if (each.configuration, each.workload) == key), None)
    return SweptTrial(
        configuration=trial.configuration,
        tunables=trial.tunables,
        median_us=median(trial.samples_us),
        final_us=final,
        counters={name: reading.median for name, reading in trial.counters.items()},
    )
