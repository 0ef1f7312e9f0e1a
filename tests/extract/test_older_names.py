"""Names of older versions of ncu, and other rollups: read as the metric that they are, with the name that was read."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from stallgate.extract.imported import import_reports
from stallgate.extract.launches import chip_in, read_report, reading
from stallgate.model import Launch, RawMetric
from stallgate.project.catalogue import asked_for, formula_value, names_in, readable
from stallgate.project.load import Project
from stallgate.runs.folder import load
from tests.conftest import ROOT


def launch(**values: float) -> Launch:
    """A launch with some metrics."""
    return Launch(index=0, kernel="k", ranges=[], metrics={name: RawMetric(True, v, "") for name, v in values.items()})


@pytest.mark.parametrize(
    ("metric", "values", "value", "ncu_name"),
    [
        ("duration", {"gpu__time_duration": 1600.0}, 1600.0, "gpu__time_duration"),
        ("duration", {"gpu__time_duration.avg": 1600.0}, 1600.0, "gpu__time_duration.avg"),
        ("duration", {"gpu__time_duration.sum": 5.0, "gpu__time_duration": 7.0}, 5.0, "gpu__time_duration.sum"),
        ("dram_bytes_read", {"dram__read_bytes": 64.0}, 64.0, "dram__read_bytes"),
        ("dram_bytes_read", {"dram__sectors_read.sum": 2.0}, 64.0, "32 * dram__sectors_read.sum"),
        ("sm_throughput", {"sm__sol_pct": 40.0}, 40.0, "sm__sol_pct"),
        (
            "dram_throughput",
            {"dram__read_pct": 0.25, "dram__write_pct": 1.5},
            1.75,
            "dram__read_pct + dram__write_pct",
        ),
        (
            "l2_hit_rate",
            {"lts__request_total_sectors_hitrate_pct": 51.0},
            51.0,
            "lts__request_total_sectors_hitrate_pct",
        ),
        (
            "stall_no_instruction",
            {"smsp__warp_cycles_per_issue_stall_no_instructions": 2.0, "smsp__warp_cycles_per_issue_active": 8.0},
            25.0,
            "100 * smsp__warp_cycles_per_issue_stall_no_instructions / smsp__warp_cycles_per_issue_active",
        ),
    ],
)
def test_an_older_name_is_read_and_told(
    repository: Project, metric: str, values: dict[str, float], value: float, ncu_name: str
) -> None:
    found = reading(launch(**values), repository.catalogue.metrics[metric])
    assert (found.state, found.value, found.ncu_name) == ("measured", value, ncu_name)


def test_an_older_name_is_never_asked_for(repository: Project) -> None:
    for metric in repository.catalogue.metrics.values():
        older = {name for formula in metric.older for name in names_in(formula)}
        for chip in (None, *repository.catalogue.chips):
            assert not older.intersection(asked_for(repository.catalogue, metric, chip)), metric.name


def test_an_older_value_is_held_to_the_metrics_range(repository: Project) -> None:
    assert reading(launch(sm__sol_pct=140.0), repository.catalogue.metrics["sm_throughput"]).state == "out_of_range"


DETAILED = sorted(ROOT.glob("reports/recorded/*/*/ncu/*.ncu-repz"))


def test_where_a_report_has_both_names_they_say_the_same(repository: Project) -> None:
    """Recordings with every section have some of the older names beside the newer ones."""
    compared = set()
    for path in DETAILED:
        for found in read_report(path, readable(repository.catalogue)).launches:
            for metric in repository.catalogue.metrics.values():
                new = reading(found, metric)
                for formula in metric.older:
                    values = {name: found.metrics[name].value for name in names_in(formula) if name in found.metrics}
                    if new.value is None or len(values) < len(names_in(formula)):
                        continue
                    old = formula_value(formula, lambda name: float(values[name]))  # type: ignore[arg-type]  # noqa: B023
                    # warp states are of different passes
                    assert old == pytest.approx(new.value, rel=1e-9 if metric.state is None else 0.05, abs=0.1)
                    compared.add(metric.name)
    assert {"duration", "dram_bytes_read", "dram_bytes_written", "shared_memory"} <= compared


# --- chips ---


@pytest.mark.parametrize(
    ("number", "chip"),
    [(384.0, "GH100"), (372, "GA104"), (360.0, "TU116"), (0x134, "GP104"), (0x1B3, "GB203"), (9999.0, None)],
)
def test_a_report_says_its_chip_by_number(number: float, chip: str | None) -> None:
    assert chip_in(launch(device__attribute_chip=number)) == chip


@pytest.mark.parametrize("values", [{}, {"device__attribute_chip": math.nan}, {"device__attribute_chip": -1.0}])
def test_a_report_that_does_not_say_its_chip_has_none(values: dict[str, float]) -> None:
    assert chip_in(launch(**values)) is None


def test_every_chip_of_a_report_that_ncu_still_knows_is_in_the_catalogue(repository: Project) -> None:
    told = {chip_in(launch(device__attribute_chip=number)) for number in range(0x140, 0x1C0)} - {None}
    assert told <= set(repository.catalogue.chips)


def test_an_import_knows_the_chip(tmp_path: Path) -> None:
    run = load(import_reports([DETAILED[0]], tmp_path, []))
    assert run.attempts[0].environment is not None
    assert run.attempts[0].environment.chip == "GH100"
