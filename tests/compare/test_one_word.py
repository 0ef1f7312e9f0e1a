"""Of generated pairs of runs: no two statements of pages, terminal and JSON about what changed contradict each other.

The earlier run is a copy of the replay with other numbers, so that what is read from its tables and what is compared in
full have to agree.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stallgate.cli.compare import CompareFacts, _facts
from stallgate.compare.history import series_of, stored_runs
from stallgate.compare.since import since_last
from stallgate.compare.two_runs import RunComparison, compare, times_finding
from stallgate.compare.words import CHANGED_WORDS, LEAST_EFFECT, Change, Word, word_label
from stallgate.extract.table import Summary
from stallgate.judge.evaluate import JudgedRun, evaluate, write_results
from stallgate.measure.plan import Request, plan_cases
from stallgate.model import Selection
from stallgate.project.load import Project, load_project
from stallgate.render.changes import changes_of
from stallgate.render.compare_page import WORD_CLASSES, WORD_MARKS, draw_comparison, line_of
from stallgate.render.index import _change as change_in_index
from stallgate.render.terminal import out
from stallgate.render.terminal_compare import show_comparison
from stallgate.runs.folder import create_folder, load, save
from stallgate.runs.recording import find_recordings, replay
from stallgate.runs.store import Store
from tests.compare.earlier import earlier
from tests.conftest import copy_tree

FACTORS = st.sampled_from([1.0, 1.0, 1.0001, 1.003, 0.996, 1.006, 0.9, 1.12, 0.5, 2.0])
PERTURBED = ("duration", "roof_fraction", "dram_throughput", "memory_dependency_stall", "l2_hit_rate")


class Measured(NamedTuple):
    """A project with one run in it."""

    project: Project
    result: JudgedRun

    def __repr__(self) -> str:
        """Short: hypothesis prints it with every example."""
        return "Measured()"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A replay of two cases that was asked for them alone: it passes."""
    project = load_project(copy_tree(tmp_path_factory.mktemp("words") / "project"))
    subjects = ["cumprod/blocked_scan"]
    cases = plan_cases(project, Request(subjects=subjects, workloads=["square"]))
    folder = create_folder(project.reports, "cumprod")
    run = replay(project, find_recordings(project, cases), cases, folder, [])
    save(folder, replace(run, selection=Selection(subjects=subjects, workloads=["square"])))
    result = evaluate(project, folder, [])
    write_results(result)
    assert result.judgement.exit_status == 0
    return Measured(project, result)


def before(result: JudgedRun, factors: dict[str, float]) -> tuple[Path, JudgedRun]:
    """An earlier run: its folder with its table, and the same in full."""
    folder = earlier(result.folder, 20, factors)
    summaries = {
        key: _scaled(found, factors.get(key[1], 1.0)) if key[0].variant == "blocked_scan" else found
        for key, found in result.summaries.items()
    }
    return folder, replace(
        result, folder=folder, run=replace(result.run, cases=load(folder).cases), summaries=summaries
    )


def _scaled(found: Summary, factor: float) -> Summary:
    if found.median is None or found.low is None or found.high is None:
        return found
    return replace(found, low=found.low * factor, median=found.median * factor, high=found.high * factor)


class Said(NamedTuple):
    """A word and a figure for a metric of a case."""

    word: str
    text: str


def told(found: RunComparison) -> dict[tuple[str, str], Said]:
    return {(p.name, c.metric): Said(word_label(c.word), c.text) for p in found.pairs for c in p.changes}


def on_page(html: str) -> Iterator[tuple[tuple[str, str], Said]]:
    """The rows of the table with every metric."""
    table = html.partition('<table id="changes"')[2]
    for row in re.findall(r"<tr.*?</tr>", table.partition("<tbody>")[2]):
        cells = [unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall(r"<t[dh].*?</t[dh]>", row)]
        mark = cells[7]
        yield (cells[1], cells[2].replace("\u200b", "")), Said(re.sub("^[^a-z]+", "", mark), cells[6])


