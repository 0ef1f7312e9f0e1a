"""The roofline: its dots, the limits above them, and labels that can be read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from stallgate.extract.table import Summary
from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.measure.plan import Request, plan_cases
from stallgate.project.load import Project, load_project
from stallgate.render.figures import RooflineCeiling, Work, roofline_figure
from stallgate.render.pictures import pictures
from stallgate.render.roofline import roofline
from stallgate.render.sheet import NARROW, WIDE, sheet_svg
from stallgate.render.view import View
from stallgate.runs.folder import create_folder
from stallgate.runs.recording import find_recordings, replay
from tests.conftest import small_tree
from tests.recordings import committed, median_of
from tests.render.readable import unreadable

Measured = tuple[Project, JudgedRun]
FP32, BF16 = (peak or 0.0 for peak in (committed().card.fp32_tflops, committed().card.bf16_tflops))
"""TFLOP/s by the data sheet of the recorded GPU."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A recording from before the counters of arithmetic, without launches with every section."""
    project = load_project(small_tree(tmp_path_factory.mktemp("roofline") / "project"))
    cases = plan_cases(project, Request(subjects=[], workloads=[], configurations=[]))
    folder = create_folder(project.reports, "cumprod")
    replay(project, find_recordings(project, cases), cases, folder, [])
    return project, evaluate(project, folder, [], only_judge=True)


def view(measured: Measured, **medians: float) -> View:
    """The view of `square`, where the candidate has some metrics more."""
    project, result = measured
    case = next(r.case for r in result.run.cases if r.role == "candidate" and r.case.workload == "square")
    more = {
        (case, name): Summary(state="measured", median=value, low=value, high=value, samples=5, ncu_name=name)
        for name, value in medians.items()
    }
    return View(project, replace(result, summaries=result.summaries | more), "cumprod", "square")


def test_a_recording_without_arithmetic_has_no_roofline(measured: Measured) -> None:
    """As older ones are: nothing says which pipe was used."""
    project, result = measured
    known = {key: found for key, found in result.summaries.items() if "pipe" not in key[1]}
    assert roofline(view((project, replace(result, summaries=known)))) is None


def test_dots_are_by_counters_under_the_roof_of_every_pipe_that_was_used(measured: Measured) -> None:
    found = roofline(view(measured, tflops=12.0, fp32_flops=1e9, tensor_bf16_flops=1e12, tensor_fp16_flops=0.0))
    assert found is not None
    assert [(work.name, work.flops_per_second, work.by_need) for work in found.works] == [
        ("blocked_scan", 12e12, False)
    ]
    assert found.counted != "FP32 operations"
    levels = {ceiling.name: ceiling.flops_per_second for ceiling in found.ceilings if ceiling.flops_per_second}
    assert levels == {
        f"FP32 units, {FP32} TFLOP/s (data sheet)": pytest.approx(FP32 * 1e12),
        f"BF16 tensor cores, {BF16} TFLOP/s (data sheet)": pytest.approx(BF16 * 1e12),
    }
    (slope,) = [ceiling for ceiling in found.ceilings if ceiling.bytes_per_second]
    copied = median_of("cumprod/copy_roof/square", "effective_bandwidth")
    assert slope.name == f"the roof, {copied:,.0f} GB/s"


def test_pipes_of_one_peak_are_one_roof(measured: Measured) -> None:
    used = {
        "tflops": 12.0,
        "fp32_flops": 1.0,
        "tensor_fp64_flops": 1.0,
        "tensor_bf16_flops": 1.0,
        "tensor_fp16_flops": 1.0,
    }
    found = roofline(view(measured, **used))
    assert found is not None
    assert {ceiling.name for ceiling in found.ceilings if ceiling.flops_per_second} == {
        f"FP32 units and FP64 tensor cores, {FP32} TFLOP/s (data sheet)",
        f"BF16 and FP16 tensor cores, {BF16} TFLOP/s (data sheet)",
    }


def test_without_counters_a_dot_is_by_need_and_says_so(measured: Measured) -> None:
    """The tensor cores' type is the workload's; the roof only moves bytes, so it has no dot."""
    place = view(measured, tensor_pipe_utilization=40.0, fp64_pipe_utilization=0.0, fp32_pipe_utilization=5.0)
    found = roofline(place)
    assert found is not None
    (work,) = found.works
    assert work.by_need
    assert work.flops_per_second == pytest.approx(1_073_741_824 / median_of("cumprod/blocked_scan/square") * 1e9)
    assert {c.name.split(",")[0] for c in found.ceilings if c.flops_per_second} == {"TF32 tensor cores", "FP32 units"}
    (picture,) = [picture for picture in pictures(place) if picture.name == "roofline"]
    assert "by need where said" in picture.title
    assert "blocked_scan (by need)" in picture.drawing.svg


RATES = {
    "dram_rate": 4.4e10,
    "dram_peak_rate": 1.5e12,
    "flop_rate": 0.0,
    "flop_peak_rate": 1.06e13,
    "fp64_peak_rate": 5.3e12,
}
"""What a launch with every section has, as of an FP64 kernel."""


