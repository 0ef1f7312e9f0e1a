"""Advice on the recordings: what comes first, whether its numbers are the run's, and NVIDIA's results beside it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.advise.advice import CaseAdvice, advice_by_case, advice_of, spelled
from stallgate.advise.theirs import details_by_case
from stallgate.advise.words import gain_in_words, line_in_words, reading_in_words, result_in_words
from stallgate.extract.read_run import ReadRun
from stallgate.extract.table import summarise
from stallgate.judge.evaluate import JudgedRun, evaluate, judge
from stallgate.model import Advice, CitedReading, HotLine
from stallgate.project.advice import FACT_UNITS
from stallgate.project.load import Project, load_project
from stallgate.render.advice import advice_lines, advice_rows, lines_in_width
from tests.conftest import ROOT
from tests.recordings import committed, median_of, milliseconds


@pytest.fixture(scope="module")
def project() -> Project:
    return load_project(ROOT)


@pytest.fixture(scope="module")
def runs(project: Project) -> dict[str, JudgedRun]:
    return {name: evaluate(project, committed(name).folder, []) for name in sorted(project.problems)}


@pytest.fixture(scope="module")
def advised(project: Project, runs: dict[str, JudgedRun]) -> dict[str, CaseAdvice]:
    """Case -> its advice."""
    return {found.case.name: found for run in runs.values() for found in advice_by_case(run, project)}


def first(advised: dict[str, CaseAdvice], case: str) -> Advice:
    return advised[case].advice[0]


@pytest.mark.parametrize(
    ("case", "rule"),
    [
        ("cumprod/naive_serial/default/square", "sector_use"),
        ("cumprod/naive_serial/default/page", "sector_use"),
        ("cumprod/adaptive_scan/default/square", "at_the_roof"),
        ("cumprod/two_pass_scan/default/square", "l2_thrash"),
        ("matmul/naive/default/bf16", "tensor_cores_idle"),
    ],
)
def test_what_comes_first(advised: dict[str, CaseAdvice], case: str, rule: str) -> None:
    assert first(advised, case).rule == rule


def test_width_of_access_is_told_with_bytes_a_sector_and_its_line(advised: dict[str, CaseAdvice]) -> None:
    found = first(advised, "cumprod/naive_serial/default/square")
    assert "4 bytes of each 32-byte sector" in found.text
    assert found.line is not None
    assert "tl.load" in found.line.text
    assert not any(each.rule == "no_pipelining" for each in advised[found.case.name].advice)


def test_at_the_roof_nothing_else_is_advised(advised: dict[str, CaseAdvice]) -> None:
    stopped = [each.advice for each in advised.values() if each.advice and each.advice[0].stops]
    assert len(stopped) >= 4
    assert all(len(advice) == 1 for advice in stopped)


def test_every_number_is_the_runs(runs: dict[str, JudgedRun], advised: dict[str, CaseAdvice]) -> None:
    """A median of the whole call is the run's, of a single launch its row of the table."""
    known = {(row.case, row.metric, row.launch, row.sample): row.value for run in runs.values() for row in run.rows}
    medians = {key: found.median for run in runs.values() for key, found in run.summaries.items()}
    checked = 0
    for found in (advice for each in advised.values() for advice in each.advice):
        for reading in found.readings:
            if reading.metric not in FACT_UNITS:
                if reading.samples > 1:
                    assert reading.value == medians[found.case, reading.metric] or len(_launches(runs, found)) > 1
                else:
                    assert known[found.case, reading.metric, reading.launch, reading.sample] == reading.value
                checked += 1
        assert 0 <= found.gain <= 1
        assert found.gain_ms == pytest.approx(found.gain * (advised[found.case.name].duration_ms or 0), rel=1e-9)
    assert checked > 50


def _launches(runs: dict[str, JudgedRun], advice: Advice) -> set[int]:
    """The launches of the first sample of a case."""
    rows = [row for row in runs[advice.case.problem].rows if row.case == advice.case and row.launch is not None]
    return {row.launch for row in rows if row.launch is not None and row.sample == rows[0].sample}


