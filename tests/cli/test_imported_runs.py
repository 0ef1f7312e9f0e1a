"""Imported runs from the command line: judged by nothing that was not named, and compared without a word."""

from __future__ import annotations

import csv
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Stallgate
from tests.extract.patching import launches_of, patched, recorded_report
from tests.recordings import committed, made_up_name

GPU = committed().gpu
FOREIGN = {"stallgate/cumprod/": "somewhere/cumprod/"}
"""The ranges of the recording are stallgate's own; these are anybody's."""

VERDICT_WORDS = re.compile(r"\b(pass|fail|undecided|not measured|better|worse|faster|slower|decided)\b", re.IGNORECASE)


@pytest.fixture
def report(recording: Path) -> bytes:
    """Three launches of the recorded report, in ranges that stallgate did not make."""
    return patched(launches_of(recorded_report(recording), [0, 1, 2]), FOREIGN)


def imported(stallgate: Stallgate, path: Path, report: bytes, *options: str) -> Path:
    """The folder of the run of a report."""
    path.write_bytes(report)
    done = stallgate("import", str(path), *options)
    assert done.returncode == 0, done.stderr
    return (path.parent / "reports/latest").resolve()


def answer(stallgate: Stallgate, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stallgate(*arguments, "--json").stdout)
    return found


# --- without a stage --------------------------------------------------------------------------------------------------


def test_nothing_is_asked_of_an_import_that_no_stage_was_named_for(
    stallgate: Stallgate, tree: Path, report: bytes
) -> None:
    """The project has problems with stages; none of them is of this kernel."""
    folder = imported(stallgate, tree / "a.ncu-rep", report)
    found = json.loads((folder / "verdicts.json").read_text())
    assert (found["exit_status"], found["stages"], found["verdicts"], found["notes"]) == (None, [], [], [])
    assert stallgate("report").returncode == 0
    page = (folder / "report.html").read_text()
    assert '<header class="top plain">' in page
    head = re.sub(r"<[^>]*>", " ", page.partition("<header")[2].partition("</header>")[0])
    assert "3 launches of " in head
    assert not VERDICT_WORDS.search(head)
    assert "no stage was named for it" in page
    assert not VERDICT_WORDS.search((folder / "summary.md").read_text().partition("###")[0])
    listed = (tree / "reports/index.html").read_text()
    assert "The newest, " in listed
    assert f"{folder.name}: not judged." in listed
    assert 'class="is-not_measured"' not in listed
    (shown,) = answer(stallgate, "show", "runs")["runs"]
    assert shown["verdict"] == "not_judged"


def test_the_gate_passes_no_import_that_nothing_is_asked_of(stallgate: Stallgate, tree: Path, report: bytes) -> None:
    folder = imported(stallgate, tree / "a.ncu-rep", report)
    found = answer(stallgate, "gate")
    assert (found["status"], found["error"]["code"]) == (2, "bad_argument")
    assert found["error"]["message"] == f"{folder.name} is imported, and no stage says what to ask of it"
    assert "--stage" in found["error"]["hint"]


def test_a_run_judged_under_the_old_rule_without_a_stage_is_not_called_undecided(
    stallgate: Stallgate, tree: Path, report: bytes
) -> None:
    folder = imported(stallgate, tree / "a.ncu-rep", report)
    old = {"run": folder.name, "kind": "imported", "exit_status": 3, "stages": [], "notes": [], "verdicts": []}
    (folder / "verdicts.json").write_text(json.dumps(old))
    assert answer(stallgate, "show", "runs")["runs"][0]["verdict"] == "not_judged"


# --- with a stage -----------------------------------------------------------------------------------------------------


def test_import_tells_the_verdicts_of_a_stage_and_leaves_failing_to_the_gate(
    stallgate: Stallgate, tree: Path, report: bytes
) -> None:
    (tree / "metrics/stages/mine.toml").write_text(
        'title = "Mine"\nfocus = "F."\n\n[[targets]]\nmetric = "duration"\nbelow = 1\n'
    )
    (tree / "a.ncu-rep").write_bytes(report)
    done = stallgate("import", "a.ncu-rep", "--stage", "mine")
    assert done.returncode == 0, done.stderr
    assert "✗ fail" in done.stdout
    assert "stages: mine" in done.stdout
    assert stallgate("gate").returncode == 1, "the run keeps its stage"
    assert stallgate("gate", "--stage", "memory_access").returncode in (1, 3), "the command line counts before the run"


