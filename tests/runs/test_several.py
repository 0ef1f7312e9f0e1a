"""A project with two problems on a machine without a GPU: each has a recording of its own, or none."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from stallgate.errors import BrokenFile
from stallgate.runs.conditions import Conditions, conditions, provenance, unreplayed
from stallgate.runs.folder import load
from tests.conftest import ROOT, Stallgate
from tests.recordings import committed
from tests.second_problem import FIRST, SECOND, add_problem, change_run, on_gpu

Latest = Callable[[str], Any]

A100 = "NVIDIA A100-SXM4-80GB"
GPU, RECORDED = committed().gpu, f"reports/recorded/{committed().card.name}"


def words(text: str) -> str:
    return " ".join(text.split())


def recording_of(tree: Path, problem: str) -> Path:
    return next(tree.glob(f"reports/recorded/*/{problem}"))


def reasons(verdicts: Any) -> dict[str, set[str]]:
    """Problem -> the reason codes of its verdicts."""
    found: dict[str, set[str]] = {}
    for verdict in verdicts["verdicts"]:
        found.setdefault(verdict["problem"], set()).add(verdict["reason"])
    return found


# --- both are recorded ---


def test_all_recordings_are_replayed_into_one_run(stallgate: Stallgate, tree: Path, latest: Latest) -> None:
    add_problem(tree)
    done = stallgate("profile", "--report")
    assert done.returncode == 0, done.stderr
    assert "RECORDED, nothing was measured here." in done.stdout
    run, folder = latest("run.json"), tree / "reports" / "latest"
    assert {name: found["path"] for name, found in run["origins"].items()} == {
        name: f"{RECORDED}/{name}" for name in (FIRST, SECOND)
    }
    assert {case["outcome"] for case in run["cases"]} == {"profiled"}
    assert set(run["subjects"]) == {FIRST, SECOND}
    attempts = [attempt["name"] for attempt in run["attempts"]]
    assert len(attempts) == len(set(attempts)) == 2
    assert all((folder / attempt["report"]).is_file() for attempt in run["attempts"])
    assert stallgate("gate").returncode == 0
    assert reasons(latest("verdicts.json")) == {FIRST: {"met", "waived"}, SECOND: {"met", "waived"}}
    page = (folder / "report.html").read_text()
    for problem in (FIRST, SECOND):
        assert f"<h3>{problem}</h3>" in page
        assert f"<strong>{problem}/blocked_scan</strong>" in page
        assert f"{RECORDED}/{problem}" in page


def test_named_problems_only(stallgate: Stallgate, tree: Path, latest: Latest) -> None:
    add_problem(tree)
    done = stallgate("profile", SECOND)
    assert done.returncode == 0, done.stderr
    assert f"RECORDED: measured on {GPU}" in done.stdout
    run = latest("run.json")
    assert list(run["origins"]) == [SECOND]
    assert {case["case"]["problem"] for case in run["cases"]} == {SECOND}


def test_a_workload_of_one_problem_leaves_the_other_out(stallgate: Stallgate, tree: Path, latest: Latest) -> None:
    add_problem(tree)
    path = tree / "kernels" / SECOND / "problem.toml"
    path.write_text(
        re.sub(
            r'\[workloads.square\]|workloads = \["square"\]',
            lambda m: m[0].replace("square", "oblong"),
            path.read_text(),
        )
    )
    done = stallgate("profile", "-w", "square")
    assert done.returncode == 0, done.stderr
    assert f"{SECOND} is left out: it has no workload square" in done.stderr
    assert {case["case"]["problem"] for case in latest("run.json")["cases"]} == {FIRST}
    assert f"{SECOND} is left out" in stallgate("plan", "-w", "square").stderr


# --- one is not ---


def test_a_problem_without_a_recording_is_not_measured(stallgate: Stallgate, tree: Path, latest: Latest) -> None:
    add_problem(tree, recorded=False)
    done = stallgate("profile", "--report")
    assert done.returncode == 3
    assert f"{SECOND} is not measured: there is no recording of {SECOND} to replay" in words(done.stderr)
    assert f"{SECOND}: not measured." in words(done.stdout)
    results = {(found["case"]["problem"], found["outcome"]) for found in latest("run.json")["cases"]}
    assert results == {(FIRST, "profiled"), (SECOND, "skipped")}
    gate = stallgate("gate", "--json")
    assert gate.returncode == 3
    assert reasons(latest("verdicts.json")) == {FIRST: {"met", "waived"}, SECOND: {"skipped"}}
    folder = tree / "reports" / "latest"
    page = words((folder / "report.html").read_text())
    assert f"there is no recording of {SECOND} to replay" in page
    suite = Xml.parse(folder / "junit.xml").getroot()[0]
    assert (suite.get("errors"), suite.get("skipped")) == ("1", "1")
    assert f"{SECOND}: not measured" in (folder / "summary.md").read_text()


def test_an_answer_to_such_a_run_is_no_base(stallgate: Stallgate, tree: Path, latest: Latest) -> None:
    """The next run of the problem has nothing to compare with: in the one before it was not measured."""
    add_problem(tree, recorded=False)
    assert stallgate("profile").returncode == 3
    shutil.rmtree(tree / "kernels" / SECOND)
    add_problem(tree)
    change_run(recording_of(tree, SECOND), lambda run: run.update(created="2099-01-01T00:00:00Z"))
    assert stallgate("profile", SECOND, "--report").returncode == 0
    summary = (tree / "reports" / "latest" / "summary.md").read_text()
    assert f"the recording is the first measurement of {SECOND}" in summary


def test_a_damaged_recording_is_of_one_problem(stallgate: Stallgate, tree: Path, latest: Latest) -> None:
    add_problem(tree)
    next(recording_of(tree, SECOND).glob("ncu/*")).unlink()
    done = stallgate("profile")
    assert done.returncode == 3
    assert f"{SECOND} is not measured: the recording" in words(done.stderr)
    assert list(latest("run.json")["origins"]) == [FIRST]


def test_a_recording_says_nothing_of_another_problem(stallgate: Stallgate, tree: Path, latest: Latest) -> None:
    """Otherwise a stray case would stand in the run beside the problem's own, or in place of it."""

    def stray(run: Any) -> None:
        run["cases"] += [{**found, "case": {**found["case"], "problem": SECOND}} for found in run["cases"]]

    add_problem(tree, recorded=False)
    change_run(recording_of(tree, FIRST), stray)
    assert stallgate("profile").returncode == 3
    found = {(result["case"]["problem"], result["outcome"]) for result in latest("run.json")["cases"]}
    assert found == {(FIRST, "profiled"), (SECOND, "skipped")}


