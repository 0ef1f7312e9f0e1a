"""Rules that only a run can tell, through the whole check: results and times are stand-ins, as of a GPU."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from stallgate.agent.check import check as check_module
from stallgate.agent.check.better import Better
from stallgate.agent.check.check import AnswerOptions, AnswerReport, check_answer
from stallgate.agent.check.right import RightAnswer
from stallgate.agent.check.timing import TimedAnswer
from stallgate.agent.objection import Objection
from stallgate.compare.grids import LaunchedGrid
from stallgate.compare.rules import VersionReadings
from stallgate.measure.checked import CheckReport
from stallgate.measure.device import Device
from stallgate.project.load import load_project
from tests.conftest import ROOT

ANSWER = (Path(__file__).parents[1] / "loop" / "recorded_answers" / "1.1-repair.md").read_text()
GPU = Device(0, "GPU-0", "NVIDIA H100 80GB HBM3", "580", "9.0", 80000.0, 80000.0)
RIGHT = CheckReport("cuda", GPU.name, False, {}, None, [], None, [], 0)
SLOWER = Objection(part="better", code="slower", text="it takes more time")
READ = {"waves": 7.76, "bytes_per_sector_loaded": 4.0, "bytes_per_sector_stored": 4.0, "traffic": 1.0}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with this repository's problems, and without runs."""
    for name in ("kernels", "metrics"):
        shutil.copytree(ROOT / name, tmp_path / "project" / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


def grids(size: int) -> dict[tuple[str, str], tuple[LaunchedGrid, ...]]:
    return {("square", kernel): (LaunchedGrid(size),) for kernel in ("_serial_kernel", "_scan_kernel")}


def checked(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: int | None,
    *objections: Objection,
    right_only: bool = False,
) -> AnswerReport:
    """The report of an answer that is right, and whose launches have so many programs; None: it was not profiled."""
    values = {("square", name): value for name, value in READ.items()}
    before = VersionReadings(values={**values, ("square", "duration"): 2e7}, grids=grids(32768))
    after = VersionReadings(values={("square", "duration"): 1e7}, grids=grids(programs or 0))

    class Timer:
        def __init__(self, *_: object) -> None: ...

        def measure(self) -> TimedAnswer:
            readings = (before, after) if programs is not None else None
            return TimedAnswer(Better([], list(objections)), None, [], readings)

    monkeypatch.setattr(check_module, "AnswerTimer", Timer)
    monkeypatch.setattr(check_module, "check_right", lambda *_: RightAnswer(RIGHT, [], [], ""))
    options = AnswerOptions(
        python=sys.executable,
        device=GPU,
        problem="cumprod",
        against="naive_serial",
        stage="memory_access",
        right_only=right_only,
        namespaces=False,
    )
    return check_answer(load_project(project), ANSWER, options)


def told(found: AnswerReport) -> tuple[bool, list[str], list[str]]:
    """Whether it is accepted, the codes of objections, and the notes of rules."""
    return found.accepted, [each.code for each in found.objections], [n for n in found.notes if "keeps to a rule" in n]


def test_the_same_grid_in_other_words_is_accepted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(checked(project, monkeypatch, 32768)) == (True, [], [])


def test_another_grid_is_refused_with_both_sizes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checked(project, monkeypatch, 64)
    assert told(found) == (False, ["stage_rule"], [])
    assert (found.exit_status, found.step("stage").state, found.step("better").state) == (1, "passed", "refused")
    assert "(32768 -> 64 programs on square)" in found.objections[0].text
    assert found.objections[0].line is not None


def test_every_reason_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(checked(project, monkeypatch, 64, SLOWER))[1] == ["slower", "stage_rule"]


def test_what_was_not_profiled_leaves_a_note(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted, codes, notes = told(checked(project, monkeypatch, None, SLOWER))
    assert (accepted, codes) == (False, ["slower"])
    assert any("leave the grid as it is" in each for each in notes)


def test_right_alone_leaves_a_note(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted, codes, notes = told(checked(project, monkeypatch, 64, right_only=True))
    assert (accepted, codes) == (True, [])
    assert any("leave the grid as it is" in each and "a run of both versions on a GPU tells" in each for each in notes)