def in_terminal(found: RunComparison) -> str:
    with out.capture() as captured:
        show_comparison(found, every=True)
    return captured.get()


def assert_one_change(change: Change, main: bool) -> None:
    """The word and the sign of a change, and its size, fit to each other."""
    if change.word in ("faster", "slower"):
        assert change.metric == "duration"
        assert change.text.startswith("-" if change.word == "faster" else "+")
        assert abs(change.effect or 0.0) >= LEAST_EFFECT
    if change.word in ("better", "worse"):
        assert main, "only a stage's metric has a target"
    if change.band is not None and change.word == "same":
        low, high = change.band
        assert low <= 0 <= high


def assert_says_the_same(found: RunComparison, facts: CompareFacts, page: Path) -> None:
    """The compare page, the terminal and the JSON of a comparison."""
    words = told(found)
    assert dict(on_page(page.read_text())) == words
    assert f"<h1>{found.finding}</h1>" in unescape(page.read_text())
    style = {"is-pass": "pass", "is-fail": "fail"}.get(WORD_CLASSES.get(found.word, ""), "")
    assert f'<header class="top {style}">' in page.read_text()
    said = in_terminal(found)
    flat = " ".join(said.split())
    assert flat.startswith(found.finding)
    assert flat.endswith(f"{found.finding}.")
    rows = [" ".join(line.split()) for line in said.splitlines()]
    for (_, metric), (word, text) in words.items():
        assert any(row.startswith(f"{metric} ") and row.endswith(f"{text} {word}") for row in rows), (
            metric,
            word,
            text,
        )
    assert (facts.word, facts.finding) == (found.word, found.finding)
    assert {
        (p.case.split("/")[1], c.metric): Said(word_label(c.word), c.text) for p in facts.pairs for c in p.changes
    } == words
    assert sum(facts.tally.values()) == len(words)


def word_by_hand(found: RunComparison) -> Word:
    """The word for the whole, from the candidates' main metrics alone."""
    words = {c.word for p in found.pairs if p.role == "candidate" for c in p.changes if c.metric in found.main}
    return next((word for word in CHANGED_WORDS if word in words), "same")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(factors=st.fixed_dictionaries(dict.fromkeys(PERTURBED, FACTORS)), undecided=st.booleans())
def test_no_two_statements_contradict_each_other(
    measured: Measured, tmp_path: Path, factors: dict[str, float], undecided: bool
) -> None:
    project, result = measured
    if undecided:
        judged = [replace(verdict, status="undecided") for verdict in result.judgement.verdicts]
        result = replace(result, judgement=replace(result.judgement, verdicts=judged))
    folder, base = before(result, factors)
    try:
        found = compare(project, base, result)
        (since,) = since_last(project, result)
        index = _in_index(project)
    finally:
        shutil.rmtree(folder)
    for pair in found.pairs:
        for change in pair.changes:
            assert_one_change(change, change.metric in found.main)
    assert_says_the_same(found, _facts(found, True, []), draw_comparison(found, tmp_path))
    assert since.found is not None
    on_report = told(since.found)
    assert {key: on_report[key] for key in on_report if key[1] in found.main} == {
        key: said for key, said in told(found).items() if key[1] in found.main
    }
    box = changes_of(since, result.judgement.verdicts)
    assert (since.found.word, since.found.finding) == (found.word, found.finding)
    assert (box.mark, box.words) == (WORD_MARKS[found.word], found.finding)
    is_lost_and_passes = found.word == "slower" and not undecided
    assert box.allowed == ("what is missed is waived" if is_lost_and_passes else "")
    assert [(line.mark, line.change) for line in box.lines] == [(WORD_MARKS[c.word], c.text) for _, c in since.changes]
    assert found.word == word_by_hand(found)
    if undecided:
        assert "better" not in {change.word for pair in found.pairs for change in pair.changes}
    time = next(pair.duration for pair in found.pairs if pair.role == "candidate")
    wanted = f"{time.size} {time.word} than" if time.word in CHANGED_WORDS else "no change from what it took"
    assert index == wanted
    if time.word in CHANGED_WORDS:
        assert f"blocked_scan is {time.size} {time.word} on square" in found.finding


