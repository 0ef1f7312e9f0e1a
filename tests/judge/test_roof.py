"""The roof: of each kind of ceiling the fastest sound one, of the kinds the slowest; for gate, table and page alike."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stallgate.extract.read_run import with_roles
from stallgate.extract.table import MetricRow, summarise
from stallgate.judge.evaluate import JudgedRun, judge
from stallgate.judge.roof import BEYOND_ROOF, Roof
from stallgate.model import CaseResult, CeilingKind, Problem, State, Verdict
from stallgate.project.load import Project
from stallgate.render.pictures import workload_finding
from stallgate.render.view import View
from tests.judge.judging import TODAY, case, read, run_of, target, with_stage

MS = 1e6
NEEDED = 8_589_934_592 / 32
"""Sectors of L2 that the bytes of ``square`` are."""


class Measured(NamedTuple):
    """A roof as it was measured on ``square``."""

    kind: CeilingKind
    ms: float
    outcome: str = "profiled"
    sectors: float = NEEDED


def with_roofs(project: Project, roofs: dict[str, Measured]) -> Project:
    """A project with a candidate and these roofs, judged by the fraction of the roof on ``square``."""
    problem = project.problem("cumprod")
    entry = problem.variants["copy_roof"]
    variants = {"blocked_scan": problem.variants["blocked_scan"]}
    variants |= {name: replace(entry, name=name, ceiling=roof.kind) for name, roof in roofs.items()}
    own: Problem = replace(problem, variants=variants, waivers=[])
    with_them = replace(project, problems={"cumprod": own}, baselines={})
    return with_stage(with_them, target("roof_fraction", at_least=0.97), workloads=["square"])


def rows_of(name: str, role: str, values: dict[str, list[float]]) -> list[MetricRow]:
    """Whole calls of a variant, one for each value; the fraction of the roof is not known yet."""
    shared: dict[str, Any] = {"problem": "cumprod", "variant": name, "configuration": "default", "workload": "square"}
    shared |= {"role": role, "kernel": "", "launch": None, "unit": "", "ncu_name": "n", "source": "ncu", "device": ""}
    samples = [(metric, i, value) for metric, found in values.items() for i, value in enumerate(found)]
    rows = [MetricRow(**shared, metric=m, sample=str(i), value=value, state="measured") for m, i, value in samples]
    absent: State = "absent"
    calls = range(len(values["duration"]))
    return rows + [
        MetricRow(**shared, metric="roof_fraction", sample=str(i), value=math.nan, state=absent) for i in calls
    ]


def measured(
    project: Project, roofs: dict[str, Measured], ms: float, lost: tuple[str, ...] = ()
) -> tuple[Project, JudgedRun]:
    """A judged run of a candidate with this time, beside the roofs that it has not lost."""
    project = with_roofs(project, roofs)
    results = [
        CaseResult(case=case("blocked_scan"), role="candidate", outcome="profiled", attempt="1", edge_case_fault="")
    ]
    rows = rows_of("blocked_scan", "candidate", {"duration": [ms * MS], "l2_sectors": [NEEDED]})
    for name, roof in roofs.items():
        if name in lost:
            continue
        results.append(CaseResult(case=case(name), role="roof", outcome=roof.outcome, attempt="1"))  # type: ignore[arg-type]
        if roof.outcome == "profiled":
            rows += rows_of(name, "roof", {"duration": [roof.ms * MS], "l2_sectors": [roof.sectors]})
    run = with_roles(run_of(project, results), project)
    return project, judge(read(run, summarise(rows), rows=rows), project, [], today=TODAY)


def fraction(judged: JudgedRun) -> float | None:
    """The candidate's fraction of the roof; the same in the table and in what is judged."""
    summary = judged.summaries[case("blocked_scan"), "roof_fraction"]
    rows = [row for row in judged.rows if row.metric == "roof_fraction" and row.variant == "blocked_scan"]
    assert summarise(rows)[case("blocked_scan"), "roof_fraction"] == summary
    return summary.median


