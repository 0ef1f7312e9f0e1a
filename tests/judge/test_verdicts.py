"""Verdicts: which cases are judged, by what, and what makes a run not decided. The table is in test_situations.py."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from stallgate.extract.table import Summary
from stallgate.measure.profile import subject_of
from stallgate.model import Case, CaseResult
from stallgate.project.load import Project
from stallgate.project.staleness import changes, stale_because
from tests.judge.judging import STALL, case, judged, reasons, run_of, summary, target, usual, with_stage


def test_a_good_run_passes_and_says_by_which_bound(repository: Project) -> None:
    found = judged(repository)
    assert found.exit_status == 0
    assert reasons(found) == {("pass", "met")}
    assert {verdict.variant for verdict in found.verdicts} == {"blocked_scan"}
    dram = next(verdict for verdict in found.verdicts if verdict.metric == "dram_throughput")
    assert dram.of_roof == 0.97
    assert dram.bound == pytest.approx(0.97 * 90.0)
    stall = next(verdict for verdict in found.verdicts if verdict.metric == STALL)
    assert stall.written_as == "smsp__warp_issue_stalled_memory_dependency_per_warp_active.pct"


@pytest.mark.parametrize(
    ("metric", "values", "status", "reason", "exit_status"),
    [
        (STALL, summary(19.9, 19.99), "pass", "met", 0),
        (STALL, summary(20.0), "fail", "missed", 1),
        (STALL, summary(21.0, 35.0), "fail", "missed", 1),
        (STALL, summary(19.0, 21.0), "undecided", "straddles", 3),
        (STALL, summary(0.0), "pass", "met", 0),
        (STALL, summary(state="absent"), "not_measured", "absent", 3),
        (STALL, summary(state="no_value"), "not_measured", "no_value", 3),
        (STALL, summary(state="not_finite"), "not_measured", "not_finite", 3),
        (STALL, summary(state="out_of_range"), "not_measured", "out_of_range", 3),
        ("roof_fraction", summary(0.97), "pass", "met", 0),
        ("roof_fraction", summary(0.9699), "fail", "missed", 1),
        ("roof_fraction", summary(state="absent"), "not_measured", "absent", 3),
        ("dram_throughput", summary(87.3), "pass", "met", 0),
        ("dram_throughput", summary(87.2), "fail", "missed", 1),
        ("dram_throughput", summary(87.0, 87.4), "undecided", "straddles", 3),
        ("dram_throughput", summary(state="no_value"), "not_measured", "no_value", 3),
    ],
)
def test_a_target(
    repository: Project, metric: str, values: Summary, status: str, reason: str, exit_status: int
) -> None:
    found = judged(repository, candidate={metric: values})
    assert (status, reason) in reasons(found)
    assert found.exit_status == exit_status


def test_a_sentence_on_times_has_every_time_in_the_unit_that_it_is_read_in(repository: Project) -> None:
    project = with_stage(repository, target("duration", at_most=52e9))
    found = judged(project, candidate={"duration": summary(51e9, 53e9, 54e9)})
    sentences = [verdict.sentence for verdict in found.verdicts if verdict.metric == "duration"]
    assert sentences[0] == "duration is 53.0 s; wanted at most 52 s; its samples reach from 51.0 s to 54.0 s"


@pytest.mark.parametrize(
    ("outcome", "status", "exit_status"),
    [
        ("wrong_result", "fail", 1),
        ("crashed", "not_measured", 3),
        ("timed_out", "not_measured", 3),
        ("skipped", "not_measured", 3),
        ("not_profiled", "not_measured", 3),
        ("planned", "not_measured", 3),
    ],
)
@pytest.mark.parametrize("place", [1, 3], ids=["on the judged workload", "on the other"])
def test_a_candidate_without_numbers_is_never_green(
    repository: Project, outcome: Any, status: str, exit_status: int, place: int
) -> None:
    results = usual()
    results[place] = replace(results[place], outcome=outcome, reason="why")
    found = judged(repository, results)
    assert (status, outcome) in reasons(found)
    assert found.exit_status == exit_status


def test_a_baseline_is_never_gated(repository: Project) -> None:
    results = usual()
    results[2] = replace(results[2], outcome="crashed", reason="why")
    assert judged(repository, results).exit_status == 0


@pytest.mark.parametrize("outcome", ["crashed", "wrong_result", "skipped"])
def test_without_a_roof_nothing_is_judged_by_it(repository: Project, outcome: Any) -> None:
    results = usual()
    results[0] = replace(results[0], outcome=outcome, reason="why")
    found = judged(repository, results)
    by_metric = {verdict.metric: verdict.reason for verdict in found.verdicts}
    assert by_metric == {None: "no_roof", "roof_fraction": "no_roof", "dram_throughput": "no_roof", STALL: "met"}
    assert found.exit_status == 3


def test_a_damaged_report_is_no_measurement(repository: Project) -> None:
    found = judged(repository, faults={case("blocked_scan").name: "cut short"})
    assert ("not_measured", "damaged_report") in reasons(found)
    assert found.exit_status == 3


@pytest.mark.parametrize(
    ("key", "stale"),
    [
        ("variant blocked_scan", True),
        ("the reference", True),
        ("the measuring child", True),
        ("workload square", True),
        ("variant two_pass_scan", False),
        ("workload flat", False),
    ],
)
def test_numbers_of_other_code_are_stale(repository: Project, key: str, stale: bool) -> None:
    subject = subject_of(repository, "cumprod")
    changed = replace(subject, digests={**subject.digests, key: "other"})
    found = judged(repository, subjects={"cumprod": changed})
    assert (("not_measured", "stale") in reasons(found)) is stale
    assert found.exit_status == (3 if stale else 0)
    if stale:
        assert any(key in verdict.sentence for verdict in found.verdicts)


def test_a_stale_roof_is_no_roof(repository: Project) -> None:
    subject = subject_of(repository, "cumprod")
    changed = replace(subject, digests={**subject.digests, "variant copy_roof": "other"})
    found = judged(repository, subjects={"cumprod": changed})
    assert ("not_measured", "no_roof") in reasons(found)
    assert found.exit_status == 3


def test_a_run_without_the_judged_workload_is_not_decided(repository: Project) -> None:
    found = judged(repository, [result for result in usual() if result.case.workload == "page"])
    assert reasons(found) == {("not_measured", "no_case")}
    assert found.exit_status == 3


def test_each_candidate_needs_the_judged_workload(repository: Project) -> None:
    """That another candidate ran on it says nothing of this one."""
    problem = repository.problem("cumprod")
    promoted = replace(problem.variants["two_pass_scan"], role="candidate")
    variants = {**problem.variants, "two_pass_scan": promoted}
    project = replace(repository, problems={"cumprod": replace(problem, variants=variants)})
    extra = replace(usual()[3], case=case("two_pass_scan", "page"))
    found = judged(project, [*usual(), extra])
    lacking = {(verdict.variant, verdict.workload) for verdict in found.verdicts if verdict.reason == "no_case"}
    assert lacking == {("two_pass_scan", "square")}
    assert found.exit_status == 3


def test_a_run_without_a_candidate_is_not_decided(repository: Project) -> None:
    found = judged(repository, [result for result in usual() if result.role != "candidate"])
    assert reasons(found) == {("not_measured", "no_case")}
    assert found.exit_status == 3


def test_a_candidate_that_was_not_measured_is_missed(repository: Project) -> None:
    """A file that became a candidate after the run does not slip through on the numbers of another."""
    problem = repository.problem("cumprod")
    added = replace(problem.variants["blocked_scan"], name="new_scan")
    project = replace(
        repository, problems={"cumprod": replace(problem, variants={**problem.variants, "new_scan": added})}
    )
    found = judged(project)
    assert [(v.variant, v.reason) for v in found.verdicts if v.status != "pass"] == [("new_scan", "no_case")]
    assert found.exit_status == 3


def test_a_roof_is_what_the_tree_calls_one(repository: Project) -> None:
    """A kernel that is no longer the roof is no measure, though the run was made when it was."""
    problem = repository.problem("cumprod")
    demoted = replace(problem.variants["copy_roof"], role="baseline", ceiling=None)
    project = replace(
        repository, problems={"cumprod": replace(problem, variants={**problem.variants, "copy_roof": demoted})}
    )
    assert ("not_measured", "no_roof") in reasons(judged(project))


@pytest.mark.parametrize("lost", [{"subjects": {}}, {"digests": {}}])
def test_a_run_that_does_not_say_what_it_measured_is_stale(repository: Project, lost: dict[str, Any]) -> None:
    subject = replace(subject_of(repository, "cumprod"), **({} if "subjects" in lost else lost))
    found = judged(repository, subjects={} if "subjects" in lost else {"cumprod": subject})
    assert reasons(found) == {("not_measured", "stale")}
    assert found.exit_status == 3


@pytest.mark.parametrize(
    "unknown", [case("gone"), case("blocked_scan", "gone"), case("blocked_scan", "square", "gone")]
)
def test_what_neither_the_tree_nor_the_run_has_a_digest_of_is_stale(repository: Project, unknown: Case) -> None:
    run = run_of(repository, [CaseResult(case=unknown, role="candidate", outcome="profiled", edge_case_fault="")])
    assert stale_because(CaseResult(case=unknown, role="candidate"), changes(run, repository)) != []


def test_changed_tunables_make_their_configuration_stale(repository: Project) -> None:
    problem = repository.problem("cumprod")

    def with_block(block: int) -> Project:
        tuned = replace(problem.variants["blocked_scan"], configurations={"default": {}, "wide": {"BLOCK": block}})
        return replace(
            repository, problems={"cumprod": replace(problem, variants={**problem.variants, "blocked_scan": tuned})}
        )

    run = run_of(with_block(64), usual())
    changed = changes(run, with_block(128))
    wide, default = (
        CaseResult(case=case("blocked_scan", configuration=name), role="candidate") for name in ("wide", "default")
    )
    assert stale_because(wide, changed) == ["configuration wide of blocked_scan"]
    assert stale_because(default, changed) == []


def test_other_configurations_are_shown_not_gated(repository: Project) -> None:
    extra = CaseResult(case=case("blocked_scan", configuration="slow"), role="candidate", outcome="crashed")
    assert judged(repository, [*usual(), extra]).exit_status == 0


def test_a_promoted_baseline_is_gated_without_measuring_again(repository: Project) -> None:
    problem = repository.problem("cumprod")
    promoted = replace(problem.variants["naive_serial"], role="candidate")
    project = replace(
        repository,
        problems={"cumprod": replace(problem, variants={**problem.variants, "naive_serial": promoted})},
    )
    assert {verdict.variant for verdict in judged(project).verdicts} == {"blocked_scan", "naive_serial"}


def test_a_changed_bound_is_applied_to_old_numbers(repository: Project) -> None:
    stage = repository.stage("memory_access")
    tighter = replace(stage, targets=[replace(stage.targets[2], below=10.0)])
    assert judged(replace(repository, stages={"memory_access": tighter})).exit_status == 1


def test_an_imported_run_cannot_be_judged_by_what_needs_a_roof_unless_that_is_left_out_on_purpose(
    repository: Project,
) -> None:
    results = [
        CaseResult(
            case=Case(problem="imported", variant=name, configuration="file", workload="w"),
            role="unknown",
            outcome="profiled",
        )
        for name in ("one", "two")
    ]
    of = {"kind": "imported", "subjects": {}, "settings": None, "stages": ["memory_access"]}
    found = judged(repository, results, **of)
    judged_by = [(v.variant, v.metric, v.reason) for v in found.verdicts]
    assert judged_by == [("", None, "no_roof"), ("one", STALL, "met"), ("two", STALL, "met")]
    assert found.exit_status == 3
    absolute = judged(repository, results, **of, targets="absolute")
    assert [(v.variant, v.metric, v.reason) for v in absolute.verdicts] == [
        ("one", STALL, "met"),
        ("two", STALL, "met"),
    ]
    assert absolute.exit_status == 0
    assert absolute.targets == "absolute"
    assert any("2 targets that need a roof or a baseline were left out" in note for note in absolute.notes)
