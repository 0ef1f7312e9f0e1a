"""The gate as a table: each situation with its verdict, its reason code and its exit status.

A new reason code takes a row here; what the rows share is at the top, and how a run is made in ``judging.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stallgate.extract.evidence import ProfiledCall
from stallgate.extract.table import Summary
from stallgate.formatting import counted_verdicts, verdict_mark
from stallgate.judge.reasons import STATUS_OF_REASON
from stallgate.judge.verdicts import Judgement
from stallgate.measure.profile import subject_of
from stallgate.model import Attempt, CaseResult, Exemption, Launch, Selection, Settings, Target, Verdict
from stallgate.project.load import Project
from stallgate.render.run_word import said_of
from tests.judge.judging import (
    CATALOGUE,
    STALL,
    accepted,
    case,
    environment,
    judged,
    reasons,
    run_of,
    summary,
    target,
    usual,
    with_baseline,
    with_judged,
    with_stage,
    with_variant,
    with_waiver,
)

# --- metric state x kind of target x direction x samples --------------------------------------------------------------


class Kind(NamedTuple):
    """A kind of target with values on each side of its bound."""

    target: Target
    good: float
    bad: float


KINDS = {
    "a value, higher": Kind(target("dram_throughput", at_least=88), 88.5, 87.5),
    "a value, lower": Kind(target(STALL, below=20), 19.5, 20.5),
    "of the roof, higher": Kind(target("dram_throughput", at_least=0.97, of="roof"), 87.4, 87.2),
    "of the roof, lower": Kind(target("duration", at_most=1.03, of="roof"), 100.0, 102.0),
    "the baseline, higher": Kind(target("dram_throughput", tolerance_points=2, insist=True), 86.0, 85.9),
    "the baseline, lower": Kind(target("duration", tolerance=0.02), 101.0, 103.0),
    "each kernel, higher": Kind(target("dram_throughput", above=88, scope="kernel"), 88.5, 87.5),
    "each kernel, lower": Kind(target(STALL, at_most=20, scope="kernel"), 20.0, 20.5),
}

MISSED = {"the baseline, higher": "regressed", "the baseline, lower": "regressed"}

SAMPLES: dict[str, tuple[Callable[[Kind], Summary], str, str, int]] = {
    "five good": (lambda kind: summary(*[kind.good] * 5), "pass", "met", 0),
    "one good": (lambda kind: summary(kind.good), "pass", "met", 0),
    "five bad": (lambda kind: summary(*[kind.bad] * 5), "fail", "missed", 1),
    "one bad": (lambda kind: summary(kind.bad), "fail", "missed", 1),
    "one of five bad": (lambda kind: summary(*[kind.good] * 4, kind.bad), "undecided", "straddles", 3),
    "four of five bad": (lambda kind: summary(kind.good, *[kind.bad] * 4), "undecided", "straddles", 3),
    "absent": (lambda _: summary(state="absent"), "not_measured", "absent", 3),
    "no value": (lambda _: summary(state="no_value"), "not_measured", "no_value", 3),
    "not finite": (lambda _: summary(state="not_finite"), "not_measured", "not_finite", 3),
    "out of range": (lambda _: summary(state="out_of_range"), "not_measured", "out_of_range", 3),
}

BASELINE = {"dram_throughput": accepted(88.0, unit="%"), "duration": accepted(100.0, unit="ns")}


def judged_by(project: Project, kind: Kind, found: Summary, **changes: Any) -> Judgement:
    """A run whose candidate has this for the target's metric, in the call and in its kernels."""
    metric = kind.target.metric.name
    kernels = {"scan": found, "fix": found}
    parts = {(case("blocked_scan", workload), metric): kernels for workload in ("square", "page")}
    return judged(with_stage(project, kind.target), candidate={metric: found}, parts=parts, **changes)


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("kind", KINDS)
def test_samples_against_a_bound(repository: Project, kind: str, samples: str) -> None:
    make, status, reason, exit_status = SAMPLES[samples]
    found = judged_by(with_baseline(repository, BASELINE), KINDS[kind], make(KINDS[kind]))
    assert reasons(found) == {(status, MISSED.get(kind, reason) if reason == "missed" else reason)}
    assert found.exit_status == exit_status


# --- everything else that can be the matter ---------------------------------------------------------------------------

ROOF_TARGET = target("dram_throughput", at_least=0.97, of="roof")
STALL_TARGET = target(STALL, below=20)
REGRESSION = target("duration", tolerance=0.02)


