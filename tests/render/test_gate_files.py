"""What a gate leaves behind for people and for CI: junit.xml, summary.md, annotations."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from msgspec.structs import asdict, replace

from stallgate.judge.evaluate import JudgedRun
from stallgate.judge.verdicts import Judgement
from stallgate.model import Verdict
from stallgate.project.load import Project
from stallgate.render.github import MOST_SUMMARY, annotated, append_summary
from stallgate.render.head import head, write_head
from stallgate.render.junit import junit
from tests.conftest import Stallgate
from tests.judge.judging import read, run_of, usual

VERDICTS = [
    Verdict(
        status=status,  # type: ignore[arg-type]
        reason=reason,
        sentence=f"{reason} <&> 5 %\x1b[31m",
        stage="memory_access",
        problem="cumprod",
        variant="blocked_scan",
        configuration="default",
        workload="square",
        metric="duration",
        warning=warning,
        **bound,  # type: ignore[arg-type]
    )
    for status, reason, warning, bound in [
        ("pass", "met", False, {"comparison": "at_most", "bound": 5.0}),
        ("fail", "missed", False, {"comparison": "at_least", "bound": 4.5, "of_roof": 0.9}),
        ("undecided", "straddles", False, {"tolerance": 0.02, "baseline": 5.0, "comparison": "at_most", "bound": 5.1}),
        ("not_measured", "absent", False, {"tolerance": 0.02}),
        ("undecided", "straddles", True, {"comparison": "at_most", "bound": 5.0, "kernel": "scan"}),
        ("waived", "waived", False, {"comparison": "above", "bound": 5.0}),
        ("excused", "at_the_roof", False, {"comparison": "above", "bound": 6.0}),
    ]
]


def result(project: Project, verdicts: list[Verdict], folder: Path = Path("run")) -> JudgedRun:
    judgement = Judgement(stages=["memory_access"], verdicts=verdicts, notes=["a note"])
    found = read(run_of(project, usual()), folder=folder)
    return JudgedRun(**asdict(found), argument="run", judgement=judgement, roofs={}, gpu_spec=None)


def suite_of(project: Project, verdicts: list[Verdict]) -> Xml.Element:
    [suite] = Xml.fromstring(junit(result(project, verdicts)))
    return suite


def test_what_keeps_a_gate_shut_is_a_failure_or_an_error_and_never_skipped(repository: Project) -> None:
    suite = suite_of(repository, VERDICTS)
    outcomes = [next((child.tag for child in test if child.tag != "system-out"), "") for test in suite.iter("testcase")]
    assert outcomes == ["", "failure", "error", "error", "skipped", "skipped", "skipped"]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "7", "failures": "1", "errors": "2", "skipped": "3"}
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("missed", "missed <&> 5 %\ufffd[31m")


def test_imported_cases_have_the_names_of_the_report(repository: Project) -> None:
    """Two verdicts on several cases may have all but their sentences in common."""
    one = replace(VERDICTS[0], variant="kern", workload="nvidia-h100", name="void kern<float>", place="NVIDIA H100")
    every = replace(VERDICTS[3], variant="", workload="", name="every case", metric=None, tolerance=None)
    others = [replace(every, sentence=sentence) for sentence in ("a is not collected", "b is held to a roof")]
    suite = suite_of(repository, [one, *others])
    assert [(test.get("classname"), test.get("name")) for test in suite.iter("testcase")] == [
        ("cumprod.void kern<float>", "NVIDIA H100: memory_access: duration: at_most 5"),
        ("cumprod.every case", "memory_access: a is not collected"),
        ("cumprod.every case", "memory_access: b is held to a roof"),
    ]


def test_tests_have_names_that_stay(repository: Project) -> None:
    """A bound that is a part of the roof or around the baseline comes to another number in every run."""
    suite = suite_of(repository, VERDICTS)
    assert [test.get("name") for test in suite.iter("testcase")] == [
        "square: memory_access: duration: at_most 5",
        "square: memory_access: duration: at_least 0.9 of the roof",
        "square: memory_access: duration: against the baseline",
        "square: memory_access: duration: against the baseline",
        "square: memory_access: duration: at_most 5: scan",
        "square: memory_access: duration: above 5",
        "square: memory_access: duration: above 6",
    ]


def test_a_run_with_nothing_to_judge_is_an_error(repository: Project) -> None:
    suite = suite_of(repository, [])
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")


def test_an_annotation_for_all_that_is_no_pass(repository: Project) -> None:
    lines = annotated(repository, result(repository, VERDICTS), repository.root.parent)
    assert [line.split(" ")[0] for line in lines] == ["::error"] * 3 + ["::warning"] * 2 + ["::notice"]
    assert lines[0] == (
        f"::error file={repository.root.name}/kernels/cumprod/blocked_scan.py,"
        "title=stallgate%3A blocked_scan on square%3A missed::missed <&> 5 %25\x1b[31m"
    )


def test_an_annotation_is_one_line(repository: Project) -> None:
    odd = replace(VERDICTS[1], sentence="two\nlines\r::error::forged", variant="a,b")
    [line] = annotated(repository, result(repository, [odd]), repository.root)
    assert line.endswith("::two%0Alines%0D::error::forged")
    assert "title=stallgate%3A a%2Cb on square%3A missed::" in line
    [line] = annotated(repository, result(repository, []), repository.root)
    assert line == "::error title=stallgate::a note"


def test_the_summary_of_a_step_is_added_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    path.write_text("before\n")
    append_summary(path, "## after\n")
    assert path.read_text() == "before\n## after\n"
    append_summary(path, "line\n" * MOST_SUMMARY)
    assert path.stat().st_size < MOST_SUMMARY + 100
    assert path.read_text().endswith("\n\n(cut short)\n")


def test_verdicts_are_written_over_and_what_was_drawn_stays(repository: Project, tmp_path: Path) -> None:
    judged = result(repository, VERDICTS, tmp_path)
    (tmp_path / "summary.md").write_text("## Old\n\nverdicts\n\n### cumprod · square\n\n![targets](a.png)\n")
    write_head(judged, repository.catalogue)
    assert (tmp_path / "summary.md").read_text() == head(
        judged, repository.catalogue
    ) + "\n### cumprod · square\n\n![targets](a.png)\n"
    assert "- **~ waived** blocked\\_scan on square: waived" in head(judged, repository.catalogue)
    assert "- **✓ excused** blocked\\_scan on square: at\\_the\\_roof" in head(judged, repository.catalogue)
    assert "> a note" in head(judged, repository.catalogue)


@pytest.fixture
def run(tree: Path, recording: Path) -> Path:
    """The recording as a run."""
    return shutil.copytree(recording, tree / "reports/run")


@pytest.mark.whole_recording
def test_a_gate_on_github(stallgate: Stallgate, tree: Path, run: Path, tmp_path: Path) -> None:
    stage = tree / "metrics/stages/block_tiling.toml"
    stage.write_text(re.sub("unless = .*", "", stage.read_text()))  # both candidates are at the roof
    step = tmp_path / "step"
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(step)}
    done = stallgate("gate", "run", "--stage", "block_tiling", "--json", **github)
    assert done.returncode == 1
    assert done.stderr.startswith("::error file=kernels/cumprod/blocked_scan.py,title=stallgate%3A blocked_scan on ")
    assert "limited by registers" in done.stderr
    written = json.loads((run / "verdicts.json").read_text())
    printed = json.loads(done.stdout)
    assert (printed["status"], printed["ok"]) == (written["exit_status"], False)
    assert [v["sentence"] for v in printed["verdicts"]] == [v["sentence"] for v in written["verdicts"]]
    assert step.read_text() == (run / "summary.md").read_text()
    assert step.read_text().startswith("## ")
    assert {test.get("classname") for test in Xml.parse(run / "junit.xml").iter("testcase")} == {
        "cumprod.blocked_scan",
        "cumprod.adaptive_scan",
    }


def test_a_recording_is_judged_and_not_written_to(stallgate: Stallgate, recording: Path, tmp_path: Path) -> None:
    """Nor does a summary that GitHub does not take cost the verdict."""
    before = sorted(recording.iterdir())
    step = tmp_path / "missing/step"
    done = stallgate("gate", str(recording), GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(step))
    assert done.returncode == 0
    told = [line for line in done.stderr.splitlines() if not line.startswith("::")]  # notes for GitHub begin so
    assert [line.partition(" or ")[0] for line in told] == [
        f"stallgate: the results could not be written: {step}: No such file"
    ]
    assert sorted(recording.iterdir()) == before


def test_what_the_roof_excuses_is_seen_everywhere(stallgate: Stallgate, replayed_square: Path) -> None:
    done = stallgate("gate", "--stage", "block_tiling")
    assert done.returncode == 0, done.stdout
    said = " ".join(done.stdout.split())
    assert "✓ excused" in said
    assert re.search(r"wanted above 50 %; limited by registers; excused: roof_fraction is 0.9[5-9]\d*, at least", said)
    assert "PASS 1 excused; stages: block_tiling" in said
    [case] = Xml.parse(replayed_square / "junit.xml").getroot().iter("testcase")
    assert [(child.tag, child.get("type")) for child in case] == [("skipped", "at_the_roof")]
    [verdict] = json.loads((replayed_square / "verdicts.json").read_text())["verdicts"]
    assert (verdict["status"], verdict["reason"]) == ("excused", "at_the_roof")
    assert (verdict["excuse"]["metric"], verdict["excuse"]["bound"]) == ("roof_fraction", 0.95)
    assert stallgate("report", "--stage", "block_tiling").returncode == 0
    page = (replayed_square / "report.html").read_text()
    assert '<div class="target is-excused" data-metric="achieved_occupancy"' in page
    assert '<span class="mark">✓ excused</span>' in page
    assert "✓ excused" in (replayed_square / "summary.md").read_text()
