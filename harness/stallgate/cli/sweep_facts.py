"""What ``stallgate sweep --json`` prints: the states and the best of each workload. ``sweep.json`` has every trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from stallgate.cli.facts import MetricValue, unmeasured
from stallgate.cli.sweep_found import SweepFindings
from stallgate.measure.sweep_times import ranked_trials
from stallgate.model import FrozenStruct
from stallgate.runs.sweep import CounterReading, Sweep, SweepSpace, Trial, TunableValue

_MOST_SHOWN = 5
_TIME = "us"
"""Unit of times."""


class SweptTrial(FrozenStruct, frozen=True):
    """A configuration that was timed to the end."""

    configuration: str
    tunables: dict[str, TunableValue]
    time: MetricValue
    """Of a call, unprofiled."""
    final: MetricValue
    """Of a call in the finals; not measured where it was not in them."""
    counters: dict[str, MetricValue]
    """By short name; empty where it was not profiled."""


class SweptWorkload(FrozenStruct, frozen=True):
    """What a sweep found on one workload."""

    workload: str
    states: dict[str, int]
    """State -> how many trials have it."""
    best: list[SweptTrial]
    """The fastest, and the default behind them."""
    yardsticks: dict[str, MetricValue]
    """``copy`` or the name of a roof -> its time."""


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


def sweep_facts(sweep: Sweep, folder: Path, units: Mapping[str, str], found: SweepFindings | None = None) -> SweepFacts:
    """The facts of a sweep.

    Args:
        sweep: the result so far.
        folder: where it stands.
        units: short name of a metric -> its unit.
        found: what it suggests; None where it was cut short.
    """
    return SweepFacts(
        folder=str(folder),
        problem=sweep.problem,
        variant=sweep.variant,
        stage=sweep.stage,
        complete=sweep.complete,
        space=sweep.space,
        enumerated=sweep.enumerated,
        workloads=[_workload(sweep, name, units) for name in dict.fromkeys(trial.workload for trial in sweep.trials)],
        notes=sweep.notes,
        found=found,
    )


def _workload(sweep: Sweep, name: str, units: Mapping[str, str]) -> SweptWorkload:
    ranked = ranked_trials(sweep, name)
    shown = ranked[:_MOST_SHOWN] + [trial for trial in ranked[_MOST_SHOWN:] if trial.configuration == "default"]
    return SweptWorkload(
        workload=name,
        states=dict(Counter(trial.state for trial in sweep.trials if trial.workload == name)),
        best=[_trial(sweep, trial, units) for trial in shown],
        yardsticks={each.name: _time(each.samples_us) for each in sweep.yardsticks if each.workload == name},
    )


def _trial(sweep: Sweep, trial: Trial, units: Mapping[str, str]) -> SweptTrial:
    key = (trial.configuration, trial.workload)
    final = next((each.samples_us for each in sweep.finals if (each.configuration, each.workload) == key), [])
    return SweptTrial(
        configuration=trial.configuration,
        tunables=trial.tunables,
        time=_time(trial.samples_us),
        final=_time(final),
        counters={name: _reading(reading, units.get(name, "")) for name, reading in trial.counters.items()},
    )


def _time(samples: list[float]) -> MetricValue:
    if not samples:
        return unmeasured(_TIME)
    return MetricValue(state="measured", median=median(samples), low=min(samples), high=max(samples), unit=_TIME)


def _reading(reading: CounterReading, unit: str) -> MetricValue:
    return MetricValue(state="measured", median=reading.median, low=reading.least, high=reading.most, unit=unit)