def unless(metric: str, **bound: float) -> Target:
    """The target on the stall, excused by another metric."""
    return replace(STALL_TARGET, unless=Exemption(metric=CATALOGUE.metrics[metric], **bound))


OR_AT_THE_ROOF = unless("roof_fraction", at_least=0.95)

HIGH_STALL = {STALL: summary(*[35.0] * 5)}
ODD_STALL = {STALL: summary(19.0, 21.0)}
SLOWER = {"duration": summary(*[105.0] * 5)}

LATER, TODAY, EARLIER = date(2026, 12, 31), date(2026, 11, 25), date(2026, 11, 24)


class Situation(NamedTuple):
    """A project and a run, and what the gate says of them."""

    project: Callable[[Project], Project]
    run: dict[str, Any]
    status: str
    reason: str
    exit_status: int


def plain(*targets: Target, **changes: Any) -> Callable[[Project], Project]:
    return lambda project: with_stage(project, *targets, **changes)


def waived(until: date, *targets: Target, **changes: Any) -> Callable[[Project], Project]:
    stage = {name: changes.pop(name) for name in list(changes) if name == "undecided"}
    judged_on = targets or (STALL_TARGET,)
    return lambda project: with_waiver(
        with_stage(project, *judged_on, **stage), judged_on[0].metric.name, until, **changes
    )


def regression(spread: float = 0.0, metric: str = "duration", **changes: Any) -> Callable[[Project], Project]:
    kept = {metric: accepted(GOODS[metric], spread)}
    bound = target(metric, tolerance=0.02) if metric == "duration" else target(metric, tolerance_points=2, insist=True)
    return lambda project: with_baseline(with_stage(project, bound), kept, **changes)


def lost(*, insist: bool, times: bool = True) -> Callable[[Project], Project]:
    """A stage that holds the stall to its baseline, of which the time is accepted too, or not."""
    stall = target(STALL, tolerance_points=2, insist=insist)
    kept = {STALL: accepted(10.0, unit="%")} | ({"duration": accepted(100.0, unit="ns")} if times else {})
    return lambda project: with_baseline(with_stage(project, stall), kept)


def two_stages(project: Project) -> Project:
    """A project whose problem is gated by two stages of one target."""
    staged = with_stage(project, STALL_TARGET)
    other = replace(staged.stage("memory_access"), name="block_tiling")
    problem = replace(staged.problem("cumprod"), stages=["memory_access", "block_tiling"])
    return replace(staged, stages={**staged.stages, "block_tiling": other}, problems={"cumprod": problem})


def judged_through(project: Project, workload: str) -> Project:
    """A project whose stage is included by another, by which alone a workload is judged."""
    staged = two_stages(project)
    outer = replace(staged.stage("block_tiling"), includes=["memory_access"])
    problem = replace(staged.problem("cumprod"), stages=["memory_access"])
    staged = replace(staged, stages={**staged.stages, "block_tiling": outer}, problems={"cumprod": problem})
    return with_judged(staged, {"square": True, workload: ["block_tiling"]})


GOODS = {"duration": 100.0, "roof_fraction": 0.985}


def outcome(name: str, number: int = 1) -> list[CaseResult]:
    """The usual cases, of which one came to this: 0 is the roof, 1 the candidate on square."""
    results = usual()
    results[number] = replace(results[number], outcome=name, reason="why")  # type: ignore[arg-type]
    return results


def launches(signature: str) -> list[ProfiledCall]:
    """A call of the candidate that launches a kernel, whose name C++ spells so."""
    launch = Launch(index=0, kernel="scan", ranges=[], metrics={}, signature=signature)
    return [ProfiledCall(case=case("blocked_scan"), sample="0", launches=[launch])]


def on(gpu: str) -> list[Attempt]:
    return [Attempt(name="1", kind="samples", command=[], started="", environment=environment(gpu=gpu))]


def controls(**changes: str) -> Settings:
    plain = {"clock_control": "none", "cache_control": "all", **changes}
    return Settings(samples=5, timeout_s=1, metrics=[], **plain)


IMPORT: dict[str, Any] = {
    "results": [
        CaseResult(
            case=replace(case("kernel", "gpu"), problem="imported"), role="unknown", outcome="profiled", attempt="1"
        )
    ],
    "kind": "imported",
    "subjects": {},
    "settings": None,
    "stages": ["memory_access"],
}

