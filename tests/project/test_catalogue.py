"""The catalogue: names, chips, formulas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stallgate.errors import BadArgument, UnknownName
from stallgate.model import Exemption
from stallgate.project.catalogue import (
    COMPUTED_OF,
    asked_for,
    collected,
    formula_value,
    listing,
    name_on,
    names_in,
    readable,
    resolve,
)
from stallgate.project.load import Project

OLD_STALL = "smsp__warp_issue_stalled_memory_dependency_per_warp_active.pct"
LONG_SCOREBOARD = "smsp__warp_issue_stalled_long_scoreboard_per_warp_active.pct"


def test_the_old_stall_name_resolves_to_what_exists(repository: Project) -> None:
    metric = resolve(repository.catalogue, OLD_STALL)
    assert metric.name == "memory_dependency_stall"
    assert metric.names == [LONG_SCOREBOARD]
    assert OLD_STALL not in readable(repository.catalogue)


def test_an_ncu_name_resolves_to_its_metric(repository: Project) -> None:
    assert resolve(repository.catalogue, "gpu__time_duration.sum").name == "duration"


def test_an_unknown_name_is_refused_with_the_nearest(repository: Project) -> None:
    with pytest.raises(UnknownName) as refused:
        resolve(repository.catalogue, "dram_troughput")
    assert "dram_throughput" in refused.value.hint


@pytest.mark.parametrize(
    ("chip", "name"),
    [("GH100", "dram__bytes_read.sum"), ("GB202", "dram__bytes_op_read.sum"), (None, "dram__bytes_read.sum")],
)
def test_a_chip_is_asked_for_the_first_name_it_has(repository: Project, chip: str | None, name: str) -> None:
    assert name_on(repository.catalogue, repository.catalogue.metrics["dram_bytes_read"], chip) == name


def test_what_no_chip_has_is_not_asked_for(repository: Project) -> None:
    assert any("gmma" in name for name in collected(repository.catalogue, "GH100"))
    assert not any("gmma" in name for name in collected(repository.catalogue, "AD102"))


def test_wanted_metrics_bring_time_and_their_weights(repository: Project) -> None:
    names = collected(repository.catalogue, "GH100", ["l2_hit_rate"])
    assert names == ["lts__t_sector_hit_rate.pct", "gpu__time_duration.sum", "lts__t_sectors.sum"]


def test_stages_bring_the_metrics_that_they_need(repository: Project) -> None:
    names = collected(repository.catalogue, "GH100", ["registers"], [repository.stage("block_tiling")])
    needed = {"achieved_occupancy", "duration", "occupancy_limit_registers", "occupancy_limit_blocks"}
    assert {name for metric in needed for name in repository.catalogue.metrics[metric].names} <= set(names)
    assert "sm__throughput.avg.pct_of_peak_sustained_elapsed" not in names
    traffic = collected(repository.catalogue, "GH100", ["registers"], [repository.stage("streaming")])
    assert {"dram__bytes_read.sum", "dram__bytes_write.sum"} <= set(traffic)


def test_what_an_excuse_needs_is_brought_too(repository: Project) -> None:
    target = repository.stage("block_tiling").targets[0]
    unless = Exemption(metric=repository.catalogue.metrics["l2_hit_rate"], above=50)
    stage = replace(repository.stage("block_tiling"), targets=[replace(target, unless=unless)])
    assert "lts__t_sector_hit_rate.pct" in collected(repository.catalogue, "GH100", ["registers"], [stage])


def test_what_a_stage_needs_and_the_chip_lacks_is_left_out(repository: Project) -> None:
    target = replace(repository.stage("memory_access").targets[2], metric=repository.catalogue.metrics["stall_gmma"])
    stage = replace(repository.stage("memory_access"), targets=[target])
    names = collected(repository.catalogue, "AD102", ["registers"], [stage])
    assert not any("gmma" in name for name in names)


def test_a_wanted_metric_that_the_chip_lacks_is_refused(repository: Project) -> None:
    with pytest.raises(BadArgument, match="AD102 does not have stall_gmma"):
        collected(repository.catalogue, "AD102", ["stall_gmma"])


def test_every_warp_state_is_a_weighted_share_with_a_formula(repository: Project) -> None:
    states = [metric for metric in repository.catalogue.metrics.values() if metric.state]
    assert len(states) == 19
    for metric in states:
        assert metric.unit == "%"
        assert metric.weight == "warps_active"
        assert metric.family is not None
        assert names_in(metric.formula or "")[0].endswith(f"_stalled_{metric.state}_per_issue_active.ratio")


def test_a_row_for_every_metric_that_the_design_names(repository: Project) -> None:
    short = {
        "duration",
        "roof_fraction",
        "dram_throughput",
        "dram_bytes_read",
        "dram_bytes_written",
        "l2_hit_rate",
        "l2_read_hit_rate",
        "memory_dependency_stall",
        "sm_throughput",
        "achieved_occupancy",
        "grid_size",
        "registers",
        "shared_memory",
    }
    rows = {row["metric"]: row for row in listing(repository.catalogue, "GB202")}
    assert short <= set(rows)
    assert rows["stall_gmma"]["ncu_name"] is None
    assert rows["roof_fraction"]["computed"]


@pytest.mark.parametrize(
    ("formula", "value"),
    [("100 * a__b.ratio / c.sum", 50.0), ("(a__b.ratio + c.sum) - 1", 5.0), ("2", 2.0)],
)
def test_formulas(formula: str, value: float) -> None:
    assert formula_value(formula, {"a__b.ratio": 2.0, "c.sum": 4.0}.__getitem__) == value


def numbers(depth: int = 3) -> st.SearchStrategy[str]:
    """Formulas of numbers and names, as Python reads them."""
    leaf = st.integers(0, 9).map(str) | st.floats(0.5, 99).map(repr) | st.sampled_from(["a__b.ratio", "c.sum"])
    joined = st.tuples(st.deferred(lambda: numbers(depth - 1)), st.sampled_from(["+", " - ", "*", " / "]))
    if not depth:
        return leaf
    return leaf | st.tuples(joined, numbers(depth - 1), st.booleans()).map(
        lambda found: f"({''.join(found[0])}{found[1]})" if found[2] else f"{''.join(found[0])}{found[1]}"
    )


@given(numbers())
def test_a_formula_has_the_value_that_python_gives_it(formula: str) -> None:
    values = {"a__b.ratio": 2.0, "c.sum": 4.0}
    words = formula.replace("a__b.ratio", "2.0").replace("c.sum", "4.0")
    try:
        expected = eval(words)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            formula_value(formula, values.__getitem__)
        return
    assert formula_value(formula, values.__getitem__) == pytest.approx(expected)
    assert sorted(set(names_in(formula))) == sorted(name for name in values if name in formula)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("(" * 500, "levels of parentheses"),
        ("((" * 5000 + "1" + "))" * 5000, "characters"),
        (" + ".join(["a"] * 3000), "characters"),
        ("- " * 500 + "1", "unexpected `"),
        ("a" + ".b" * 900 + "!", "unexpected `"),
        ("9" * 400, "is too large"),
        ("1e999", "is too large"),
        ("1 +", "unexpected end"),
        ("", "unexpected end"),
        ("True and a", "unexpected `"),
        ("1j", "unexpected `"),
        ("a\0", "unexpected `"),
        ("é", "unexpected `"),
    ],
)
def test_a_formula_has_limits(formula: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"formula|unexpected|too large") as refused:
        names_in(formula)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 200


def test_a_formula_of_many_terms_is_computed() -> None:
    formula = "+".join(["a"] * 900)
    assert formula_value(formula, lambda _: 2.0) == 1800.0
    assert len(names_in(formula)) == 900


@pytest.mark.parametrize("formula", ["a ** b", "f(x)", "a if b else c", "a[0]", "'text'"])
def test_a_formula_is_arithmetic_and_nothing_else(formula: str) -> None:
    with pytest.raises(ValueError, match="unexpected `"):
        formula_value(formula, lambda _: 1.0)


def test_no_formula_takes_a_name_twice_removed(repository: Project) -> None:
    for metric in repository.catalogue.metrics.values():
        if metric.formula:
            taken = set(names_in(metric.formula)) & set(repository.catalogue.metrics)
            assert not taken, f"{metric.name}: a formula is of ncu's names, not of {taken}"


def test_missing_names_are_names_of_the_catalogue(repository: Project) -> None:
    assert set(repository.catalogue.missing) <= set(readable(repository.catalogue))
    for chips in repository.catalogue.missing.values():
        assert set(chips) <= set(repository.catalogue.chips)


def test_a_chip_has_the_counters_of_the_one_that_it_is_like(repository: Project) -> None:
    for chip in repository.catalogue.chips.values():
        if chip.like is None:
            continue
        assert repository.catalogue.chips[chip.like].like is None
        for metric in repository.catalogue.metrics.values():
            names = [asked_for(repository.catalogue, metric, name) for name in (chip.name, chip.like)]
            assert names[0] == names[1]


# --- arithmetic -------------------------------------------------------------------------------------------------------

FADD = "smsp__sass_thread_inst_executed_op_fadd_pred_on.sum"
RECENT = ("GA100", "AD102", "GH100", "GB100", "GB202")


def test_counters_that_may_cost_passes_are_asked_for_only_where_they_are_wanted(repository: Project) -> None:
    always = collected(repository.catalogue, "GH100")
    assert "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_elapsed" in always
    assert not [
        name for name in always if "sm__ops_path" in name or ("_inst_executed_op_" in name and "thread" in name)
    ]
    stage = replace(repository.stages["memory_access"], targets=[], shown=[repository.catalogue.metrics["tflops"]])
    of_stage = collected(repository.catalogue, "GH100", None, [stage])
    assert set(always) < set(of_stage)
    assert {FADD, "sm__ops_path_tensor_src_bf16_dst_fp32.sum"} <= set(of_stage)


@pytest.mark.parametrize("chip", RECENT)
@pytest.mark.parametrize("metric", ["tensor_pipe_utilization", "shared_memory_throughput", "fp16_pipe_utilization"])
def test_recent_chips_have_the_yardsticks_of_arithmetic(repository: Project, metric: str, chip: str) -> None:
    assert asked_for(repository.catalogue, repository.catalogue.metrics[metric], chip)


@pytest.mark.parametrize("chip", RECENT)
def test_recent_chips_count_the_operations_of_every_type_that_they_have(repository: Project, chip: str) -> None:
    without = {"tensor_fp8_flops"} if chip in ("GA100", "GB100") else set()  # of GB100, ncu 2025.3.1 lists no counter
    parts = COMPUTED_OF["tflops"]
    assert {n for n in parts if not asked_for(repository.catalogue, repository.catalogue.metrics[n], chip)} == without


def test_a_chip_is_asked_for_the_first_counters_it_has(repository: Project) -> None:
    fp16, fp8 = (repository.catalogue.metrics[f"tensor_{name}_flops"] for name in ("fp16", "fp8"))
    assert asked_for(repository.catalogue, fp16, "GH100") == ["sm__ops_path_tensor_src_fp16.sum"]
    assert len(asked_for(repository.catalogue, fp16, "AD102")) == 2
    assert len(asked_for(repository.catalogue, fp8, "AD102")) == 2
    with pytest.raises(BadArgument, match="GA100 does not have tensor_fp8_flops"):
        collected(repository.catalogue, "GA100", ["tensor_fp8_flops"])


def test_a_metric_of_a_whole_call_brings_the_weights_of_its_parts(repository: Project) -> None:
    names = collected(repository.catalogue, "GH100", ["arithmetic_intensity"])
    assert {FADD, "dram__bytes_read.sum", "gpu__time_duration.sum"} <= set(names)
    listed = {row["metric"]: row for row in listing(repository.catalogue, "GH100")}
    assert listed["fp32_flops"]["ncu_name"] == " + ".join(
        names_in(repository.catalogue.metrics["fp32_flops"].counters[0])
    )
    assert (listed["fp32_flops"]["computed"], listed["tflops"]["computed"]) == (False, True)
