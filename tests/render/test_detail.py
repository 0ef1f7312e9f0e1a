"""Hot lines: the kernel's own in its code, those of libraries apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.extract.reader import function_of
from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.measure.plan import Request, plan_cases
from stallgate.project.load import Project, load_project
from stallgate.render.detail import Said, said
from stallgate.render.view import View
from stallgate.runs.folder import create_folder
from stallgate.runs.recording import find_recordings, replay
from tests.conftest import small_tree
from tests.small_recording import SMALL

SHOWN = (*SMALL, "two_pass_scan")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, JudgedRun]:
    project = load_project(small_tree(tmp_path_factory.mktemp("detail") / "project", variants=SHOWN, detail=True))
    cases = plan_cases(project, Request(subjects=[], workloads=[], configurations=[]))
    folder = create_folder(project.reports, "cumprod")
    replay(project, find_recordings(project, cases), cases, folder, [])
    return project, evaluate(project, folder, [], only_judge=True)


def details(project: Project, result: JudgedRun) -> dict[str, Said]:
    return {told.name: told for told in said(View(project, result, "cumprod", "square"), "here")}


def test_own_lines_are_linked_to_the_code_and_those_of_libraries_stand_apart(
    measured: tuple[Project, JudgedRun],
) -> None:
    found = details(*measured)
    assert list(found) == ["blocked_scan", "two_pass_scan", "copy_roof"], "the candidate comes first"
    blocked = found["blocked_scan"]
    (kernel,) = blocked.kernels
    assert {row.line.file for row in kernel.own} == {"blocked_scan.py"}
    marked = {line.anchor: line for line in blocked.code if line.anchor}
    for row in kernel.own:
        line = marked[row.anchor]
        assert (line.number, line.samples, line.text.rstrip()[:200]) == (row.line.line, row.line.samples, row.line.text)
    assert {row.line.file for row in kernel.library} == {"triton/language/standard.py"}
    assert {row.line.text for row in kernel.library} == {""}
    assert "cumprod" in {row.line.function for row in kernel.library}
    assert not any(row.anchor for row in kernel.library)
    assert 50 < sum(row.share for row in kernel.own + kernel.library) <= 100 + 1e-9


def test_the_code_is_whole_and_marks_all_kernels_of_a_call(measured: tuple[Project, JudgedRun]) -> None:
    project, _ = measured
    told = details(*measured)["two_pass_scan"]
    path = project.root / project.problems["cumprod"].variants["two_pass_scan"].path
    assert [line.text for line in told.code] == path.read_text().splitlines()
    assert len(told.kernels) == 3
    hottest = max(told.code, key=lambda line: line.samples)
    rows = [row.line for kernel in told.kernels for row in kernel.own if row.line.line == hottest.number]
    assert hottest.samples == sum(line.samples for line in rows)
    assert hottest.share == pytest.approx(100 * hottest.samples / sum(kernel.samples for kernel in told.kernels))


def test_code_that_is_not_what_was_measured_is_not_shown(measured: tuple[Project, JudgedRun], tmp_path: Path) -> None:
    project, result = measured
    variant = project.problems["cumprod"].variants["blocked_scan"]
    elsewhere = replace(project, root=tmp_path)
    (tmp_path / variant.path).parent.mkdir(parents=True)
    (tmp_path / variant.path).write_text("changed")
    told = details(elsewhere, result)["blocked_scan"]
    assert told.code == []
    assert told.kernels[0].own[0].anchor == ""

    kept = result.folder / "source" / variant.path
    kept.parent.mkdir(parents=True)
    shutil.copyfile(project.root / variant.path, kept)
    assert details(elsewhere, result)["blocked_scan"].code
    shutil.rmtree(result.folder / "source")


@pytest.mark.parametrize(("line", "name"), [(1, ""), (2, "outer"), (4, "inner"), (5, "outer"), (9, "")])
def test_a_line_is_told_by_the_innermost_function(line: int, name: str) -> None:
    source = "import this\ndef outer():\n    def inner():\n        pass\n    return inner\n"
    assert function_of(source, line) == name
    assert function_of("no python(", line) == ""
