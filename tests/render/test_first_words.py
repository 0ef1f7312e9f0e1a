"""The sentences of first screens, of runs, sweeps and loops alike: the same on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.compare.since import ChangesSinceLast
from stallgate.compare.two_runs import Pair, RunComparison, Side
from stallgate.compare.words import Change
from stallgate.formatting import HeldTo
from stallgate.judge.evaluate import JudgedRun, judge
from stallgate.judge.roof import Roof
from stallgate.judge.warp_states import waits_in_words
from stallgate.model import Case, CaseResult, CeilingKind, Status, WorstElement
from stallgate.project.load import Project
from stallgate.render.changes import why_allowed
from stallgate.render.judged_row import JudgedRow, JudgedTarget, bar_scale
from stallgate.render.loop_words import answers_in_words, limits_of_loop, version_words
from stallgate.render.next_command import NextStep
from stallgate.render.next_step import next_step
from stallgate.render.results_line import fault_in_words, results_line
from stallgate.render.run_word import run_word
from stallgate.render.template import codes
from stallgate.render.verdict_words import stage_label
from stallgate.render.view import View
from stallgate.render.what_limits import limit_of, waits_of
from tests.agent.loop.scripted import ScriptedAnswerer, begin, code, looped
from tests.judge.judging import (
    STALL,
    TODAY,
    foreign_kernels,
    numbers,
    read,
    run_of,
    summary,
    target,
    usual,
    with_one_candidate,
    with_stage,
)

STALLED = {STALL: summary(*[51.06] * 5)}


def judged(
    repository: Project,
    candidate: Mapping[str, object] | None = None,
    results: list[CaseResult] | None = None,
    loads: tuple[str, ...] = ("square", "page"),
) -> tuple[Project, JudgedRun]:
    """A run of a candidate and its roof on some workloads, judged by a stall and a throughput."""
    targets = (target(STALL, below=20), target("dram_throughput", at_least=0.97, of="roof"))
    project = with_one_candidate(with_stage(repository, *targets))
    kept = [result for result in results or usual() if result.case.workload in loads]
    made = run_of(project, kept)
    found = read(made, numbers(kept, candidate), foreign_kernels=foreign_kernels(made, project, []), faults={})
    whole = judge(found, project, [], today=TODAY)
    verdicts = [verdict for verdict in whole.judgement.verdicts if verdict.workload in loads]
    return project, replace(whole, judgement=replace(whole.judgement, verdicts=verdicts))


# --- the headline -----------------------------------------------------------------------------------------------------


def test_the_headline_names_the_worst_miss_and_how_many_there_are(repository: Project) -> None:
    project, result = judged(repository, STALLED, loads=("square",))
    assert run_word(result, project.catalogue).words == "Waits for global memory missed by 31.1 points"
    far = STALLED | {"dram_throughput": summary(*[80.0] * 5)}
    project, result = judged(repository, far, loads=("square",))
    words = run_word(result, project.catalogue).words
    assert words.startswith("2 of 2 targets missed: waits for global memory by 31.1 points, DRAM throughput by ")


def test_of_several_cases_the_headline_says_which(repository: Project) -> None:
    project, result = judged(repository, STALLED)
    assert run_word(result, project.catalogue).words == (
        "2 of 4 targets missed: waits for global memory by 31.1 points (blocked_scan on square), "
        "waits for global memory by 31.1 points (blocked_scan on page)"
    )


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("used", "said"),
    [(3.1, "3.10 times"), (152.6, "153 times"), (2157.0, "2,157 times"), (1e308, "over a million times")],
)
def test_a_wrong_result_says_how_large_the_error_is(repository: Project, used: float, said: str) -> None:
    results = usual()
    worst = [WorstElement(output=0, used=used, rule="rtol 0.0016")]
    results[1] = replace(results[1], outcome="wrong_result", reason="the first: [0, 17] is 2", worst=worst)
    fault = f"the first: [0, 17] is 2; the largest error is {said} its tolerance (rtol 0.0016)"
    assert fault_in_words(results[1]) == fault
    _, result = judged(repository, results=results, loads=("square",))
    assert results_line(result).words == f"Results wrong: 1 of 1 case. blocked_scan on square: {fault}"


def test_an_error_that_is_not_known_is_not_told(repository: Project) -> None:
    wrong = replace(usual()[1], outcome="wrong_result", reason="its shape is [2]")
    assert fault_in_words(wrong) == "its shape is [2]"


# --- the limit --------------------------------------------------------------------------------------------------------

BUSY = {"dram_throughput": 34.6, "l2_throughput": 59.3, "l1_throughput": 61.9, "sm_throughput": 85.1}
BUSY |= {"tensor_pipe_utilization": 85.2, "fp64_pipe_utilization": 0.2}
UNITS = "tensor pipe 85.2 %, SM 85.1 %, L1 61.9 %, L2 59.3 %, DRAM 34.6 % of peak"
DRAM_FIRST = "DRAM 34.6 %, tensor pipe 85.2 %, SM 85.1 %, L1 61.9 %, L2 59.3 % of peak"


def roof(ceiling: CeilingKind, name: str) -> Roof:
    return Roof(case=Case("p", name, "default", "w"), ceiling=ceiling, duration=1.0)


@pytest.mark.parametrize(
    ("kind", "name", "fraction", "said"),
    [
        (
            "library",
            "cublas",
            0.948,
            "tensor cores, 14.8 points below peak; runs 5.2 % behind cublas (a library, not the hardware's limit)",
        ),
        (
            "library",
            "cublas",
            1.02,
            "tensor cores, 14.8 points below peak; runs 2.0 % ahead of cublas (a library, not the hardware's limit)",
        ),
        (
            "bytes",
            "copy",
            0.99,
            "memory bandwidth; runs at 99.0 % of copy's speed (it only moves the bytes), 1.0 % left",
        ),
        ("flops", "fma", 0.5, "tensor cores; runs at 50.0 % of fma's speed (it only does the arithmetic), 50.0 % left"),
    ],
)
def test_the_limit_names_the_roof_says_what_it_is_and_how_busy_every_unit_is(
    kind: CeilingKind, name: str, fraction: float, said: str
) -> None:
    units = DRAM_FIRST if kind == "bytes" else UNITS
    assert limit_of(BUSY.get, fraction, roof(kind, name)) == f"Limit: {said}; {units}"


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        (["pass", "pass"], "no target forbids it"),
        (["pass", "excused"], "what is missed is excused"),
        (["pass", "excused", "waived"], "what is missed is waived"),
        (["pass", "fail"], ""),
        (["pass", "undecided"], ""),
        (["not_measured"], ""),
        ([], ""),
    ],
)
def test_a_loss_that_passes_is_explained(repository: Project, statuses: list[Status], said: str) -> None:
    _, result = judged(repository)
    verdicts = [replace(result.judgement.verdicts[0], status=status) for status in statuses]
    assert why_allowed(verdicts) == said
    fail = replace(result.judgement.verdicts[0], status="fail", warning=True)
    assert why_allowed([*verdicts, fail]) == said, "a warning shuts no gate"


def test_a_stage_has_its_title_and_its_name(repository: Project) -> None:
    assert stage_label(repository, "memory_access") == "Memory efficiency & latency hiding (memory_access)"
    assert stage_label(repository, "streaming") == "Streaming"
    assert stage_label(repository, "gone") == "gone"


NOT_KNOWN = "how much is left is not known: no kernel here is known as its roof"


def test_a_limit_that_is_not_known_says_so() -> None:
    assert limit_of(BUSY.get, None, None) == f"Limit: tensor cores; {NOT_KNOWN}; {UNITS}"
    beside = "how much is left is not known: not measured beside copy_roof"
    assert limit_of(BUSY.get, None, roof("bytes", "copy_roof")) == f"Limit: tensor cores; {beside}; {UNITS}"
    unknown = f"Limit: not known; {NOT_KNOWN}; how busy memory and SM are was not measured"
    assert limit_of({}.get, None, None) == unknown
    idle = f"Limit: latency, no unit is near its peak; {NOT_KNOWN}; DRAM 12.0 %, SM 5.00 % of peak"
    assert limit_of({"dram_throughput": 12.0, "sm_throughput": 5.0}.get, None, None) == idle
    part = f"Limit: not known; {NOT_KNOWN}; DRAM 12.0 % of peak"
    assert limit_of({"dram_throughput": 12.0}.get, None, None) == part, "the SM may be at its peak"


def test_waits_for_memory_are_known_by_either_name(repository: Project) -> None:
    said = "Warps wait 60.0 % of the time for global memory (long_scoreboard), 35.0 % for fixed latency (wait)"
    for name in ("stall_long_scoreboard", "memory_dependency_stall"):
        assert waits_of({name: 60.0, "stall_wait": 35.0}.get, repository.catalogue) == said


def test_states_that_were_not_measured_are_not_passed_over() -> None:
    rest = "; what they do 60.0 % of the time was not measured"
    assert waits_in_words({"wait": 40.0}) == f"Warps wait 40.0 % of the time for fixed latency (wait){rest}"
    assert waits_in_words({}) == ""


# --- what next --------------------------------------------------------------------------------------------------------


def step(project: Project, result: JudgedRun, since: list[ChangesSinceLast] | None = None) -> NextStep:
    places = dict.fromkeys((case.case.problem, case.case.workload) for case in result.run.cases)
    views = [View(project, result, problem, load) for problem, load in places]
    return next_step(result, result.run.name, views, since or [], [])


def test_every_case_that_misses_a_target_is_named(repository: Project) -> None:
    words = step(*judged(repository, STALLED)).words
    assert words.startswith("blocked_scan on square: ")
    assert words.endswith("; then blocked_scan on page, which misses targets too")


def slower(project: Project, result: JudgedRun, *, same_code: bool) -> ChangesSinceLast:
    """That the candidate took 4 % less time before."""
    case = next(case for case in result.run.cases if case.role == "candidate")
    change = Change(metric="duration", unit="ns", base=None, run=None, change=0.04, word="slower")
    pair = Pair(case.case, "candidate", "same" if same_code else "changed", None, [change])
    side = Side("before", "")
    found = RunComparison(side, side, "", [], [], [], ["duration"], [pair])
    return ChangesSinceLast(problem=case.case.problem, base="before", found=found)


@pytest.mark.parametrize("same_code", [True, False])
def test_a_run_that_is_slower_than_last_time_is_not_told_to_stop(repository: Project, same_code: bool) -> None:
    project, result = judged(repository, loads=("square",))
    assert result.judgement.exit_status == 0
    found = step(project, result, [slower(project, result, same_code=same_code)])
    assert found.command == f"stallgate compare before {result.run.name}"
    assert "stop" not in found.words
    assert ("the code is the same" in found.words) == same_code


# --- bars -------------------------------------------------------------------------------------------------------------


def row(*sizes: float) -> JudgedRow:
    targets = [JudgedTarget("", "", "", "pass", HeldTo("", "", ""), "", "", size, True, "") for size in sizes]
    return JudgedRow("", "", "", "", "", "", "", "", "", targets, "pass")


def test_all_bars_of_a_screen_have_one_scale() -> None:
    assert bar_scale([row(2.0, 6.8), row(10.0)]) == 10.0
    assert [bar_scale([row(size)]) for size in (2.1, 5.1, 11.0, 300.0)] == [5.0, 10.0, 20.0, 500.0]
    assert bar_scale([row(0.1)]) == 2.0, "a hair's breadth of headroom does not fill a bar"
    assert bar_scale([]) > 0


# --- loops ------------------------------------------------------------------------------------------------------------


def test_a_loop_counts_its_answers_and_says_what_is_missing(tmp_path: Path) -> None:
    journal = begin(tmp_path, stages=["one"], seed=1, rounds=1, width=1, patience=1)
    found = looped(tmp_path, journal, ScriptedAnswerer(lambda *_: code(100)))
    outcomes = [each.outcome for each in found.tries()]
    said = answers_in_words(found)
    assert said.startswith(f"{len(outcomes)} answer")
    assert f"{outcomes.count('repeated')} repeated (not tried again)" in said
    assert "at most 1 round a stage, 1 answer a round" in limits_of_loop(found)
    assert version_words(journal.versions[0]) == "not measured"
    reading = found.versions[0].reading
    assert reading is not None
    unknown = replace(found.versions[0], reading=replace(reading, roof_fractions={}))
    assert version_words(unknown).endswith("; distance from the roof not measured")


# --- the page ---------------------------------------------------------------------------------------------------------


def test_a_command_in_a_sentence_is_code_on_a_page() -> None:
    a, c, d = (f'<span class="word">{word}</span>' for word in ("a", "c", "&lt;d&gt;"))
    assert codes("`a` & b: `c <d>`") == f"<code>{a}</code> &amp; b: <code>{c} {d}</code>"
    assert codes("5 ` of <them>") == "5 ` of &lt;them&gt;"