def test_a_gain_is_never_more_than_the_time_above_the_roof(
    runs: dict[str, JudgedRun], advised: dict[str, CaseAdvice]
) -> None:
    fractions = {c: s.median for run in runs.values() for (c, m), s in run.summaries.items() if m == "roof_fraction"}
    for found in (advice for each in advised.values() for advice in each.advice):
        fraction = fractions[found.case]
        assert fraction is not None
        assert found.gain <= max(0.0, 1 - fraction)


def test_all_advice_has_readings_a_disproof_and_a_trap(advised: dict[str, CaseAdvice]) -> None:
    for found in (advice for each in advised.values() for advice in each.advice):
        assert found.readings
        assert found.disproved_by
        assert found.trap
        assert found.tries


def test_advice_is_ranked_by_gain(advised: dict[str, CaseAdvice]) -> None:
    for each in advised.values():
        gains = [round(advice.gain, 4) for advice in each.advice]
        assert gains == sorted(gains, reverse=True)


def test_nvidias_estimates_beyond_the_roof_are_contradicted(advised: dict[str, CaseAdvice]) -> None:
    said = first(advised, "cumprod/adaptive_scan/default/square").contradictions
    assert any("Theoretical Occupancy" in words and "above the roof" in words for words in said)


def test_nvidias_results_are_quoted_with_their_scope(
    runs: dict[str, JudgedRun], advised: dict[str, CaseAdvice]
) -> None:
    found = first(advised, "cumprod/naive_serial/default/square")
    [result] = found.theirs
    assert result in [each for detail in details_by_case(runs["cumprod"].run)[found.case] for each in detail.advice]
    assert result_in_words(result) == f"L1TEX Global Load Access Pattern: {result.speedup:.1f} % (GLOBAL)"


def test_silent_rules_say_what_they_lack(project: Project, advised: dict[str, CaseAdvice]) -> None:
    lacking = advised["matmul/torch/default/bf16"].silent
    assert lacking["no_pipelining"] == ["num_stages", "has_loop"]  # no file of the project has its kernel


def test_only_missed_cases_are_advised_where_verdicts_are_given(project: Project, runs: dict[str, JudgedRun]) -> None:
    assert advice_of(runs["matmul"], project, runs["matmul"].judgement.verdicts) == []
    assert advice_of(runs["matmul"], project)


def test_the_page_has_the_first_few(project: Project, runs: dict[str, JudgedRun]) -> None:
    rows = advice_rows(advice_by_case(runs["cumprod"], project), runs["cumprod"])
    naive = [row for row in rows if row.case == "cumprod/naive_serial/default/page"]
    assert len(naive) == 3
    assert {row.kernel for row in naive} == {"_serial_kernel"}
    assert naive[0].readings[0].startswith("bytes_per_sector_loaded 4 bytes (median of 5)")


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (4.0, "byte", "4 bytes"),
        (1.0, "byte", "1 byte"),
        (8_589_934_592.0, "byte", "8.59 GB"),
        (77.302, "%", "77.3 %"),
        (1.5, "", "1.5"),
        (2_809_504.0, "ns", "2.81 ms"),
        (132.0, "SM", "132 multiprocessors"),
        (33.0, "block", "33 blocks"),
        (1.0, "block", "1 block"),
        (97_657.0, "block", "97,657 blocks"),
        (0.99193, "byte", "0.992 bytes"),
        (0.80531, "inst/cycle", "0.805 instructions a cycle"),
        (380_212_345.0, "wavefront", "380 M wavefronts"),
        (52_428_800.0, "byte", "52.4 MB"),
        (21_392_000.0, "ns", "21.4 ms"),
        (1.0, "inst", "1 instruction"),
    ],
)
def test_readings_in_words(value: float, unit: str, words: str) -> None:
    assert spelled(CitedReading(metric="m", value=value, unit=unit, launch=None, sample="")) == words