def test_names_are_those_of_the_report_wherever_a_case_is_told(stallgate: Stallgate, tree: Path, report: bytes) -> None:
    """In tables, verdicts, JSON and files alike; slugs only identify."""
    folder = imported(stallgate, tree / "a.ncu-rep", report, "--stage", "memory_access")
    found = answer(stallgate, "gate")
    names = {case["name"] for case in answer(stallgate, "show", "run")["cases"]}
    single = [verdict for verdict in found["verdicts"] if verdict["variant"]]
    assert single
    assert {verdict["name"] for verdict in single} <= names
    assert {verdict["place"] for verdict in single} <= {f"{GPU}, device 0", f"NVTX ranges on {GPU}, device 0"}
    with (folder / "metrics.csv").open(newline="") as file:
        assert {row["name"] for row in csv.DictReader(file)} == names
    assert stallgate("report").returncode == 0
    told = stallgate("gate").stdout + html.unescape((folder / "report.html").read_text())
    suite = html.unescape((folder / "junit.xml").read_text())
    assert all(verdict["name"] in told and verdict["name"] in suite for verdict in single)


def test_an_unknown_stage_is_refused_before_anything_is_made(stallgate: Stallgate, tree: Path, report: bytes) -> None:
    (tree / "a.ncu-rep").write_bytes(report)
    done = stallgate("import", "a.ncu-rep", "--stage", "min")
    assert done.returncode == 2
    assert "no stage is named 'min'" in done.stderr
    assert not (tree / "reports/latest").exists()


@pytest.mark.parametrize("file", ["stallgate.toml", "pyproject.toml"])
def test_a_project_names_stages_for_all_imports(stallgate: Stallgate, tree: Path, report: bytes, file: str) -> None:
    key = "imports" if file == "stallgate.toml" else "tool.stallgate.imports"
    (tree / file).write_text(f'[{key}]\nstages = ["memory_access"]\n')
    imported(stallgate, tree / "a.ncu-rep", report)
    found = answer(stallgate, "gate")
    assert found["stages"] == ["memory_access"]
    assert found["status"] in (1, 3)


def test_what_was_not_collected_is_told_once_with_the_command_that_collects_it(
    stallgate: Stallgate, tree: Path, report: bytes
) -> None:
    stage = 'title = "M"\nfocus = "F."\n\n[[targets]]\nmetric = "tflops"\nabove = 1\n\n'
    stage += '[[targets]]\nmetric = "achieved_occupancy"\nabove = 1\n'
    (tree / "metrics/stages/mine.toml").write_text(stage)
    folder = imported(stallgate, tree / "a.ncu-rep", report, "--stage", "mine")
    found = answer(stallgate, "gate")
    missing = [v for v in found["verdicts"] if v["reason"] == "absent"]
    assert [(v["sentence"], v["variant"]) for v in missing] == [("tflops is not collected", "")]
    (collect,) = found["uncollected"]
    assert (collect["stage"], collect["metrics"]) == ("mine", ["tflops"])
    command = collect["command"]
    assert (command[0], command[-1]) == ("ncu", "PROGRAM")
    wanted = command[command.index("--metrics") + 1].split(",")
    assert "gpu__time_duration.sum" in wanted
    assert any("ffma" in name for name in wanted)
    assert stallgate("report").returncode == 0
    for text in ((folder / "report.html").read_text(), (folder / "summary.md").read_text(), stallgate("gate").stdout):
        assert " ".join(command) in text


# --- before and after -------------------------------------------------------------------------------------------------


