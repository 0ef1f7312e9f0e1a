"""Better or not, by times and counters: honest gains pass, and times that counters contradict do not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stallgate.agent.check.better import WorkloadTimes, judge_times


def rounds(middle: float, noise: float = 0.002, seed: int = 0) -> list[float]:
    """Times of 25 rounds around a middle."""
    draw = random.Random(seed)
    return [middle * (1 + draw.gauss(0, noise)) for _ in range(25)]


def times(before: float, after: float, *, noise: float = 0.002, **more: float | None) -> WorkloadTimes:
    """An honest measurement of a kernel that is limited by the GPU: calls take 3 % more than their kernels."""
    facts = {
        "alone": before,
        "again": after,
        "before_kernels": before / 1.03,
        "after_kernels": after / 1.03,
        "limit": 50.0,
        "limit_call": 52.0,
        **more,
    }
    alone, again = facts.pop("alone"), facts.pop("again")
    assert alone is not None
    assert again is not None
    seeds = enumerate((before, after, again, alone), start=1)
    return WorkloadTimes("page", *(rounds(middle, noise, seed) for seed, middle in seeds), **facts)


def codes(*measured: WorkloadTimes, newly_met: bool = False) -> list[str]:
    return [each.code for each in judge_times(list(measured), newly_met=newly_met).objections]


def test_an_honest_gain_is_accepted_with_its_spread() -> None:
    found = judge_times([times(100, 90)], newly_met=False)
    assert not found.objections
    (gain,) = found.gains
    assert gain.low <= gain.gain <= gain.high
    assert gain.gain == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(("after", "noise"), [(100, 0.002), (99, 0.002), (97, 0.05), (108, 0.1)])
def test_a_gain_within_noise_is_none(after: float, noise: float) -> None:
    assert codes(times(100, after, noise=noise)) == ["no_gain"]


def test_a_stage_newly_met_needs_no_gain_and_allows_no_loss() -> None:
    assert codes(times(100, 100), newly_met=True) == []
    assert codes(times(100, 110), newly_met=True) == ["slower"]


def test_a_gain_on_one_workload_pays_for_no_loss_on_another() -> None:
    assert codes(times(100, 80), times(100, 110)) == ["slower"]
    assert codes(times(100, 80), times(100, 100)) == []


def test_a_call_that_is_quicker_when_it_is_made_again_is_refused() -> None:
    """Whatever the gain on new inputs is: it keeps results."""
    assert codes(times(5450, 1300, again=710.0)) == ["replayed_result"]
    assert codes(times(100, 90, again=3.0)) == ["replayed_result"]


@pytest.mark.parametrize(("after", "again"), [(90.0, 80.0), (90.0, 100.0), (6.0, 4.5)])
def test_calls_differ_by_noise_when_they_are_made_again(after: float, again: float) -> None:
    fast = {"limit": after / 2, "limit_call": after / 2}
    assert codes(times(100, after, again=again, **fast)) == []


def test_a_call_that_is_quicker_than_its_bytes_allow_is_refused() -> None:
    """Replayed results: nothing is moved."""
    assert codes(times(100, 5, after_kernels=60.0)) == ["beyond_roof"]
    assert codes(times(100, 90, after_kernels=10.0)) == ["beyond_roof"]


def test_a_clock_that_was_replaced_is_refused() -> None:
    assert codes(times(200, 70, after_kernels=195.0)) == ["time_contradicts_counters"]


def test_a_clock_that_was_replaced_for_both_is_refused() -> None:
    """In a process without the answer's code the other version took its time."""
    assert codes(times(1, 1, alone=100.0, before_kernels=97.0, after_kernels=90.0, limit_call=1.0)) == [
        "time_contradicts_counters"
    ]


def test_a_gain_that_the_kernels_do_not_show_is_refused() -> None:
    assert codes(times(100, 90, after_kernels=97.0)) == ["gain_not_confirmed"]


def test_who_slows_the_other_version_is_refused() -> None:
    assert codes(times(130, 100, alone=100.0, before_kernels=97.0, after_kernels=97.0)) == ["slowed_other"]


def test_fewer_launches_are_an_honest_gain() -> None:
    """Ten small kernels become one: the host's time goes, the GPU's stays."""
    assert codes(times(100, 30, before_kernels=20.0, after_kernels=20.0, limit=15.0, limit_call=20.0)) == []


def test_without_counters_or_a_roof_times_are_all_there_is() -> None:
    nothing = {"before_kernels": None, "after_kernels": None, "limit": None, "limit_call": None}
    assert codes(times(100, 80, **nothing)) == []
    assert codes(times(100, 100, **nothing)) == ["no_gain"]


@given(
    before=st.floats(60, 1e4),
    saved=st.floats(-0.5, 0.9),
    clocks=st.floats(0.85, 1.1),
    noise=st.floats(0, 0.003),
)
def test_honest_kernels_are_judged_by_their_gain_alone(
    before: float, saved: float, clocks: float, noise: float
) -> None:
    """Whatever the clocks under ncu are: both versions ran under the same."""
    after = before * (1 - saved)
    measured = times(
        before,
        after,
        noise=noise,
        before_kernels=before / clocks,
        after_kernels=after / clocks,
        limit=min(before, after) / clocks,
        limit_call=min(before, after),
    )
    expected = ["slower"] if saved < -0.03 else [] if saved > 0.03 else None
    if expected is not None:
        assert codes(measured) == expected
