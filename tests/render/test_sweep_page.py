"""The page, the picture and the table of a sweep: made-up sweeps of any size and shape."""

from __future__ import annotations

import json
import random
import re
from html import unescape
from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.judge.front import FrontAxis, FrontPoint, ParetoFront
from stallgate.judge.suggestion import sweep_result
from stallgate.judge.sweep_times import Gain, TimeSpan
from stallgate.project.load import Project
from stallgate.render import terminal
from stallgate.render.sheet import NARROW, WIDE
from stallgate.render.sweep import SWEEP_PAGE, SWEEP_PICTURE, draw_sweep, sweep_html
from stallgate.render.sweep_figures import SweepMarks, front_figure
from stallgate.render.sweep_screen import sweep_step
from stallgate.render.sweep_terminal import show_sweep
from stallgate.render.sweep_words import (
    effect_text,
    evidence,
    gain_short,
    gain_text,
    headline_of,
    microseconds,
    targets_short,
)
from stallgate.runs.sweep import CounterReading, Sweep, TrialState, save_sweep
from tests.conftest import Stallgate
from tests.render.made_up_sweep import DEFAULT, STALL, made_up_sweep
from tests.render.readable import unreadable


def with_long_names(sweep: Sweep) -> Sweep:
    """The same with tunables and a workload whose names have 40 characters."""

    def longer(name: str) -> str:
        return f"{name}_{'which_is_a_name_of_forty_characters_here'}"[:40]

    trials = [
        replace(t, tunables={longer(n): v for n, v in t.tunables.items()}, workload=longer(t.workload))
        for t in sweep.trials
    ]
    return replace(
        sweep,
        trials=trials,
        space=replace(sweep.space, tunables={longer(n): v for n, v in sweep.space.tunables.items()}),
        default={longer(n): v for n, v in sweep.default.items()},
        finals=[replace(f, workload=longer(f.workload)) for f in sweep.finals],
        yardsticks=[replace(y, workload=longer(y.workload)) for y in sweep.yardsticks],
    )


def visible_text(page: str) -> str:
    """The words of a page, without its tags."""
    return unescape(re.sub(r"<[^>]+>", " ", page.replace("<wbr>", "")))


def page_of(project: Project, sweep: Sweep) -> str:
    return sweep_html(project, sweep, sweep_result(project, sweep))


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "500 ns"),
        (3.21987, "3.22 µs"),
        (361.96, "362 µs"),
        (999.9, "1.00 ms"),
        (12345.6, "12.3 ms"),
        (2e6, "2.00 s"),
    ],
)
def test_times_have_three_digits_and_a_unit_that_fits(value: float, text: str) -> None:
    assert microseconds(value) == text


def test_gains_have_their_noise() -> None:
    gain = Gain(percent=7.9786, low=7.91, high=8.03, tie=False)
    assert (gain_text(gain), gain_short(gain)) == ("+7.98 % ± 0.06", "+7.98 %")
    assert gain_short(replace(gain, tie=True)) == "tie"
    assert gain_text(replace(gain, percent=-3.0)).startswith("−3.00 %")
    assert (gain_text(None), effect_text(0.0002), effect_text(0.1234), effect_text(1.5)) == (
        "–", "< 0.1 %", "+12.3 %", "×2.5",
    )  # fmt: skip


def test_the_head_says_what_is_suggested(repository: Project) -> None:
    sweep = made_up_sweep(60)
    result = sweep_result(repository, sweep)
    assert re.fullmatch(r"A configuration takes \d\.\d\d % less time than the default", headline_of(result))
    assert any("Targets of memory_access: 3 of 3 met" in line for line in evidence(sweep, result))
    alone = replace(sweep, trials=[t for t in sweep.trials if t.configuration == "default"], finals=[])
    assert headline_of(sweep_result(repository, alone)) == "No gain beyond noise: keep the default"
    others = replace(sweep, trials=[t for t in sweep.trials if t.configuration != "default"], finals=[])
    assert "has no time to compare with" in headline_of(sweep_result(repository, others))
    nothing = replace(sweep, trials=[replace(t, state="crashed", samples_us=[]) for t in sweep.trials])
    assert headline_of(sweep_result(repository, nothing)) == "No configuration could be timed to the end"


