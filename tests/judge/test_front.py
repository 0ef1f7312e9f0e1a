"""What a sweep found: the front, ties, the suggestion by the stage's targets, and the sensitivity of each tunable."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stallgate.judge.front import TIME_AXIS, FrontAxis, axis_named, dominates, pareto_front
from stallgate.judge.sensitivity import tunable_effects
from stallgate.judge.suggestion import SweepResult, SweepTerms, judge_sweep, sweep_terms
from stallgate.judge.sweep_times import SweepTimes, is_tie, time_span
from stallgate.model import Exemption, Metric, Target
from stallgate.project.load import Project
from stallgate.runs.sweep import CounterReading, Final, Sweep, SweepSpace, Trial, TrialState, TunableValue, Yardstick
from tests.render.made_up_sweep import STALL, made_up_sweep

AXIS = FrontAxis(metric=STALL, title="stall", unit="%")
METRIC = Metric(name=STALL, title="stall", unit="%", direction="lower", state="long_scoreboard")
ROOF = Metric(name="roof_fraction", title="of the roof", unit="", direction="higher")
DRAM = Metric(name="dram_throughput", title="DRAM", unit="%", direction="higher")
BELOW_20 = Target(metric=METRIC, below=20)


def a_trial(
    name: str,
    time: float | Sequence[float],
    stall: float | None = None,
    *,
    workload: str = "w",
    tunables: Mapping[str, TunableValue] | None = None,
    state: TrialState | None = None,
) -> Trial:
    samples = [time] * 3 if isinstance(time, float | int) else list(time)
    counters = {STALL: CounterReading(stall, stall, stall, 3)} if stall is not None else {}
    return Trial(
        configuration=name,
        tunables=dict(tunables or {}),
        workload=workload,
        state=state or ("profiled" if counters else "timed"),
        samples_us=samples,
        counters=counters,
    )


def a_sweep(
    *trials: Trial,
    finals: Sequence[Final] = (),
    yardsticks: Sequence[Yardstick] = (),
    tunables: Mapping[str, list[TunableValue]] | None = None,
) -> Sweep:
    space = SweepSpace(tunables=dict(tunables or {}))
    made = made_up_sweep(2, finals=0)
    return replace(made, trials=list(trials), finals=list(finals), yardsticks=list(yardsticks), space=space)


def judged(*trials: Trial, finals: Sequence[Final] = (), targets: Sequence[Target] = (BELOW_20,)) -> SweepResult:
    return judge_sweep(a_sweep(*trials, finals=finals), SweepTerms(targets=list(targets), axis=AXIS))


def suggested(result: SweepResult) -> tuple[str, str | None, bool]:
    return result.suggestion.advised, result.suggestion.configuration, result.suggestion.meets


# --- the front --------------------------------------------------------------------------------------------------------

_POINTS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12)), min_size=1, max_size=25)


@given(_POINTS, st.booleans(), st.randoms(use_true_random=False))
def test_the_front_is_what_nothing_dominates(costs: list[tuple[int, int]], higher: bool, rng: random.Random) -> None:
    axis = replace(AXIS, direction="higher" if higher else "lower")
    trials = [a_trial(f"c{n}", float(x), float(-y if higher else y)) for n, (x, y) in enumerate(costs)]
    found = pareto_front(a_sweep(*trials), "w", TIME_AXIS, axis)
    for point, (x, y) in ((p, costs[int(p.configuration[1:])]) for p in found.points):
        is_dominated = any(dominates(other, (x, y)) for other in costs)
        assert point.on_front != is_dominated
        assert is_dominated or not point.ties_with
    rng.shuffle(trials)
    assert pareto_front(a_sweep(*trials), "w", TIME_AXIS, axis) == found


def test_what_the_front_beats_by_noise_only_is_a_tie() -> None:
    sweep = a_sweep(a_trial("best", 100.0, 10.0), a_trial("near", 100.4, 10.04), a_trial("far", 100.6, 10.0))
    ties = {p.configuration: p.ties_with for p in pareto_front(sweep, "w", TIME_AXIS, AXIS).points}
    assert ties == {"best": [], "near": ["best"], "far": []}


def test_any_two_metrics_make_a_front(repository: Project) -> None:
    trials = [replace(a_trial(f"c{n}", 100.0, float(n)), registers=32 * n) for n in (1, 2)]
    registers, stall = (axis_named(repository.catalogue, name) for name in ("registers", STALL))
    found = pareto_front(a_sweep(*trials), "w", registers, stall)
    assert [p.configuration for p in found.front] == ["c1"]
    assert axis_named(repository.catalogue, "dram_throughput").direction == "higher"


def test_what_was_not_timed_to_the_end_is_not_on_the_front() -> None:
    sweep = a_sweep(a_trial("slow", 100.0, 5.0, state="stopped"), a_trial("c", 101.0, 6.0))
    assert [p.configuration for p in pareto_front(sweep, "w", TIME_AXIS, AXIS).points] == ["c"]


# --- ties -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "tie"),
    [
        ([100.0] * 3, [100.49] * 3, True),
        ([100.0] * 3, [100.6] * 3, False),
        ([99.0, 100.0, 104.0], [103.0, 105.0, 106.0], True),
        ([*[100.0] * 9, 200.0], [*[103.0] * 9, 90.0], False),  # of many samples the quartiles count
    ],
)
def test_ties_are_what_noise_explains(one: list[float], other: list[float], tie: bool) -> None:
    first, second = time_span(one), time_span(other)
    assert first is not None
    assert second is not None
    assert is_tie(first, second) is is_tie(second, first) is tie


def test_finalists_are_compared_by_the_finals_and_others_by_the_rounds() -> None:
    finals = [Final("a", "w", [110.0] * 3), Final("b", "w", [100.0] * 3)]
    times = SweepTimes(a_sweep(a_trial("a", 100.0), a_trial("b", 101.0), a_trial("c", 102.0), finals=finals))
    by_finals, by_rounds = times.gain("b", "a", ["w"]), times.gain("c", "a", ["w"])
    assert by_finals is not None
    assert by_finals.percent == pytest.approx(100 / 11)
    assert by_rounds is not None
    assert by_rounds.percent == pytest.approx(-2)
    assert times.gain("c", "nobody", ["w"]) is None


# --- the suggestion ---------------------------------------------------------------------------------------------------


def test_the_fastest_that_meets_every_target_is_suggested() -> None:
    result = judged(a_trial("default", 100.0, 15.0), a_trial("fast", 80.0, 25.0), a_trial("good", 90.0, 15.0))
    assert suggested(result) == ("change", "good", True)
    assert result.suggested is not None
    assert result.suggested.gain is not None
    assert result.suggested.gain.percent == pytest.approx(10)


def test_without_a_gain_beyond_noise_the_default_is_kept() -> None:
    result = judged(a_trial("default", 100.0, 15.0), a_trial("other", 99.7, 15.0))
    assert suggested(result) == ("keep_default", "default", True)
    assert [each.configuration for each in result.standings if each.tie] == ["other"]


def test_a_default_that_misses_the_stage_is_not_kept() -> None:
    result = judged(a_trial("default", 100.0, 25.0), a_trial("other", 103.0, 15.0))
    assert suggested(result) == ("change", "other", True)


def test_if_none_meets_the_stage_the_fastest_is_suggested_with_what_it_misses() -> None:
    result = judged(a_trial("default", 100.0, 30.0), a_trial("other", 90.0, 25.0))
    assert suggested(result) == ("change", "other", False)
    assert result.suggested is not None
    (missed,) = result.suggested.unmet
    assert (missed.metric, missed.answer, missed.value, missed.bound) == (STALL, "missed", 25.0, 20.0)


def test_what_has_no_counters_does_not_meet_the_stage() -> None:
    result = judged(a_trial("default", 100.0, 15.0), a_trial("unknown", 80.0))
    assert suggested(result) == ("keep_default", "default", True)


def test_a_target_that_nobody_has_readings_of_decides_nothing_and_is_named() -> None:
    dram = Target(metric=DRAM, at_least=0.97, of="roof")
    result = judged(a_trial("default", 100.0, 15.0), a_trial("good", 90.0, 15.0), targets=[BELOW_20, dram])
    assert suggested(result) == ("change", "good", True)
    assert result.unmeasured == ["dram_throughput"]


def test_samples_on_both_sides_of_a_bound_do_not_meet_it() -> None:
    wide = replace(a_trial("wide", 80.0, 19.0), counters={STALL: CounterReading(19.0, 17.0, 21.0, 3)})
    result = judged(a_trial("default", 100.0, 15.0), wide)
    assert suggested(result) == ("keep_default", "default", True)


def test_a_target_is_excused_as_the_gate_excuses_it() -> None:
    target = Target(metric=METRIC, below=20, unless=Exemption(metric=ROOF, at_least=0.95))
    roof = Yardstick(name="roof", role="roof", workload="w", ceiling="bytes", samples_us=[78.0] * 3)
    sweep = a_sweep(a_trial("default", 100.0, 15.0), a_trial("fast", 80.0, 25.0), yardsticks=[roof])
    result = judge_sweep(sweep, SweepTerms(targets=[target], axis=AXIS))
    assert suggested(result) == ("change", "fast", True)
    assert result.suggested is not None
    assert result.suggested.checks[0].answer == "excused"
    assert result.suggested.of_roof == pytest.approx(78 / 80)


def test_a_fraction_of_the_roof_is_of_its_own_reading() -> None:
    roof = Yardstick(
        name="roof", role="roof", workload="w", ceiling="bytes", samples_us=[70.0] * 3,
        counters={STALL: CounterReading(40.0, 40.0, 40.0, 3)},
    )  # fmt: skip
    sweep = a_sweep(a_trial("default", 100.0, 25.0), a_trial("fast", 80.0, 15.0), yardsticks=[roof])
    result = judge_sweep(sweep, SweepTerms(targets=[Target(metric=METRIC, below=0.5, of="roof")], axis=AXIS))
    assert suggested(result) == ("change", "fast", True)
    assert result.suggested is not None
    assert result.suggested.checks[0].bound == 20.0


def test_of_several_ceilings_the_slowest_roof_counts() -> None:
    roofs = [
        Yardstick(name=name, role="roof", workload="w", ceiling=ceiling, samples_us=[time])
        for name, ceiling, time in [("a", "bytes", 50.0), ("b", "bytes", 40.0), ("c", "flops", 45.0)]
    ]
    result = judge_sweep(a_sweep(a_trial("default", 90.0, 1.0), yardsticks=roofs), SweepTerms())
    assert (result.roof, result.standings[0].of_roof) == ("c", pytest.approx(0.5))


def test_one_configuration_is_suggested_for_all_workloads() -> None:
    times = {"default": (100.0, 100.0), "a": (80.0, 110.0), "b": (92.0, 92.0), "half": (50.0, None)}
    trials = [
        a_trial(name, time, 10.0, workload=load) if time else a_trial(name, [], workload=load, state="crashed")
        for name, pair in times.items()
        for load, time in zip(("v", "w"), pair, strict=True)
    ]
    result = judged(*trials)
    assert suggested(result) == ("change", "b", True)
    assert {best.workload: best.configuration for best in result.best} == {"v": "a", "w": "b"}
    assert [front.workload for front in result.fronts] == ["v", "w"]


def test_without_a_default_or_a_time_it_says_so() -> None:
    assert suggested(judged(a_trial("only", 100.0, 10.0))) == ("no_default", "only", True)
    assert suggested(judged(a_trial("broken", [], state="crashed"))) == ("nothing", None, False)


def test_finalists_come_first_and_their_finals_decide() -> None:
    trials = [a_trial("default", 100.0, 10.0), a_trial("a", 90.0, 10.0), a_trial("b", 91.0, 10.0)]
    trials.append(a_trial("later", 92.0, 10.0))
    finals = [Final(name, "w", [time] * 3) for name, time in [("default", 105.0), ("a", 97.0), ("b", 93.0)]]
    result = judged(*trials, finals=finals)
    assert suggested(result) == ("change", "b", True)
    assert [each.configuration for each in result.standings] == ["b", "a", "default", "later"]


@settings(max_examples=15)
@given(st.randoms(use_true_random=False))
def test_the_order_of_trials_does_not_matter(rng: random.Random) -> None:
    sweep = made_up_sweep(24, workloads=("v", "w"))
    terms = SweepTerms(targets=[BELOW_20], axis=AXIS, workloads=["v", "w"])
    trials = list(sweep.trials)
    rng.shuffle(trials)
    assert judge_sweep(replace(sweep, trials=trials), terms) == judge_sweep(sweep, terms)


def test_the_terms_are_the_stages_targets_and_its_stall(repository: Project) -> None:
    sweep = made_up_sweep(12, workloads=("square", "page"))
    stages = repository.with_included(["memory_access"])
    terms = sweep_terms(repository.catalogue, stages, sweep, ["square"])
    assert [target.metric.name for target in terms.targets] == ["roof_fraction", "dram_throughput", STALL]
    assert (terms.axis and terms.axis.metric, terms.workloads) == (STALL, ["square"])
    against = sweep_terms(repository.catalogue, stages, sweep, ["elsewhere"], against="l2_hit_rate")
    assert (against.axis and against.axis.metric, against.workloads) == ("l2_hit_rate", ["square", "page"])


# --- sensitivity ------------------------------------------------------------------------------------------------------

GRID: dict[str, list[TunableValue]] = {"A": [1, 2, 4], "B": [False, True], "C": ["x", "y"]}


def a_grid(effects: Mapping[str, Mapping[TunableValue, float]], *, without: int = 0) -> Sweep:
    """A grid of which log(time) is the sum of what each value adds."""
    points = [{"A": a, "B": b, "C": c} for a in GRID["A"] for b in GRID["B"] for c in GRID["C"]]
    trials = [
        a_trial(f"c{n}", 100 * exp(sum(effects[name][value] for name, value in point.items())), tunables=point)
        for n, point in enumerate(points)
    ]
    return a_sweep(*trials[without:], tunables=GRID)


EFFECTS: dict[str, dict[TunableValue, float]] = {
    "A": {1: 0.3, 2: 0.0, 4: 0.1},
    "B": {False: 0.05, True: 0.0},
    "C": {"x": 0.0, "y": 0.0},
}


def test_shares_of_a_whole_grid_are_those_of_its_effects() -> None:
    found = {effect.tunable: effect for effect in tunable_effects(a_grid(EFFECTS), ["w"])}
    assert list(found) == ["A", "B", "C"]
    assert sum(effect.share for effect in found.values()) == pytest.approx(1)
    assert found["A"].share > 0.9
    assert (found["A"].best, found["B"].best) == (2, True)
    assert found["A"].reach == pytest.approx(exp(0.3) - 1)
    assert [each.slower for each in found["A"].values] == pytest.approx([exp(0.3) - 1, 0, exp(0.1) - 1])
    assert (found["A"].matched, found["B"].matched) == (4, 6)


def test_where_the_grid_has_holes_whole_groups_alone_are_matched() -> None:
    found = {effect.tunable: effect for effect in tunable_effects(a_grid(EFFECTS, without=3), ["w"])}
    assert found["A"].matched == 1
    assert found["A"].reach == pytest.approx(exp(0.3) - 1)
    assert found["B"].reach == pytest.approx(exp(0.05) - 1)


def test_without_whole_groups_the_medians_are_compared() -> None:
    trials = [a_trial("a", 100.0, tunables={"A": 1, "B": False}), a_trial("b", 120.0, tunables={"A": 2, "B": True})]
    sweep = a_sweep(*trials, tunables={"A": [1, 2], "B": [False, True]})
    assert {(e.tunable, e.matched, round(e.reach, 3)) for e in tunable_effects(sweep, ["w"])} == {
        ("A", 0, 0.2),
        ("B", 0, 0.2),
    }


def test_times_that_are_all_alike_are_explained_by_nothing() -> None:
    flat = {name: dict.fromkeys(values, 0.0) for name, values in EFFECTS.items()}
    assert [effect.share for effect in tunable_effects(a_grid(flat), ["w"])] == [0, 0, 0]
    assert tunable_effects(a_sweep(), ["w"]) == []
