"""What is right and what is wrong by the tolerances that a problem has if it says nothing, on shapes that are drawn."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn import functional

from stallgate.child.correctness import (
    ExpectedOutput,
    Rule,
    agree,
    compare_output,
    default_rule,
    flat_outputs,
    is_same_tensor,
    returned_fault,
    shares_memory,
    written_rule,
)
from stallgate.child.reference import Reference
from tests.child import arithmetic
from tests.child.arithmetic import Code, sums_in
from tests.child.plans import first_fault, library_reference, plain_case

HALVES = ("bfloat16", "float16")
FLOATS = (*HALVES, "float32")
DRAWS = 3


@pytest.fixture(params=range(DRAWS))
def rng(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.param)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def own(name: str, **changes: Any) -> Reference:
    return library_reference(f"{arithmetic.__name__}.{name}", **changes)


def wrong(code: Code, reference: Reference, case: dict[str, Any]) -> str | None:
    """What is wrong with code on a workload's own inputs."""
    inputs = reference.inputs(case, "cpu", 0)
    return first_fault(code(*inputs), reference.expected(case, inputs))


def wrong_at_the_edge(code: Code, reference: Reference, case: dict[str, Any]) -> str | None:
    """What is wrong with code on the first edge case that it is wrong on, and which that is."""
    small = reference.small(case)
    for edge in reference.edge_cases(small, "cpu"):
        expected = reference.expected(small, edge.inputs, special=edge.is_special)
        fault = first_fault(code(*edge.inputs), expected)
        if fault is not None:
            return f"{edge}: {fault}"
    return None


# --- matmul -----------------------------------------------------------------------------------------------------------

MATMUL = library_reference("torch.matmul")


def operands(rng: random.Random, dtype: str, k: int) -> dict[str, Any]:
    return plain_case(f"{dtype}[{rng.randrange(1, 70)},{k}]", f"{dtype}[{k},{rng.randrange(1, 70)}]")


@pytest.mark.parametrize("code", [torch.matmul, arithmetic.in_order, arithmetic.split_k])
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_matmul_that_adds_in_float32_is_right(rng: random.Random, dtype: str, code: Code) -> None:
    for k in (rng.randrange(4, 64), rng.randrange(64, 1000), 4096):
        assert wrong(code, MATMUL, operands(rng, dtype, k)) is None
    assert wrong_at_the_edge(code, MATMUL, operands(rng, dtype, 4096)) is None


@pytest.mark.parametrize(
    "code",
    [arithmetic.lost_last_k, arithmetic.lost_last_row, arithmetic.lost_last_column, arithmetic.first_input_only],
)
@pytest.mark.parametrize("dtype", [*FLOATS, "float64"])
def test_a_matmul_that_loses_something_is_wrong(rng: random.Random, dtype: str, code: Code) -> None:
    for k in (rng.randrange(2, 64), rng.randrange(64, 1000), 4096):
        assert wrong(code, MATMUL, operands(rng, dtype, k)) is not None


@pytest.mark.parametrize("dtype", HALVES)
def test_a_matmul_that_adds_in_a_half_type_is_wrong(rng: random.Random, dtype: str) -> None:
    case = operands(rng, dtype, rng.randrange(2048, 4096))
    assert wrong(sums_in(getattr(torch, dtype), 64), MATMUL, case) is not None
    if dtype == "float16":
        assert wrong(sums_in(torch.float16, 1), MATMUL, case) is not None


def test_three_products_in_tf32_are_right_and_one_is_wrong(rng: random.Random) -> None:
    for k in (rng.randrange(8, 1000), 4096):
        case = operands(rng, "float32", k)
        assert wrong(arithmetic.three_times_tf32, MATMUL, case) is None
        assert wrong(arithmetic.tf32_operands, MATMUL, case) is not None
        assert wrong(arithmetic.half_operands, MATMUL, case) is not None


