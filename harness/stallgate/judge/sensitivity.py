"""Which tunables matter: how much of the spread of the times each of them explains."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import exp, log
from statistics import fmean, median, pvariance

from stallgate.model import FrozenStruct
from stallgate.runs.sweep import Sweep, TunableValue

_TIMED = ("stopped", "timed", "profiled")
"""States of trials that are right and have times. Those that were given up as too slow count: they tell most."""

_Logs = list[tuple[dict[str, TunableValue], float]]
"""Tunables of a configuration, and the mean logarithm of its time over the workloads."""


class ValueEffect(FrozenStruct, frozen=True):
    """The configurations with one value of a tunable."""

    value: TunableValue
    configurations: int
    median_us: float
    """Median over these configurations of their time: the geometric mean over the workloads."""
    slower: float
    """Time that the value takes more than the best one, as a fraction, all else being equal where that is known."""


class TunableEffect(FrozenStruct, frozen=True):
    """How the time depends on one tunable."""

    tunable: str
    share: float
    """The part of the variance of log(time) that the means of its values explain, from 0 to 1."""
    reach: float
    """Time that its worst value takes more than its best one, as a fraction."""
    best: TunableValue
    matched: int
    """Groups of configurations that differ in this tunable alone and have all of its values. From these come `reach`
    and `best`; where there is none, from the medians of all."""
    values: list[ValueEffect]


def tunable_effects(sweep: Sweep, workloads: Sequence[str]) -> list[TunableEffect]:
    """The effect of each tunable that was varied, the largest share first."""
    logs = _logs(sweep, workloads)
    varied = [name for name, values in sweep.space.tunables.items() if len(values) > 1]
    effects = [_effect(name, logs) for name in varied if len({_key(t[name]) for t, _ in logs if name in t}) > 1]
    return sorted(effects, key=lambda effect: (-effect.share, effect.tunable))


def _logs(sweep: Sweep, workloads: Sequence[str]) -> _Logs:
    """The configurations of the space that have a time on every workload, whatever the order of the trials."""
    times: dict[str, dict[str, float]] = {}
    tunables: dict[str, dict[str, TunableValue]] = {}
    for trial in sorted(sweep.trials, key=lambda trial: trial.configuration):
        if trial.workload in workloads and trial.state in _TIMED and trial.median_us:
            key = _key(trial.tunables)  # the default may be a configuration of the space as well
            times.setdefault(key, {}).setdefault(trial.workload, trial.median_us)
            tunables[key] = trial.tunables
    names = set(sweep.space.tunables)
    whole = [key for key in sorted(times) if len(times[key]) == len(workloads) and names <= tunables[key].keys()]
    return [(tunables[key], fmean(log(times[key][workload]) for workload in workloads)) for key in whole]


def _effect(name: str, logs: _Logs) -> TunableEffect:
    by_value = _by_value(name, logs)
    offsets, matched = _matched(name, logs, list(by_value))
    if not matched:
        offsets = {key: median(times) for key, (_, times) in by_value.items()}
    best = min(offsets, key=lambda key: (offsets[key], key))
    values = [
        ValueEffect(
            value=value,
            configurations=len(times),
            median_us=exp(median(times)),
            slower=exp(offsets[key] - offsets[best]) - 1,
        )
        for key, (value, times) in by_value.items()
    ]
    return TunableEffect(
        tunable=name,
        share=_share([times for _, times in by_value.values()]),
        reach=max(each.slower for each in values),
        best=by_value[best][0],
        matched=matched,
        values=sorted(values, key=lambda each: _order(each.value)),
    )


def _by_value(name: str, logs: _Logs) -> dict[str, tuple[TunableValue, list[float]]]:
    found: dict[str, tuple[TunableValue, list[float]]] = {}
    for tunables, time in logs:
        found.setdefault(_key(tunables[name]), (tunables[name], []))[1].append(time)
    return found


def _share(groups: Sequence[Sequence[float]]) -> float:
    """The variance of the groups' means, weighted by their sizes, over the variance of all."""
    every = [time for group in groups for time in group]
    whole = pvariance(every)
    mean = fmean(every)
    between = sum(len(group) * (fmean(group) - mean) ** 2 for group in groups) / len(every)
    return min(1.0, between / whole) if whole > 0 else 0.0


def _matched(name: str, logs: _Logs, values: Sequence[str]) -> tuple[dict[str, float], int]:
    """Value -> median difference to the mean of its group, over the groups that have every value; their number."""
    groups: dict[str, dict[str, float]] = {}
    for tunables, time in logs:
        others = {other: value for other, value in tunables.items() if other != name}
        groups.setdefault(_key(others), {})[_key(tunables[name])] = time
    whole = [group for group in groups.values() if len(group) == len(values)]
    centred = [{key: time - fmean(group.values()) for key, time in group.items()} for group in whole]
    return {key: median(group[key] for group in centred) for key in values} if whole else {}, len(whole)


def _key(value: TunableValue | Mapping[str, TunableValue]) -> str:
    """A value, or several by name, as a text that tells true from 1."""
    return json.dumps(value, sort_keys=True)


def _order(value: TunableValue) -> tuple[bool, float, str]:
    is_text = isinstance(value, str)
    return is_text, 0.0 if isinstance(value, str) else float(value), str(value)
