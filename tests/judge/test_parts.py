"""The kernels of a call, each on its own."""

from __future__ import annotations

import math
from typing import Any

from msgspec.structs import replace

from stallgate.extract.table import MetricRow, Parts, summarise, summarise_kernels
from tests.judge.judging import case

Part = tuple[str, str, float | None]
"""Sample, kernel, value; None where it has none."""


def rows_of(*parts: Part, metric: str = "duration") -> list[MetricRow]:
    place = {"problem": "cumprod", "variant": "blocked_scan", "configuration": "default", "workload": "square"}
    shared: dict[str, Any] = {
        **place,
        "role": "candidate",
        "metric": metric,
        "unit": "ns",
        "ncu_name": "n",
        "source": "ncu",
        "device": "",
    }
    return [
        MetricRow(
            **shared,
            sample=sample,
            kernel=kernel,
            launch=number,
            value=math.nan if value is None else value,
            state="no_value" if value is None else "measured",
        )
        for number, (sample, kernel, value) in enumerate(parts)
    ]


def parts_of(*parts: Part, metric: str = "duration") -> Parts:
    return summarise_kernels(rows_of(*parts, metric=metric), ["duration"])


def test_each_kernel_has_its_own_median_and_spread() -> None:
    rows: list[Part] = [("0", "scan", 5.0), ("0", "fix", 1.0), ("1", "scan", 7.0), ("1", "fix", 1.5)]
    found = parts_of(*rows)[case("blocked_scan"), "duration"]
    assert {name: (s.low, s.median, s.high, s.samples) for name, s in found.items()} == {
        "scan": (5.0, 6.0, 7.0, 2),
        "fix": (1.0, 1.25, 1.5, 2),
    }


def test_a_kernel_that_is_launched_twice_counts_as_two() -> None:
    rows: list[Part] = [("0", "scan", 5.0), ("0", "scan", 50.0), ("1", "scan", 6.0), ("1", "scan", 60.0)]
    found = parts_of(*rows)[case("blocked_scan"), "duration"]
    assert {name: s.median for name, s in found.items()} == {"scan": 5.5, "scan (2)": 55.0}


def test_a_kernel_that_some_samples_lack_is_absent() -> None:
    found = parts_of(("0", "scan", 5.0), ("0", "fix", 1.0), ("1", "scan", 7.0))[case("blocked_scan"), "duration"]
    assert (found["fix"].state, found["fix"].median) == ("absent", None)
    assert found["scan"].state == "measured"


def test_a_sample_without_a_value_and_a_detail_launch() -> None:
    found = parts_of(("0", "scan", 5.0), ("1", "scan", None), ("detail", "scan", 9.0))[case("blocked_scan"), "duration"]
    assert (found["scan"].state, found["scan"].samples) == ("no_value", 2)


def test_a_kernel_without_the_metric_is_absent_beside_one_that_has_it() -> None:
    """So that a bound on every kernel is not met by those kernels alone that have the metric."""
    rows = rows_of(("0", "scan", 5.0), ("1", "scan", 5.0)) + rows_of(
        ("0", "fix", 1.0), ("1", "fix", 1.0), metric="other"
    )
    both = [replace(row, launch=number) for number, row in enumerate(rows)]
    found = summarise_kernels(both, ["duration"])[case("blocked_scan"), "duration"]
    assert {name: (s.state, s.median) for name, s in found.items()} == {
        "scan": ("measured", 5.0),
        "fix": ("absent", None),
    }


def test_a_metric_that_a_call_lacks_is_absent() -> None:
    """So that no median is of the calls alone that have it."""
    whole = [replace(row, launch=None) for row in rows_of(("0", "", 5.0), ("1", "", 5.0))]
    partly = [replace(row, launch=None) for row in rows_of(("0", "", 1.0), metric="other")]
    found = summarise([*whole, *partly])
    assert found[case("blocked_scan"), "duration"].median == 5.0
    assert found[case("blocked_scan"), "other"].state == "absent"


def test_other_metrics_are_left_out() -> None:
    assert parts_of(("0", "scan", 5.0), metric="traffic") == {}