SITUATIONS: dict[str, Situation] = {
    # --- the case ---
    "wrong result": Situation(plain(STALL_TARGET), {"results": outcome("wrong_result")}, "fail", "wrong_result", 1),
    "crashed": Situation(plain(STALL_TARGET), {"results": outcome("crashed")}, "not_measured", "crashed", 3),
    "timed out": Situation(plain(STALL_TARGET), {"results": outcome("timed_out")}, "not_measured", "timed_out", 3),
    "skipped": Situation(plain(STALL_TARGET), {"results": outcome("skipped")}, "not_measured", "skipped", 3),
    "not profiled": Situation(
        plain(STALL_TARGET), {"results": outcome("not_profiled")}, "not_measured", "not_profiled", 3
    ),
    "not reached": Situation(plain(STALL_TARGET), {"results": outcome("planned")}, "not_measured", "planned", 3),
    "cut short": Situation(plain(STALL_TARGET), {"results": outcome("measuring")}, "not_measured", "measuring", 3),
    "damaged report": Situation(
        plain(STALL_TARGET),
        {"faults": {case("blocked_scan").name: "cut short"}},
        "not_measured",
        "damaged_report",
        3,
    ),
    "a kernel of others": Situation(
        plain(STALL_TARGET), {"calls": launches("void at::native::scan<float>(float *)")}, "fail", "foreign_kernel", 1
    ),
    "less moved than needed": Situation(
        plain(STALL_TARGET), {"candidate": {"l2_sectors": summary(1.0)}}, "not_measured", "implausible", 3
    ),
    "far beyond the roof": Situation(
        plain(STALL_TARGET), {"candidate": {"duration": summary(80.0)}}, "not_measured", "implausible", 3
    ),
    "nothing says whether it is right on edge cases": Situation(
        plain(STALL_TARGET),
        {"results": [replace(result, edge_case_fault=None) for result in usual()]},
        "not_measured",
        "facts_missing",
        3,
    ),
    "other code": Situation(plain(STALL_TARGET), {"subjects": {}}, "not_measured", "stale", 3),
    "a case is missing": Situation(plain(STALL_TARGET, workloads=["square", "flat"]), {}, "not_measured", "no_case", 3),
    "a judged workload is missing, and another stage judges it": Situation(
        lambda project: with_judged(plain(STALL_TARGET)(project), {"square": True, "flat": ["block_tiling"]}),
        {},
        "pass",
        "met",
        0,
    ),
    "a stage judges the workload through one that includes it": Situation(
        lambda project: judged_through(project, "flat"), {}, "not_measured", "no_case", 3
    ),
    "a case of the default plan is missing": Situation(
        plain(STALL_TARGET), {"results": usual()[:2]}, "not_measured", "no_case", 3
    ),
    "another candidate was not asked for": Situation(
        lambda project: with_stage(with_variant(project, "another_scan", role="candidate"), STALL_TARGET),
        {"selection": Selection(subjects=["cumprod/blocked_scan"])},
        "pass",
        "met",
        0,
    ),
    "another candidate was asked for": Situation(
        lambda project: with_stage(with_variant(project, "another_scan", role="candidate"), STALL_TARGET),
        {"selection": Selection(subjects=["cumprod"])},
        "not_measured",
        "no_case",
        3,
    ),
    "another workload was not asked for": Situation(
        plain(STALL_TARGET, workloads=["square", "flat"]),
        {"selection": Selection(workloads=["square", "page"])},
        "pass",
        "met",
        0,
    ),
    "no candidate in the run": Situation(plain(STALL_TARGET), {"results": usual()[:1]}, "not_measured", "no_case", 3),
    "no target for the candidate": Situation(
        plain(target(STALL, below=20, variants=["naive_serial"])), {}, "not_measured", "no_target", 3
    ),
    "no target at all": Situation(plain(), {}, "not_measured", "no_target", 3),
    "no workload is judged": Situation(plain(STALL_TARGET, workloads=[]), {}, "not_measured", "no_target", 3),
    "an imported kernel of which nobody knows what it has to do": Situation(
        plain(target("traffic", at_most=1.05)), IMPORT, "not_measured", "no_workload", 3
    ),
    "an imported kernel and a roof": Situation(plain(ROOF_TARGET), IMPORT, "not_measured", "no_roof", 3),
    "an imported kernel that meets a bound": Situation(plain(STALL_TARGET), IMPORT, "pass", "met", 0),
    "one stage judges no workload": Situation(
        lambda project: with_judged(two_stages(project), {"square": ["memory_access"]}),
        {},
        "not_measured",
        "no_target",
        3,
    ),
    "a workload that is not judged is wrong": Situation(
        plain(STALL_TARGET, workloads=["page"]), {"results": outcome("wrong_result")}, "fail", "wrong_result", 1
    ),
    "a kernel is not in every sample": Situation(
        plain(target(STALL, below=20, scope="kernel"), workloads=["square"]),
        {"parts": {(case("blocked_scan"), STALL): {"scan": summary(5.0), "fix": summary(state="absent")}}},
        "not_measured",
        "absent",
        3,
    ),
    "one kernel of two misses": Situation(
        plain(target(STALL, below=20, scope="kernel"), workloads=["square"]),
        {"parts": {(case("blocked_scan"), STALL): {"scan": summary(5.0), "fix": summary(50.0)}}},
        "fail",
        "missed",
        1,
    ),
    "no kernel is known": Situation(plain(target(STALL, below=20, scope="kernel")), {}, "not_measured", "absent", 3),
    # --- the roof ---
    "no roof was measured": Situation(
        plain(ROOF_TARGET), {"results": outcome("crashed", 0)}, "not_measured", "no_roof", 3
    ),
    "no roof says whether it is too fast": Situation(
        plain(STALL_TARGET), {"results": outcome("crashed", 0)}, "not_measured", "no_roof", 3
    ),
    "faster than a library": Situation(
        lambda project: with_variant(with_stage(project, STALL_TARGET), "copy_roof", ceiling="library"),
        {"candidate": {"duration": summary(50.0)}},
        "pass",
        "met",
        0,
    ),
    "the roof is wrong": Situation(
        plain(ROOF_TARGET), {"results": outcome("wrong_result", 0)}, "not_measured", "no_roof", 3
    ),
    "the roof lacks the metric": Situation(
        plain(target(STALL, at_least=0.97, of="roof")), {}, "not_measured", "no_roof", 3
    ),
    # --- the baseline ---
    "no baseline": Situation(plain(REGRESSION), {}, "not_measured", "no_baseline", 3),
    "no baseline of the case": Situation(regression(cases={}), {}, "not_measured", "no_baseline", 3),
    "no baseline of the metric": Situation(
        lambda project: with_baseline(with_stage(project, REGRESSION), {}), {}, "not_measured", "no_baseline", 3
    ),
    "a baseline of another GPU": Situation(
        regression(), {"attempts": on("NVIDIA H200")}, "not_measured", "other_gpu", 3
    ),
    "an unknown GPU": Situation(regression(), {"attempts": []}, "not_measured", "facts_missing", 3),
    "other clock control": Situation(
        regression(), {"settings": controls(clock_control="base")}, "not_measured", "other_clock_control", 3
    ),
    "other cache control": Situation(
        regression(), {"settings": controls(cache_control="none")}, "not_measured", "other_cache_control", 3
    ),
    "unknown controls": Situation(regression(), {"settings": None}, "not_measured", "facts_missing", 3),
    "a baseline of another workload": Situation(
        regression(digests={"workload square": "other", "workload page": "other"}),
        {},
        "not_measured",
        "stale_baseline",
        3,
    ),
    "a baseline of another reference": Situation(
        regression(digests={"the reference": "other"}), {}, "not_measured", "stale_baseline", 3
    ),
    "a fraction of another roof": Situation(
        regression(metric="roof_fraction", digests={"variant copy_roof": "other"}),
        {},
        "not_measured",
        "stale_baseline",
        3,
    ),
    "a time beside another roof": Situation(regression(digests={"variant copy_roof": "other"}), {}, "pass", "met", 0),
    "worse within the noise of repeated runs": Situation(
        regression(spread=6.0), {"candidate": SLOWER}, "pass", "met", 0
    ),
    "worse beyond the noise of repeated runs": Situation(
        regression(spread=4.0), {"candidate": SLOWER}, "fail", "regressed", 1
    ),
    "much better than the baseline": Situation(
        regression(),
        {"candidate": {"duration": summary(50.0)}, "roof": {"duration": summary(49.0)}},
        "pass",
        "met",
        0,
    ),
    "a counter is worse than the baseline, and the time is not": Situation(
        lost(insist=False), {"candidate": HIGH_STALL}, "excused", "no_slower", 0
    ),
    "a counter is worse than the baseline, and the target insists": Situation(
        lost(insist=True), {"candidate": HIGH_STALL}, "fail", "regressed", 1
    ),
    "a counter is worse than the baseline, and so is the time": Situation(
        lost(insist=False), {"candidate": HIGH_STALL | SLOWER}, "fail", "regressed", 1
    ),
    "a counter is worse, and the time has no baseline": Situation(
        lost(insist=False, times=False), {"candidate": HIGH_STALL}, "fail", "regressed", 1
    ),
    # --- waivers ---
    "waived": Situation(waived(LATER), {"candidate": HIGH_STALL}, "waived", "waived", 0),
    "waived until today": Situation(waived(TODAY), {"candidate": HIGH_STALL}, "waived", "waived", 0),
    "waived and straddling": Situation(waived(LATER), {"candidate": ODD_STALL}, "waived", "waived", 0),
    "waived here": Situation(
        waived(LATER, workloads=["square", "page"]), {"candidate": HIGH_STALL}, "waived", "waived", 0
    ),
    "waived elsewhere": Situation(waived(LATER, workloads=["flat"]), {"candidate": HIGH_STALL}, "fail", "missed", 1),
    "waived for another variant": Situation(
        waived(LATER, variant="two_pass_scan"), {"candidate": HIGH_STALL}, "fail", "missed", 1
    ),
    "waived for another stage": Situation(
        waived(LATER, stage="block_tiling"), {"candidate": HIGH_STALL}, "fail", "missed", 1
    ),
    "the waiver expired": Situation(waived(EARLIER), {"candidate": HIGH_STALL}, "fail", "waiver_expired", 1),
    "the waiver expired, and samples straddle": Situation(
        waived(EARLIER), {"candidate": ODD_STALL}, "undecided", "straddles", 3
    ),
    "the waiver expired, and the target is met": Situation(waived(EARLIER), {}, "pass", "met", 0),
    "waived, and not measured": Situation(
        waived(LATER), {"candidate": {STALL: summary(state="absent")}}, "not_measured", "absent", 3
    ),
    "waived, and crashed": Situation(waived(LATER), {"results": outcome("crashed")}, "not_measured", "crashed", 3),
    "waived, and wrong": Situation(waived(LATER), {"results": outcome("wrong_result")}, "fail", "wrong_result", 1),
    "waived, and without a baseline": Situation(
        waived(LATER, REGRESSION), {"candidate": SLOWER}, "not_measured", "no_baseline", 3
    ),
    # --- excuses ---
    "at the roof": Situation(plain(OR_AT_THE_ROOF), {"candidate": HIGH_STALL}, "excused", "at_the_roof", 0),
    "at the roof, and straddling": Situation(
        plain(OR_AT_THE_ROOF), {"candidate": ODD_STALL}, "excused", "at_the_roof", 0
    ),
    "at the roof, and met": Situation(plain(OR_AT_THE_ROOF), {}, "pass", "met", 0),
    "at the roof, and waived": Situation(
        waived(LATER, OR_AT_THE_ROOF), {"candidate": HIGH_STALL}, "excused", "at_the_roof", 0
    ),
    "at the roof, under an expired waiver": Situation(
        waived(EARLIER, OR_AT_THE_ROOF), {"candidate": HIGH_STALL}, "excused", "at_the_roof", 0
    ),
    "below the roof": Situation(
        plain(OR_AT_THE_ROOF), {"candidate": {**HIGH_STALL, "roof_fraction": summary(0.94)}}, "fail", "missed", 1
    ),
    "not every sample is at the roof": Situation(
        plain(OR_AT_THE_ROOF),
        {"candidate": {**HIGH_STALL, "roof_fraction": summary(0.949, 0.96, 0.97)}},
        "fail",
        "missed",
        1,
    ),
    "at a roof that is not known": Situation(
        lambda project: with_variant(with_stage(project, OR_AT_THE_ROOF), "copy_roof", role="baseline", ceiling=None),
        {"candidate": HIGH_STALL, "results": [r for r in usual() if r.role != "roof"]},
        "fail",
        "missed",
        1,
    ),
    "at the roof, and the target is not measured": Situation(
        plain(OR_AT_THE_ROOF), {"candidate": {STALL: summary(state="absent")}}, "not_measured", "absent", 3
    ),
    "the excuse is not measured": Situation(
        plain(OR_AT_THE_ROOF),
        {"candidate": {**HIGH_STALL, "roof_fraction": summary(state="absent")}},
        "fail",
        "missed",
        1,
    ),
    "excused by another metric": Situation(
        plain(unless("dram_throughput", above=85)), {"candidate": HIGH_STALL}, "excused", "at_the_roof", 0
    ),
    "not excused by a bound that is reached, not exceeded": Situation(
        plain(unless("dram_throughput", above=88)), {"candidate": HIGH_STALL}, "fail", "missed", 1
    ),
    "a regression at the roof": Situation(
        lambda project: with_baseline(
            with_stage(project, replace(REGRESSION, unless=OR_AT_THE_ROOF.unless)), {"duration": accepted(100.0)}
        ),
        {"candidate": SLOWER},
        "excused",
        "at_the_roof",
        0,
    ),
    # --- a stage that warns ---
    "straddling, where that warns": Situation(
        plain(STALL_TARGET, undecided="warn"), {"candidate": ODD_STALL}, "undecided", "straddles", 0
    ),
    "missed, where straddling warns": Situation(
        plain(STALL_TARGET, undecided="warn"), {"candidate": HIGH_STALL}, "fail", "missed", 1
    ),
    "not measured, where straddling warns": Situation(
        plain(STALL_TARGET, undecided="warn"),
        {"candidate": {STALL: summary(state="no_value")}},
        "not_measured",
        "no_value",
        3,
    ),
    "straddling, where that warns, under an expired waiver": Situation(
        waived(EARLIER, undecided="warn"), {"candidate": ODD_STALL}, "undecided", "straddles", 0
    ),
}