@pytest.mark.parametrize(
    ("rates", "medians", "counted", "done", "levels"),
    [
        ({}, {"fp64_flops": 4.4e11}, "FP64 operations", 6.2e11, {"FP64 units by their counters": 5.3e12}),
        ({"flop_rate": 2e12}, {"fp64_flops": 0.0}, "FP32 operations", 2e12, {"FP32 units by their counters": 1.06e13}),
        (
            {"flop_rate": 2e12},
            {"fp64_flops": 4.4e11},
            "FP32 and FP64 operations",
            2.62e12,
            {"FP32 units by their counters": 1.06e13, "FP64 units by their counters": 5.3e12},
        ),
    ],
)
def test_a_report_with_every_section_has_the_roof_of_the_units_that_it_used(
    measured: Measured,
    monkeypatch: pytest.MonkeyPatch,
    rates: dict[str, float],
    medians: dict[str, float],
    counted: str,
    done: float,
    levels: dict[str, float],
) -> None:
    usual = {"duration": 7.07e8, "fp32_pipe_utilization": 22.0, "fp64_pipe_utilization": 20.0}
    place = view(measured, **usual, tensor_pipe_utilization=0.8, **medians)
    case = next(r.case for r in place.drawn if r.role == "candidate")
    monkeypatch.setattr(View, "rates", lambda self: {case: {**RATES, **rates}})
    found = roofline(place)
    assert found is not None
    assert found.counted == counted
    assert found.works[0].flops_per_second == pytest.approx(done, rel=0.01)
    assert {c.name: c.flops_per_second for c in found.ceilings if c.flops_per_second} == levels
    (picture,) = [picture for picture in pictures(place) if picture.name == "roofline"]
    assert picture.title.endswith(f"bytes and {counted} by counters")


@pytest.mark.parametrize("busy", [3.0, 60.0])
@pytest.mark.parametrize("pipe", ["tensor", "fp16"])
def test_a_kernel_that_used_a_pipe_that_was_not_counted_has_no_roofline(
    measured: Measured, monkeypatch: pytest.MonkeyPatch, pipe: str, busy: float
) -> None:
    """The FP32 operations of a matmul on the tensor cores say nothing of how fast it is."""
    usual = {"duration": 7.07e8, "fp32_pipe_utilization": 5.0, "fp64_pipe_utilization": 0.0}
    place = view(measured, **usual, **{f"{pipe}_pipe_utilization": busy})
    case = next(r.case for r in place.drawn if r.role == "candidate")
    monkeypatch.setattr(View, "rates", lambda self: {case: {**RATES, "flop_rate": 1e11}})
    assert roofline(place) is None


def test_a_gpu_without_a_data_sheet_has_no_invented_roof(measured: Measured) -> None:
    project, result = measured
    place = view((project, replace(result, gpu_spec=None)), tflops=12.0, tensor_bf16_flops=1.0)
    assert roofline(place) is None


# --- labels -----------------------------------------------------------------------------------------------------------

TERA = 1e12
LEVELS = [
    ("FP64 units, 33.5 TFLOP/s (data sheet)", 33.5),
    ("FP32 units and FP64 tensor cores, 66.9 TFLOP/s (data sheet)", 66.9),
    ("TF32 tensor cores, 494.7 TFLOP/s (data sheet)", 494.7),
    ("BF16 and FP16 tensor cores, 989.4 TFLOP/s (data sheet)", 989.4),
    ("FP8 tensor cores, 1,979 TFLOP/s (data sheet)", 1978.9),
]
CEILINGS = [RooflineCeiling(name=name, flops_per_second=TERA * level) for name, level in LEVELS]
SLOPE = RooflineCeiling(name="DRAM, 3,350 GB/s (data sheet)", bytes_per_second=3350e9)


@pytest.mark.parametrize(
    "works",
    [
        [Work("tiled_matmul (block_k-64)", "candidate", 0.18e12, 620e12), Work("cublas", "roof", 0.14e12, 655e12)],
        [Work("a", "candidate", 1e12, 0.3e12), Work("b", "baseline", 3e12, 0.4e12), Work("c", "baseline", 3e12, 60e12)],
        [Work("on_the_level", "candidate", 1e11, 989e12), Work("just_below", "baseline", 1.1e11, 940e12)],
        [Work("naive", "baseline", 1.9e12, 12e12, True), Work("fp64", "baseline", 0.1e12, 55e12)],
    ],
)
@pytest.mark.parametrize("levels", [1, 2, 5])
def test_no_label_covers_another(works: list[Work], levels: int) -> None:
    for width in (WIDE, NARROW):
        sheet = roofline_figure("title", works, [*CEILINGS[-levels:], SLOPE], "operations", width)
        assert unreadable(sheet) == []


def test_a_dot_says_on_hover_how_its_operations_are_known() -> None:
    works = [Work("counted", "candidate", 1e12, 10e12), Work("by", "baseline", 1e12, 5e12, True)]
    svg = sheet_svg(roofline_figure("title", works, [CEILINGS[0], SLOPE], "operations"))
    assert "counted: 10 TFLOP/s counted at 10 FLOP/byte" in svg
    assert "by: 5 TFLOP/s needed at 5 FLOP/byte" in svg
