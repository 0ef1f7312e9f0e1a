"""What figures and the top of the page say, and that it can be read."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from stallgate.extract.table import METRIC_COLUMNS
from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.judge.verdicts import Judgement
from stallgate.measure.plan import Request, plan_cases
from stallgate.model import Metric, Verdict
from stallgate.project.load import Project, load_project
from stallgate.render.figures import (
    Dot,
    FigureRow,
    Limit,
    Panel,
    Share,
    TradePoint,
    panels_figure,
    trade_figure,
    warp_states_figure,
)
from stallgate.render.page import answers
from stallgate.render.pictures import joined, one_more_block, targets_panels, titled, waits, workload_finding
from stallgate.render.sheet import Disc, Sheet, sheet_svg
from stallgate.render.view import View
from stallgate.render.what_limits import limit_in_words, waiting_in_words
from stallgate.runs.folder import create_folder
from stallgate.runs.recording import find_recordings, replay
from tests.conftest import small_tree


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, JudgedRun]:
    project = load_project(small_tree(tmp_path_factory.mktemp("pictures") / "project"))
    cases = plan_cases(project, Request(subjects=[], workloads=[], configurations=[]))
    folder = create_folder(project.reports, "cumprod")
    replay(project, find_recordings(project, cases), cases, folder, [])
    return project, evaluate(project, folder, [], only_judge=True)


def view(measured: tuple[Project, JudgedRun], verdicts: list[Verdict] | None = None) -> View:
    project, result = measured
    if verdicts is not None:
        result = replace(result, judgement=replace(result.judgement, verdicts=verdicts))
    return View(project, result, "cumprod", "square")


def verdict(result: JudgedRun, metric: str) -> Verdict:
    return next(found for found in result.judgement.verdicts if found.metric == metric)


def test_the_tidy_table_as_a_data_frame(measured: tuple[Project, JudgedRun]) -> None:
    _, result = measured
    table = result.table
    assert list(table.columns) == list(METRIC_COLUMNS)
    assert len(table) == len(result.rows)
    whole = table[table["launch"].isna() & (table["metric"] == "duration") & (table["variant"] == "blocked_scan")]
    assert whole["value"].median() == view(measured).median(result.run.cases[-1], "duration")


# --- sentences --------------------------------------------------------------------------------------------------------


def test_the_first_screen_tells_roof_and_what_warps_wait_for(measured: tuple[Project, JudgedRun]) -> None:
    place = view(measured)
    case = next(case for case in place.cases if case.role == "candidate")
    far = r"runs at 9\d\.\d % of copy_roof's speed \(it only moves the bytes\), \d\.\d+ % left"
    assert re.fullmatch(rf"Limit: memory bandwidth; {far}; DRAM [\d.]+ %, .* % of peak", limit_in_words(place, case))
    assert re.fullmatch(r"Warps wait [\d.]+ % of the time for [a-z ]+ \(\w+\)", waiting_in_words(place, case, 1))


def test_a_warp_that_is_ready_does_not_wait(measured: tuple[Project, JudgedRun]) -> None:
    place = view(measured)
    case = next(case for case in place.cases if case.role == "candidate")
    (first, share), (second, less) = waits(place, case)
    assert not {first, second} & {"selected", "not_selected"}
    assert share >= less
    assert place.median(case, "stall_not_selected") is not None
    assert share == place.median(case, f"stall_{first}")


def test_only_what_its_own_configuration_missed_is_counted(measured: tuple[Project, JudgedRun]) -> None:
    missed = replace(verdict(measured[1], "roof_fraction"), status="fail")
    assert workload_finding(view(measured, [missed])).endswith("on square and misses 1 target")
    assert workload_finding(view(measured, [replace(missed, configuration="other")])).endswith("on square")


def test_titles_are_whole_and_say_no_more_than_fits(measured: tuple[Project, JudgedRun]) -> None:
    """Figures wrap a long title: one that is shortened in its middle loses what it is about."""
    assert titled(view(measured), "word " * 60) == "word " * 60
    assert joined(["a" * 80, "b" * 80]) == "a" * 80
    assert joined(["a", "b", "c"]) == "a; b"


@pytest.mark.parametrize(
    ("metric", "value", "bound", "said"),
    [
        ("dram_throughput", 80.0, 88.5, "missed by 8.5 points"),
        ("roof_fraction", 0.485, 0.97, "missed by 48.5 points"),
    ],
)
def test_a_missed_target_says_by_how_much(
    measured: tuple[Project, JudgedRun], metric: str, value: float, bound: float, said: str
) -> None:
    project, result = measured
    failed = replace(verdict(result, metric), status="fail", value=value, bound=bound, sentence="why")
    judged = Judgement(stages=["memory_access"], verdicts=[failed] * 5, notes=[])
    (answer,) = answers(project, replace(result, judgement=judged))
    assert answer.words == "; ".join([f"on square, why ({said})"] * 3 + ["2 more"])


# --- figures ----------------------------------------------------------------------------------------------------------


def test_a_bound_that_nothing_was_judged_by_is_not_drawn(measured: tuple[Project, JudgedRun]) -> None:
    """A fraction of the roof's value is no value: without one to take it of there is no bound."""
    judged = verdict(measured[1], "dram_throughput")
    unjudged = replace(judged, status="not_measured", value=None, bound=0.97, of_roof=None)
    limits = [
        panel.limit.bound
        for found in ([judged], [unjudged])
        for panel in targets_panels(view(measured, found))
        if panel.limit is not None
    ]
    assert limits == [judged.bound]