def judge_situation(repository: Project, situation: Situation) -> Judgement:
    return judged(situation.project(repository), **situation.run)


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation(repository: Project, name: str) -> None:
    situation = SITUATIONS[name]
    found = judge_situation(repository, situation)
    assert (situation.status, situation.reason) in reasons(found)
    assert found.exit_status == situation.exit_status
    others = {status for status, reason in reasons(found) if reason != situation.reason}
    assert others <= {"pass"}  # nothing else than the situation decides


def unmeasured(found: Judgement) -> list[Verdict]:
    return [verdict for verdict in found.verdicts if verdict.status == "not_measured"]


def test_there_are_enough_situations() -> None:
    assert len(SITUATIONS) + len(KINDS) * len(SAMPLES) >= 60


def test_no_situation_without_a_measurement_is_green(repository: Project) -> None:
    found = [judge_situation(repository, situation) for situation in SITUATIONS.values()]
    found += [
        judged_by(with_baseline(repository, BASELINE), kind, make(kind))
        for kind in KINDS.values()
        for make, *_ in SAMPLES.values()
    ]
    lacking = [judgement for judgement in found if unmeasured(judgement)]
    assert len(lacking) >= 50
    assert [judgement for judgement in lacking if judgement.exit_status == 0] == []


def test_every_reason_code_has_a_row() -> None:
    """The table of ``stallgate/judge/reasons.py`` and the one here are of the same codes."""
    rows = {situation.reason for situation in SITUATIONS.values()} | {reason for _, _, reason, _ in SAMPLES.values()}
    assert set(STATUS_OF_REASON) == rows


