"""What changed since last time: which run is the base, and what is said where there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stallgate.compare.since import ChangesSinceLast, since_last
from stallgate.compare.two_runs import compare
from stallgate.judge.evaluate import JudgedRun, evaluate, write_results
from stallgate.measure.plan import Request, plan_cases
from stallgate.model import CaseResult
from stallgate.project.load import Project, load_project
from stallgate.render.changes import MOST_CHANGES, changes_of
from stallgate.render.summary import summary
from stallgate.runs.folder import create_folder, load
from stallgate.runs.recording import find_recordings, replay
from tests.compare.earlier import EARLIER, earlier
from tests.conftest import copy_tree
from tests.recordings import OTHER, committed

SLOWER = {"duration": 1.1, "roof_fraction": 1 / 1.1}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, JudgedRun]:
    """A replay of two cases, its tables written; no test changes its folder."""
    project = load_project(copy_tree(tmp_path_factory.mktemp("since") / "project"))
    cases = plan_cases(project, Request(subjects=["cumprod/blocked_scan"], workloads=["square"], configurations=[]))
    folder = create_folder(project.reports, "cumprod")
    replay(project, find_recordings(project, cases), cases, folder, [])
    result = evaluate(project, folder, [])
    write_results(result)
    return project, result


@pytest.fixture
def before(measured: tuple[Project, JudgedRun]) -> Iterator[Callable[..., Path]]:
    """Makes earlier runs beside the replay, gone after the test."""
    made: list[Path] = []

    def make(day: int, factors: dict[str, float] = SLOWER, change: Callable[[Any], None] = lambda run: None) -> Path:
        made.append(earlier(measured[1].folder, day, factors, change))
        return made[-1]

    yield make
    for folder in made:
        shutil.rmtree(folder)


def since(measured: tuple[Project, JudgedRun], **changes: Any) -> ChangesSinceLast:
    """The one problem of the replay, or of a run that differs from it."""
    project, result = measured
    (found,) = since_last(project, replace(result, run=replace(result.run, **changes)))
    return found


def live(**changes: Any) -> dict[str, Any]:
    return {"kind": "live", "origins": {}, "created": "2036-12-24T12:00:00Z", **changes}


def on_gpu(name: str) -> Callable[[Any], None]:
    def change(run: Any) -> None:
        for attempt in run["attempts"]:
            attempt["environment"]["gpu"] = name

    return change


# --- with a base ------------------------------------------------------------------------------------------------------


def test_words_and_noise_are_those_of_compare(measured: Any, before: Callable[..., Path]) -> None:
    folder = before(20)
    found = since(measured)
    assert found.base == folder.name
    words = {change.metric: change.word for _, change in found.changes}
    assert words == {
        "duration": "faster",
        "roof_fraction": "moved",
        "dram_throughput": "same",
        "memory_dependency_stall": "same",
        "l2_hit_rate": "same",
    }
    assert found.tally == "1 faster, 1 moved, 3 no change"
    assert found.found is not None
    assert found.found.word == "faster"
    assert found.found.finding == "blocked_scan is 9.1 % faster on square, though its code is the same"


def test_the_newest_earlier_run_that_can_be_compared_is_the_base(measured: Any, before: Callable[..., Path]) -> None:
    before(18)
    wanted = before(19)
    before(20, change=on_gpu(OTHER))
    (before(21) / "metrics.csv").write_text("damaged")
    before(22, change=lambda run: run["cases"].clear())
    before(30, change=lambda run: run.update(created="2036-11-30T09:00:00Z"))  # later than the recording
    assert since(measured).base == wanted.name


def test_a_replay_is_as_old_as_its_recording(measured: Any) -> None:
    found = since(measured, **live())
    assert found.base == measured[1].folder.name
    assert {change.word for _, change in found.changes} == {"same"}
    assert since(measured).base == ""


def test_a_live_run_without_an_earlier_one_is_held_against_the_recording(measured: Any) -> None:
    project, result = measured
    hidden = result.folder.rename(project.reports.parent / "hidden")
    try:
        found = since(measured, **live())
    finally:
        hidden.rename(result.folder)
    assert found.base == committed().name
    assert {change.word for _, change in found.changes} == {"same"}


# --- without one ------------------------------------------------------------------------------------------------------


def test_a_first_run_has_nothing_to_compare_with(measured: Any) -> None:
    said = since(measured)
    assert (said.found, said.because) == (None, "the recording is the first measurement of cumprod")
    first = since(measured, **live(created="2020-01-01T00:00:00Z"))
    assert first.because == "this is the first run of cumprod"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (on_gpu(OTHER), f"different GPU: {OTHER} and {committed().gpu}"),
        (lambda run: run["settings"].update(clock_control="base"), "different clock control: base and none"),
        (lambda run: run["settings"].update(cache_control="none"), "different cache control: none and all"),
        (lambda run: run["cases"].pop(1), "only in the run after"),
    ],
)
def test_a_run_that_cannot_be_compared_is_named_with_the_reason(
    measured: Any, before: Callable[..., Path], change: Callable[[Any], None], why: str
) -> None:
    assert [case["case"]["variant"] for case in json.loads((measured[1].folder / "run.json").read_text())["cases"]] == [
        "copy_roof",
        "blocked_scan",
    ]
    folder = before(20, change=change)
    assert since(measured).because == f"{folder.name} is not comparable: {why}"


@pytest.mark.parametrize("harm", [Path.unlink, lambda table: table.write_text("damaged")])
def test_a_run_without_its_table_is_named_too(
    measured: Any, before: Callable[..., Path], harm: Callable[[Path], Any]
) -> None:
    """The index lists it, so that nothing may say that this is the first measurement."""
    folder = before(20)
    harm(folder / "metrics.csv")
    why = f"its metrics.csv is missing or damaged, and `stallgate report {folder.name}` writes it"
    assert since(measured).because == f"{folder.name} is not comparable: {why}"
    assert since(measured, **live()).base, "what can be read is compared"


def test_a_case_that_its_table_lacks_is_not_compared(measured: Any, before: Callable[..., Path]) -> None:
    table = before(20) / "metrics.csv"
    table.write_text("\n".join(line for line in table.read_text().splitlines() if "blocked_scan" not in line) + "\n")
    why = "a damaged ncu report in the run before"
    assert since(measured).because == f"{EARLIER}1120-090000-cumprod is not comparable: {why}"


def test_a_run_without_numbers_is_compared_with_nothing(measured: Any, before: Callable[..., Path]) -> None:
    before(20)
    project, result = measured
    roof = {key: value for key, value in result.summaries.items() if key[0].variant == "copy_roof"}
    (found,) = since_last(project, replace(result, summaries=roof))
    assert found.because == "no case of cumprod has a time"


def test_imported_runs_have_no_run_before_them(measured: Any, before: Callable[..., Path]) -> None:
    before(20)
    assert since(measured, kind="imported").because.startswith("ncu reports do not say which run came before")


# --- in words ---------------------------------------------------------------------------------------------------------


def test_the_summary_tells_what_moved_and_leaves_out_what_did_not(measured: Any, before: Callable[..., Path]) -> None:
    folder = before(20, {"duration": 1.1, "memory_dependency_stall": 0.5})
    text = summary(measured[1], measured[0].catalogue, [], [], [changes_of(since(measured))])
    finding = "blocked\\_scan is 9.1 % faster on square, though its code is the same"
    assert f"**✓ faster** since {folder.name}: {finding}." in text
    assert "Of the candidates: 1 faster, 1 moved, 3 no change." in text
    rows = [line for line in text.splitlines() if line.startswith("| blocked")]
    assert [row.split(" | ")[2] for row in rows] == ["duration", "memory\\_dependency\\_stall"]
    assert "-9.1 % | ✓ faster" in rows[0]
    assert " points | ≠ moved" in rows[1]


def test_the_summary_of_a_first_run_says_so(measured: Any) -> None:
    text = summary(measured[1], measured[0].catalogue, [], [], [changes_of(since(measured))])
    assert "○ nothing to compare with: the recording is the first measurement of cumprod." in text


def test_of_many_configurations_what_moved_is_shown(measured: Any, before: Callable[..., Path]) -> None:
    project, result = measured
    folder = before(20)
    roof, candidate = result.run.cases
    names = ["default", *(f"c{number}" for number in range(12))]
    cases = [roof, *(_in(candidate, name) for name in names)]
    summaries = {
        (_in(candidate, name).case, metric): value
        for (case, metric), value in result.summaries.items()
        for name in names
        if case == candidate.case
    }
    mine = replace(result, run=replace(result.run, cases=cases), summaries=summaries)
    base = replace(mine, folder=folder, run=replace(load(folder), cases=cases), summaries=dict(summaries))
    slow = base.summaries[cases[-1].case, "duration"]
    base.summaries[cases[-1].case, "duration"] = replace(slow, low=1.0, median=1.0, high=1.0)
    shown = changes_of(ChangesSinceLast(problem="cumprod", base=folder.name, found=compare(project, base, mine)))
    assert (len(shown.lines), shown.left_out) == (MOST_CHANGES, 13 * 5 - MOST_CHANGES)
    assert (shown.lines[0].variant, shown.lines[0].mark) == ("blocked_scan (c11)", "✗ slower")


def _in(result: CaseResult, configuration: str) -> CaseResult:
    return replace(result, case=replace(result.case, configuration=configuration))