def test_float32_is_not_enough_for_float64(rng: random.Random) -> None:
    case = operands(rng, "float64", rng.randrange(8, 1000))
    assert wrong(torch.matmul, MATMUL, case) is None
    assert wrong(arithmetic.in_float32, MATMUL, case) is not None


# --- rows -------------------------------------------------------------------------------------------------------------


def rows(rng: random.Random, dtype: str, distribution: str = "", most: int = 5000) -> str:
    return f"{dtype}[{rng.randrange(1, 24)},{rng.randrange(100, most)}] {distribution}".strip()


@pytest.mark.parametrize("dtype", FLOATS)
def test_norms_are_right(rng: random.Random, dtype: str) -> None:
    text = rows(rng, dtype, rng.choice(["normal(0,1)", "normal(0,100)", "uniform(-1,3)"]))
    case = plain_case(text)
    layer_norm = own("layer_norm")
    for code in (arithmetic.layer_norm, arithmetic.layer_norm_with(1e-5)):
        assert wrong(code, layer_norm, case) is None
        assert wrong_at_the_edge(code, layer_norm, case) is None
    width = text[text.index(",") + 1 : text.index("]")]
    case = plain_case(text, f"{dtype}[{width}]")
    for code in (arithmetic.rms_norm, arithmetic.fused_rms_norm):
        assert wrong(code, own("rms_norm"), case) is None
        assert wrong_at_the_edge(code, own("rms_norm"), case) is None


@pytest.mark.parametrize("eps", [0.0, 1e-7, 1e-5])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", ["[1,4096]", "[4096]", "[3,300]", "[4096,4096]"])
def test_an_epsilon_that_is_missing_or_ten_times_off_shows_on_edge_cases(dtype: str, eps: float, shape: str) -> None:
    """However many rows there are. On ordinary data, an epsilon is lost in a row's mean square."""
    case = plain_case(f"{dtype}{shape}", f"{dtype}[{shape[1:-1].split(',')[-1]}]")
    fault = wrong_at_the_edge(arithmetic.rms_norm_with(eps), own("rms_norm"), case)
    assert fault is not None
    fault = wrong_at_the_edge(arithmetic.layer_norm_with(eps * 10), own("layer_norm"), plain_case(f"{dtype}{shape}"))
    assert (fault is not None) is (eps * 10 != 1e-5)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_weight_that_is_ignored_is_wrong(rng: random.Random, dtype: str) -> None:
    width = rng.randrange(100, 3000)
    case = plain_case(f"{dtype}[4,{width}]", f"{dtype}[{width}]")
    assert wrong(arithmetic.rms_norm_without_weight, own("rms_norm"), case) is not None


SOFTMAX = own("softmax")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("distribution", ["normal(0,1)", "normal(0,20)", "uniform(-100,100)"])
def test_softmax_is_right_on_any_logits(rng: random.Random, dtype: str, distribution: str) -> None:
    """Of 100,000 normal logits most weights are subnormal in float16."""
    for case in (
        plain_case(f"{dtype}[{rng.randrange(1, 6)},100000] {distribution}"),
        plain_case(rows(rng, dtype, distribution)),
    ):
        for code in (arithmetic.softmax, arithmetic.softmax_in_powers_of_two):
            assert wrong(code, SOFTMAX, case) is None
            assert wrong_at_the_edge(code, SOFTMAX, case) is None


@pytest.mark.parametrize("dtype", FLOATS)
def test_softmax_with_a_fault_is_wrong(rng: random.Random, dtype: str) -> None:
    wide = plain_case(f"{dtype}[4,{rng.randrange(50_000, 100_000)}] normal(0,1)")
    assert wrong(arithmetic.softmax_without_last_column, SOFTMAX, wide) is not None
    assert wrong(arithmetic.softmax_with_unmasked_nan, SOFTMAX, wide) is not None
    narrow = plain_case(rows(rng, dtype))
    assert wrong_at_the_edge(arithmetic.softmax_without_maximum, SOFTMAX, narrow) is not None
    if dtype == "float32":
        assert wrong(arithmetic.softmax_in_halves, SOFTMAX, plain_case(rows(rng, dtype, "normal(0,20)"))) is not None


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_softmax_of_wide_logits_that_loses_its_last_column_is_wrong_on_edge_cases(dtype: str) -> None:
    """With logits as wide as these, the last column of the workload itself seldom has any weight."""
    case = plain_case(f"{dtype}[4,100000] normal(0,40)")
    assert wrong_at_the_edge(arithmetic.softmax_without_last_column, SOFTMAX, case) is not None


