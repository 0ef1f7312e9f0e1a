"""Inputs as a workload describes them: fresh, small and special ones."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from stallgate.child import inputs
from stallgate.project.inputs import INPUT_DTYPES, tensor_input
from tests.child.plans import library_reference, plain_case


def described(*written: object) -> list[dict[str, Any]]:
    return [tensor_input(each) if isinstance(each, str) else {"value": each} for each in written]


def shapes(found: list[dict[str, Any]]) -> list[Any]:
    return [each["shape"] if "shape" in each else each["value"] for each in found]


@pytest.mark.parametrize("dtype", INPUT_DTYPES)
def test_every_dtype_is_drawn_and_made_special(dtype: str) -> None:
    case = described(f"{dtype}[7,300]")
    (one,), (again,), (other,) = (inputs.made(case, "cpu", seed) for seed in (1, 1, 2))
    assert (one.shape, one.dtype) == ((7, 300), getattr(torch, dtype))
    bits = [each.contiguous().view(torch.uint8) for each in (one, again, other)]
    assert torch.equal(bits[0], bits[1])
    assert not torch.equal(bits[0], bits[2])
    special = dict(inputs.special(lambda seed: inputs.made(case, "cpu", seed)))
    assert bool(special) is one.is_floating_point()


def test_two_inputs_of_one_form_differ_and_no_gradient_is_an_input() -> None:
    reference = library_reference("torch.add")
    case = plain_case("float32[50]", "float32[50]", direction="backward")
    drawn = [tensor for seed in range(6) for tensor in reference.inputs(case, "cpu", seed)]
    assert len(drawn) == 18
    assert len({tuple(tensor.tolist()) for tensor in drawn}) == 18


@pytest.mark.parametrize("shape", ["", "0", "0,4", "1", "3", "1,300", "300,1", "2,3,4,5"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn"])
def test_special_values_fit_every_shape(dtype: str, shape: str) -> None:
    case = described(f"{dtype}[{shape}]")
    special = dict(inputs.special(lambda seed: inputs.made(case, "cpu", seed)))
    assert bool(special) is ("0" not in shape.split(","))
    if special:
        assert all(each[0].dtype == getattr(torch, dtype) for each in special.values())
        assert not bool(special["infinities and NaN"][0].float().isfinite().all())


@pytest.mark.parametrize("shape", ["4096", "1,4096", "3,300", "64,64"])
def test_some_special_data_is_small_in_every_row(shape: str) -> None:
    """An epsilon would not show where only some of the rows are small, and there is one."""
    case = described(f"float32[{shape}]")
    special = dict(inputs.special(lambda seed: inputs.made(case, "cpu", seed)))
    assert float(special["tiny numbers"][0].abs().max()) < 1e-5


def test_special_values_are_planted_in_the_first_numbers_alone() -> None:
    case = described("int64[30] integers(0,9)", "float32[30]", "float32[30]", -1)
    for seed, (name, values) in enumerate(inputs.special(lambda seed: inputs.made(case, "cpu", seed)), 3):
        plain = inputs.made(case, "cpu", seed)
        assert torch.equal(values[0], plain[0])
        assert not torch.equal(values[1], plain[1]), name
        assert torch.equal(values[2], plain[2])


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (["float32[8192,4096]", [4096], -1], [[512, 256], [256], -1]),
        (["float16[4096,4096]", "float16[4096,4096]"], [[256, 256], [256, 256]]),
        (["float16[4096,512]", "float16[512,8192]"], [[512, 256], [256, 768]]),
        (["float32[2,8,1024,64]", 1024], [[2, 8, 256, 64], 256]),
        (["float32[256,4096]"], [[256, 512]]),
        (["float32[1001,2999]", "float32[2999,777]"], [[259, 261], [261, 257]]),
        (["float32[100000,3]"], [[288, 3]]),
        (["float32[]", True], [[], True]),
    ],
)
def test_small_sizes_are_equal_where_sizes_are_and_as_divisible(written: list[object], wanted: list[object]) -> None:
    assert shapes(next(inputs.small(described(*written)))) == wanted


def test_small_sizes_of_any_sizes() -> None:
    rng = random.Random(1)
    for _ in range(300):
        sizes = {rng.choice([1, 2, 32, 96, 128, 256]) * rng.randrange(1, 300) for _ in range(rng.randrange(1, 6))}
        found = inputs._small_sizes(sizes)
        assert len(set(found.values())) == len(sizes), "different sizes stay different"
        for size, small in found.items():
            assert small <= size
            assert small == size if size <= 256 else small % min(size & -size, 256) == 0


def test_of_small_workloads_the_first_that_the_reference_takes_is_used() -> None:
    """`torch.narrow` refuses a start that does not shrink with the size, or the other way round."""
    narrow = library_reference("torch.narrow")
    small = narrow.small(plain_case("float32[4096,8]", 0, 4000, 96))
    assert shapes(small["inputs"])[0] == [4096, 8], "nothing smaller has row 4000"
    softmax = library_reference("torch.softmax")
    assert shapes(softmax.small(plain_case("float32[4096,1000]", -1))["inputs"]) == [[256, 264], -1]