def test_numbers_on_bars_are_as_dark_or_light_in_either_theme(measured: tuple[Project, JudgedRun]) -> None:
    rows = view(measured).rows
    shares = [
        Share(state, family, [50.0, 50.0], "Meaning of it.") for state, family in (("a", "memory"), ("b", "issue"))
    ]
    svg = sheet_svg(warp_states_figure("title", rows, shares))
    labels = re.findall(r'</title><text style="([^"]*)"[^>]*>50</text>', svg)
    assert len(labels) == 4
    assert not any("var(" in label for label in labels)
    assert svg.count("50 %. Meaning of it.") == 8  # each part of a bar says it, and the number on it


def panel_of(measured: tuple[Project, JudgedRun], metric: str) -> Panel:
    return next(panel for panel in targets_panels(view(measured)) if panel.metric.name == metric)


def test_the_roofs_line_is_drawn_where_it_is_the_goal(measured: tuple[Project, JudgedRun]) -> None:
    """A copy waits for memory and uses few registers: no kernel aims at that."""
    assert panel_of(measured, "dram_throughput").roof is not None
    assert panel_of(measured, "memory_dependency_stall").roof is None
    assert panel_of(measured, "l2_hit_rate").roof is None


def texts(sheet: Sheet, hover: str) -> list[str]:
    return [text.words for text in sheet.texts if text.hover.startswith(hover)]


FRACTION = Metric(name="roof_fraction", title="Fraction", unit="", direction="higher", names=[])
TIME = Metric(name="duration", title="Time", unit="ms", direction="lower", names=[])
ROWS = [FigureRow("fast", "candidate"), FigureRow("limit", "roof"), FigureRow("slow", "baseline")]


def places(sheet: Sheet) -> dict[str, float]:
    """Where the dots are, by the variant."""
    return {mark.hover.split(":")[0]: mark.x for mark in sheet.marks if isinstance(mark, Disc)}


def test_an_axis_tells_apart_what_is_close_to_a_bound() -> None:
    dots = [Dot(value, value, value) for value in (0.99, 1.0, 0.13)]
    panel = Panel(metric=FRACTION, dots=dots, limit=Limit("at_least", 0.97))
    sheet = panels_figure("title", ROWS, [panel, panel])
    at = places(sheet)
    assert at["limit"] - at["fast"] > 20
    assert "slow" not in at, "it is cut"
    assert texts(sheet, "slow: 0.13") == ["0.130"] * 2


def test_a_slow_baseline_does_not_stretch_the_axis() -> None:
    panel = Panel(metric=TIME, dots=[Dot(value, value, value) for value in (2.9, 2.8, 40.0)], roof=2.8)
    sheet = panels_figure("title", ROWS, [panel])
    assert places(sheet)["fast"] > 0.7 * sheet.width
    assert texts(sheet, "slow: 40") == ["40.0"]


def test_units_fit_the_values() -> None:
    """No exponents on an axis, and no nine digits beside a mark."""
    metric = Metric(name="dram_bytes_read", title="Bytes", unit="byte", direction="lower", names=[])
    panel = Panel(metric=metric, dots=[Dot(value, value, value) for value in (537e6, 515_379_456.0, 909_542_912.0)])
    words = [text.words for text in panels_figure("title", ROWS, [panel]).texts]
    assert "Bytes [MB]" in words
    assert {"537", "515", "910"} <= set(words)


def test_coinciding_points_share_a_label() -> None:
    points = [TradePoint(name, "candidate", 20.0, 0.9) for name in ("one", "two")]
    sheet = trade_figure("title", [*points, TradePoint("three", "candidate", 50.0, 0.95)], ("stall", "speed"))
    assert {"one, two", "three"} <= {text.words for text in sheet.texts}


def test_what_one_more_block_takes_is_of_the_resource_that_limits(measured: tuple[Project, JudgedRun]) -> None:
    place = view(measured)
    case = next(case for case in place.cases if case.role == "candidate")
    blocks, threads = place.median(case, "occupancy_limit_registers"), place.median(case, "block_size")
    assert blocks is not None
    assert threads is not None
    (words,) = one_more_block(place, case)
    most = int(words.removeprefix("one more block: at most ").split()[0])
    assert most % 8 == 0
    assert most * threads * (blocks + 1) <= 65_536 < (most + 8) * threads * (blocks + 1)