@pytest.mark.parametrize("dtype", FLOATS)
def test_scans_and_functions_of_elements(rng: random.Random, dtype: str) -> None:
    case = plain_case(rows(rng, dtype))
    assert wrong(arithmetic.cumsum, own("cumsum"), case) is None
    assert wrong(arithmetic.cumsum_before, own("cumsum"), case) is not None
    assert wrong(arithmetic.cumsum_in_bfloat16, own("cumsum"), case) is not None
    gelu = library_reference("torch.nn.functional.gelu")
    assert wrong(functional.gelu, gelu, case) is None
    assert wrong_at_the_edge(functional.gelu, gelu, case) is None
    if dtype == "float32":
        assert wrong(arithmetic.gelu_by_tanh, gelu, case) is not None


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_loss_of_one_element_and_a_convolution(rng: random.Random, dtype: str) -> None:
    loss = library_reference("torch.nn.functional.cross_entropy")
    batch, classes = rng.randrange(2, 64), rng.randrange(10, 4000)
    case = plain_case(f"{dtype}[{batch},{classes}]", f"int64[{batch}] integers(0,{classes})")
    for code in (functional.cross_entropy, arithmetic.mean_of_losses):
        assert wrong(code, loss, case) is None
        assert wrong_at_the_edge(code, loss, case) is None
    conv, taps = library_reference("torch.nn.functional.conv1d"), rng.randrange(2, 9)
    channels = rng.randrange(2, 40)
    case = plain_case(f"{dtype}[2,{channels},200]", f"{dtype}[16,{channels},{taps}]")
    assert wrong(functional.conv1d, conv, case) is None
    assert wrong(arithmetic.conv1d_without_last_tap, conv, case) is not None


def test_a_mean_of_losses_of_other_targets_is_wrong() -> None:
    loss = library_reference("torch.nn.functional.cross_entropy")
    case = plain_case("float32[50,1000]", "int64[50] integers(0,1000)")
    assert wrong(arithmetic.losses_of_the_next, loss, case) is not None


# --- attention --------------------------------------------------------------------------------------------------------


def heads(rng: random.Random, dtype: str, keys: int) -> dict[str, Any]:
    batch, size = rng.randrange(1, 4), rng.choice([32, 64, 128])
    return plain_case(f"{dtype}[1,{batch},{rng.choice([64, 192])},{size}]", *[f"{dtype}[1,{batch},{keys},{size}]"] * 2)


@pytest.mark.parametrize("code", [arithmetic.torch_attention, arithmetic.flash_attention])
@pytest.mark.parametrize("dtype", FLOATS)
def test_attention_with_lse_is_right(rng: random.Random, dtype: str, code: Code) -> None:
    assert wrong(code, own("attention"), heads(rng, dtype, 64 * rng.randrange(1, 20))) is None
    if code is arithmetic.flash_attention:
        assert wrong_at_the_edge(code, own("attention"), heads(rng, dtype, 64 * rng.randrange(1, 20))) is None


