"""What data sheets say of arithmetic."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from stallgate.model import Workload
from stallgate.project.arithmetic import float_types, ridge
from stallgate.project.load import Project


def workload(*words: object) -> Workload:
    return Workload(name="w", arguments={"inputs": list(words)}, bytes=1, flops=1)


def test_types_are_found_wherever_a_workload_names_them() -> None:
    assert float_types(workload("bfloat16[4096,4096]", "float8_e4m3fn[8]", "bfloat16[8]")) == ["bfloat16", "float8"]
    assert float_types(workload("int64[8]", 3)) == []


@pytest.mark.parametrize(("dtype", "peak"), [("bfloat16", 989.4), ("float32", 494.7), ("float64", 66.9)])
def test_the_ridge_is_that_of_the_fastest_unit(repository: Project, dtype: str, peak: float) -> None:
    spec = repository.gpu_specs["h100_sxm"]
    assert ridge(spec, workload(dtype)) == pytest.approx(peak * 1000 / 3350)


def test_an_older_card_without_peaks_still_has_a_ridge_where_it_can(repository: Project) -> None:
    spec = replace(repository.gpu_specs["h100_sxm"], fp64_tflops=None, fp64_tensor_tflops=None, fp32_tflops=None)
    assert ridge(spec, workload("float64")) is None
    assert ridge(spec, workload("float32")) is not None
    assert ridge(spec, workload("int32")) is None


def test_every_peak_has_its_source(repository: Project) -> None:
    for spec in repository.gpu_specs.values():
        assert spec.fp32_tflops is None or "NVIDIA" in spec.source
