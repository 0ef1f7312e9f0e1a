"""The rules of a stage, held against an answer and the version that it replaces."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from stallgate.agent.answer import Answer, read_answer
from stallgate.agent.check.stage_rules import MeasuredAnswer, StageRules, replaced_sources, stage_objections
from stallgate.compare.grids import LaunchedGrid, LaunchedGrids
from stallgate.compare.rules import NO_READINGS, VersionReadings
from stallgate.model import HeldRule
from stallgate.project.load import Project, load_project
from tests.agent.loop.climb import RECORDED, SCAN, scan_in_registers
from tests.conftest import ROOT

CODE = (ROOT / "kernels/cumprod/blocked_scan.py").read_text()
DEEPER = CODE.replace("num_stages: int = 2", "num_stages: int = 3")
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
    line = next(number for number, text in enumerate(DEEPER.split("\n"), 1) if "num_stages: int = 3" in text)
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


@pytest.mark.parametrize("text", [CODE, CODE.replace("later", "behind"), f"# faster\n{CODE}"])
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


# --- rewritten kernels ------------------------------------------------------------------------------------------------

SLOW = {"memory_dependency_stall": 51.1, "bytes_per_sector_loaded": 4.0, "bytes_per_sector_stored": 4.0}
SLOW |= {"traffic": 1.0, "waves": 7.76, "grid_size": 32768.0, "duration": 21.4e6}
"""What was read of naive_serial on `square`."""
TILED = {"memory_dependency_stall": 45.0, "bytes_per_sector_loaded": 32.0, "bytes_per_sector_stored": 32.0}
TILED |= {"traffic": 1.0, "waves": 7.76, "grid_size": 32768.0, "duration": 4e6}
"""What a scan by tiles reads: whole sectors, so that no other pattern is asked for."""
PIPELINED = {"memory_dependency_stall": 7.3, "bytes_per_sector_loaded": 0.0, "bytes_per_sector_stored": 32.0}
PIPELINED |= {"traffic": 1.0, "waves": 62.1, "grid_size": 32768.0, "duration": 2.58e6}
"""What was read of it on an H200: its loads are asynchronous copies, which have no bytes per sector."""


IN_REGISTERS = "in registers"


def version(name: str) -> str:
    """A version of the recorded climb, by the name of its answer."""
    if name == IN_REGISTERS:
        return scan_in_registers()
    if name.endswith(".md"):
        return read_answer((RECORDED / name).read_text()).source
    return (SCAN if name == SCAN.name else ROOT / "kernels/cumprod" / name).read_text()


def reading(values: dict[str, float], kernel: str, *sizes: int) -> VersionReadings:
    grids: LaunchedGrids = {("square", kernel): tuple(LaunchedGrid(size, (size, 1, 1)) for size in sizes)}
    return VersionReadings(values={("square", name): value for name, value in values.items()}, grids=grids)


CLIMB = [
    ("naive_serial.py", "1.1.md", SLOW),
    ("naive_serial.py", "1.1-repair.md", SLOW),
    ("naive_serial.py", "2.1.md", SLOW),
    ("1.1-repair.md", "2.1.md", TILED),
    ("1.1-repair.md", SCAN.name, TILED),
    ("2.1.md", SCAN.name, TILED),
    (SCAN.name, IN_REGISTERS, PIPELINED),
]
SAME_LAUNCH = [("1.1-repair.md", "2.1.md"), (SCAN.name, IN_REGISTERS)]
"""Pairs whose code computes the grid in the same words."""

KERNELS = {"naive_serial.py": "_serial_kernel"}
KERNELS |= dict.fromkeys([SCAN.name, IN_REGISTERS], "_blocked_scan_kernel")


@pytest.mark.parametrize(("before", "after", "values"), CLIMB, ids=lambda each: each if isinstance(each, str) else "")
def test_the_recorded_climb_keeps_to_the_rules(
    repository: Project, before: str, after: str, values: dict[str, float]
) -> None:
    """Each answer is launched as the version before it, and takes less time: no rule is broken, early or late."""
    answer, replaced = read_answer(version(after)), {"before.py": version(before)}
    was = reading(values, KERNELS.get(before, "_scan_kernel"), 32768)
    kernel, stages = KERNELS.get(after, "_scan_kernel"), ["memory_access"]
    early = stage_objections(repository, "cumprod", answer, replaced, was, stages)
    assert early.objections == ()

    def late(duration: float, *sizes: int) -> StageRules:
        now = MeasuredAnswer(reading({"duration": duration}, kernel, *sizes), early.untold)
        return stage_objections(repository, "cumprod", answer, replaced, was, stages, now)

    told = late(0.5 * values["duration"], 32768)
    assert (told.objections, told.notes, told.untold) == ((), (), ())
    other = late(0.5 * values["duration"], 512)
    if (before, after) not in SAME_LAUNCH:
        (objection,) = other.objections
        assert (objection.part, objection.code) == ("stage", "stage_rule")
        assert "leave the grid as it is" in objection.text
        assert "(32768 -> 512 programs on square)" in objection.text


def test_before_it_ran_a_note_says_what_would_tell_of_a_grid(repository: Project) -> None:
    answer = read_answer((RECORDED / "1.1.md").read_text())
    replaced = replaced_sources(repository, "cumprod", "naive_serial")
    was = reading(SLOW, "_serial_kernel", 32768)
    (note,) = stage_objections(repository, "cumprod", answer, replaced, was, ["memory_access"]).notes
    assert "grid of _scan_kernel changed" in note
    assert note.endswith("needed: after.grid_size; a run of both versions on a GPU tells")


def test_only_what_could_not_be_told_is_told_later(repository: Project) -> None:
    """A reading that allowed a change before the run is not read again: a second one may lie on the other side."""
    answer, replaced = read_answer(DEEPER), replaced_sources(repository, "cumprod", "blocked_scan")
    before, later = ({("square", "memory_dependency_stall"): value} for value in (20.5, 19.5))
    early = stage_objections(repository, "cumprod", answer, replaced, VersionReadings(before), ["memory_access"])
    assert (early.objections, early.untold) == ((), ())
    now = MeasuredAnswer(NO_READINGS, early.untold)
    assert not stage_objections(
        repository, "cumprod", answer, replaced, VersionReadings(later), ["memory_access"], now
    ).objections