@pytest.mark.parametrize(
    "code",
    [
        arithmetic.attention_without_scale,
        arithmetic.attention_without_last_key,
        arithmetic.attention_with_lse_to_base_2,
    ],
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_attention_with_a_fault_is_wrong(rng: random.Random, dtype: str, code: Code) -> None:
    assert wrong(code, own("attention"), heads(rng, dtype, 64 * rng.randrange(1, 20))) is not None


@pytest.mark.parametrize("code", [arithmetic.attention_in_halves, arithmetic.attention_with_lse_in_halves])
@pytest.mark.parametrize("dtype", HALVES)
def test_attention_that_adds_in_halves_is_wrong(rng: random.Random, dtype: str, code: Code) -> None:
    assert wrong(code, own("attention"), heads(rng, dtype, 64 * rng.randrange(16, 32))) is not None


# --- forms ------------------------------------------------------------------------------------------------------------


def compared(got: torch.Tensor, want: torch.Tensor, rule: Rule | None = None, **more: Any) -> str | None:
    return compare_output(got, ExpectedOutput([((), want)], default_rule(want) if rule is None else rule, **more)).fault


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_outputs(dtype: torch.dtype) -> None:
    want = torch.randn(40, 30, dtype=dtype)
    assert compared(want.clone(), want) is None
    assert compared(want * (1 + torch.finfo(dtype).eps), want) is None
    assert compared(want.conj().resolve_conj(), want) is not None
    assert bool(agree(want.clone(), want, default_rule(want)).all())
    assert not bool(agree(want + 1, want, default_rule(want)).any())


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_outputs_of_eight_bits(dtype: torch.dtype) -> None:
    exact = torch.randn(64, 64)
    want = exact.to(dtype)
    assert compared(want.clone(), want) is None
    assert compared((exact * 1.001).to(dtype), want) is None, "some are rounded the other way"
    assert compared((exact * 1.5).to(dtype), want) is not None
    assert compared(exact.roll(1).to(dtype), want) is not None


def test_bool_and_integer_outputs_are_exact_unless_it_is_said() -> None:
    want = torch.randint(-128, 128, (50, 50), dtype=torch.int8)
    off = want.clone()
    off[3, 4] = off[3, 4] - 1 if off[3, 4] > -128 else -127
    assert compared(want.clone(), want) is None
    assert "[3, 4] is" in str(compared(off, want))
    assert compared(off, want, written_rule({"atol": 1})) is None
    off[3, 5] = 100 if want[3, 5] < 0 else -100
    assert "[3, 5] is" in str(compared(off, want, written_rule({"atol": 1})))
    mask = torch.rand(50) > 0.5
    assert compared(mask.clone(), mask) is None
    assert "50 of 50" in str(compared(~mask, mask))


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int32, torch.bool]
)
def test_scalars_and_empty_tensors(dtype: torch.dtype) -> None:
    one, none = torch.ones((), dtype=dtype), torch.empty(0, 4, dtype=dtype)
    assert compared(one.clone(), one) is None
    assert compared(torch.zeros((), dtype=dtype), one) is not None
    assert compared(none.clone(), none) is None
    assert compared(torch.empty(4, 0, dtype=dtype), none) is not None
    assert compared(one.reshape(1), one) is not None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_an_output_of_one_element_may_be_rounded_the_other_way(dtype: torch.dtype) -> None:
    want = torch.tensor(1.0, dtype=dtype)
    assert compared(want + torch.finfo(dtype).eps, want) is None
    assert compared(want + 4 * torch.finfo(dtype).eps, want) is None if dtype == torch.float32 else not None


def test_numbers_below_the_normal_ones_have_no_relative_precision() -> None:
    spacing = 2.0**-24
    want = torch.full((1000,), 10 * spacing, dtype=torch.float16)
    assert compared(want + spacing, want) is None
    assert compared(want + 4 * spacing, want) is not None
    tiny = torch.full((10,), 1e-39, dtype=torch.float32)
    assert compared(torch.zeros(10), tiny) is None, "GPUs flush them"


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_float64_of_any_size_is_held_to_its_norm(size: float) -> None:
    """Whose squares are 0 or infinite."""
    want = torch.randn(1000, dtype=torch.float64) * size
    assert compared(want * (1 + 1e-12), want) is None
    assert compared(want * (1 + 1e-8), want) is not None
    assert compared(want * 1.1, want, written_rule({"norm": 1e-3})) is not None
    assert compared(want * 1.0001, want, written_rule({"norm": 1e-3})) is None


