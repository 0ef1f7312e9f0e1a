"""Every number of random launches and metrics is the one that NVIDIA's ``ncu_report`` gives.

This test asks the library itself, in a process of its own, as the reader does.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stallgate.extract.launches import read_report, reading
from stallgate.model import Launch
from stallgate.project.catalogue import readable
from stallgate.project.load import Project
from tests.conftest import ROOT

REPORTS = sorted(ROOT.glob("reports/recorded/*/*/ncu/*.ncu-repz"))
LAUNCHES, METRICS = 20, 60
"""How many of a report are compared."""

_ASKED = """
import json, sys
import ncu_report

context = ncu_report.load_report(sys.argv[1])
spans = [context.range_by_idx(number) for number in range(context.num_ranges())]
actions = [span.action_by_idx(number) for span in spans for number in range(span.num_actions())]
found = []
for action in actions:
    values = {}
    for name in action.metric_names():
        metric = action.metric_by_name(name)
        value = metric.value() if metric.has_value() else None
        values[name] = repr(value) if isinstance(value, float) else value
    found.append([action.name(), values])
print(json.dumps(found))
"""


def asked_of_nvidia(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Kernel and metrics of every launch; floats as Python writes them, which loses nothing."""
    done = subprocess.run([sys.executable, "-c", _ASKED, str(path)], capture_output=True, text=True, check=True)
    return [(kernel, values) for kernel, values in json.loads(done.stdout)]


def same(ours: object, theirs: object) -> bool:
    """Whether two values are equal to the last digit. NaN and infinities are NaN here: they are not finite."""
    if isinstance(ours, float):
        told = float(str(theirs))
        return ours == told or (math.isnan(ours) and not math.isfinite(told))
    return ours == theirs


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: "-".join(path.parts[-3:]))
def test_every_number_is_the_librarys_own(path: Path) -> None:
    theirs = asked_of_nvidia(path)
    names = sorted({name for _, values in theirs for name in values})
    chance = random.Random(path.name)
    asked = chance.sample(names, min(METRICS, len(names)))
    ours = read_report(path, asked).launches
    assert len(ours) == len(theirs)
    for number in chance.sample(range(len(ours)), min(LAUNCHES, len(ours))):
        launch, (kernel, values) = ours[number], theirs[number]
        assert launch.kernel == kernel
        for name in asked:
            assert (name in launch.metrics) == (name in values), name
            if name in values:
                raw = launch.metrics[name]
                assert same(raw.value, values[name]), (number, name, raw.value, values[name])
                assert raw.has_value == (values[name] is not None)


def measured_of(launch: Launch, project: Project) -> dict[str, float]:
    """ncu name -> value, of each metric that was read under a single name."""
    found = (reading(launch, metric) for metric in project.catalogue.metrics.values())
    return {each.ncu_name: each.value for each in found if each.value is not None and each.source == "ncu"}


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: "-".join(path.parts[-3:]))
def test_a_reading_is_the_value_of_the_name_that_it_tells(repository: Project, path: Path) -> None:
    theirs = asked_of_nvidia(path)
    ours = read_report(path, readable(repository.catalogue)).launches
    compared = 0
    for launch, (_, values) in zip(ours, theirs, strict=True):
        for name, value in measured_of(launch, repository).items():
            assert value == float(values[name]), (launch.index, name)
            compared += 1
    assert compared > 5 * len(ours)
