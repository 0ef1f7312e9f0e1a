"""What the terminal says of a run: at every width the same words, none cut and no number cropped."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stallgate.extract.read_run import ReadRun
from stallgate.formatting import duration_in_words
from stallgate.judge.evaluate import JudgedRun, judge
from stallgate.model import CaseResult
from stallgate.project.load import Project
from stallgate.render.terminal_digest import show_digest
from stallgate.render.terminal_gate import show_judgement
from stallgate.render.terminal_plan import folded
from stallgate.render.terminal_progress import time_left
from stallgate.render.terminal_text import out
from tests.conftest import Stallgate
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

WIDTHS = (60, 80, 120)


def outcome(name: str, reason: str) -> list[CaseResult]:
    """The usual cases, of which the candidate on square came to this."""
    results = usual()
    results[1] = replace(results[1], outcome=name, reason=reason)  # type: ignore[arg-type]
    return results


RUNS: dict[str, dict[str, Any]] = {
    "pass": {},
    "fail": {"candidate": {STALL: summary(*[51.06] * 5)}},
    "undecided": {"candidate": {STALL: summary(19.01, 20.02, 21.03)}},
    "stale": {"subjects": {}},
    "crashed": {"results": outcome("crashed", "RuntimeError: an illegal memory access was encountered")},
    "wrong": {"results": outcome("wrong_result", "2157 of 3063 elements are wrong")},
}

CONCLUSIONS = {"pass": "PASS", "fail": "FAIL", "wrong": "FAIL"}


def run(repository: Project, name: str) -> tuple[JudgedRun, Project]:
    """A run in one of the situations, judged by two targets."""
    project = with_one_candidate(
        with_stage(repository, target(STALL, below=20), target("dram_throughput", at_least=0.97, of="roof"))
    )
    changes = dict(RUNS[name])
    results = changes.pop("results", usual())
    candidate = changes.pop("candidate", None)
    made = run_of(project, results, **changes)
    found: ReadRun = read(
        made, numbers(results, candidate), foreign_kernels=foreign_kernels(made, project, []), faults={}
    )
    return judge(found, project, [], today=TODAY), project


def printed(width: int, show: Callable[[], None]) -> str:
    usual_width = out.width
    out.width = width
    try:
        with out.capture() as caught:
            show()
    finally:
        out.width = usual_width
    return caught.get()


def gate(repository: Project, name: str, width: int, *, every: bool = False) -> str:
    result, project = run(repository, name)
    return printed(width, lambda: show_judgement(result, project, every=every))


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize("name", RUNS)
def test_the_gate_says_the_same_at_every_width(repository: Project, name: str) -> None:
    shown = {width: gate(repository, name, width) for width in WIDTHS}
    said = {
        width: [w for line in text.splitlines() if "met" not in line for w in words(line)]
        for width, text in shown.items()
    }
    assert said[60] == said[80] == said[120]
    for width, text in shown.items():
        for line in text.splitlines():
            assert len(line) <= width or line.startswith("next ("), line
            assert "…" not in line
            assert not re.match(r" *(%|points|ms|µs)(\W|$)", line), "a number and its unit are in one line"


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_conclusion_is_first_and_last(repository: Project, name: str, width: int) -> None:
    lines = gate(repository, name, width).splitlines()
    word = CONCLUSIONS.get(name, "NOT DECIDED")
    assert lines[0].startswith(word)
    assert [line for line in lines[1:] if line.startswith(word)] == lines[-1:] or lines[-1].startswith("  ")


def test_a_miss_comes_first_with_how_far(repository: Project) -> None:
    lines = gate(repository, "fail", 120).splitlines()
    missed = "waits for global memory by 31.1 points"
    both = f"{missed} (blocked_scan on square), {missed} (blocked_scan on page)"
    assert " ".join(" ".join(lines[:2]).split()) == f"FAIL 2 of 4 targets missed: {both}"
    marked = [line for line in lines if line[0] in "✓✗≈○"]
    about = "blocked_scan on square and page: Waits for global memory (memory_dependency_stall)"
    said = f"✗ fail {about} is 51.1 %; wanted below 20 %: missed by 31.1 points ✓ 2 met: DRAM throughput (2)"
    assert said in " ".join(" ".join(lines).split())
    assert [line.split(":")[0] for line in marked] == ["✗ fail  blocked_scan on square and page", "✓ 2 met"]
    assert any(line.startswith("next (what the time goes to): stallgate report ") for line in lines)


def test_what_is_met_takes_one_line(repository: Project) -> None:
    lines = gate(repository, "pass", 80).splitlines()
    met = "✓ 4 met: Waits for global memory (2), DRAM throughput (2)"
    assert [line for line in lines if line.startswith("✓")] == [met]
    every = gate(repository, "pass", 120, every=True).splitlines()
    assert len([line for line in every if line.startswith("✓ pass")]) == 2, "on square and page"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RUNS)
def test_a_profile_ends_with_a_digest(repository: Project, name: str, width: int) -> None:
    result, project = run(repository, name)
    text = printed(width, lambda: show_digest(result, project))
    lines, said = text.splitlines(), " ".join(text.split())
    assert lines[0].startswith("Results wrong: " if name == "wrong" else "Results ")
    (last,) = [place for place, line in enumerate(lines) if line.startswith(CONCLUSIONS.get(name, "NOT DECIDED"))]
    assert lines[last - 1].startswith("next (")
    assert all(line.startswith("  ") for line in lines[last + 1 :]), "the verdict is the end"
    assert "blocked_scan on square" in said
    expected = {
        "pass": "targets met (2)",
        "fail": "Waits for global memory missed by 31.1 points",
        "undecided": "its samples reach from 19.01 % to 21.03 %",
        "crashed": "not measured: crashed",
        "wrong": "fail: wrong result",
    }
    assert expected.get(name, "") in said
    assert "for global memory (long_scoreboard); what they do" in said, "these runs have one warp state"
    assert "illegal memory access" not in said, "the table above the digest says why"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_plan_fits_and_can_be_copied(width: int) -> None:
    metrics = ["dram__throughput.avg.pct_of_peak", "sm__cycles.sum", "l1tex__t_sector_hit_rate.pct"] * 20
    command = ["ncu", "--nvtx", "--metrics", ",".join(metrics), "--export", "a folder/1.ncu-rep", "python"]
    text = folded(command, width)
    assert max(map(len, text.splitlines())) <= width
    assert shlex.split(text.replace("\\\n", "")) == command


@given(st.lists(st.text("ab,- '\"$=/", min_size=1, max_size=80), min_size=1, max_size=8))
def test_any_command_line_can_be_copied(command: list[str]) -> None:
    assert shlex.split(folded(command, 40).replace("\\\n", "")) == command


def test_the_plan_says_how_long_it_takes(stallgate: Stallgate) -> None:
    first = stallgate("plan").stdout.splitlines()[0]
    assert re.fullmatch(r"\d+ cases?, about \d+ (s|min) by the time of the recording", first)
    assert "time unknown" not in first


def test_the_time_left_is_estimated_from_what_is_done() -> None:
    assert time_left(0, 10, 0.0, 5.0) is None
    assert time_left(2, None, 20.0, 0.0) is None
    assert time_left(2, 10, 20.0, 5.0) == 75.0
    assert time_left(10, 10, 20.0, 5.0) is None
    assert [duration_in_words(seconds) for seconds in (0.2, 40, 200, 4800)] == ["1 s", "40 s", "3 min", "80 min"]
    assert duration_in_words(6000) == "1 h 40 min"
