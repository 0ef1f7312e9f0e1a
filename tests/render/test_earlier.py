"""Charts show the values of an earlier run beside those of this one, and mark the results that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.compare.since import since_last
from stallgate.judge.evaluate import JudgedRun, evaluate, write_results
from stallgate.measure.plan import Request, plan_cases
from stallgate.model import Metric
from stallgate.project.load import Project, load_project
from stallgate.render.figures import (
    Dot,
    EarlierStates,
    FigureRow,
    Limit,
    Panel,
    RooflineCeiling,
    Share,
    TradePoint,
    Work,
    panels_figure,
    roofline_figure,
    trade_figure,
    warp_states_figure,
)
from stallgate.render.memory_chart import Link, MemoryPath, memory_figure, memory_paths
from stallgate.render.pictures import charted_metrics, pictures
from stallgate.render.sheet import NARROW, WIDE, Shape, Sheet
from stallgate.render.units import units
from stallgate.render.view import View
from stallgate.runs.folder import create_folder
from stallgate.runs.recording import find_recordings, replay
from tests.compare.earlier import earlier
from tests.conftest import small_tree

FACTORS = {"dram_throughput": 0.5, "dram_bytes_read": 1.5, "l2_hit_rate": 0.8, "stall_long_scoreboard": 2.0}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, JudgedRun, Path]:
    """A run, and a copy of it from before with other numbers of its candidate."""
    project = load_project(small_tree(tmp_path_factory.mktemp("earlier") / "project"))
    cases = plan_cases(project, Request(subjects=[], workloads=[], configurations=[]))
    folder = create_folder(project.reports, "cumprod")
    replay(project, find_recordings(project, cases), cases, folder, [])
    result = evaluate(project, folder, [])
    write_results(result)
    return project, result, earlier(folder, 20, FACTORS)


@pytest.fixture(scope="module")
def view(measured: tuple[Project, JudgedRun, Path]) -> View:
    project, result, _ = measured
    (since,) = since_last(project, result, charted_metrics(project.catalogue))
    return View(project, result, "cumprod", "square", since)


def words(sheet: Sheet) -> str:
    return " ".join(text.words for text in sheet.texts)


def test_charts_have_the_numbers_of_the_run_before(view: View, measured: tuple[Project, JudgedRun, Path]) -> None:
    assert view.base == measured[2].name
    place = next(number for number, case in enumerate(view.drawn) if case.role == "candidate")
    dram = next(unit for unit in units(view) if unit.name == "DRAM")
    assert dram.before[place] == pytest.approx(0.5 * (dram.shares[place] or 0))
    path = memory_paths(view)[0]
    assert path.links[-1].before[0] == pytest.approx(1.5 * (path.links[-1].read or 0))
    assert path.hits_before[1] == pytest.approx(0.8 * (path.hits[1] or 0))
    drawn = {picture.name: picture.drawing.svg for picture in pictures(view)}
    marks = {
        "targets": "thin upright mark",
        "distance": "thin upright mark",
        "units": "thin upright mark",
        "memory": "In brackets",
        "warp-states": "thin bars",
        "occupancy": "thin bar",
    }
    for name, thing in marks.items():
        assert thing in drawn[name]
        assert view.base in drawn[name]
        assert " before</title>" in drawn[name]


def test_a_trade_and_a_roofline_lead_from_where_a_variant_was() -> None:
    points = [TradePoint("a", "candidate", 20.0, 0.9, (40.0, 0.5)), TradePoint("b", "candidate", 10.0, 0.8)]
    trade = trade_figure("title", points, ("waits [%]", "speed"), "the base")
    works = [Work("a", "candidate", 1e12, 5e12, before=(2e12, 4e12))]
    ceilings = [RooflineCeiling("peak", flops_per_second=1e14), RooflineCeiling("DRAM", bytes_per_second=3e12)]
    roofline = roofline_figure("title", works, ceilings, "operations", "the base")
    for sheet, said in ((trade, "a: 40, 0.5 before"), (roofline, "a: 4 TFLOP/s at 2 FLOP/byte before")):
        assert [mark.hover for mark in sheet.marks if mark.hover.endswith("before")] == [said]
        assert "the base" in words(sheet)


@pytest.mark.parametrize(("before", "inside"), [(95.0, True), (20.0, False)])
def test_a_value_of_before_does_not_hide_the_headroom(before: float, inside: bool) -> None:
    """A mark on the axis, or a head at its edge: what is close to the bound stays apart."""
    metric = Metric(name="m", title="m", unit="%", direction="higher", names=[])
    dot = Dot(median=99.0, low=99.0, high=99.0, earlier=before)
    panel = Panel(metric=metric, dots=[dot], limit=Limit("at_least", 94.0))
    sheet = panels_figure("title", [FigureRow("scan", "candidate")], [panel], "the base")
    (mark,) = [each for each in sheet.marks if isinstance(each, Shape) and each.hover.endswith(" before")]
    assert (len(mark.points) == 2) == inside
    assert "94" in words(sheet)
    assert "20" not in [text.words for text in sheet.texts]


def test_charts_say_nothing_of_before_where_there_is_no_run(measured: tuple[Project, JudgedRun, Path]) -> None:
    alone = View(measured[0], measured[1], "cumprod", "square")
    for picture in pictures(alone):
        assert " before</title>" not in picture.drawing.svg
        assert not any(phrase in picture.drawing.svg for phrase in ("In brackets", "thin bars", "thin upright"))


def test_what_cannot_be_compared_is_not_shown(measured: tuple[Project, JudgedRun, Path]) -> None:
    project, result, _ = measured
    cases = [replace(case, outcome="crashed") if case.role == "candidate" else case for case in result.run.cases]
    (since,) = since_last(project, replace(result, run=replace(result.run, cases=cases)))
    assert not [case for case, _ in since.earlier if case.variant == "blocked_scan"]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_number_of_before_is_written_even_where_it_does_not_fit_beside(width: float) -> None:
    links = [
        Link(name, 4.29e9, 4.29e9, 50.0, (5.37e9, 4.29e9, 61.2)) for name in ("SM to L1", "L1 to L2", "L2 to DRAM")
    ]
    path = MemoryPath("scan", "candidate", links, [10.0, 20.0], None, None, (10.0, 33.3))
    said = words(memory_figure("title", [path], "", "the base", width))
    assert said.count("5.37 GB") == 3
    assert said.count("61.2 %") == 3
    assert said.count("33.3 %") == 1
    assert "(4.29 GB)" not in said, "what is the same is not said twice"


def test_the_thin_bar_is_as_long_as_the_states_took_before() -> None:
    rows = [FigureRow(name="scan", role="candidate")]
    states = [Share("a", "memory", [60.0], before=[30.0]), Share("b", "sync", [40.0], before=[70.0])]
    sheet = warp_states_figure("title", rows, states, [10.0], EarlierStates("the base", [5.0]))
    bars = [mark for mark in sheet.marks if isinstance(mark, Shape) and mark.hover.startswith("scan: ")]
    thin, thick = [[bar for bar in bars if bar.hover.endswith("before") == was] for was in (True, False)]
    lengths = [max(x for bar in found for x, _ in bar.points) - min(x for bar in found for x, _ in bar.points)
               for found in (thin, thick)]  # fmt: skip
    assert lengths[0] == pytest.approx(lengths[1] / 2)
    unknown = warp_states_figure("title", rows, states, [10.0], EarlierStates("the base", [None]))
    assert "the base" not in words(unknown)


# --- wrong results ----------------------------------------------------------------------------------------------------


def test_a_wrong_result_is_marked_beside_its_numbers_in_every_figure(
    measured: tuple[Project, JudgedRun, Path],
) -> None:
    project, result, _ = measured
    cases = [replace(case, edge_case_fault="off by one" if case.role == "roof" else "") for case in result.run.cases]
    marked = View(project, replace(result, run=replace(result.run, cases=cases)), "cumprod", "square")
    for name, role in ((row.name, row.role) for row in marked.rows):
        assert name.endswith("✗ wrong") == (role == "roof")
    everything = [replace(case, edge_case_fault="off by one") for case in cases]
    wrong = View(project, replace(result, run=replace(result.run, cases=everything)), "cumprod", "square")
    for picture in pictures(wrong):
        assert "✗ wrong" in picture.drawing.svg, picture.name