def test_every_reason_code_has_one_status() -> None:
    statuses = {(situation.reason, situation.status) for situation in SITUATIONS.values()}
    statuses |= {(reason, status) for _, status, reason, _ in SAMPLES.values()}
    assert dict(statuses) == STATUS_OF_REASON
    assert len(statuses) == len(STATUS_OF_REASON)


# --- a better number is never worse -----------------------------------------------------------------------------------

BETTER = {"higher": 1.0, "lower": -1.0}
WORST_FIRST = {1: 0, 3: 1, 0: 2}
"""Exit statuses from a no over an open answer to a yes."""


@settings(deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    values=st.lists(st.floats(80, 110), min_size=1, max_size=5),
    better=st.floats(0, 30),
    spread=st.floats(0, 10),
    undecided=st.sampled_from(["stop", "warn"]),
    until=st.none() | st.sampled_from([EARLIER, TODAY, LATER]),
)
def test_making_a_value_better_never_makes_the_verdict_worse(
    repository: Project,
    kind: str,
    values: list[float],
    better: float,
    spread: float,
    undecided: str,
    until: date | None,
) -> None:
    metric = KINDS[kind].target.metric.name
    beatable = with_variant(repository, "copy_roof", ceiling="library")  # what beats another roof is no measurement
    project = with_stage(beatable, KINDS[kind].target, undecided=undecided)
    project = with_baseline(project, {metric: accepted(95.0, spread)})
    if until is not None:
        project = with_waiver(project, metric, until)

    def answer(shift: float) -> int:
        found = summary(*(value + shift for value in values))
        parts = {(case("blocked_scan", workload), metric): {"scan": found} for workload in ("square", "page")}
        return judged(project, candidate={metric: found}, parts=parts).exit_status

    step = better * BETTER[repository.catalogue.metrics[metric].direction]
    assert WORST_FIRST[answer(step)] >= WORST_FIRST[answer(0.0)]


