"""The reference: its data stay in range, its parts cover a result, its tolerance knows the dtype; and the roof."""

from __future__ import annotations

import itertools
import json
import math
import random
from types import ModuleType
from typing import Any

import pytest
import torch

from stallgate.child.correctness import ExpectedOutput, compare_output, written_rule

FLOATS = ["float16", "bfloat16", "float32", "float64"]
INTEGERS = ["bool", "uint8", "int8", "int16", "int32", "int64"]


def workload(shape: list[int], dim: int, dtype: str) -> dict[str, Any]:
    return {"shape": shape, "dim": dim, "dtype": dtype}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("shape", "dim"), [([3, 30_000], 1), ([9_000, 4], 0), ([2, 5000, 2], -2)], ids=str)
def test_products_of_inputs_stay_in_range(reference: ModuleType, dtype: str, shape: list[int], dim: int) -> None:
    (x,) = reference.get_inputs(**workload(shape, dim, dtype), device="cpu", seed=0)
    products = torch.cumprod(x.double(), dim).abs()
    assert x.dtype == getattr(torch, dtype)
    assert products.min() > 0.004
    assert products.max() < 80
    assert len(products.unique()) > 100, "data that leave nothing to get wrong"
    assert (x < 0).any()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_products_stay_meaningful(reference: ModuleType, dtype: str) -> None:
    (x,) = reference.get_inputs(**workload([40, 3000], 1, dtype), device="cpu", seed=0)
    products = torch.cumprod(x, 1)
    assert x.dtype == getattr(torch, dtype)
    assert len(products[:, 1000:].unique()) == 2 if dtype == "bool" else (products % 2 != 0).all()


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_inputs_are_fresh_for_a_seed_and_the_same_again(reference: ModuleType, dtype: str) -> None:
    arguments = workload([30, 200], 1, dtype)
    one, again, other = (reference.get_inputs(**arguments, device="cpu", seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "bool"])
@pytest.mark.parametrize(("shape", "dim"), [([], 0), ([0], 0), ([3, 0, 2], 0), ([3, 0, 2], 1), ([1], 0), ([4, 1], -1)])
def test_small_and_empty_workloads(reference: ModuleType, dtype: str, shape: list[int], dim: int) -> None:
    arguments = workload(shape, dim, dtype)
    inputs = reference.get_inputs(**arguments, device="cpu", seed=0)
    result = reference.Model(*reference.get_init_inputs(**arguments))(*inputs)
    for index, part in reference.expected(inputs, **arguments):
        assert torch.equal(result[index], part)


def _covered(parts: Any, shape: list[int]) -> torch.Tensor:
    covered = torch.zeros(shape, dtype=torch.int32)
    for index in parts:
        covered[index] += 1
    return covered


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("elements", [1, 7, 30, 40, 1000])
def test_parts_cover_a_result_once_and_cut_no_sequence(reference: ModuleType, dim: int, elements: int) -> None:
    shape = [3, 5, 4]
    parts = list(reference._parts(shape, dim, limit=elements))
    assert (_covered(parts, shape) == 1).all()
    assert all(part[dim] == slice(0, shape[dim]) for part in parts)
    sizes = [torch.empty(shape)[part].numel() for part in parts]
    assert max(sizes) <= max(elements, shape[dim])


def test_a_large_result_comes_in_parts(reference: ModuleType) -> None:
    assert len(list(reference._parts([32768, 32768], 1))) == 8
    assert len(list(reference._parts([32768, 32768], 0))) == 8
    assert len(list(reference._parts([2**29], 0))) == 1, "a sequence is not cut"


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_what_is_expected_is_formed_in_64_bits(reference: ModuleType, dtype: str) -> None:
    arguments = workload([3, 50], 1, dtype)
    inputs = reference.get_inputs(**arguments, device="cpu", seed=0)
    ((_, part),) = reference.expected(inputs, **arguments)
    wide = torch.cumprod(inputs[0].double() if inputs[0].is_floating_point() else inputs[0], 1)
    assert torch.equal(part, wide.to(part.dtype))
    assert part.dtype == torch.cumprod(inputs[0], 1).dtype


