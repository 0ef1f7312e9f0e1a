"""What every output calls a run: a name that commands take, also of a run that was renamed, copied or recorded.

``run.json`` has the name that the folder had when it was measured.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from msgspec.structs import replace

from stallgate.cli.sweep_found import apply_suggestion
from stallgate.errors import BadArgument, NoRun
from stallgate.judge.evaluate import evaluate
from stallgate.judge.suggestion import sweep_result
from stallgate.judge.verdicts import Judgement
from stallgate.project.load import Project, load_project
from stallgate.project.paths import slug
from stallgate.render.compare_page import COMPARED
from stallgate.render.index import write_index
from stallgate.render.junit import junit
from stallgate.render.loop_screen import loop_step
from stallgate.render.next_command import next_command
from stallgate.render.sweep_screen import sweep_step
from stallgate.render.sweep_words import remarks_on
from stallgate.render.terminal_loop import show_loop
from stallgate.runs.folder import find, load, save
from stallgate.runs.journal import find_loop, journal_called, save_journal
from stallgate.runs.sweep import find_sweep, save_sweep, sweep_called
from tests.agent.loop.scripted import begin
from tests.conftest import Stallgate
from tests.render.made_up_sweep import made_up_sweep

THEN = "20200101-000000-as-it-was-measured"
"""A name that no command takes."""

RENAMED = "another name"


@pytest.fixture
def renamed(replayed_square: Path) -> Path:
    """A run that was renamed after it was measured, and holds nothing but what was measured."""
    save(replayed_square, replace(load(replayed_square), name=THEN))
    for path in replayed_square.iterdir():
        if path.is_file() and path.name not in ("run.json", "metrics.csv"):
            path.unlink()
    folder = replayed_square.rename(replayed_square.with_name(RENAMED))
    latest = folder.parent / "latest"
    latest.unlink()
    latest.symlink_to(folder.name)
    return folder


def texts(folder: Path) -> dict[str, str]:
    """What a run's folder says, beside the run itself."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "run.json"]
    return {path.name: path.read_bytes().decode("utf-8", errors="replace") for path in files}


@pytest.mark.parametrize(
    "words",
    [
        ("gate",),
        ("gate", "--json"),
        ("report",),
        ("show", "run"),
        ("show", "run", "--json"),
        ("show", "runs"),
        ("show", "runs", "--json"),
        ("show", "models"),
        ("advise",),
        ("advise", "--json"),
        ("prompt", "cumprod/blocked_scan"),
        ("compare", RENAMED, RENAMED),
        ("compare", RENAMED, RENAMED, "--report"),
        ("baseline", RENAMED, RENAMED, RENAMED),
        ("profile", "--resume"),
    ],
    ids=" ".join,
)
def test_nothing_says_the_name_of_then(stallgate: Stallgate, renamed: Path, words: tuple[str, ...]) -> None:
    done = stallgate(*words)
    assert "Traceback" not in done.stderr
    assert "Usage:" not in done.stderr
    said = {"stdout": done.stdout, "stderr": done.stderr, **texts(renamed)}
    index = renamed.parent / "index.html"
    said |= {index.name: index.read_text()} if index.is_file() else {}
    assert [where for where, text in said.items() if THEN in text] == []