def _in_index(project: Project) -> str:
    """What the index says of the candidate's newest time."""
    lines = series_of(stored_runs(Store(project.reports), ["duration"]), ["duration"])
    (line,) = [line for line in lines if line.key.case.variant == "blocked_scan" and line.key.metric == "duration"]
    return change_in_index(project.catalogue.metrics["duration"], *line.measured[-2:])


# --- single truths that a generated pair seldom shows -----------------------------------------------------------------


def pair_of(measured: Measured, factors: dict[str, float]) -> RunComparison:
    folder, base = before(measured.result, factors)
    shutil.rmtree(folder)
    return compare(measured.project, base, measured.result)


def change_of(found: RunComparison, metric: str) -> Change:
    (pair,) = [pair for pair in found.pairs if pair.case.variant == "blocked_scan"]
    return next(change for change in pair.changes if change.metric == metric)


def test_a_stall_that_rose_inside_its_target_is_no_blame(measured: Measured) -> None:
    found = pair_of(measured, {"duration": 1.02, "memory_dependency_stall": 0.8})
    assert (found.word, change_of(found, "memory_dependency_stall").word) == ("faster", "moved")
    assert found.finding == "blocked_scan is 2.0 % faster on square, though its code is the same"


def test_a_target_that_was_crossed_is_named_first(measured: Measured) -> None:
    found = pair_of(measured, {"roof_fraction": 0.9})
    assert (found.word, change_of(found, "roof_fraction").word) == ("better", "better")
    assert re.match(r"blocked_scan now meets its target for roof_fraction on square \(\+9\.\d points\)", found.finding)


def test_one_counter_under_two_names_is_judged_once(measured: Measured) -> None:
    found = pair_of(measured, {"memory_dependency_stall": 0.5, "stall_long_scoreboard": 0.5})
    assert change_of(found, "memory_dependency_stall").also == ["stall_long_scoreboard"]
    assert all(change.metric != "stall_long_scoreboard" for pair in found.pairs for change in pair.changes)


def test_of_candidates_alone_nobody_says_that_no_time_moved(measured: Measured) -> None:
    pairs = pair_of(measured, {}).pairs
    assert times_finding(pairs) == "No time moved beyond the noise"
    assert times_finding(pairs, is_part=True) == "No time of a candidate moved beyond the noise"


def test_rows_of_several_problems_name_theirs(measured: Measured) -> None:
    (pair,) = [pair for pair in pair_of(measured, {}).pairs if pair.case.variant == "blocked_scan"]
    assert line_of(pair, pair.duration).workload == "square"
    assert line_of(pair, pair.duration, with_problem=True).workload == "cumprod · square"


def test_nothing_changed_is_a_short_page(measured: Measured, tmp_path: Path) -> None:
    html = draw_comparison(pair_of(measured, {}), tmp_path).read_text()
    visible = re.sub(r"<details>.*?</details>", "", html, flags=re.DOTALL)
    assert "<h1>No time moved beyond the noise</h1>" in visible
    assert "Nothing changed beyond the noise: " in visible
    assert 'id="changes"' not in visible
    assert "<svg" not in visible.partition("<body")[2]
    assert html.count("<figure") == 1, "no group is without its picture"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_too_long_and_no_number_is_cropped(
    measured: Measured, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "_width", width)
    found = pair_of(measured, dict.fromkeys(PERTURBED, 1.12))
    said = in_terminal(found)
    assert max(map(len, said.splitlines())) <= width
    assert "…" not in said
    flat = " ".join(said.split())
    changes: list[Any] = [change for pair in found.pairs for change in pair.changes]
    assert all(change.text in flat and word_label(change.word) in flat for change in changes)