@pytest.mark.parametrize("rule", [Rule(norm=1e-3, of_norm_only=True), Rule(atol=math.inf), Rule(rtol=0.1)])
def test_nan_is_never_near_anything(rule: Rule) -> None:
    want = torch.randn(100)
    for value in (math.nan, math.inf, -math.inf):
        got = want.clone()
        got[7] = value
        assert "[7] is" in str(compared(got, want, rule))
        assert compared(got, got.clone(), rule) is None
        assert "[7] is" in str(compared(want, got, rule)), "nor is anything near to it"


def test_where_library_is_trusted_an_infinity_may_be_nan_and_a_number_may_not() -> None:
    want = torch.tensor([1.0, math.inf, math.nan])
    trusted = torch.tensor([True, True, True])
    assert compared(torch.tensor([1.0, math.nan, -math.inf]), want, trusted=trusted, not_finite_alike=True) is None
    assert compared(torch.tensor([math.nan, math.inf, math.nan]), want, trusted=trusted, not_finite_alike=True)
    assert compared(torch.tensor([1.0, 5.0, math.nan]), want, trusted=trusted, not_finite_alike=True)
    assert compared(torch.tensor([1.0, math.nan, math.nan]), want, trusted=trusted), "in general they differ"
    trusted = torch.tensor([True, False, True])
    assert compared(torch.tensor([1.0, 5.0, math.nan]), want, trusted=trusted) is None


def test_a_reference_that_rounds_between_its_steps_is_no_tighter_than_it_is_itself() -> None:
    x = torch.randn(100, 1000, generator=torch.Generator().manual_seed(1)).bfloat16()
    steps = [torch.sin, lambda y: y * 1.7, lambda y: y + 0.3, torch.cos, lambda y: y * 0.9, torch.exp] * 3
    own_result, wide = x, x.double()
    for step in steps:
        own_result, wide = step(own_result), step(wide)
    want = wide.to(torch.bfloat16)
    assert compared(own_result, want) is not None
    assert compared(own_result, want, default_rule(want, own_result)) is None
    bad = want * 1.5
    assert compared(bad, want, default_rule(want, bad)) is not None, "what is worse than that is no measure"


# --- tensors ----------------------------------------------------------------------------------------------------------


def test_what_is_no_plain_dense_tensor_is_refused() -> None:
    dense = torch.eye(3)
    assert returned_fault(dense, "cpu") is None
    assert returned_fault(dense.requires_grad_().t()[::2], "cpu") is None
    assert "layout sparse_coo" in str(returned_fault(torch.eye(3).to_sparse(), "cpu"))
    assert "Parameter" in str(returned_fault(torch.nn.Parameter(torch.eye(3)), "cpu"))
    assert "on meta" in str(returned_fault(torch.eye(3, device="meta"), "cpu"))
    assert "float, not a tensor" in str(returned_fault(1.0, "cpu"))


def test_who_is_whose() -> None:
    x = torch.arange(16.0).reshape(4, 4)
    assert is_same_tensor(x, x)
    assert is_same_tensor(x[:], x)
    assert not is_same_tensor(x.t(), x)
    assert not is_same_tensor(x.clone(), x)
    assert not is_same_tensor(torch.empty(0), torch.empty(0))
    assert not is_same_tensor(torch.eye(4).to_sparse(), x)
    assert shares_memory(x[1], x)
    assert not shares_memory(x[1], x[2])
    assert not shares_memory(torch.eye(4).to_sparse(), x)
    assert not shares_memory("x", x)


def test_outputs_are_flat() -> None:
    a, b, c = torch.zeros(1), torch.zeros(2), torch.zeros(3)
    assert flat_outputs({"a": a, "more": (b, [c, None])}) == [a, b, c]
    assert flat_outputs(torch.tensor([[1, 2]]).max(1))[1].item() == 1  # type: ignore[attr-defined]
    assert flat_outputs(None) == []