def test_a_miss_is_told_with_its_distance(repository: Project) -> None:
    sweep = made_up_sweep(60)
    stall = CounterReading(median=25.0, least=25.0, most=25.0, samples=3)
    worse = [replace(t, counters={**t.counters, STALL: stall} if t.counters else {}) for t in sweep.trials]
    result = sweep_result(repository, replace(sweep, trials=worse))
    assert headline_of(result).endswith("less time than the default, and misses a target")
    assert sweep_step(sweep, result).command.endswith("--apply && stallgate profile matmul/tiled && stallgate advise")
    assert sweep_step(sweep, sweep_result(repository, sweep)).command.endswith(" && stallgate gate")
    worst = CounterReading(median=60.0, least=60.0, most=60.0, samples=3)
    both = [replace(t, counters={**t.counters, "dram_throughput": worst} if t.counters else {}) for t in worse]
    assert headline_of(sweep_result(repository, replace(sweep, trials=both))).endswith(", and misses 2 targets")
    assert any(
        "✗ memory_dependency_stall 25.0 %, wanted < 20 % (missed by 5.0 points)" in each
        for each in evidence(sweep, result)
    )


def test_an_undecided_target_is_not_called_missed(repository: Project) -> None:
    sweep = made_up_sweep(60)
    stall = CounterReading(median=20.0, least=19.0, most=21.0, samples=3)
    open_ = [replace(t, counters={**t.counters, STALL: stall} if t.counters else {}) for t in sweep.trials]
    result = sweep_result(repository, replace(sweep, trials=open_))
    assert headline_of(result).endswith("less time than the default, and a target is undecided")
    assert result.suggested is not None
    assert result.suggested.style == "open"
    assert targets_short(result.suggested).startswith("≈ ")


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trials", [1, 12, 137])
def test_the_page_holds_every_trial_and_loads_nothing(repository: Project, trials: int) -> None:
    sweep = made_up_sweep(trials)
    page = page_of(repository, sweep)
    assert 'http-equiv="Content-Security-Policy"' in page
    assert set(re.findall(r'(?:src|href)="(?!#|data:)([^"]*)"', page)) == {"../index.html"}
    assert re.findall(r"url\((?!#)[^)]*\)", page) == []
    table = page[page.index('<table id="trials"') :]
    assert table[: table.index("</table>")].count("<tr") == 1 + len(sweep.trials)
    assert page.count("<details>") == 1


def test_the_page_of_400_trials_with_long_names_is_whole(repository: Project) -> None:
    sweep = with_long_names(made_up_sweep(400))
    page = page_of(repository, sweep)
    text = visible_text(page).replace("\n", "")
    assert "BLOCK_M_which_is_a_name_of_forty_charact" in text
    for trial in sweep.trials:
        assert trial.reason in text
    assert len(page) < 800_000


def test_names_and_reasons_are_escaped(repository: Project) -> None:
    sweep = made_up_sweep(12)
    evil = [replace(t, reason="<script>alert(1)</script>") for t in sweep.trials]
    page = page_of(repository, replace(sweep, trials=evil, notes=["<b>note</b>"]))
    assert "<script>alert" not in page
    assert "<b>note" not in page


def test_several_workloads_have_a_front_each_and_a_table(repository: Project) -> None:
    sweep = replace(made_up_sweep(40, workloads=("square", "page")), problem="cumprod", variant="blocked_scan")
    alone = page_of(repository, sweep)
    assert alone.count('class="wide"') == alone.count('class="narrow"') == 1, "the stage judges square alone"
    assert "Each workload alone" not in alone
    page = page_of(repository, replace(sweep, stage=None))
    assert page.count('class="wide"') == page.count('class="narrow"') == 2
    assert "Each workload alone" in page


def test_the_counts_of_the_page_are_those_of_the_trials(repository: Project) -> None:
    sweep = made_up_sweep(137)
    text = visible_text(page_of(repository, sweep))
    for state, words in [("pruned", "excluded by a constraint"), ("stopped", "given up as too slow")]:
        count = sum(trial.state == state for trial in sweep.trials)
        assert re.search(rf"{words}\s+{count}\b", text)


def test_files_are_written_beside_the_run(repository: Project, tmp_path: Path) -> None:
    assert draw_sweep(repository, tmp_path) == []
    save_sweep(tmp_path, made_up_sweep(40))
    assert draw_sweep(repository, tmp_path) == [tmp_path / SWEEP_PAGE, tmp_path / SWEEP_PICTURE]
    assert (tmp_path / SWEEP_PICTURE).read_bytes().startswith(b"\x89PNG")


