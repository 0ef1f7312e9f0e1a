"""How near results came to their tolerance, autotuners' choices, packages, derived bytes: on the page and beside it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.model import CaseResult, LaunchedKernel, WorstElement
from stallgate.project.load import Project, load_project
from stallgate.render.page import draw
from stallgate.render.rightness import choices, fraction_used, packages, rightness
from stallgate.render.view import View
from stallgate.runs.folder import load, save
from tests.conftest import Stallgate, with_small_workloads

RULE = "rtol 0.0016, atol 1.2e-05, norm 0.0039"


def said_of(page: Path) -> str:
    """A page's text, without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.read_text())).split())


# --- by a measurement -------------------------------------------------------------------------------------------------


def test_a_measured_page_says_how_right_results_are_and_that_bytes_were_derived(
    tree: Path, with_ncu: Stallgate, latest: Callable[[str], Any]
) -> None:
    """The child and the referee are real and run in Triton's interpreter; the counters are the recording's."""
    problem = tree / "kernels/cumprod/problem.toml"
    problem.write_text(re.sub(r"\nbytes = .*", "", with_small_workloads(problem.read_text())))
    done = with_ncu("profile", "--report", FAKE_NCU="run", FAKE_GPU_NAME="none")
    assert done.returncode == 0, done.stderr
    (worst,) = latest("run.json")["cases"][1]["worst"]
    assert 0 < worst["used"] <= 1
    said = said_of(tree / "reports/latest/report.html")
    finding = f"the worst element of blocked_scan is at {worst['used']:.2g} of its tolerance: {worst['rule']}"
    assert f"Every result is right; {finding} ( each variant )." in said
    needs = "shape [2, 1024], dim 1, dtype float32; needs 16.4 kB of memory traffic"
    assert f"{needs} (derived from inputs and outputs)." in said
    row = next(line for line in (tree / "reports/latest/summary.md").read_text().splitlines() if "| candidate" in line)
    assert row.endswith(f"| {worst['used']:.2g} |")


# --- by what a run says -----------------------------------------------------------------------------------------------


def tuned(name: str, function: str = "", **configuration: object) -> LaunchedKernel:
    return LaunchedKernel(name=name, module="m", function=function or name, file="m.py", configuration=configuration)


def worst(*used: float) -> list[WorstElement]:
    return [WorstElement(output=number, used=each, rule=RULE) for number, each in enumerate(used)]


@pytest.fixture
def drawn_with(tree: Path, replayed_square: Path) -> Callable[..., tuple[Project, JudgedRun]]:
    """Changes the roof's and the candidate's results in the run, and reads it again."""

    def make(roof: dict[str, Any], candidate: dict[str, Any]) -> tuple[Project, JudgedRun]:
        run = load(replayed_square)
        cases = [replace(found, **changes) for found, changes in zip(run.cases, (roof, candidate), strict=True)]
        save(replayed_square, replace(run, cases=cases))
        project = load_project(tree)
        return project, evaluate(project, replayed_square, [])

    return make


Make = Callable[..., tuple[Project, JudgedRun]]


def view_of(made: tuple[Project, JudgedRun]) -> View:
    return View(*made, "cumprod", "square")


def test_every_output_has_a_row(drawn_with: Make) -> None:
    made = drawn_with({"worst": worst(0.0)}, {"worst": worst(0.31, 0.001)})
    found = rightness(view_of(made))
    assert [(row.variant, row.output, row.text, row.rule) for row in found.rows] == [
        ("copy_roof", 0, "0", RULE),
        ("blocked_scan", 0, "0.31", RULE),
        ("blocked_scan", 1, "0.001", RULE),
    ]
    said = said_of(draw(*made)[0])
    assert f" copy_roof 0 {RULE}" in said
    assert f"blocked_scan output 0 0.31 {RULE}" in said
    assert f"blocked_scan output 1 0.001 {RULE}" in said


def test_a_run_that_does_not_say_how_right_it_is_has_no_table(drawn_with: Make) -> None:
    made = drawn_with({"worst": []}, {"worst": []})
    assert rightness(view_of(made)).finding == ""
    page, summary, *_ = draw(*made)
    assert "Accuracy of the results" not in page.read_text()
    assert "Worst element" not in summary.read_text()


@pytest.mark.parametrize(
    ("changes", "finding", "remark"),
    [
        ({}, "Every result is right", ""),
        ({"edge_case_fault": "on 3x7: wrong", "role": "baseline"}, "1 of 2 results are right", "wrong on edge cases"),
        ({"outcome": "wrong_result", "worst": []}, "1 of 2 results are right", None),
    ],
)
def test_the_sentence_counts_who_is_right(
    drawn_with: Make, changes: dict[str, Any], finding: str, remark: str | None
) -> None:
    found = rightness(view_of(drawn_with({"worst": worst(0.0)}, {"worst": worst(0.5), **changes})))
    assert found.finding.split("; ")[0] == finding
    assert [row.remark for row in found.rows if row.variant == "blocked_scan"] == ([] if remark is None else [remark])


@pytest.mark.parametrize(("used", "said"), [(0.0, "0"), (0.00123, "0.0012"), (0.314, "0.31"), (1.0, "1")])
def test_a_fraction_of_a_tolerance_in_words(used: float, said: str) -> None:
    assert fraction_used(used) == said


def test_what_an_autotuner_chose_is_on_the_page(drawn_with: Make) -> None:
    kernels = [
        tuned("_scan", BLOCK=1024, num_warps=4),
        tuned("_scan_2", "_scan", BLOCK=1024, num_warps=4),
        tuned("_fill"),
    ]
    made = drawn_with({}, {"kernels": kernels, "packages": {"liger-kernel": "0.6.2"}})
    assert [(row.variant, row.kernel, row.choice) for row in choices(view_of(made))] == [
        ("blocked_scan", "_scan", "BLOCK 1024, num_warps 4")
    ]
    said = said_of(draw(*made)[0])
    assert "blocked_scan _scan BLOCK 1024, num_warps 4" in said
    assert "liger-kernel 0.6.2 (blocked_scan)" in said


def test_packages_are_named_once_for_each_version(drawn_with: Make) -> None:
    cases = drawn_with({"packages": {"a": "1", "b": "2"}}, {"packages": {"a": "1", "b": "3"}})[1].run.cases
    twice: list[CaseResult] = [*cases, *cases]
    assert packages(twice) == ["a 1 (copy_roof, blocked_scan)", "b 2 (copy_roof)", "b 3 (blocked_scan)"]


# --- bytes ------------------------------------------------------------------------------------------------------------

WRITTEN = 8_589_934_592


@pytest.mark.parametrize(
    ("derived", "is_told"), [(WRITTEN, False), (round(WRITTEN / 1.009), False), (WRITTEN // 2, True)]
)
def test_bytes_that_differ_are_told_by_gate_and_page(
    stallgate: Stallgate, drawn_with: Make, derived: int, is_told: bool
) -> None:
    made = drawn_with({}, {"needed_bytes": derived})
    note = "cumprod/square: kernels/cumprod/problem.toml says that it needs 8.59 GB, and its inputs and outputs have "
    assert ([told for told in made[1].judgement.notes if told == f"{note}4.29 GB"] != []) is is_told
    gate = " ".join(stallgate("gate").stdout.split())
    assert (note in gate) is is_told
    said = said_of(draw(*made)[0])
    assert (f"{note}4.29 GB" in said) is is_told
    assert "(derived" not in said
