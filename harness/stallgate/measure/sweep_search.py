"""A space too large to be tried whole: Optuna suggests what is tried next, from what is known of the trials so far.

Its state is ``sweep.json`` alone. Each batch has a study and a seed of its own, and is told all trials before it, so an
interrupted search goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from statistics import geometric_mean
from typing import Any

from msgspec.structs import replace

from stallgate.errors import BadArgument
from stallgate.measure.sweep_plan import is_same_configuration, trials_of
from stallgate.model import FrozenStruct, GpuSpec, Stage, TunableSpace
from stallgate.project.space import Tunables, broken_constraint
from stallgate.runs.sweep import Effort, Sweep, Trial

BATCH = 32
"""Configurations that are suggested, timed and profiled together."""

SUGGESTED: dict[Effort, int] = {"quick": 128, "full": 384}
"""Configurations that a search tries."""

_TRIES_EACH = 50
"""Suggestions for each that is new and that no constraint excludes; after that the batch is smaller."""

_FROM_COMPUTED = "roof_fraction"
"""It follows from the time, and is no second objective."""


class Objective(FrozenStruct, frozen=True):
    """The counter that is weighed against the time."""

    metric: str
    minimise: bool


def objective_of(stage: Stage | None) -> Objective | None:
    """The first counter that a stage judges by a bound of its own; None: the time alone counts.

    A fraction of the roof's value says what the time says already.
    """
    for target in stage.targets if stage is not None else []:
        if target.metric.name != _FROM_COMPUTED and target.bound is not None and target.of is None:
            return Objective(target.metric.name, target.bound[0] in ("at_most", "below"))
    return None


def check_searchable(sweep: Sweep) -> None:
    """Refuses a space that is too large to be tried whole where Optuna is missing.

    Raises:
        BadArgument: it is.
    """
    if not sweep.enumerated and find_spec("optuna") is None:
        raise BadArgument(
            f"the space has {sweep.space.size} configurations, too many to try them all; a search needs Optuna",
            "pip install 'stallgate[sweep]'; or narrow the space, or name one workload with -w",
        )


def next_batch(sweep: Sweep, objective: Objective | None, card: GpuSpec | None) -> list[Trial]:
    """The trials to try next, each new and allowed; empty once the search has tried as many as it may."""
    known = configurations_tried(sweep)
    left = SUGGESTED[sweep.effort] - len(known)
    if left <= 0:
        return []
    space = TunableSpace(sweep.space.tunables, sweep.space.constraints)
    fresh: list[Tunables] = []
    suggest = _suggester(sweep, objective)
    for _ in range(_TRIES_EACH * min(BATCH, left)):
        tunables = suggest()
        is_known = any(is_same_configuration(tunables, each) for each in [*known, *fresh])
        if not is_known and broken_constraint(space, tunables, card) is None:
            fresh.append(tunables)
        if len(fresh) == min(BATCH, left):
            break
    workloads = dict.fromkeys(trial.workload for trial in sweep.trials)
    return [replace(trial, workload=load) for load in workloads for trial in trials_of(space, fresh, card)]


def configurations_tried(sweep: Sweep) -> list[Tunables]:
    """The tunables of each configuration that has trials, the default's included where all of them are known."""
    found: dict[str, Tunables] = {}
    for trial in sweep.trials:
        found.setdefault(trial.configuration, trial.tunables)
    return [each for each in found.values() if each.keys() == sweep.space.tunables.keys()]


# --- Optuna -----------------------------------------------------------------------------------------------------------


def _suggester(sweep: Sweep, objective: Objective | None) -> Callable[[], Tunables]:
    """Asks a study that was told all trials so far. A suggestion is a number for each tunable: its value's place."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    told = len(configurations_tried(sweep))
    sampler = optuna.samplers.TPESampler(seed=sweep.seed + told, multivariate=True, constant_liar=True)
    directions = ["minimize"] if objective is None else ["minimize", "minimize" if objective.minimise else "maximize"]
    study = optuna.create_study(directions=directions, sampler=sampler)
    spread = {name: _distribution(optuna, values) for name, values in sweep.space.tunables.items()}
    for trial in _told(optuna, sweep, objective, spread):
        study.add_trial(trial)
    places = sweep.space.tunables

    def suggest() -> Tunables:
        asked = study.ask(spread)
        return {name: places[name][int(asked.params[name])] for name in places}

    return suggest


def _distribution(optuna: Any, values: list[Any]) -> Any:
    """Places of values: numbers that ascend have an order, others have none."""
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if numeric and values == sorted(values):
        return optuna.distributions.IntDistribution(0, len(values) - 1)
    return optuna.distributions.CategoricalDistribution(list(range(len(values))))


def _told(optuna: Any, sweep: Sweep, objective: Objective | None, spread: dict[str, Any]) -> list[Any]:
    """The trials that the study is told: values of those that were timed, failure of the others."""
    found = []
    for name, tunables in _named_configurations(sweep).items():
        params = {key: sweep.space.tunables[key].index(value) for key, value in tunables.items()}
        values = objective_values(sweep, name, objective)
        state = optuna.trial.TrialState.COMPLETE if values is not None else optuna.trial.TrialState.FAIL
        found.append(optuna.trial.create_trial(params=params, distributions=spread, values=values, state=state))
    return found


def _named_configurations(sweep: Sweep) -> dict[str, Tunables]:
    """Configuration -> its tunables, of those whose tunables are all values of the space."""
    return {
        trial.configuration: trial.tunables
        for trial in sweep.trials
        if trial.tunables.keys() == sweep.space.tunables.keys()
        and all(value in sweep.space.tunables[name] for name, value in trial.tunables.items())
    }


def objective_values(sweep: Sweep, configuration: str, objective: Objective | None) -> list[float] | None:
    """The time of a configuration, as a geometric mean over workloads, and its counter; None where it has no time.

    One that was too slow to be profiled has the worst counter of those that were: it is no better for not being known.
    """
    trials = [trial for trial in sweep.trials if trial.configuration == configuration]
    times = [trial.median_us for trial in trials]
    if not times or any(time is None for time in times):
        return None
    took = geometric_mean([time for time in times if time is not None])
    if objective is None:
        return [took]
    own = _readings(trials, objective)
    if own:
        return [took, sum(own) / len(own)]
    others = _readings(sweep.trials, objective)
    worst = max if objective.minimise else min
    return [took, worst(others) if others else 0.0]


def _readings(trials: list[Trial], objective: Objective) -> list[float]:
    return [trial.counters[objective.metric].median for trial in trials if objective.metric in trial.counters]
