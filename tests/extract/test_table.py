"""The tidy table: what is written as CSV is read as it was, or refused."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from msgspec.structs import asdict, replace

from stallgate.extract.launches import is_read, reading
from stallgate.extract.table import MetricRow, as_csv, flops_done, from_csv
from stallgate.model import Launch, RawMetric, Reading
from stallgate.project.load import Project

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


def test_a_table_from_before_cases_had_names_is_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    with (tmp_path / "new.csv").open("w", newline="") as file:
        file.write(as_csv([WHOLE]))
    with (tmp_path / "new.csv").open(newline="") as new, path.open("w", newline="") as old:
        csv.writer(old).writerows(line[:-1] for line in csv.reader(new))
    assert from_csv(path, {"duration"}) == [WHOLE]


@pytest.mark.parametrize("damage", ["", "problem,variant\n", as_csv([WHOLE])[:-30], as_csv([WHOLE]) + "1,2\n"])
def test_what_is_not_a_whole_table_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(damage, newline="")
    with pytest.raises(ValueError, match="it is incomplete"):
        from_csv(path, {"duration"})


# --- operations -------------------------------------------------------------------------------------------------------


def launch(values: dict[str, float]) -> Launch:
    metrics = {name: RawMetric(has_value=True, value=value, unit="") for name, value in values.items()}
    return Launch(index=0, kernel="k", ranges=[], metrics=metrics)


FP32 = "smsp__sass_thread_inst_executed_op_{}_pred_on.sum"
COUNTS = {FP32.format("fadd"): 10.0, FP32.format("fmul"): 20.0, FP32.format("ffma"): 100.0}


def test_operations_are_added_up_of_their_counters(repository: Project) -> None:
    metric = repository.catalogue.metrics["fp32_flops"]
    found = reading(launch(COUNTS), metric)
    assert (found.state, found.value, found.source) == ("measured", 230.0, "formula")
    assert not is_read(launch({FP32.format("fadd"): 1.0}), metric), "some of its counters are not all of them"


def test_a_report_with_every_section_has_them_as_rates(repository: Project) -> None:
    rates = {f"{name}.per_cycle_elapsed": value / 1000 for name, value in COUNTS.items()}
    found = reading(
        launch({**rates, "smsp__cycles_elapsed.avg.per_second": 1e9, "gpu__time_duration.sum": 1000.0}),
        repository.catalogue.metrics["fp32_flops"],
    )
    assert found.value == pytest.approx(230.0)


def test_nothing_is_read_of_a_metric_that_nobody_asked_for(repository: Project) -> None:
    metrics = repository.catalogue.metrics
    assert not is_read(launch({}), metrics["tensor_bf16_flops"])
    assert is_read(launch({}), metrics["tensor_pipe_utilization"]), "this one is asked for always: it is absent"


VECTOR = {"fp32_flops": 8.0, "fp64_flops": 1.0, "fp16_flops": 0.0}


def readings(**values: float | None) -> dict[str, Reading]:
    return {
        name: Reading(state="absent" if value is None else "measured", value=value, ncu_name=name, source="ncu")
        for name, value in values.items()
    }


@pytest.mark.parametrize(
    ("values", "done"),
    [
        ({**VECTOR, "tensor_bf16_flops": 100.0, "tensor_pipe_utilization": 80.0}, 109.0),
        ({**VECTOR, "tensor_pipe_utilization": 0.0}, 9.0),
        ({**VECTOR, "tensor_bf16_flops": 0.0, "tensor_int8_ops": 50.0, "tensor_pipe_utilization": 9.0}, 9.0),
        ({**VECTOR, "tensor_bf16_flops": 0.0, "tensor_pipe_utilization": 80.0}, None),
        ({**VECTOR, "tensor_bf16_flops": None, "tensor_fp16_flops": 5.0, "tensor_pipe_utilization": 80.0}, None),
        ({**VECTOR, "tensor_pipe_utilization": 80.0}, None),
        (VECTOR, None),
        ({"fp32_flops": 8.0, "tensor_bf16_flops": 100.0}, None),
        ({}, None),
    ],
)
def test_operations_are_known_only_where_all_were_counted(values: dict[str, float | None], done: float | None) -> None:
    """Where the tensor pipe was busy and no counter moved, it worked on a type without one."""
    assert flops_done(readings(**values)) == done