def test_without_any_recording_nothing_is_replayed(stallgate: Stallgate, tree: Path) -> None:
    add_problem(tree)
    shutil.rmtree(tree / "reports" / "recorded")
    done = stallgate("profile")
    assert done.returncode == 3
    for problem in (FIRST, SECOND):
        assert f"there is no recording of {problem} to replay" in words(done.stderr)
    assert not list(tree.glob("reports/*/run.json"))


# --- recordings that were not made alike ---


@pytest.fixture
def unlike(stallgate: Stallgate, tree: Path) -> Path:
    """A replay of two recordings from two GPUs with two clock controls."""

    def change(run: Any) -> None:
        on_gpu(A100)(run)
        run["settings"]["clock_control"] = "base"
        run |= {"commit": "b" * 40, "created": "2026-11-01T00:00:00Z"}

    add_problem(tree)
    change_run(recording_of(tree, SECOND), change)
    assert stallgate("profile", "--report").returncode == 0
    return (tree / "reports" / "latest").resolve()


def test_conditions_are_those_of_each_problem(unlike: Path) -> None:
    run = load(unlike)
    found = {result.case.problem: conditions(run, result) for result in run.cases}
    assert found == {
        FIRST: Conditions(GPU, 0, "none", "all"),
        SECOND: Conditions(A100, 0, "base", "all"),
    }
    assert A100 in provenance(run)
    assert GPU in provenance(run)
    assert unreplayed(run) == []