# --- what verdicts say ------------------------------------------------------------------------------------------------


def sentence(found: Judgement, workload: str = "square") -> str:
    [verdict] = [verdict for verdict in found.verdicts if verdict.workload == workload]
    return verdict.sentence


def test_a_regression_is_told_by_name_and_size(repository: Project) -> None:
    found = judged(regression()(repository), candidate=SLOWER)
    assert sentence(found) == (
        "duration is 105 ns, 5.0 % worse than the baseline's 100 ns; wanted at most 102 ns (2 % worse)"
    )
    verdict = found.verdicts[0]
    assert (verdict.comparison, verdict.bound, verdict.baseline, verdict.tolerance) == ("at_most", 102.0, 100.0, 0.02)


def test_a_regression_of_a_share_is_told_in_points(repository: Project) -> None:
    found = judged(lost(insist=True)(repository), candidate={STALL: summary(13.2)})
    assert sentence(found) == (
        f"{STALL} is 13.2 %, 3.2 points worse than the baseline's 10.0 %; wanted at most 12 % (2 points worse)"
    )
    verdict = found.verdicts[0]
    assert (verdict.bound, verdict.tolerance, verdict.tolerance_points) == (12.0, None, 2.0)


def test_a_counter_that_is_worse_at_no_loss_of_time_is_a_note(repository: Project) -> None:
    found = judged(lost(insist=False)(repository), candidate={STALL: summary(13.2)})
    assert sentence(found).endswith("; a note only: the time is no worse, 100.0 ns against at most 100.5 ns")