@pytest.fixture
def before_and_after(stallgate: Stallgate, tree: Path, recording: Path) -> tuple[Path, Path]:
    """Two imports of other files with the same kernels: of the second, the times of the recording's later launches."""
    whole = recorded_report(recording)
    first = patched(launches_of(whole, [0, 1, 2]), FOREIGN)
    second = patched(launches_of(whole, [0, 3, 4]), FOREIGN)
    return (
        imported(stallgate, tree / "before.ncu-rep", first),
        imported(stallgate, tree / "after, with a space.ncu-rep", second),
    )


def test_two_imports_are_shown_side_by_side_without_a_verdict(
    stallgate: Stallgate, before_and_after: tuple[Path, Path]
) -> None:
    base, run = before_and_after
    done = stallgate("compare", base.name, "--report", COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    said = " ".join(done.stdout.split())
    assert "Conditions unknown: clock control and cache control are not in an ncu report." in said
    without = said.replace("none is called better or worse", "")
    assert not VERDICT_WORDS.search(without), without
    page = (run / f"compare-{base.name}.html").read_text()
    body = page.partition("<body")[2].partition("<script")[0]
    body = re.sub(
        r"<[^>]*>", " ", re.sub(r"<svg.*?</svg>", "", body, flags=re.DOTALL)
    )  # charts say what was not measured
    assert "Conditions unknown" in body
    assert not VERDICT_WORDS.search(body.replace("none is called better or worse", ""))
    assert "is-fail" not in page.partition("<body")[2]
    assert "is-pass" not in page.partition("<body")[2]

    found = answer(stallgate, "compare", base.name)
    assert found["status"] == 0
    assert not found["same_conditions"]
    assert [reason["code"] for reason in found["reservations"]] == ["conditions_unknown"]
    words = {change["word"] for pair in found["pairs"] for change in pair["changes"]}
    assert words <= {"shown", "not_comparable"}
    shown = [c for p in found["pairs"] for c in p["changes"] if (c["metric"], c["word"]) == ("duration", "shown")]
    assert shown
    for change in shown:
        before, after = change["base"]["median"], change["run"]["median"]
        assert change["change"] == pytest.approx((after - before) / before)


def test_the_users_word_on_conditions_is_recorded_and_the_usual_words_apply(
    stallgate: Stallgate, before_and_after: tuple[Path, Path]
) -> None:
    base, run = before_and_after
    done = stallgate("compare", base.name, "--same-conditions", "--report")
    assert done.returncode == 0, done.stderr
    assert "by your word" in done.stdout
    assert "by your word" in (run / f"compare-{base.name}.html").read_text()
    found = answer(stallgate, "compare", base.name, "--same-conditions")
    assert found["same_conditions"]
    assert found["reservations"] == []
    words = {change["word"] for pair in found["pairs"] for change in pair["changes"]}
    assert "shown" not in words
    assert words & {"same", "faster", "slower", "moved"}


def test_other_gpus_are_never_faster_or_slower(stallgate: Stallgate, tree: Path, report: bytes) -> None:
    base = imported(stallgate, tree / "a.ncu-rep", report)
    imported(stallgate, tree / "b.ncu-rep", patched(report, {GPU: made_up_name(GPU)}))
    found = answer(stallgate, "compare", base.name, "--same-conditions")
    assert found["status"] == 0
    assert {c["word"] for p in found["pairs"] for c in p["changes"]} <= {"shown", "not_comparable"}
    assert [reason["code"] for reason in found["reservations"]] == ["other_gpu"]
    assert all(any(made_up_name(GPU) in said for said in pair["differs"]) for pair in found["pairs"])


def test_the_users_word_is_not_asked_of_runs_that_say_their_conditions(
    stallgate: Stallgate, replayed_square: Path
) -> None:
    done = stallgate("compare", replayed_square.name, "--same-conditions")
    assert done.returncode == 2
    assert "two imported runs" in done.stderr


def test_imports_are_compared_without_a_project(tmp_path: Path, report: bytes) -> None:
    from tests.conftest import new_process

    stallgate = new_process(tmp_path)
    base = imported(stallgate, tmp_path / "a.ncu-rep", report)
    imported(stallgate, tmp_path / "b.ncu-rep", report)
    done = stallgate("compare", base.name)
    assert done.returncode == 0, done.stderr
    assert "both runs hold the same ncu reports" in done.stdout
