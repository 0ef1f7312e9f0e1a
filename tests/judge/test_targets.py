"""Targets that a run cannot answer: listed as not measured, unless they are left out on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from stallgate.model import Target
from stallgate.project.load import Project
from tests.conftest import Stallgate
from tests.judge.judging import STALL, case, judged, reasons, target, usual, with_stage

STAGE = """
title = "Mine"
focus = "Its own targets."

[[targets]]
metric = "roof_fraction"
at_least = 0.5

[[targets]]
metric = "dram_throughput"
at_least = 0.5
of = "roof"

[[targets]]
metric = "duration"
tolerance = 0.02

[[targets]]
metric = "memory_dependency_stall"
below = 100
"""

NOTE = "judged by absolute targets only: 3 targets that need a roof or a baseline were left out"


@pytest.fixture
def imported(stallgate: Stallgate, tree: Path, recording: Path) -> Path:
    """The recording's own report, imported, and a stage of which three targets of four need a roof or a baseline."""
    (tree / "metrics/stages/mine.toml").write_text(STAGE)
    done = stallgate("import", str(next(recording.glob("ncu/*.ncu-repz"))))
    assert done.returncode == 0, done.stderr
    return (tree / "reports/latest").resolve()


@pytest.mark.whole_recording
def test_an_imported_run_passes_by_no_part_of_its_targets(
    stallgate: Stallgate, imported: Path, latest: Callable[[str], Any]
) -> None:
    """What does not apply to imports is said once, and keeps the gate shut unless it is left out on purpose."""
    done = stallgate("gate", "--stage", "mine")
    assert done.returncode == 3, done.stdout
    verdicts = latest("verdicts.json")["verdicts"]
    judged_on = [v for v in verdicts if v["metric"] == STALL]
    assert len({(v["variant"], v["workload"], v["configuration"]) for v in judged_on}) == len(judged_on) == 12
    assert {v["reason"] for v in judged_on} == {"met"}
    others = {(v["reason"], v["sentence"]) for v in verdicts if v["metric"] != STALL}
    assert len(verdicts) == 12 + len(others)
    roof, baseline = (
        "an imported report has no roof",
        "an imported report has no accepted baseline",
    )
    assert others == {
        ("no_roof", f"roof_fraction and dram_throughput cannot be judged: {roof}"),
        ("no_baseline", f"duration cannot be judged: {baseline}"),
    }


def test_absolute_targets_are_judged_alone_on_purpose_and_everybody_is_told(
    stallgate: Stallgate, imported: Path, latest: Callable[[str], Any]
) -> None:
    done = stallgate("gate", "--stage", "mine", "--targets", "absolute")
    assert done.returncode == 0, done.stdout
    assert NOTE in " ".join(done.stdout.split())
    found = latest("verdicts.json")
    assert (found["targets"], found["exit_status"]) == ("absolute", 0)
    assert NOTE in found["notes"]
    assert {v["metric"] for v in found["verdicts"]} == {STALL}
    assert NOTE in (imported / "summary.md").read_text()
    [suite] = Xml.parse(imported / "junit.xml").getroot()
    properties = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert properties["targets"] == "absolute"
    assert NOTE in properties.values()


RELATIVE = {
    "a fraction": target("roof_fraction", at_least=0.5),
    "of the roof": target("dram_throughput", at_least=0.5, of="roof"),
    "a tolerance": target("duration", tolerance=0.02),
}


@pytest.mark.parametrize("name", RELATIVE)
def test_where_nothing_absolute_is_left_nothing_passes(repository: Project, name: str) -> None:
    found = judged(with_stage(repository, RELATIVE[name]), targets="absolute")
    assert reasons(found) == {("not_measured", "no_target")}
    assert found.exit_status == 3


@pytest.mark.parametrize("needed", RELATIVE.values(), ids=RELATIVE)
@pytest.mark.parametrize("number", [1, 3])
def test_no_target_of_a_case_is_passed_over_without_a_roof_or_baseline(
    repository: Project, needed: Target, number: int
) -> None:
    """The other target is met; the roof crashed, and no baseline is accepted."""
    results = [result for result in usual() if result.role != "roof"]
    found = judged(with_stage(repository, needed, target(STALL, below=100)), results)
    mine = [v for v in found.verdicts if v.metric == needed.metric.name and v.workload == usual()[number].case.workload]
    assert [v.status for v in mine] == ["not_measured"]
    assert found.exit_status == 3
    assert case("blocked_scan") in {result.case for result in results}
