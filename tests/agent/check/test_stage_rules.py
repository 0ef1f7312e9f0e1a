"""The rules of a stage, held against an answer and the version that it replaces."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from stallgate.agent.answer import Answer, read_answer
from stallgate.agent.check.stage_rules import StageRules, replaced_sources, stage_objections
from stallgate.compare.rules import VersionReadings
from stallgate.model import HeldRule
from stallgate.project.load import Project, load_project
from tests.conftest import ROOT

CODE = (ROOT / "kernels/cumprod/blocked_scan.py").read_text()
DEEPER = CODE.replace("num_stages: int = 4", "num_stages: int = 6")
RULE = HeldRule(
    text="num_stages is raised where warps wait", changes=["num_stages raised"], unless="memory_dependency_stall >= 20"
)


def judged(project: Project, answer: Answer, rule: HeldRule = RULE, **readings: float) -> StageRules:
    stage = replace(project.stages["memory_access"], held=[rule], includes=[])
    changed = replace(project, stages={**project.stages, "memory_access": stage})
    values = {("square", name): value for name, value in readings.items()}
    before = replaced_sources(project, "cumprod", "blocked_scan")
    return stage_objections(changed, "cumprod", answer, before, VersionReadings(values=values), ["memory_access"])


def test_a_broken_rule_is_an_objection_at_the_line_of_the_change(repository: Project) -> None:
    found = judged(repository, read_answer(DEEPER), memory_dependency_stall=6.0)
    (objection,) = found.objections
    line = next(number for number, text in enumerate(DEEPER.split("\n"), 1) if "num_stages: int = 6" in text)
    assert (objection.part, objection.code, objection.line) == ("stage", "stage_rule", line)
    assert RULE.text in objection.text
    assert f"line {line}" in objection.text
    assert "memory_dependency_stall 6.00 % on square" in objection.hint


def test_lines_are_those_of_the_text_around_a_block(repository: Project) -> None:
    plain = judged(repository, read_answer(DEEPER), memory_dependency_stall=6.0)
    fenced = judged(repository, read_answer(f"Deeper.\n\n```python\n{DEEPER}```\n"), memory_dependency_stall=6.0)
    assert fenced.objections[0].line == (plain.objections[0].line or 0) + 3


def test_a_reading_allows_the_change(repository: Project) -> None:
    found = judged(repository, read_answer(DEEPER), memory_dependency_stall=60.0)
    assert found.objections == ()
    assert found.notes == ()
    assert [change.subject for change in found.changes] == ["num_stages"]


def test_without_a_reading_it_cannot_be_told(repository: Project) -> None:
    found = judged(repository, read_answer(DEEPER))
    assert found.objections == ()
    (note,) = found.notes
    assert "memory_dependency_stall" in note


@pytest.mark.parametrize("text", [CODE, CODE.replace("carry", "running"), f"# faster\n{CODE}"])
def test_no_change_breaks_no_rule(repository: Project, text: str) -> None:
    rule = HeldRule(text="nothing may change", changes=["anything changed"])
    assert judged(repository, read_answer(text), rule, memory_dependency_stall=6.0) == StageRules()


def test_an_unreadable_answer_is_not_judged(repository: Project) -> None:
    assert "not applied" in judged(repository, read_answer("x = (")).notes[0]


def test_installed_functions_have_no_sources() -> None:
    project = load_project(ROOT)
    installed = [
        (problem.name, variant.name)
        for problem in project.problems.values()
        for variant in problem.variants.values()
        if not variant.entry.path
    ]
    assert installed
    assert all(replaced_sources(project, *each) == {} for each in installed)