def test_github_is_told_the_name_of_now(stallgate: Stallgate, renamed: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    done = stallgate("gate", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert summary.read_text()
    assert THEN not in done.stdout + summary.read_text()


def suite_of(junit_xml: bytes) -> str:
    (suite,) = Xml.fromstring(junit_xml)
    return suite.attrib["name"]


def test_junit_calls_a_run_as_commands_do(stallgate: Stallgate, renamed: Path) -> None:
    stallgate("gate")
    assert suite_of((renamed / "junit.xml").read_bytes()) == f"stallgate {RENAMED}"


def test_junit_calls_recordings_and_copies_as_commands_do(tree: Path, recording: Path, tmp_path: Path) -> None:
    project = load_project(tree)
    copied = shutil.copytree(recording, tmp_path / "copied")
    for folder, name in ((recording, recording.relative_to(project.reports).as_posix()), (copied, str(copied))):
        assert suite_of(junit(evaluate(project, folder, []))) == f"stallgate {name}"
        assert find(project.reports, name) == folder


def test_a_comparison_names_both_runs_as_commands_do(stallgate: Stallgate, renamed: Path, recording: Path) -> None:
    name = recording.relative_to(renamed.parent).as_posix()
    done = stallgate("compare", name, RENAMED, "--json")
    found = json.loads(done.stdout)
    assert (found["base"]["name"], found["run"]["name"]) == (name, RENAMED)
    assert find(renamed.parent, name) == recording


def test_the_index_names_what_a_run_was_compared_with_as_commands_do(tree: Path, recording: Path) -> None:
    """It knows that from the name of a file, in which no name stands as it is."""
    project = load_project(tree)
    name = recording.relative_to(project.reports).as_posix()
    run = shutil.copytree(recording, project.reports / RENAMED)
    for each in (name, RENAMED, "gone"):
        (run / f"{COMPARED}{slug(each)}.html").touch()
    said = write_index(project).read_text()
    assert re.findall("compared with ([^<]*)<", said) == [RENAMED, "gone", name]


# --- how to go on -----------------------------------------------------------------------------------------------------


def test_an_unfinished_run_is_gone_on_with_by_its_name(renamed: Path) -> None:
    """Without a name the command would finish the latest, which may be another."""
    run, nothing = load(renamed), Judgement(stages=[], verdicts=[], notes=[])
    cut = replace(run, kind="live", complete=False)
    assert next_command(cut, nothing, RENAMED).command == f"stallgate profile --resume '{RENAMED}'"
    subjects = {name: replace(each, swept={"blocked_scan": {"a": {}}}) for name, each in run.subjects.items()}
    swept = next_command(replace(cut, subjects=subjects), nothing, RENAMED)
    assert swept.command == f"stallgate sweep --resume '{RENAMED}'"


@pytest.mark.parametrize("place", ["reports/my sweep", "reports/older/swept", "kept/swept", "reports/-swept"])
def test_an_unfinished_sweep_is_gone_on_with_wherever_it_is(repository: Project, tmp_path: Path, place: str) -> None:
    project, folder = replace(repository, root=tmp_path), tmp_path / place
    folder.mkdir(parents=True)
    save_sweep(folder, replace(made_up_sweep(6), name=THEN, complete=False))
    sweep = sweep_called(project.reports, folder)
    result = sweep_result(project, sweep)
    told = [sweep_step(sweep, result).command, *re.findall("`([^`]*)`", " ".join(remarks_on(sweep, result)))]
    with pytest.raises(BadArgument) as refused:
        apply_suggestion(project, sweep, result)
    told += re.findall("`([^`]*)`", refused.value.hint)
    assert len(told) == 3
    for command in told:
        assert THEN not in command
        *words, name = shlex.split(command)
        assert words == ["stallgate", "sweep", "--resume"]
        assert not name.startswith("-"), "it would be an option"
        assert find_sweep(project.reports, name).resolve() == folder


@pytest.mark.parametrize("place", ["reports/my loop", "reports/older/looped", "kept/looped", "reports/-looped"])
def test_an_unfinished_loop_is_gone_on_with_wherever_it_is(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / place
    save_journal(folder, replace(begin(folder), name=THEN))
    journal = journal_called(tmp_path / "reports", folder)
    command = loop_step(journal).command
    *words, name = shlex.split(command)
    assert words == ["stallgate", "loop", "--resume"]
    assert not name.startswith("-"), "it would be an option"
    assert find_loop(tmp_path / "reports", name).resolve() == folder
    show_loop(journal, folder / "loop.html", with_tries=False)
    shown = "".join(capsys.readouterr().out.split())  # a long path is broken
    assert f"Notover:`{''.join(command.split())}`" in shown


def test_a_sweep_without_counters_is_shown_wherever_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "kept" / "my sweep"
    folder.mkdir(parents=True)
    save_sweep(folder, made_up_sweep(6))
    with pytest.raises(NoRun) as refused:
        load(folder)
    (command,) = re.findall("`([^`]*)`", refused.value.hint)
    assert find_sweep(tmp_path / "reports", shlex.split(command)[-1]) == folder
