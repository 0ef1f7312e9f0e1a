"""What is planned, and what a child finds when it starts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from stallgate.errors import UnknownName
from stallgate.measure.plan import Request, left_out, plan_cases
from stallgate.project.load import Project


def test_a_roof_is_measured_in_its_default_configuration_too(repository: Project) -> None:
    """Fractions refer to it, whatever configurations are named."""
    problem = repository.problem("cumprod")
    slow = {**problem.variants["copy_roof"].configurations, "slow": {"BLOCK": 1}}
    variants = {**problem.variants, "copy_roof": replace(problem.variants["copy_roof"], configurations=slow)}
    project = replace(repository, problems={"cumprod": replace(problem, variants=variants)})
    cases = plan_cases(
        project, Request(subjects=["cumprod/blocked_scan"], workloads=["square"], configurations=["slow"])
    )
    assert [case.display_name for case in cases] == ["copy_roof", "copy_roof (slow)", "blocked_scan"]


@pytest.fixture
def two(repository: Project) -> Project:
    """Two problems, of which the second has a workload less."""
    first = repository.problem("cumprod")
    workloads = {name: workload for name, workload in first.workloads.items() if name != "flat"}
    second = replace(first, name="cumfold", workloads=workloads)
    return replace(repository, problems={"cumprod": first, "cumfold": second})


def test_a_workload_has_to_be_one_of_a_problem_and_not_of_all(two: Project) -> None:
    request = Request(workloads=["flat"])
    cases = plan_cases(two, request)
    assert {(case.problem, case.workload) for case in cases} == {("cumprod", "flat")}
    assert left_out(two, request, cases) == {"cumfold": "it has no workload flat"}


def test_of_several_workloads_a_problem_is_measured_on_those_that_it_has(two: Project) -> None:
    request = Request(workloads=["square", "flat"])
    cases = plan_cases(two, request)
    places = {(case.problem, case.workload) for case in cases}
    assert places == {("cumprod", "square"), ("cumprod", "flat"), ("cumfold", "square")}
    assert left_out(two, request, cases) == {}


def test_a_workload_that_no_chosen_problem_has_is_an_error_with_near_names(two: Project) -> None:
    with pytest.raises(UnknownName, match="no workload is named 'squere'") as refused:
        plan_cases(two, Request(workloads=["squere"]))
    assert "square" in refused.value.hint
    with pytest.raises(UnknownName, match="no workload is named 'flat'"):
        plan_cases(two, Request(subjects=["cumfold"], workloads=["flat"]))


def test_a_problem_without_a_default_workload_is_left_out(two: Project) -> None:
    bare = {name: replace(load, default=False) for name, load in two.problems["cumfold"].workloads.items()}
    project = replace(two, problems={**two.problems, "cumfold": replace(two.problems["cumfold"], workloads=bare)})
    cases = plan_cases(project, Request())
    assert {case.problem for case in cases} == {"cumprod"}
    assert left_out(project, Request(), cases) == {"cumfold": "none of its workloads is marked as a default"}
