"""Searching a space that is too large to be tried whole, by Optuna, with an objective that is made up."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from stallgate.errors import BadArgument
from stallgate.measure import sweep_search
from stallgate.measure.sweep_search import (
    BATCH,
    SUGGESTED,
    Objective,
    check_searchable,
    configurations_tried,
    next_batch,
    objective_of,
    objective_values,
)
from stallgate.project.load import Project
from stallgate.runs.sweep import CounterReading, Sweep, Trial
from tests.measure.test_sweep import planned

TABLE = {
    "BLOCK": {"from": 1, "to": 60, "step": 1},
    "num_warps": {"from": 1, "to": 20, "step": 1},
    "constraints": ["BLOCK + num_warps <= 70"],
}
STALL = Objective("memory_dependency_stall", minimise=True)


def measured(trial: Trial) -> Trial:
    """A trial with a time that is best at 40 and 7, and a stall that falls with BLOCK."""
    block, warps = int(trial.tunables["BLOCK"]), int(trial.tunables["num_warps"])
    if trial.state != "planned":
        return trial
    took = 100.0 + (block - 40) ** 2 + 5 * (warps - 7) ** 2
    counters = {STALL.metric: CounterReading(100.0 - block, 0, 100, 3)} if took < 500 else {}
    return replace(trial, state="timed", samples_us=[took], counters=counters)


def searched(sweep: Sweep, batches: int, objective: Objective | None = STALL) -> Sweep:
    for _ in range(batches):
        sweep = replace(sweep, trials=[*sweep.trials, *next_batch(sweep, objective, None)])
        sweep = replace(sweep, trials=[measured(trial) for trial in sweep.trials])
    return sweep


@pytest.fixture
def begun(repository: Project) -> Sweep:
    """A space of 1,200 configurations, whose default is known."""
    sweep = planned(repository, TABLE)[1]
    default = Trial("default", {"BLOCK": 1, "num_warps": 20}, "square")
    return replace(sweep, trials=[measured(default)])


def test_suggestions_are_new_allowed_and_get_better(begun: Sweep) -> None:
    pytest.importorskip("optuna")
    found = searched(begun, 4)
    names = [trial.configuration for trial in found.trials]
    assert len(names) == len(set(names)) == SUGGESTED["quick"]
    tried = configurations_tried(found)
    assert len({tuple(each.items()) for each in tried}) == len(tried)
    assert all(int(each["BLOCK"]) + int(each["num_warps"]) <= 70 for each in tried)
    best = min(trial.samples_us[0] for trial in found.trials)
    assert best < 150, "a hundredth of the space is as good as that"
    assert next_batch(found, STALL, None) == []


def test_a_search_that_is_gone_on_with_is_the_same(begun: Sweep) -> None:
    pytest.importorskip("optuna")
    whole = searched(begun, 2)
    again = searched(searched(begun, 1), 1)
    assert [trial.configuration for trial in again.trials] == [trial.configuration for trial in whole.trials]
    other = searched(replace(begun, seed=7), 1)
    assert {trial.configuration for trial in other.trials} != {
        trial.configuration for trial in searched(begun, 1).trials
    }


def test_a_batch_is_small_where_little_is_left(begun: Sweep) -> None:
    pytest.importorskip("optuna")
    small = replace(begun, space=replace(begun.space, tunables={"BLOCK": [1, 2], "num_warps": [1, 20]}))
    assert len(next_batch(small, None, None)) == 3
    assert len(next_batch(begun, None, None)) == BATCH


def test_who_was_not_profiled_has_the_worst_counter(begun: Sweep) -> None:
    trials = [
        Trial("a", {}, "w", "timed", samples_us=[4.0], counters={STALL.metric: CounterReading(30, 30, 30, 1)}),
        Trial("a", {}, "v", "timed", samples_us=[16.0], counters={STALL.metric: CounterReading(50, 50, 50, 1)}),
        Trial("b", {}, "w", "stopped", samples_us=[9.0]),
        Trial("c", {}, "w", "crashed"),
    ]
    sweep = replace(begun, trials=trials)
    assert objective_values(sweep, "a", STALL) == [pytest.approx(8), 40]
    assert objective_values(sweep, "b", STALL) == [pytest.approx(9), 50]
    assert objective_values(sweep, "b", replace(STALL, minimise=False)) == [pytest.approx(9), 30]
    assert objective_values(sweep, "b", None) == [pytest.approx(9)]
    assert objective_values(sweep, "c", STALL) is None


def test_the_counter_is_the_first_that_the_stage_judges(repository: Project) -> None:
    found = objective_of(repository.stages["memory_access"])
    assert found == Objective("memory_dependency_stall", minimise=True)
    assert objective_of(None) is None


def test_without_optuna_a_large_space_is_refused_with_a_hint(begun: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> Any:
        return None

    monkeypatch.setattr(sweep_search, "find_spec", missing)
    with pytest.raises(BadArgument, match="1200 configurations") as raised:
        check_searchable(begun)
    assert "stallgate[sweep]" in (raised.value.hint or "")
    check_searchable(replace(begun, enumerated=True))