def test_a_line_without_its_text_leaves_no_gap() -> None:
    line = HotLine(file="a.cu", line=8, text=" ", samples=100, reason="lg_throttle", reason_samples=79)
    assert line_in_words(line) == "a.cu:8  (lg_throttle 79 %)"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_fit_the_terminal_and_labels_keep_their_column(advised: dict[str, CaseAdvice], width: int) -> None:
    advice = first(advised, "cumprod/naive_serial/default/square")
    for indent, words in advice_lines(advice, 1):
        lines = lines_in_width(words, indent, width)
        assert max(map(len, lines)) <= width
        assert " ".join(" ".join(lines).split()) == " ".join(words.split())
        assert not any(line.lstrip().startswith("%") for line in lines)
        column = 17 if indent == 5 and words != advice.text else 5
        assert all(line[:column].isspace() and not line[column].isspace() for line in lines[1:])


def test_a_fact_has_no_launch() -> None:
    fact = CitedReading(metric="num_stages", value=1.0, unit="", launch=None, sample="")
    assert reading_in_words(fact) == "num_stages 1"


def test_the_command_says_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stallgate", "advise", committed("matmul").name, "--variant", "naive"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env={"PYTHONPATH": "harness", "PATH": "/bin"}
    )
    assert "1. Tensor cores are idle" in done.stdout
    assert "disproof" in done.stdout
    assert "more: --limit" in done.stdout


def test_a_cause_is_told_once(advised: dict[str, CaseAdvice]) -> None:
    rules = [advice.rule for advice in advised["rmsnorm/torch/default/fp32"].advice]
    assert "sector_use" in rules
    assert "excessive_sectors" not in rules


def test_times_are_told_in_units_that_fit(advised: dict[str, CaseAdvice]) -> None:
    long = first(advised, "cumprod/naive_serial/default/square")
    gained = milliseconds(long.gain * median_of("cumprod/naive_serial/square"), 3)
    assert gain_in_words(long).endswith(f" of the time, {gained}")
    assert gain_in_words(first(advised, "cumprod/torch_cumprod/default/page")).endswith(" µs")


def test_what_is_faster_than_the_roof_has_nothing_left(project: Project, runs: dict[str, JudgedRun]) -> None:
    slower = with_slower_roof(runs["cumprod"], project, 1.1)
    [advice] = next(
        found.advice
        for found in advice_by_case(slower, project)
        if found.case.name == "cumprod/blocked_scan/default/square"
    )
    fraction = slower.summaries[advice.case, "roof_fraction"].median
    assert fraction is not None
    assert fraction > 1
    assert (advice.rule, advice.gain) == ("at_the_roof", 0.0)
    assert gain_in_words(advice) == "nothing is left to gain"


def with_slower_roof(run: JudgedRun, project: Project, factor: float) -> JudgedRun:
    """A run of which the roofs take longer, judged anew."""
    roofs = {result.case for result in run.run.cases if result.role == "roof"}
    rows = [
        replace(row, value=row.value * factor) if row.case in roofs and row.metric == "duration" else row
        for row in run.rows
    ]
    read = {name: getattr(run, name) for name in ReadRun.__struct_fields__}
    slower = ReadRun(**{**read, "rows": rows, "summaries": summarise(rows)})
    return judge(slower, project, [], today=datetime.now(UTC).date())


def test_bytes_that_dram_has_to_move_leave_less_to_sectors(advised: dict[str, CaseAdvice]) -> None:
    """DRAM is 85 % busy with 1.36 times the need: half of each sector unused cannot cost a third of the time."""
    gains = {advice.rule: advice.gain for advice in advised["rmsnorm/torch/default/fp32"].advice}
    assert max(gains, key=lambda name: gains[name]) == "l2_thrash"
    assert gains["sector_use"] < 0.25


def test_a_cause_is_left_out_where_one_under_it_explains_as_much(advised: dict[str, CaseAdvice]) -> None:
    rules = [advice.rule for advice in advised["cumprod/two_pass_scan/default/square"].advice]
    assert "l2_thrash" in rules
    assert "more_bytes_than_needed" not in rules


def test_a_gate_that_says_no_tells_the_first_advice() -> None:
    command = [sys.executable, "-m", "stallgate", "gate", committed("rmsnorm").name, "--stage", "memory_access"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={"PYTHONPATH": "harness", "PATH": "/bin"}
    )
    assert done.returncode == 1
    assert "advice on fused on bf16: At the roof: stop" in done.stdout
