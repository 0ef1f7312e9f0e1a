"""The tidy table: what is written as CSV is read as it was, or refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from msgspec.structs import asdict, replace

from stallgate.extract.table import MetricRow, as_csv, from_csv

WHOLE = MetricRow(
    problem="cumprod",
    variant='nan, or "other"',
    role="candidate",
    configuration="default",
    workload="square\r\n",
    sample="1",
    kernel="",
    launch=None,
    metric="duration",
    value=2.5,
    state="measured",
    unit="ns",
    ncu_name="gpu__time_duration.sum",
    source="ncu",
    device="0",
)
LAUNCH = replace(WHOLE, kernel="a" * 200_000, launch=3)


def test_whole_calls_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    gap = replace(WHOLE, value=math.nan, state="absent")
    path.write_text(as_csv([WHOLE, LAUNCH, gap, replace(WHOLE, metric="other")]), newline="")
    found, empty = from_csv(path, {"duration"})
    assert found == WHOLE
    assert math.isnan(empty.value)
    assert asdict(empty) | {"value": 0} == asdict(gap) | {"value": 0}


@pytest.mark.parametrize("damage", ["", "problem,variant\n", as_csv([WHOLE])[:-30], as_csv([WHOLE]) + "1,2\n"])
def test_what_is_not_a_whole_table_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(damage, newline="")
    with pytest.raises(ValueError, match="it is incomplete"):
        from_csv(path, {"duration"})