def test_the_pages_show_each_place(unlike: Path, latest: Latest) -> None:
    page = words((unlike / "report.html").read_text())
    second = page[page.index(f"<h3>{SECOND}</h3>") : page.index(f"<h3>{FIRST}</h3>")]
    assert A100 in second
    assert "clock control base" in second
    assert "b" * 40 in second
    assert GPU not in second
    index = (unlike.parent / "index.html").read_text()
    assert f"{A100}, {GPU}" in index
    assert "replays 2026-11-01 00:00" in index
    assert latest("verdicts.json")["gpu_spec"] is None


def test_comparing_holds_each_problem_to_its_own_conditions(stallgate: Stallgate, unlike: Path, tree: Path) -> None:
    alike = tree / "reports" / "alike"
    shutil.copytree(recording_of(tree, FIRST), alike)
    found = json.loads(stallgate("compare", str(alike), str(unlike), "--json").stdout)
    assert not found["obstacles"]
    shutil.rmtree(alike)
    shutil.copytree(recording_of(tree, SECOND), alike)
    change_run(alike, on_gpu(GPU))
    change_run(alike, lambda run: run["settings"].update(clock_control="none"))
    done = stallgate("compare", str(alike), str(unlike), "--json")
    assert done.returncode == 3
    assert f"different GPU: {GPU} and {A100}" in words(done.stderr)


def test_a_comparison_names_the_problem_of_a_variant(stallgate: Stallgate, unlike: Path) -> None:
    other = shutil.copytree(unlike, unlike.with_name("other"))
    change_run(other, lambda run: run["subjects"][SECOND]["digests"].update({"variant blocked_scan": "0" * 64}))
    notes = json.loads(stallgate("compare", str(unlike), str(other), "--json").stdout)["notes"]
    assert f"the code of {SECOND}/blocked_scan changed" in notes


def test_each_problem_has_to_have_its_own_number_of_samples(stallgate: Stallgate, tree: Path, latest: Latest) -> None:
    add_problem(tree)
    change_run(recording_of(tree, SECOND), lambda run: run["settings"].update(samples=3))
    assert stallgate("profile").returncode == 3
    stallgate("gate")
    assert reasons(latest("verdicts.json")) == {FIRST: {"met", "waived"}, SECOND: {"damaged_report"}}


def test_staleness_is_of_one_problem(stallgate: Stallgate, tree: Path, latest: Latest) -> None:
    add_problem(tree)
    path = tree / "kernels" / SECOND / "blocked_scan.py"
    path.write_text(path.read_text() + "# changed\n")
    assert stallgate("profile").returncode == 3
    assert stallgate("gate").returncode == 3
    assert reasons(latest("verdicts.json")) == {FIRST: {"met", "waived"}, SECOND: {"stale"}}


# --- run.json ---


def test_numbers_of_a_problem_are_of_one_gpu(unlike: Path) -> None:
    """Two GPUs are two problems' here; a case of one among the attempts of the other is not believed."""

    def mix(run: Any) -> None:
        roof = next(found for found in run["cases"] if found["case"]["problem"] == FIRST)
        other = next(found for found in run["cases"] if found["case"]["problem"] == SECOND)
        roof["attempt"] = other["attempt"]

    change_run(unlike, mix)
    with pytest.raises(BrokenFile, match="they are from different GPUs"):
        load(unlike)


def test_settings_stand_in_one_place(unlike: Path) -> None:
    change_run(unlike, lambda run: run.update(settings=run["origins"][FIRST]["settings"]))
    with pytest.raises(BrokenFile, match="both the run and an origin have some"):
        load(unlike)


