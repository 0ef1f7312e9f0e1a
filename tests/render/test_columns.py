"""Tables of cases: the stage's metrics are the columns, and they fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from stallgate.project.load import Project
from stallgate.render.columns import CaseColumn, case_columns, fitting_columns
from tests.conftest import Stallgate


def test_columns_are_the_time_and_what_the_stages_judge_then_what_they_show(repository: Project) -> None:
    columns = case_columns(repository.catalogue, repository.metrics_of(["cumprod"]))
    names = ["duration", "roof_fraction", "dram_throughput", "memory_dependency_stall", "l2_hit_rate"]
    assert [column.metric.name for column in columns] == names
    without = case_columns(repository.catalogue, [])
    assert without[0].metric.name == "duration"
    assert len(without) > 1


def test_a_heading_has_its_unit_and_short_lines(repository: Project) -> None:
    for metric in repository.catalogue.metrics.values():
        lines = CaseColumn(metric).wrapped.splitlines()
        longest = max(len(word) for word in f"{metric.title}".replace("-", "- ").split())
        assert max(map(len, lines)) <= max(11, longest, len(metric.unit) + 2)
    assert CaseColumn(repository.catalogue.metrics["duration"]).heading == "Duration [ms]"


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("duration", 2_838_000.0, "2.84"),
        ("duration", None, "–"),
        ("dram_bytes_read", 4.29e9, "4.29 GB"),
        ("tflops", 622.94, "623"),
        ("roof_fraction", 1.0, "1.00"),
        ("registers", 128.0, "128"),
        ("duration", 52_000_000_000.0, "52,000"),
        ("effective_bandwidth", 3190.2, "3,190"),
        ("effective_bandwidth", 999.7, "1,000"),
        ("dram_throughput", 0.0407, "0.0407"),
        ("tflops", 0.0, "0"),
    ],
)
def test_values_are_short(repository: Project, metric: str, value: float | None, text: str) -> None:
    assert CaseColumn(repository.catalogue.metrics[metric]).text(value) == text


@pytest.mark.parametrize(
    ("times", "heading", "texts"),
    [
        ([1600.0, 1472.0], "Duration [µs]", ["1.60", "1.47"]),
        ([84_100.0, 2_838_000.0], "Duration [ms]", ["0.0841", "2.84"]),
        ([5.2e10, 6.01e10], "Duration [s]", ["52.0", "60.1"]),
        ([1600.0, 5.2e10, None], "Duration [ms]", ["0.00160", "52,000", "–"]),
        ([None], "Duration [ms]", ["–"]),
    ],
)
def test_times_of_a_table_are_in_one_unit_that_suits_them(
    repository: Project, times: list[float | None], heading: str, texts: list[str]
) -> None:
    column = CaseColumn(repository.catalogue.metrics["duration"]).holding(times)
    assert column.heading == heading
    assert [column.text(time) for time in times] == texts


def test_columns_are_dropped_from_the_right_and_one_stays(repository: Project) -> None:
    columns = case_columns(repository.catalogue, repository.metrics_of(["cumprod"]))
    row = ["2.84"] * len(columns)
    assert fitting_columns(columns, [row], 200) == len(columns)
    assert 1 < fitting_columns(columns, [row], 40) < len(columns)
    assert fitting_columns(columns, [row], 3) == 1


def test_at_80_columns_the_table_fits_and_says_what_it_leaves_out(stallgate: Stallgate, tree: Path) -> None:
    path = tree / "metrics/stages/memory_access.toml"
    shown = [
        "tflops",
        "dram_bytes_read",
        "dram_bytes_written",
        "arithmetic_intensity",
        "stall_long_scoreboard",
        "waves",
    ]
    path.write_text(path.read_text().replace('"l2_hit_rate"]', f'"l2_hit_rate", {", ".join(map(repr, shown))}]'))
    lines = stallgate("profile", COLUMNS="80").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    said = " ".join(" ".join(lines).split())
    assert "Fraction of" in said
    assert "no room for" in said
    assert "Waves: a wider terminal, the page and metrics.csv have them" in said
    wide = stallgate("profile", COLUMNS="240").stdout
    assert "no room for" not in wide
    assert "Waves" in wide


def test_a_stage_with_other_metrics_has_other_columns_everywhere(stallgate: Stallgate, tree: Path) -> None:
    path = tree / "kernels/cumprod/problem.toml"
    path.write_text(path.read_text().replace('stages = ["memory_access"]', 'stages = ["block_tiling"]'))
    table = stallgate("profile", "--report").stdout
    assert "occupancy" in table
    assert "stall" not in table.partition("cumprod · square")[2].partition("\n\n")[0], "the digest is below"
    summary = (tree / "reports/latest/summary.md").read_text()
    assert "Achieved occupancy" in summary
    assert "L2 hit rate" not in summary
    page = (tree / "reports/latest/report.html").read_text()
    heads = page[page.index('class="cases ') :].partition("</thead>")[0]
    assert "Achieved occupancy" in heads
    assert "L2 hit rate" not in heads