def test_what_was_not_asked_for_is_named_in_one_line(repository: Project) -> None:
    project = with_stage(with_variant(repository, "another_scan", role="candidate"), STALL_TARGET)
    asked = Selection(subjects=["cumprod/blocked_scan"], workloads=["page"])
    (note,) = [note for note in judged(project, selection=asked).notes if "by request" in note]
    assert note == "not part of this run of cumprod, by request: another_scan; workload square"


def test_a_run_whose_code_changed_is_stale_and_not_unmeasured(repository: Project) -> None:
    found = judged(with_stage(repository, STALL_TARGET), subjects={})
    assert said_of(run_of(repository, usual()), found, repository.catalogue).words == "Stale: the code changed since"
    assert {verdict_mark(verdict) for verdict in found.verdicts} == {"○ stale"}
    assert all(verdict.sentence.startswith("stale: ") for verdict in found.verdicts)
    assert counted_verdicts((v.status, v.reason) for v in found.verdicts) == f"{len(found.verdicts)} stale"
    mixed = judged(with_stage(repository, REGRESSION), subjects={})
    assert {verdict_mark(verdict) for verdict in judged(with_stage(repository, REGRESSION)).verdicts} == {
        "○ not judged"
    }
    assert said_of(run_of(repository, usual()), mixed, repository.catalogue).words == "Stale: the code changed since"


def test_a_difference_below_the_least_effect_is_no_change(repository: Project) -> None:
    found = judged(regression()(repository), candidate={"duration": summary(100.2)})
    assert "duration is 100 ns, no change from the baseline's 100 ns; wanted" in sentence(found)


def test_a_tolerance_widened_by_noise_says_so(repository: Project) -> None:
    found = judged(regression(spread=6.0)(repository), candidate=SLOWER)
    assert sentence(found).endswith("wanted at most 106 ns (6 % worse, the spread of its repeated runs)")
    assert found.verdicts[0].tolerance == pytest.approx(0.06)


def test_a_waiver_is_shown_with_its_reason_and_its_end(repository: Project) -> None:
    found = judged(waived(LATER)(repository), candidate=HIGH_STALL)
    assert sentence(found).endswith("wanted below 20 %; waived until 2026-12-31: a known gap")
    assert found.verdicts[0].waiver is not None
    expired = judged(waived(EARLIER)(repository), candidate=HIGH_STALL)
    assert sentence(expired).endswith("; its waiver ended on 2026-11-24: a known gap")


@pytest.mark.parametrize("until", [EARLIER, LATER])
def test_a_waiver_that_nothing_needs_is_noted(repository: Project, until: date) -> None:
    assert judged(waived(until)(repository)).notes == [
        "blocked_scan meets memory_dependency_stall of memory_access: take its waiver out of problem.toml"
    ]


def test_an_excuse_says_both_numbers(repository: Project) -> None:
    found = judged(plain(OR_AT_THE_ROOF)(repository), candidate=HIGH_STALL)
    assert sentence(found) == (
        "memory_dependency_stall is 35.0 %; wanted below 20 %; excused: roof_fraction is 0.985, at least 0.95"
    )
    excuse = found.verdicts[0].excuse
    assert excuse is not None
    assert (excuse.metric, excuse.comparison, excuse.bound, excuse.value) == ("roof_fraction", "at_least", 0.95, 0.985)
    assert (excuse.low, excuse.high) == (0.98, 0.99)