def verdict(judged: JudgedRun) -> Verdict:
    [found] = [v for v in judged.judgement.verdicts if v.metric == "roof_fraction" or v.reason == "implausible"]
    return found


def finding(project: Project, judged: JudgedRun) -> str:
    return workload_finding(View(project, judged, "cumprod", "square"))


BYTES, FLOPS = Measured("bytes", 1), Measured("flops", 5)


def test_of_two_kinds_the_slower_counts(repository: Project) -> None:
    """A kernel that is bound by its arithmetic is not held against the time of moving its bytes."""
    project, judged = measured(repository, {"copy": BYTES, "multiply": FLOPS}, 5.0)
    assert fraction(judged) == 1.0
    assert (verdict(judged).reason, verdict(judged).value) == ("met", 1.0)
    assert finding(project, judged) == "blocked_scan runs at 100.0 % of multiply's speed on square"


def test_of_one_kind_the_faster_counts(repository: Project) -> None:
    _, judged = measured(repository, {"copy": Measured("bytes", 2), "copy2": BYTES}, 2.0)
    assert fraction(judged) == 0.5
    assert verdict(judged).reason == "missed"


@pytest.mark.parametrize("outcome", ["crashed", "skipped", "timed_out", "planned", "not_profiled"])
def test_a_roof_of_unknown_speed_is_not_passed_over_for_a_slower_one(repository: Project, outcome: str) -> None:
    _, judged = measured(repository, {"copy": Measured("bytes", 1, outcome), "copy2": Measured("bytes", 2)}, 2.0)
    assert verdict(judged).reason == "no_roof"
    assert "the run did not measure the roof copy on this workload (copy: " in verdict(judged).sentence


@pytest.mark.parametrize("unsound", [Measured("bytes", 1, "wrong_result"), Measured("bytes", 1, sectors=1.0)])
def test_an_unsound_roof_is_not_used(repository: Project, unsound: Measured) -> None:
    _, judged = measured(repository, {"copy": unsound, "copy2": Measured("bytes", 2)}, 2.0)
    assert fraction(judged) == 1.0
    _, alone = measured(repository, {"copy": unsound, "multiply": Measured("flops", 2)}, 2.0)
    assert fraction(alone) is None
    assert verdict(alone).reason == "no_roof"
    assert "the run has no valid bytes roof (copy: " in verdict(alone).sentence


def test_a_roof_that_the_run_has_no_case_of_is_not_passed_over(repository: Project) -> None:
    _, judged = measured(repository, {"copy": BYTES, "copy2": Measured("bytes", 2)}, 2.0, lost=("copy",))
    assert verdict(judged).reason == "no_roof"
    assert "the run did not measure the roof copy on this workload" in verdict(judged).sentence
    assert judged.judgement.exit_status == 3


def test_a_roof_in_another_configuration_alone_is_none(repository: Project) -> None:
    """It can be made as slow as one likes."""
    project, judged = measured(repository, {"copy": BYTES}, 1.0)
    roof = case("copy", configuration="slow")
    results = [replace(r, case=roof) if r.role == "roof" else r for r in judged.run.cases]
    rows = rows_of("blocked_scan", "candidate", {"duration": [MS], "l2_sectors": [NEEDED]})
    rows += [replace(row, configuration="slow") for row in rows_of("copy", "roof", {"duration": [MS]})]
    run = with_roles(run_of(project, results), project)
    again = judge(read(run, summarise(rows), rows=rows), project, [], today=TODAY)
    assert {v.reason for v in again.judgement.verdicts} == {"no_roof"}


def test_a_roof_that_only_computes_need_not_move_the_bytes(repository: Project) -> None:
    _, judged = measured(repository, {"copy": BYTES, "multiply": Measured("flops", 5, sectors=1.0)}, 5.0)
    assert fraction(judged) == 1.0


