"""The reference: its data stay in range, its parts cover a result, its tolerance knows the dtype; and the roof."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch

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
