"""What is told first of a run, and what to do about it: the same on its page, in lists and in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stallgate.compare.history import StoredRun
from stallgate.judge.headroom import badness
from stallgate.judge.reasons import STATUS_OF_REASON
from stallgate.judge.verdicts import Judgement
from stallgate.model import CaseResult, Verdict
from stallgate.project.load import Project
from stallgate.render.next_command import next_command, to_mend
from stallgate.render.results_line import results_line
from stallgate.render.run_word import said_of
from stallgate.runs.outlines import StoredJudgement, StoredVerdict
from tests.judge.judging import case, judged, run_of, usual


def verdict(reason: str, variant: str = "blocked_scan", **changes: Any) -> Verdict:
    terms = {"metric": "roof_fraction", "value": 0.5, "bound": 0.97, "comparison": "at_least"}
    known = terms if reason in ("missed", "met", "straddles") else {}
    plain = Verdict(
        status=STATUS_OF_REASON[reason],
        reason=reason,
        sentence=f"{reason} it is",
        stage=None,
        problem="cumprod",
        variant=variant,
        configuration="default",
        workload="square",
    )
    return replace(plain, **{**known, **changes})


def judgement(*verdicts: Verdict) -> Judgement:
    return Judgement(stages=["memory_access"], verdicts=list(verdicts), notes=[])


def test_a_wrong_result_is_worse_than_any_miss() -> None:
    assert badness(verdict("wrong_result")) > badness(verdict("missed", value=1e-9))


@pytest.mark.parametrize("reason", ["wrong_result", "crashed", "timed_out"])
def test_what_has_to_be_mended_comes_before_what_is_missed(repository: Project, reason: str) -> None:
    found = judgement(verdict("missed"), verdict(reason, "adaptive_scan"))
    mended = to_mend(found)
    assert mended is not None
    assert (mended.reason, mended.variant) == (reason, "adaptive_scan")
    for complete in (True, False):
        command = next_command(run_of(repository, usual(), complete=complete), found, "run").command
        assert command == "stallgate check cumprod/adaptive_scan"


def test_a_cut_run_is_finished_before_a_miss_is_worked_on(repository: Project) -> None:
    run = run_of(repository, usual(), complete=False)
    assert next_command(run, judgement(verdict("missed")), "run").command == "stallgate profile --resume run"


OPEN = {
    "stale": ("Stale: the code changed since", "○ stale", "not_measured"),
    "straddles": ("Undecided: samples on both sides of a bound", "≈ undecided", "undecided"),
    "no_baseline": ("Not judged: no baseline", "○ not judged", "not_measured"),
    "absent": ("Not measured: absent", "○ not measured", "not_measured"),
    "crashed": ("Crashed", "○ not measured", "not_measured"),
}
"""Reason -> the page's headline, the mark in lists, and the status."""

ORDER = ("crashed", "stale", "straddles", "absent")
"""Which of several is told, whatever their order among the verdicts."""


@pytest.mark.parametrize("reason", OPEN)
def test_lists_have_the_word_of_the_page(repository: Project, reason: str) -> None:
    later = [other for other in ORDER if reason in ORDER and ORDER.index(other) > ORDER.index(reason)]
    for found in ([reason], [*later, reason], [reason, *later]):
        verdicts = [verdict(each) for each in found]
        headline = said_of(run_of(repository, usual()), judgement(*verdicts), repository.catalogue).words
        kept = StoredJudgement(3, [StoredVerdict(v.status, v.reason) for v in verdicts])
        stored = StoredRun(folder=Path("run"), judgement=kept)
        assert (headline, stored.mark, stored.answer) == OPEN[reason]


def test_a_warning_is_no_answer_of_a_run() -> None:
    straddles, stale = StoredVerdict("undecided", "straddles", warning=True), StoredVerdict("not_measured", "absent")
    assert StoredRun(folder=Path("run"), judgement=StoredJudgement(3, [straddles, stale])).mark == "○ not measured"


# --- what the gate does not look at -----------------------------------------------------------------------------------


class _Result:
    """As much of a judged run as the line on its results reads."""

    def __init__(self, project: Project, cases: list[CaseResult]) -> None:
        self.run = run_of(project, cases)
        self.names = {found.case: found.case.display_name for found in cases}


def test_a_configuration_that_is_not_gated_does_not_make_the_results_wrong(repository: Project) -> None:
    tried = case("blocked_scan", configuration="wide")
    wrong = CaseResult(case=tried, role="candidate", outcome="wrong_result", reason="7 elements are wrong")
    line = results_line(_Result(repository, [*usual(), wrong]))  # type: ignore[arg-type]
    assert (line.words, line.style) == ("Results right: 2 of 2 cases", "pass")
    (note,) = [note for note in judged(repository, [*usual(), wrong]).notes if "wide" in note]
    assert note == "blocked_scan (wide) on square is not gated, and its result is wrong: 7 elements are wrong"
    alone = results_line(_Result(repository, [wrong]))  # type: ignore[arg-type]
    assert alone.words.startswith("Results wrong: 1 of 1 case.")