@pytest.mark.parametrize("roofs", [{"copy": BYTES}, {"multiply": Measured("flops", 1)}])
def test_what_is_far_faster_than_the_hardware_is_implausible(repository: Project, roofs: dict[str, Measured]) -> None:
    _, judged = measured(repository, roofs, 0.8)
    assert (verdict(judged).status, verdict(judged).reason) == ("not_measured", "implausible")


# --- libraries --------------------------------------------------------------------------------------------------------

LIBRARY = Measured("library", 5)


@pytest.mark.parametrize(("ms", "said"), [(4.63, "8.0 %"), (2.5, "100.0 %"), (5.0 / 1.16, "16.0 %")])
def test_a_library_may_be_beaten(repository: Project, ms: float, said: str) -> None:
    project, judged = measured(repository, {"library": LIBRARY}, ms)
    assert judged.judgement.exit_status == 0
    assert verdict(judged).sentence.endswith(f"; runs {said} ahead of library")
    assert finding(project, judged) == f"blocked_scan runs {said} ahead of library on square"


def test_a_library_that_is_not_beaten_is_named_too(repository: Project) -> None:
    project, judged = measured(repository, {"library": LIBRARY}, 10.0)
    assert verdict(judged).reason == "missed"
    assert verdict(judged).sentence.endswith("; runs 50.0 % behind library")
    assert finding(project, judged).startswith("blocked_scan runs 50.0 % behind library on square")


def test_nothing_beats_the_hardware_below_a_library(repository: Project) -> None:
    roofs = {"library": LIBRARY, "copy": BYTES}
    _, judged = measured(repository, roofs, 1.0)
    assert (fraction(judged), verdict(judged).reason) == (5.0, "met")
    _, judged = measured(repository, roofs, 0.5)
    assert verdict(judged).reason == "implausible"


def test_a_library_that_moves_too_little_is_no_roof(repository: Project) -> None:
    _, judged = measured(repository, {"library": Measured("library", 5, sectors=1.0)}, 5.0)
    assert verdict(judged).reason == "no_roof"


# --- all of it, drawn at random ---------------------------------------------------------------------------------------

kinds = st.sampled_from(["bytes", "flops", "library"])
times = st.floats(0.5, 20)
outcomes = st.sampled_from(["profiled", "profiled", "profiled", "crashed"])
drawn = st.tuples(kinds, times, outcomes).map(lambda parts: Measured(*parts))  # type: ignore[arg-type]


@settings(deadline=None, max_examples=200)
@given(found=st.lists(drawn, max_size=5), ms=times)
def test_the_rule_holds_for_any_roofs(repository: Project, found: list[Measured], ms: float) -> None:
    project, judged = measured(repository, {f"roof{i}": roof for i, roof in enumerate(found)}, ms)
    best = {
        kind: [r.ms for r in found if r.kind == kind and r.outcome == "profiled"] for kind in {r.kind for r in found}
    }
    deciding = judged.roofs["cumprod", "square"].deciding
    if not best or not all(best.values()) or any(roof.outcome == "crashed" for roof in found):
        assert not isinstance(deciding, Roof)
        assert fraction(judged) is None
        assert judged.judgement.exit_status == 3
        return
    slowest = max(min(each) for each in best.values())
    hardware = max((min(each) for kind, each in best.items() if kind != "library"), default=0.0)
    assert isinstance(deciding, Roof)
    assert deciding.duration == slowest * MS
    assert fraction(judged) == pytest.approx(slowest / ms)
    if hardware / ms > BEYOND_ROOF:
        assert verdict(judged).reason == "implausible"
    else:
        assert verdict(judged).reason == ("met" if slowest * MS / (ms * MS) >= 0.97 else "missed")
    assert View(project, judged, "cumprod", "square").roof == deciding


@settings(deadline=None, max_examples=50)
@given(roof=times, ms=times)
def test_with_a_single_roof_of_bytes_it_is_the_denominator(repository: Project, roof: float, ms: float) -> None:
    _, judged = measured(repository, {"copy": Measured("bytes", roof)}, ms)
    assert fraction(judged) == (roof * MS) / (ms * MS)