@pytest.mark.parametrize(
    ("dtype", "n", "least", "most"),
    [
        ("float32", 10, 1e-5, 1.1e-5),
        ("float32", 2**20, 4.8e-4, 4.9e-4),
        ("float64", 10, 1e-14, 2e-14),
        ("float16", 10, 9e-4, 1.1e-3),
        ("bfloat16", 10, 7e-3, 9e-3),
        ("int8", 10, 0, 0),
    ],
)
def test_the_tolerance_knows_dtype_and_length(
    reference: ModuleType, dtype: str, n: int, least: float, most: float
) -> None:
    assert least <= reference.tolerance(**workload([2, n], 1, dtype)) <= most


@pytest.mark.parametrize("variant", ["copy_roof"], indirect=True)
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_the_roof_moves_the_same_bytes(variant: ModuleType, reference: ModuleType, dtype: str) -> None:
    for shape in ([5, 37], [1], [], [0, 3], [64]):
        arguments = workload(shape, 0, dtype)
        inputs = reference.get_inputs(**arguments, device="cpu", seed=0)
        result = variant.ModelNew(0, BLOCK=32, num_warps=1)(*inputs)
        assert result.dtype == torch.cumprod(inputs[0], 0).dtype
        for index, part in reference.expected_roof(inputs, **arguments):
            assert torch.equal(result[index], part)
    view = inputs[0].expand(6, 64).T
    assert torch.equal(variant.ModelNew(0)(view), view.to(result.dtype))
    assert variant.ModelNew(0)(view).is_contiguous()


@pytest.mark.parametrize("variant", ["torch_cumprod"], indirect=True)
def test_the_baseline_is_torch(variant: ModuleType) -> None:
    x = torch.rand(3, 5)
    assert torch.equal(variant.ModelNew(-1)(x), torch.cumprod(x, -1))


# --- drawn workloads --------------------------------------------------------------------------------------------------

VANISHING = ["decaying", "normal", "uniform"]


def fault(output: torch.Tensor, parts: Any, tolerance: float | dict[str, float]) -> str | None:
    """What the referee says of an output."""
    table = tolerance if isinstance(tolerance, dict) else {"rtol": tolerance}
    return compare_output(output, ExpectedOutput(parts, written_rule(table))).fault