def test_a_waiver_beside_an_excuse_is_noted(repository: Project) -> None:
    found = judged(waived(LATER, OR_AT_THE_ROOF)(repository), candidate=HIGH_STALL)
    assert found.notes == [
        "blocked_scan meets or is excused from memory_dependency_stall of memory_access: "
        "take its waiver out of problem.toml"
    ]


def test_a_stage_that_judges_nothing_is_named(repository: Project) -> None:
    found = judged(with_judged(two_stages(repository), {"square": ["memory_access"]}))
    [verdict] = [verdict for verdict in found.verdicts if verdict.reason == "no_target"]
    assert verdict.stage == "block_tiling"
    assert verdict.sentence == "block_tiling judges no workload of cumprod: mark one with `judged` in problem.toml"


def test_what_limits_a_metric_is_named(repository: Project) -> None:
    found = judged(
        with_stage(repository, target("achieved_occupancy", above=50)),
        candidate={
            "achieved_occupancy": summary(25.0),
            "occupancy_limit_registers": summary(1.0),
            "occupancy_limit_shared_memory": summary(1.0),
            "occupancy_limit_warps": summary(4.0),
        },
    )
    assert sentence(found).endswith("wanted above 50 %; limited by registers and shared memory")


def test_no_resource_is_blamed_where_they_allow_all(repository: Project) -> None:
    """A grid of a single program: the smallest limit is what fills the multiprocessor."""
    found = judged(
        with_stage(repository, target("achieved_occupancy", above=50)),
        candidate={
            "achieved_occupancy": summary(6.0),
            "theoretical_occupancy": summary(100.0),
            "occupancy_limit_warps": summary(16.0),
        },
    )
    assert sentence(found).endswith("wanted above 50 %; its resources do not limit it")


def test_the_kernels_of_a_call_are_shown(repository: Project) -> None:
    kernels = {"scan": summary(12.0), "fix": summary(18.5)}
    found = judged(with_stage(repository, STALL_TARGET), parts={(case("blocked_scan"), STALL): kernels})
    assert sentence(found).endswith("; its kernels: scan 12.0 %, fix 18.5 %")
    each = judged(
        with_stage(repository, replace(STALL_TARGET, scope="kernel"), workloads=["square"]),
        parts={(case("blocked_scan"), STALL): kernels},
    )
    assert [(verdict.kernel, verdict.value) for verdict in each.verdicts] == [("scan", 12.0), ("fix", 18.5)]
    assert each.verdicts[0].sentence == "memory_dependency_stall of scan is 12.0 %; wanted below 20 %"


def test_of_many_kernels_the_first_are_told(repository: Project) -> None:
    kernels = {f"{'long ' * 20}{number}": summary(float(number)) for number in range(6)}
    found = judged(with_stage(repository, STALL_TARGET), parts={(case("blocked_scan"), STALL): kernels})
    assert sentence(found).endswith("… 3.00 % and 2 more")
    assert len(sentence(found)) < 400
    assert len(found.verdicts[0].parts) == 6


def test_included_stages_are_judged_first_and_once(repository: Project) -> None:
    problem = replace(repository.problem("cumprod"), stages=["advanced_memory", "memory_access"])
    found = judged(replace(repository, problems={"cumprod": problem}, baselines={}))
    assert found.stages == ["memory_access", "advanced_memory"]
    assert [v.status for v in found.verdicts if v.stage == "memory_access"] == ["pass"] * 3
    assert {v.reason for v in found.verdicts if v.stage == "advanced_memory" and v.metric == "duration"} == {
        "no_baseline"
    }


def test_other_digests_of_the_run_make_it_stale_before_its_baseline(repository: Project) -> None:
    subject = subject_of(repository, "cumprod")
    changed = replace(subject, digests={**subject.digests, "the reference": "other"})
    found = judged(regression()(repository), subjects={"cumprod": changed})
    assert reasons(found) == {("not_measured", "stale")}


def test_a_baseline_in_another_unit_is_not_compared(repository: Project) -> None:
    project = with_stage(repository, target("duration", tolerance=0.02))
    judgement = judged(with_baseline(project, {"duration": accepted(100.0, unit="s")}))
    assert {v.reason for v in judgement.verdicts} == {"stale_baseline"}