def test_only_a_replay_has_recordings(unlike: Path) -> None:
    change_run(unlike, lambda run: run.update(kind="live"))
    with pytest.raises(BrokenFile, match="origins: the run is not a replay"):
        load(unlike)


def older(run: Any) -> None:
    """Makes a run one of format 2, which knew one recording a run."""
    origins = run.pop("origins")
    run |= {"format": 2, "origin": next(iter(origins.values()), None)}
    if run["origin"] is not None:
        del run["origin"]["settings"]


def test_format_2_is_read(stallgate: Stallgate, replayed: Path) -> None:
    now = load(replayed)
    change_run(replayed, older)
    assert load(replayed) == now
    assert list(now.origins) == [FIRST]
    assert stallgate("gate").returncode == 0
    change_run(replayed, lambda run: run.update(strays=""))
    with pytest.raises(BrokenFile, match="unknown field `strays`"):
        load(replayed)


def test_a_newer_key_in_format_2_is_refused(unlike: Path) -> None:
    change_run(unlike, lambda run: run.update(format=2))
    with pytest.raises(BrokenFile, match="format 2 does not have it"):
        load(unlike)


def test_every_committed_recording_is_read() -> None:
    for path in (ROOT / "reports" / "recorded").glob("*/*/run.json"):
        assert load(path.parent).kind == "recorded"


# --- doctor ---


def test_doctor_tells_which_problem_is_recorded_where(stallgate: Stallgate, tree: Path) -> None:
    add_problem(tree)
    change_run(recording_of(tree, SECOND), on_gpu(A100))
    said = words(stallgate("doctor").stdout)
    assert f"{FIRST} on {GPU}: {RECORDED}/{FIRST} is of the code that is here" in said
    assert f"{SECOND} on {A100}: {RECORDED}/{SECOND} is of the code that is here" in said


def test_doctor_tells_which_problem_has_none_and_which_is_stale(stallgate: Stallgate, tree: Path) -> None:
    add_problem(tree, recorded=False)
    path = tree / "kernels" / FIRST / "blocked_scan.py"
    path.write_text(path.read_text() + "# changed\n")
    said = words(stallgate("doctor").stdout)
    assert f"{SECOND} has no recording" in said
    assert f"stallgate profile {SECOND} --record" in said
    assert f"{FIRST} on {GPU}: {RECORDED}/{FIRST} is stale" in said


def test_doctor_tells_what_a_recording_lacks(stallgate: Stallgate, tree: Path) -> None:
    change_run(recording_of(tree, FIRST), lambda run: run["cases"].pop())
    said = words(stallgate("doctor").stdout)
    assert f"cannot be replayed: it lacks {FIRST}/blocked_scan/default/square, which the plan has" in said


# --- recorded ---


def test_each_problem_is_measured_and_recorded_by_itself(
    with_ncu: Stallgate, stallgate: Stallgate, tree: Path, tmp_path: Path, latest: Latest
) -> None:
    add_problem(tree)
    kept = shutil.copytree(tree / RECORDED, tmp_path / "kept")
    shutil.rmtree(tree / "reports" / "recorded")
    done = with_ncu("profile", "--record", FAKE_NCU_RECORDING=str(kept / FIRST), FAKE_GPU_NAME=GPU)
    assert done.returncode == 0, done.stderr
    run = latest("run.json")
    measured = {(found["attempt"], found["case"]["problem"]) for found in run["cases"]}
    assert len(measured) == len(run["attempts"]) == 2, "a process for each problem"
    for problem in (FIRST, SECOND):
        assert f"recorded: {RECORDED}/{problem}" in done.stderr
        recorded = load(recording_of(tree, problem))
        assert list(recorded.subjects) == [problem]
        assert len(recorded.attempts) == 1
    assert stallgate("profile").returncode == 0
    assert set(latest("run.json")["origins"]) == {FIRST, SECOND}
