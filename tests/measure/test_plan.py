"""What is planned, and what a child finds when it starts."""

from __future__ import annotations

import importlib.util
import os
import py_compile
from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.errors import BadArgument, UnknownName
from stallgate.measure.child_plan import forget_bytecode
from stallgate.measure.plan import Request, left_out, plan_cases
from stallgate.project.load import Project, load_project


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


@pytest.fixture
def source(tree: Path) -> Path:
    """A variant's source, with bytecode of another one that Python would run in its place."""
    path = tree / "kernels/cumprod/naive_serial.py"
    path.write_text("ANSWER = 1\n")
    before = path.stat()
    py_compile.compile(str(path), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    path.write_text("ANSWER = 2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return path


def answer_of(path: Path) -> int:
    """What Python says that a module is."""
    spec = importlib.util.spec_from_file_location("some_variant", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: int = module.ANSWER
    return found


def test_bytecode_of_another_source_is_forgotten(tree: Path, source: Path) -> None:
    assert answer_of(source) == 1
    project = load_project(tree)
    forget_bytecode(project, ["cumprod", "cumprod"])
    assert answer_of(source) == 2


def test_nothing_elsewhere_is_removed(tree: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.pyc").write_text("mine")
    (tree / "kernels/cumprod/__pycache__").symlink_to(elsewhere)
    (tree / "kernels/cumprod/peers/__pycache__").mkdir()
    (tree / "kernels/cumprod/peers/__pycache__/notes.txt").write_text("mine")
    forget_bytecode(load_project(tree), ["cumprod"])
    assert (elsewhere / "mine.pyc").read_text() == "mine"
    assert (tree / "kernels/cumprod/peers/__pycache__/notes.txt").read_text() == "mine"
    assert not (tree / "kernels/cumprod/__pycache__").exists()


def test_bytecode_that_cannot_be_removed_is_an_error(tree: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    project = load_project(tree)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(BadArgument, match="cannot be removed: Permission denied"):
        forget_bytecode(project, ["cumprod"])
