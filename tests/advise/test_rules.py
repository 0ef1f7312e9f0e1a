"""Each shipped rule on made-up readings: it fires with the right numbers, and is silent on its counterpart."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from stallgate.advise.advice import holds
from stallgate.advise.facts import facts_of_launch
from stallgate.advise.readings import LaunchReadings
from stallgate.advise.tree import explained
from stallgate.model import Case, CitedReading
from stallgate.project.advice import FACT_UNITS, read_advice_rules, readings_of
from stallgate.project.load import Project
from tests.conftest import ROOT


class Row(NamedTuple):
    """What makes a rule fire, what it explains then, and the change of it that makes the rule silent."""

    fires: dict[str, float]
    explains: float
    silent: dict[str, float]


IDLE = {"dram_throughput": 20.0, "l2_throughput": 20.0, "sm_throughput": 20.0, "stall_long_scoreboard": 40.0}
"""No unit is busy, and warps wait for loads: latency explains up to 80 %."""

STAGES = {**IDLE, "achieved_occupancy": 50.0, "has_loop": 1.0}
ROOF = {"roof_fraction": 0.99, "roof_goal": 0.97, "roof_is_library": 0.0, "dram_throughput": 90.0}

ROWS = {
    "sector_use": Row(
        {"bytes_per_sector_loaded": 4, "l2_throughput": 77, "dram_throughput": 12}, 0.77, {"bytes_per_sector_loaded": 0}
    ),
    "excessive_sectors": Row(
        {"excessive_sectors": 5e5, "theoretical_sectors": 1e6, "busiest_cache": 80}, 0.4, {"excessive_sectors": 1e4}
    ),
    "narrow_loads": Row(
        {**IDLE, "load_sectors_per_request": 1, "bytes_per_sector_loaded": 32, "stall_lg_throttle": 10},
        0.5,
        {"load_sectors_per_request": 16},
    ),
    "partial_sector_writes": Row(
        {"bytes_per_sector_stored": 8, "dram_bytes_written": 3e6, "dram_bytes_read": 1e6, "l2_throughput": 90},
        0.75 * 0.75,
        {"bytes_per_sector_stored": 32},
    ),
    "bytes_in_flight": Row(
        {**IDLE, "busiest_cache": 20, "achieved_occupancy": 50, "grid_size": 132, "multiprocessors": 132},
        0.4,
        {"busiest_cache": 97.9},
    ),
    "no_pipelining": Row({**STAGES, "num_stages": 1}, 0.4, {"num_stages": 3}),
    "pipelining_ignored": Row({**STAGES, "num_stages": 3, "async_copies": 0}, 0.4, {"async_copies": 1000}),
    "pipelining_too_deep": Row(
        {
            **STAGES,
            "num_stages": 5,
            "shared_memory": 2e5,
            "occupancy_limit_shared_memory": 1,
            "occupancy_limit_registers": 4,
            "occupancy_limit_warps": 8,
            "theoretical_occupancy": 12.5,
            "issue_active": 0.2,
        },
        0.875 * 0.8,
        {"occupancy_limit_shared_memory": 4},
    ),
    "shared_memory_side": Row(
        {**IDLE, "stall_short_scoreboard": 35, "stall_mio_throttle": 15, "stall_long_scoreboard": 10},
        0.5,
        {"stall_long_scoreboard": 55},
    ),
    "bank_conflicts": Row(
        {
            **IDLE,
            "shared_conflicts": 5e5,
            "shared_wavefronts": 1e6,
            "stall_short_scoreboard": 30,
            "stall_mio_throttle": 10,
        },
        0.2,
        {"shared_conflicts": 5e4},
    ),
    "barrier_waits": Row({**IDLE, "stall_barrier": 45, "block_size": 512}, 0.45, {"stall_barrier": 10}),
    "low_occupancy": Row(
        {**IDLE, "theoretical_occupancy": 25, "waves": 3, "registers": 200, "shared_memory": 1024},
        0.75 * 0.4,
        {"theoretical_occupancy": 75},
    ),
    "partial_wave": Row({"waves": 1.25, "waves_begun": 2, "grid_size": 165}, 0.375, {"waves": 1.95}),
    "too_few_programs": Row({**IDLE, "grid_size": 33, "multiprocessors": 132}, 0.75, {"grid_size": 132}),
    "imbalance": Row(
        {**IDLE, "grid_size": 264, "multiprocessors": 132, "sm_active_cycles": 5e5, "sm_active_cycles_max": 1e6},
        0.5,
        {"sm_active_cycles": 9.8e5},
    ),
    "register_spills": Row(
        {
            "local_loads": 2e6,
            "local_stores": 1e6,
            "global_loads": 5e6,
            "global_stores": 2e6,
            "instructions": 1e8,
            "registers": 255,
            "l2_throughput": 80,
            "stall_long_scoreboard": 40,
            "stall_lg_throttle": 10,
        },
        0.15,
        {"local_loads": 0, "local_stores": 0},
    ),
    "more_bytes_than_needed": Row(
        {"traffic": 2, "dram_throughput": 92, "dram_bytes_read": 3e9, "dram_bytes_written": 1e9}, 0.5, {"traffic": 1.05}
    ),
    "rereads": Row(
        {
            "traffic": 2,
            "dram_throughput": 46,
            "l2_sectors": 1e9,
            "needed_bytes": 1e9,
            "l2_read_hit_rate": 60,
        },
        0.25,
        {"traffic": 1.1},
    ),
    "l2_thrash": Row(
        {
            "traffic": 2,
            "dram_throughput": 92,
            "dram_bytes_read": 3e9,
            "needed_bytes": 2e9,
            "l2_size": 5e7,
            "l2_read_hit_rate": 1,
            "l2_sectors": 1.5e8,
        },
        0.5,
        {"l2_sectors": 2e8},
    ),
    "little_reuse": Row(
        {"l2_sectors": 1e9, "needed_bytes": 3.2e9, "l2_throughput": 60, "bytes_per_sector_stored": 32},
        0.9 * 0.6,
        {"needed_bytes": 1.6e10},
    ),
    "tensor_cores_idle": Row(
        {"has_dot": 1, "tensor_pipe_utilization": 23, "dram_throughput": 20}, 0.75, {"tensor_pipe_utilization": 80}
    ),
    "double_precision": Row(
        {"fp64_pipe_utilization": 40, "fp64_needed": 0, "sm_throughput": 60}, 0.4, {"fp64_needed": 1}
    ),
    "conversions": Row({"xu_pipe_utilization": 70, "sm_throughput": 75}, 0.7, {"xu_pipe_utilization": 20}),
    "launch_bound": Row({"duration": 4000, "call_time": 40_000}, 0.9, {"call_time": 6000}),
    "atomics": Row(
        {
            **IDLE,
            "atomic_sectors": 5e5,
            "l2_sectors": 1e6,
            "stall_membar": 25,
            "stall_drain": 10,
            "stall_lg_throttle": 5,
        },
        0.6,
        {"atomic_sectors": 1e3},
    ),
    "issue_bound": Row({"issue_active": 0.9, "instructions": 1e9, "sm_throughput": 95}, 0.9, {"issue_active": 0.6}),
    "instruction_cache": Row(
        {**IDLE, "stall_no_instruction": 25, "instructions": 1e6}, 0.25, {"stall_no_instruction": 5}
    ),
    "divergence": Row({"threads_per_instruction": 8, "sm_throughput": 50}, 0.5, {"threads_per_instruction": 31}),
    "at_the_roof": Row(ROOF, 0.01, {"roof_fraction": 0.9}),
    "at_the_library": Row({**ROOF, "roof_is_library": 1.0}, 0.01, {"roof_is_library": 0.0}),
    "at_the_dram_limit": Row({"roof_known": 0, "dram_throughput": 91}, 0.09, {"roof_known": 1}),
}


def readings(values: dict[str, float], *, without: str = "") -> LaunchReadings:
    """A launch of a millisecond with these readings."""
    cited = {
        name: CitedReading(metric=name, value=float(value), unit=FACT_UNITS.get(name, ""), launch=7, sample="2")
        for name, value in ({"duration": 1e6} | values).items()
        if name != without
    }
    return LaunchReadings(case=Case("p", "v", "default", "w"), kernel="k", share=1.0, readings=cited)


def test_every_shipped_rule_has_a_row(repository: Project) -> None:
    assert set(read_advice_rules(ROOT, repository.catalogue)) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_rule_fires_with_its_number_and_is_silent_on_its_counterpart(repository: Project, name: str) -> None:
    rules = read_advice_rules(ROOT, repository.catalogue)
    row = ROWS[name]
    assert holds(rules[name], readings(row.fires))
    assert explained(rules[name], rules, readings(row.fires)) == pytest.approx(row.explains)
    assert not holds(rules[name], readings(row.fires | row.silent))


@pytest.mark.parametrize("name", ROWS)
def test_a_rule_that_lacks_any_of_its_readings_is_silent(repository: Project, name: str) -> None:
    rule = read_advice_rules(ROOT, repository.catalogue)[name]
    for missing in readings_of(rule):
        assert not holds(rule, readings(ROWS[name].fires, without=missing))


BOUNDS = {
    "the shortest kernels leave nothing": ("barrier_waits", {"duration": 1800}, 0.0),
    "a short kernel leaves what is above them": ("barrier_waits", {"duration": 2500}, 0.2),
    "a tail is no longer than every unit is idle": ("partial_wave", {"dram_throughput": 82.8}, 0.1),
    "fewer sectors leave DRAM's bytes": ("sector_use", {"dram_throughput": 69, "traffic": 1.0}, 0.25),
    "fewer sectors leave the needed half of DRAM's bytes": ("sector_use", {"dram_throughput": 69, "traffic": 2}, 0.625),
    "sectors asked for again by hits leave DRAM's bytes": (
        "sector_use",
        {"dram_throughput": 69, "bytes_per_sector_loaded": 16, "l2_hit_rate": 50},
        0.25,
    ),
    "sectors that miss L2 in vain do not": (
        "sector_use",
        {"dram_throughput": 69, "bytes_per_sector_loaded": 4, "l2_hit_rate": 0},
        0.77,
    ),
    "larger tiles leave DRAM's bytes": ("little_reuse", {"dram_throughput": 69, "traffic": 1.0}, 0.25),
    "fewer spills leave DRAM's bytes": ("register_spills", {"dram_throughput": 82.8, "traffic": 1.0}, 0.1),
    "fewer instructions leave DRAM's bytes": ("issue_bound", {"dram_throughput": 69}, 0.25),
    "fewer conversions leave DRAM's bytes": ("conversions", {"dram_throughput": 82.8}, 0.1),
    "loads cost no more than warps wait for them": ("bytes_in_flight", {"stall_long_scoreboard": 33}, 0.33),
    "nor more than DRAM can still give": (
        "bytes_in_flight",
        {"stall_long_scoreboard": 90, "dram_throughput": 69},
        0.25,
    ),
}
"""What bounds a gain -> the rule, what is changed of the readings that make it fire, and what it explains then."""


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_gain_is_no_more_than_is_possible(repository: Project, bound: str) -> None:
    rules = read_advice_rules(ROOT, repository.catalogue)
    name, changed, expected = BOUNDS[bound]
    found = readings(ROWS[name].fires | changed)
    assert holds(rules[name], found)
    assert explained(rules[name], rules, found) == pytest.approx(expected)


NOT_AT_ALL = {
    "DRAM that is far from its limit": [
        ("rereads", {"dram_throughput": 35}),
        ("more_bytes_than_needed", {"dram_throughput": 17}),
        ("l2_thrash", {"dram_throughput": 35}),
    ],
    "a kernel of a few microseconds": [
        (name, {"duration": 4000}) for name in ("too_few_programs", "partial_wave", "imbalance", "bytes_in_flight")
    ],
    "too few programs for half of the GPU": [("bytes_in_flight", {"grid_size": 65})],
}


@pytest.mark.parametrize(("rule", "changed"), [row for rows in NOT_AT_ALL.values() for row in rows])
def test_a_rule_is_silent_where_something_else_is_the_limit(
    repository: Project, rule: str, changed: dict[str, float]
) -> None:
    rules = read_advice_rules(ROOT, repository.catalogue)
    assert not holds(rules[rule], readings(ROWS[rule].fires | changed))


YIELDS = [
    ("excessive_sectors", "sector_use"),
    ("imbalance", "partial_wave"),
    ("issue_bound", "conversions"),
    ("bytes_in_flight", "register_spills"),
]


@pytest.mark.parametrize(("rule", "better"), YIELDS)
def test_a_rule_yields_to_one_that_names_the_cause_better(repository: Project, rule: str, better: str) -> None:
    rules = read_advice_rules(ROOT, repository.catalogue)
    assert better in rules[rule].yields_to
    assert all(holds(rules[name], readings(ROWS[better].fires | ROWS[rule].fires)) for name in (rule, better))


def test_no_advice_is_to_raise_the_hit_rate(repository: Project) -> None:
    for rule in read_advice_rules(ROOT, repository.catalogue).values():
        assert "hit rate" not in rule.tries
        assert "hit_rate" not in rule.explains


def test_a_cause_explains_no_more_than_the_one_above_it(repository: Project) -> None:
    rules = read_advice_rules(ROOT, repository.catalogue)
    found = readings({**STAGES, "num_stages": 1, "stall_long_scoreboard": 95, "dram_throughput": 69})
    assert explained(rules["no_pipelining"], rules, found) == pytest.approx(1 - 69 / 92)
    near = readings({**STAGES, "num_stages": 1, "roof_fraction": 0.95})
    assert explained(rules["no_pipelining"], rules, near) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("caches", "busiest"),
    [
        ({"l1_throughput": 97.9, "l2_throughput": 31.0}, 97.9),
        ({"l1_throughput": 12.0, "l2_throughput": 31.0}, 31.0),
        ({"l2_throughput": 31.0}, 31.0),
    ],
)
def test_requests_cost_time_in_the_busier_cache(caches: dict[str, float], busiest: float) -> None:
    assert facts_of_launch(caches)["busiest_cache"] == busiest


def test_a_busy_l1_is_no_lack_of_bytes_in_flight(repository: Project) -> None:
    rules = read_advice_rules(ROOT, repository.catalogue)
    fires = ROWS["bytes_in_flight"].fires
    assert holds(rules["bytes_in_flight"], readings(fires))
    assert not holds(rules["bytes_in_flight"], readings(fires | facts_of_launch({"l1_throughput": 80.0})))
    assert explained(rules["excessive_sectors"], rules, readings(_UNUSED)) == pytest.approx(0.5 * 0.979)


_UNUSED = {"excessive_sectors": 5e5, "theoretical_sectors": 1e6, "l1_throughput": 97.9, "l2_throughput": 20.0}
_UNUSED |= facts_of_launch(_UNUSED)
