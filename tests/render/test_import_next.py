"""What to do next with an imported run: one statement, and a command that works when it is pasted."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import Stallgate
from tests.extract.patching import launches_of, patched, recorded_report

MINE = 'title = "Mine"\nfocus = "F."\n\n[[targets]]\nmetric = "{metric}"\nabove = 1\n'


@pytest.fixture
def report(recording: Path, tree: Path) -> Path:
    """One launch of the recorded report, in a range that stallgate did not make."""
    path = tree / "a.ncu-rep"
    path.write_bytes(
        patched(launches_of(recorded_report(recording), [0]), {"stallgate/cumprod/": "somewhere/cumprod/"})
    )
    return path


def pasted(stallgate: Stallgate, line: str) -> int:
    command = shlex.split(line)
    assert command[0] == "stallgate"
    return stallgate(*command[1:]).returncode


@pytest.mark.parametrize("metric", ["duration", "waves"])
def test_the_next_command_names_a_stage_that_can_judge_the_run(
    stallgate: Stallgate, tree: Path, report: Path, metric: str
) -> None:
    (tree / "metrics/stages/mine.toml").write_text(MINE.format(metric=metric))
    said = stallgate("import", report.name).stdout
    (line,) = re.findall(
        r"^next \(to gate it, name a stage that can judge it: (?:.* )?mine(?: .*)?\): (.*)$", said, re.MULTILINE
    )
    assert "NAME" not in said
    assert pasted(stallgate, line) in (0, 1)


def test_a_stage_that_needs_a_roof_as_well_is_named_with_the_targets_that_it_can_judge(
    stallgate: Stallgate, tree: Path, report: Path
) -> None:
    said = stallgate("import", report.name).stdout
    (line,) = re.findall(
        r"^next \(to gate it without a roof and a baseline, name a stage: .*\): (.*)$", said, re.MULTILINE
    )
    assert "no stage" not in said
    assert line.endswith(" --targets absolute")
    assert pasted(stallgate, line) in (0, 1)
    assert stallgate("report").returncode == 0


def test_the_page_says_the_same_as_the_terminal(stallgate: Stallgate, tree: Path, report: Path) -> None:
    line = re.findall(r"^next \(.*\): (.*)$", stallgate("import", report.name).stdout, re.MULTILINE)[0]
    assert stallgate("report").returncode == 0
    page = (tree / "reports/latest/report.html").read_text()
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", "", page)).split())
    assert text.count(line) == 2, "under Next and under Verdicts"
    assert "no stage here" not in text
    assert "--stage NAME" not in text


def test_a_stage_that_judged_a_part_is_followed_by_its_absolute_targets_alone(
    stallgate: Stallgate, tree: Path, report: Path
) -> None:
    roof = '\n[[targets]]\nmetric = "roof_fraction"\nat_least = 0.97\n'
    (tree / "metrics/stages/mine.toml").write_text(MINE.format(metric="duration") + roof)
    stallgate("import", report.name)
    done = stallgate("gate", "--stage", "mine")
    assert done.returncode == 3
    (line,) = re.findall(r"^next \(without targets that need a roof or a baseline\): (.*)$", done.stdout, re.MULTILINE)
    assert pasted(stallgate, line) == 0


def test_a_stage_is_not_named_for_what_was_not_collected(stallgate: Stallgate, tree: Path, recording: Path) -> None:
    """Its own command would not decide anything."""
    changes = {"stallgate/cumprod/": "somewhere/cumprod/", "sm__throughput": "sm__throuxxxxx"}
    report = tree / "a.ncu-rep"
    report.write_bytes(patched(launches_of(recorded_report(recording), [0]), changes))
    said = stallgate("import", report.name).stdout
    (line,) = re.findall(r"^next \(.*\): (.*)$", said, re.MULTILINE)
    assert "grid_and_parallel" not in said, "it asks for sm_throughput"
    assert pasted(stallgate, line) in (0, 1)
