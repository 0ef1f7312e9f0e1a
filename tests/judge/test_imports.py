"""Imported runs: what does not apply, what was not collected and what has no numbers is said once, not per launch."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from stallgate.errors import BadArgument
from stallgate.judge.evaluate import asked_status, judge
from stallgate.judge.verdicts import Judgement
from stallgate.model import Attempt, Case, CaseResult, Exemption, Identity, Program
from stallgate.project.load import Project
from tests.judge.judging import CATALOGUE, GOOD, STALL, TODAY, environment, read, run_of, summary, target, with_stage

MANY = 20


def cases(number: int = MANY, **changes: Any) -> list[CaseResult]:
    return [
        CaseResult(
            case=Case(problem="imported", variant=f"k-{place}", configuration="file", workload="gpu"),
            role="unknown",
            outcome="profiled",
            attempt="file",
            identity=Identity(kernel=f"Kernel{place}", signature=f"Kernel{place}()", device="NVIDIA A100", launches=1),
        )
        for place in range(number)
    ]


def judged_import(
    project: Project, results: list[CaseResult], lacking: tuple[str, ...] = (), capability: str = "8.0", **changes: Any
) -> Judgement:
    """What a stage of the project says of an import."""
    at = environment(chip=None, compute_capability=capability, gpu="NVIDIA A100")
    attempt = Attempt(name="file", kind="import", command=[], started="", environment=at)
    plain = {"kind": "imported", "subjects": {}, "settings": None, "stages": ["memory_access"], "attempts": [attempt]}
    run = run_of(project, results, **{**plain, **changes})
    summaries = {
        (found.case, name): value
        for found in results
        if found.outcome == "profiled"
        for name, value in GOOD.items()
        if name not in lacking
    }
    return judge(read(run, summaries), project, [], today=TODAY).judgement


def test_what_was_not_collected_is_one_verdict_of_a_stage(repository: Project) -> None:
    project = with_stage(repository, target(STALL, below=20), target("dram_throughput", above=1))
    found = judged_import(project, cases(), lacking=(STALL, "dram_throughput"))
    (verdict,) = found.verdicts
    assert (verdict.status, verdict.reason, verdict.name) == ("not_measured", "absent", "every case")
    assert verdict.sentence == f"{STALL} and dram_throughput are not collected"
    (collect,) = found.uncollected
    assert collect.metrics == [STALL, "dram_throughput"]
    names = collect.command[collect.command.index("--metrics") + 1].split(",")
    assert {"gpu__time_duration.sum", *CATALOGUE.metrics["dram_throughput"].names[:1]} <= set(names)
    assert found.exit_status == 3


def test_the_command_that_collects_it_has_the_program_of_a_capture(repository: Project) -> None:
    project = with_stage(repository, target(STALL, below=20))
    found = judged_import(project, cases(1), lacking=(STALL,), program=Program(command=["python", "train.py"]))
    assert found.uncollected[0].command[-2:] == ["python", "train.py"]


def test_the_other_targets_are_judged_all_the_same(repository: Project) -> None:
    project = with_stage(repository, target(STALL, below=20), target("dram_throughput", above=1))
    found = judged_import(project, cases(2), lacking=("dram_throughput",))
    assert [(v.reason, v.name) for v in found.verdicts] == [
        ("absent", "every case"),
        ("met", "Kernel0"),
        ("met", "Kernel1"),
    ]


def test_launches_without_counters_are_one_verdict_for_each_reason(repository: Project) -> None:
    results = cases()
    results[:5] = [replace(r, outcome="not_profiled", reason="ncu has no counters of this launch") for r in results[:5]]
    found = judged_import(with_stage(repository, target(STALL, below=20)), results)
    first, *others = found.verdicts
    assert (first.reason, first.name) == ("not_profiled", f"5 of {MANY} cases")
    assert {v.reason for v in others} == {"met"}
    assert len(others) == MANY - 5


def test_a_metric_that_the_chip_does_not_have_is_not_asked_of_ncu(repository: Project) -> None:
    lacked = {name: chips for name, chips in CATALOGUE.missing.items() if "GV100" in chips}
    metric = next(m for m in CATALOGUE.metrics.values() if m.names and all(name in lacked for name in m.names))
    project = with_stage(repository, target(metric.name, at_least=0))
    found = judged_import(project, cases(2), lacking=(metric.name,), capability="7.0")
    assert [v.sentence for v in found.verdicts] == [f"{metric.name} is not known to exist on the GPU"]
    assert found.uncollected == []


def test_a_stage_that_needs_a_roof_alone_passes_nothing(repository: Project) -> None:
    found = judged_import(with_stage(repository, target("roof_fraction", at_least=0.9)), cases(2))
    (verdict,) = found.verdicts
    assert (verdict.reason, verdict.stage, verdict.variant) == ("no_roof", "memory_access", "")
    assert found.exit_status == 3


def test_a_miss_is_not_excused_without_a_roof_and_that_is_said(repository: Project) -> None:
    excuse = Exemption(metric=CATALOGUE.metrics["roof_fraction"], at_least=0.5)
    found = judged_import(with_stage(repository, target(STALL, below=1, unless=excuse)), cases(1))
    assert [v.reason for v in found.verdicts] == ["missed"]
    assert found.notes == [
        f"memory_access: a miss of {STALL} is excused close to the roof: this cannot be judged, "
        "an imported report has no roof"
    ]


def test_nothing_is_asked_without_a_stage(repository: Project) -> None:
    found = judged_import(with_stage(repository, target(STALL, below=1)), cases(), stages=[])
    assert (found.verdicts, found.notes, found.stages, found.exit_status) == ([], [], [], None)


def test_the_projects_stages_for_imports_count_where_the_run_has_none(repository: Project) -> None:
    project = replace(with_stage(repository, target(STALL, below=1)), import_stages=["memory_access"])
    assert judged_import(project, cases(1), stages=[]).exit_status == 1


def test_the_gate_refuses_what_nothing_is_asked_of(repository: Project) -> None:
    project = with_stage(repository, target(STALL, below=1))
    run = run_of(project, cases(1), kind="imported", subjects={}, settings=None)
    with pytest.raises(BadArgument, match="no stage says what to ask of it"):
        asked_status(judge(read(run), project, [], today=TODAY))


def test_a_spread_over_launches_that_straddles_the_bound_is_undecided(repository: Project) -> None:
    project = with_stage(repository, target("duration", below=100))
    results = cases(1)
    run = run_of(project, results, kind="imported", subjects={}, settings=None, stages=["memory_access"])
    found = judge(read(run, {(results[0].case, "duration"): summary(90, 95, 120)}), project, [], today=TODAY).judgement
    assert [v.reason for v in found.verdicts] == ["straddles"]