# --- the picture ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("width", [WIDE, 520.0, NARROW])
def test_the_suggested_one_and_the_default_are_named_however_crowded_it_is(seed: int, width: float) -> None:
    rng = random.Random(seed)
    front = crowded_front(rng, 60)
    labels = {point.configuration: f"{point.configuration}·{'x' * rng.randrange(40)}" for point in front.points}
    labels["default"] = "default"
    figure = front_figure("a title", front, SweepMarks(suggested="c3", labels=labels), width)
    assert unreadable(figure) == []
    axis = next(text.y for text in figure.texts if text.words.startswith("Time [µs]") and text.y > 200)
    named = [text.words for text in figure.texts if text.y < axis]
    assert any(words.startswith("suggested") for words in named[5:])
    assert any("default" in words for words in named if words != "the default")


def crowded_front(rng: random.Random, count: int) -> ParetoFront:
    """Points on a front close together, the default among them."""
    points = []
    for n in range(count):
        x, y = 100 + n * rng.random() * 0.2, 30 - n * 0.3
        name = "default" if n == 5 else f"c{n}"
        points.append(FrontPoint(configuration=name, x=TimeSpan(x, x, x, 3), y=TimeSpan(y, y, y, 3)))
    axis = FrontAxis(metric=STALL, title="Stall", unit="%")
    return ParetoFront(workload="w", x=FrontAxis(metric="time", title="Time", unit="us"), y=axis, points=points)


# --- the terminal and the command line --------------------------------------------------------------------------------


@pytest.mark.parametrize("long", [False, True])
def test_the_terminal_has_80_columns(
    repository: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], long: bool
) -> None:
    monkeypatch.setattr(terminal.out, "_width", 80)
    sweep = made_up_sweep(137)
    sweep = with_long_names(sweep) if long else sweep
    show_sweep(repository, sweep, sweep_result(repository, sweep))
    *lines, last = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert re.match(r"next \(.*\): stallgate \S", last), "a command stays in one line, to be copied"
    assert lines[0].startswith("A configuration takes")
    assert any(line.rstrip().endswith("suggested") for line in lines)


def test_report_show_and_sweep_know_the_sweep_of_a_run(tree: Path, stallgate: Stallgate) -> None:
    assert stallgate("profile").returncode == 0
    folder = (tree / "reports" / "latest").resolve()
    save_sweep(folder, replace(made_up_sweep(40), problem="cumprod", variant="blocked_scan", name=folder.name))
    drawn = stallgate("report").stdout
    assert {"report.html", SWEEP_PAGE, SWEEP_PICTURE} <= {Path(line).name for line in drawn.split()}
    assert "less time than the default" in stallgate("show", "run").stdout
    shown = json.loads(stallgate("show", "run", "--json").stdout)
    assert shown["sweep"]["suggested"]["tunables"] != DEFAULT
    again = json.loads(stallgate("sweep", "--show", folder.name, "--json").stdout)
    assert again["found"] == {**shown["sweep"], "applied": None}
    refused = stallgate("sweep", "--show", folder.name, "--apply")
    assert refused.returncode == 2
    assert "changed since the sweep" in " ".join(refused.stderr.split())
    save_sweep(folder, replace(made_up_sweep(40), complete=False, name=folder.name))
    refused = stallgate("sweep", "--show", folder.name, "--apply")
    assert refused.returncode == 2
    assert "is not complete" in " ".join(refused.stderr.split())


@pytest.mark.parametrize(("state", "fault"), [("wrong_result", "no result is right"), ("crashed", "came to its end")])
def test_where_nothing_is_suggested_the_next_step_says_what_became_of_the_trials(
    repository: Project, state: TrialState, fault: str
) -> None:
    made = made_up_sweep(6)
    sweep = replace(made, trials=[replace(trial, state=state, samples_us=[]) for trial in made.trials])
    step = sweep_step(sweep, sweep_result(repository, sweep))
    assert fault in step.words
    assert step.command == "stallgate check matmul/tiled"


@pytest.mark.parametrize("subject", ["gone/blocked_scan", "cumprod/gone"])
def test_a_suggestion_for_a_variant_that_is_there_no_more_is_refused(
    tree: Path, stallgate: Stallgate, subject: str
) -> None:
    problem, variant = subject.split("/")
    folder = tree / "reports/swept"
    folder.mkdir(parents=True)
    save_sweep(folder, replace(made_up_sweep(40), problem=problem, variant=variant))
    assert stallgate("sweep", "--show", "swept").returncode == 0
    refused = stallgate("sweep", "--show", "swept", "--apply")
    assert refused.returncode == 2
    assert f"is named '{subject if problem == 'cumprod' else problem}'" in " ".join(refused.stderr.split())