def _blocked(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Products in the computing precision, of blocks of 64 that are multiplied by what comes before, as kernels do."""
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    blocks = [part.to(wide).cumprod(dim) for part in x.split(64, dim)]
    for before, block in itertools.pairwise(blocks):
        block.mul_(before.narrow(dim, before.shape[dim] - 1, 1))
    return torch.cat(blocks, dim).to(x.dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("data", VANISHING)
def test_vanishing_products_are_right_in_any_order_and_wrong_beyond_rounding(
    reference: ModuleType, dtype: str, data: str
) -> None:
    arguments = {**workload([12, 15_000], 1, dtype), "data": data}
    inputs = reference.get_inputs(**arguments, device="cpu", seed=1)
    tolerance = reference.tolerance(**arguments)
    right = _blocked(inputs[0], 1)
    flushed = right.masked_fill(right.abs() < torch.finfo(right.dtype).smallest_normal, 0)
    for output in (right, flushed):
        assert fault(output, reference.expected(inputs, **arguments), tolerance) is None
    late = right.clone()
    late[:, 5:] *= 1 + 4 * tolerance["rtol"]
    assert fault(late, reference.expected(inputs, **arguments), tolerance) is not None
    empty = torch.zeros_like(right)
    assert fault(empty, reference.expected(inputs, **arguments), tolerance) is not None
    assert (right[:, -1] == 0).all(), "they vanish"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_near_1_stays_in_range_and_is_held_to_the_relative_error_alone(reference: ModuleType, dtype: str) -> None:
    arguments = {**workload([20, 30_000], 1, dtype), "data": "near 1"}
    inputs = reference.get_inputs(**arguments, device="cpu", seed=1)
    products = inputs[0].double().cumprod(1)
    assert 0.01 < products.min() < 1 < products.max() < 100
    assert (
        fault(_blocked(inputs[0], 1), reference.expected(inputs, **arguments), reference.tolerance(**arguments)) is None
    )
    assert reference.tolerance(**arguments) == reference.tolerance(**workload([20, 30_000], 1, dtype))


def test_ratios_are_what_they_were_before_there_was_other_data(reference: ModuleType) -> None:
    for dtype in (*FLOATS, *INTEGERS):
        plain, named = workload([3, 1021], 1, dtype), {**workload([3, 1021], 1, dtype), "data": "ratios"}
        before, after = (reference.get_inputs(**each, device="cpu", seed=3) for each in (plain, named))
        assert torch.equal(before[0], after[0])
        assert reference.tolerance(**plain) == reference.tolerance(**named)
        assert reference.small_arguments(**plain) == workload([3, 1021], 1, dtype)
        assert reference.get_special_inputs(**plain, device="cpu", seed=3).keys() == (
            reference.get_special_inputs(**named, device="cpu", seed=3).keys()
        )


def test_special_factors_are_planted_among_ratios_only(reference: ModuleType) -> None:
    for data in (*VANISHING, "near 1"):
        arguments = {**workload([3, 1021], 1, "float32"), "data": data}
        assert reference.get_special_inputs(**arguments, device="cpu", seed=0) == {}


def test_a_draw_gives_every_kind_of_workload_within_its_limit(reference: ModuleType) -> None:
    for largest in (2**28, 2**14):
        drawn = [reference.draw(random.Random(f"1/{number}"), largest=largest) for number in range(2000)]
        assert json.loads(json.dumps(drawn)) == drawn
        sizes = [math.prod(each["shape"]) for each in drawn]
        assert max(sizes) <= largest
        assert min(sizes) >= 2**10
        assert {len(each["shape"]) for each in drawn} == {1, 2, 3, 4}
        assert {each["dtype"] for each in drawn} == {*FLOATS, "int64"}
        assert {each["data"] for each in drawn} == {"ratios", "near 1", *VANISHING}
        assert all(-len(each["shape"]) <= each["dim"] < len(each["shape"]) for each in drawn)
        lengths = [each["shape"][each["dim"]] for each in drawn]
        assert sum(length < 64 for length in lengths) > 200
        assert sum(length * 64 > size for length, size in zip(lengths, sizes, strict=True)) > 200
        assert sum(length % 2 for length in lengths) > 200
    assert reference.draw(random.Random("1/5")) == reference.draw(random.Random("1/5"))


def test_what_is_drawn_is_understood_by_the_whole_reference(reference: ModuleType) -> None:
    for number in range(40):
        arguments = reference.draw(random.Random(f"2/{number}"), largest=2**12)
        inputs = reference.get_inputs(**arguments, device="cpu", seed=0)
        assert list(inputs[0].shape) == arguments["shape"]
        assert reference.get_init_inputs(**arguments) == [arguments["dim"]]
        small = reference.small_arguments(**arguments)
        assert small["data"] == arguments["data"]
        assert reference.small_arguments(**small) == small
        output = torch.cat([part.flatten() for _, part in reference.expected(inputs, **arguments)])
        assert reference.needs(**arguments)["bytes"] == inputs[0].nbytes + output.nbytes
        copied = torch.cat([part.flatten() for _, part in reference.expected_roof(inputs, **arguments)])
        assert copied.numel() == inputs[0].numel()


def test_needs_are_those_that_the_workloads_name(reference: ModuleType, repository: Any) -> None:
    for each in repository.problems["cumprod"].workloads.values():
        assert reference.needs(**each.arguments) == {"bytes": each.bytes, "flops": each.flops}
