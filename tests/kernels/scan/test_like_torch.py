"""Whatever cumprod is called with: it raises where torch.cumprod raises, and gives what that gives."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from packages import get
from subject import ours, some, the_module
from torch import nn

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _by_our_kernels(_as_on_a_gpu: None) -> None:
    assert get(the_module(), "is_interpreted")()


class Plain(torch.Tensor):
    """A subclass with nothing of its own."""


class Shouting(torch.Tensor):
    """A subclass that has something to say on every function."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_function__(function, types, args, kwargs or {})
        if isinstance(result, Shouting):
            result.shouted = getattr(function, "__name__", "")
        return result


def base() -> torch.Tensor:
    return some(3, 4, low=-3)


INPUTS: dict[str, Callable[[], Any]] = {
    **{
        str(dtype): lambda dtype=dtype: base().to(dtype)
        for dtype in (
            *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e5m2),
            *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32),
            *(torch.complex64, torch.complex128),
        )
    },
    "differentiated": lambda: base().requires_grad_(),
    "parameter": lambda: nn.Parameter(base()),
    "frozen parameter": lambda: nn.Parameter(base(), requires_grad=False),
    "buffer": lambda: nn.Buffer(base()),
    "number": lambda: base()[0, 0],
    "empty": lambda: base()[:0],
    "transposed": lambda: base().T,
    "complex, differentiated": lambda: base().to(torch.complex64).requires_grad_(),
    "imaginary part": lambda: base().to(torch.complex64).conj().imag,
    "sparse": lambda: base().to_sparse(),
    "sparse rows": lambda: base().to_sparse_csr(),
    "quantised": lambda: torch.quantize_per_tensor(base().float(), 0.1, 0, torch.qint8),
    "nested": lambda: torch.nested.nested_tensor([base(), base()]),
    "jagged": lambda: torch.nested.nested_tensor([base(), base()], layout=torch.jagged),
    "for another library": lambda: base().float().to_mkldnn(),
    "meta": lambda: base().to("meta"),
    "a plain subclass": lambda: base().as_subclass(Plain),
    "a subclass with its say": lambda: base().as_subclass(Shouting),
    "list": lambda: [1.0, 2.0],
    "float": lambda: 3.0,
    "none": lambda: None,
    "array": lambda: np.ones(3),
}
DIMS: list[Any] = [0, 1, -1, -2, 2, -3, 0, 1, True, np.int64(1), np.bool_(True), None, 1.0, "a", (1,), 2**40, 2**70]
DIMS += [torch.tensor(1), torch.tensor(1.0)]
NAMES = [("", ""), ("", ""), ("", "dim"), ("", "axis"), ("input", "dim"), ("a", "axis"), ("x", "dim"), ("x1", "axis")]
NAMES += [("self", "dim"), ("", "keepdim"), ("input", "dims")]
DTYPES: list[Any] = [None] * 6 + [torch.float16, torch.float32, torch.float64, torch.int8, torch.int32, torch.int64]
DTYPES += [torch.bool, torch.complex64, torch.float8_e4m3fn, torch.uint16, float, int, bool, "float32", np.float32]
OUTS: list[Callable[[], Any]] = [lambda: None] * 12
OUTS += [
    lambda: torch.empty(3, 4, dtype=torch.float64),
    lambda: torch.empty(4, 3, dtype=torch.float64).T,
    lambda: torch.empty(0),
    lambda: torch.empty(3, 4, dtype=torch.int32),
    lambda: torch.empty(3, 4, dtype=torch.bool),
    lambda: torch.empty(3, 4, dtype=torch.complex64),
    lambda: torch.empty(3, 4, dtype=torch.float64, requires_grad=True),
    lambda: torch.empty(3, 4, device="meta"),
    lambda: nn.Parameter(torch.empty(3, 4, dtype=torch.float64), requires_grad=False),
    lambda: [torch.empty(3, 4)],
]


def outcome(cumprod: Callable[..., Any], make: Callable[[], tuple[list[Any], dict[str, Any]]]) -> Any:
    """The result of a call, or the type of its error; and whether it is what was to be filled."""
    given, named = make()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = cumprod(*given, **named)
    except Exception as error:  # noqa: BLE001  (any that torch raises)
        return type(error), False
    return result, result is named.get("out")


def facts(result: Any) -> Any:
    """All of a result but its values."""
    if not isinstance(result, torch.Tensor):
        return result
    strides = result.stride() if result.layout is torch.strided and not result.is_nested else ()
    marks = (result.requires_grad, getattr(result, "shouted", None))
    return type(result), result.dtype, result.device, result.layout, result.shape, strides, marks


def check_alike(make: Callable[[], tuple[list[Any], dict[str, Any]]]) -> bool:
    """Whether it came to a result, and not to an error."""
    (got, is_filled), (wanted, would_be) = outcome(ours, make), outcome(torch.cumprod, make)
    assert (facts(got), is_filled) == (facts(wanted), would_be), make()
    if not isinstance(wanted, torch.Tensor):
        return False
    if not wanted.is_meta:
        tolerance = 0.02 if wanted.dtype.itemsize == 2 else 1e-5
        if wanted.dtype.itemsize == 1:
            got, wanted = got.float(), wanted.float()
        torch.testing.assert_close(got, wanted, rtol=tolerance, atol=1e-7, equal_nan=True)
    return True


def drawn(seed: int) -> Callable[[], tuple[list[Any], dict[str, Any]]]:
    """A call, made anew each time: it may write to its arguments."""

    def make() -> tuple[list[Any], dict[str, Any]]:
        draw = random.Random(seed)
        x, dim = INPUTS[draw.choice(list(INPUTS))](), draw.choice(DIMS)
        first, second = draw.choice(NAMES)
        named = {name: value for name, value in ((first, x), (second, dim)) if name}
        dtype, out = draw.choice(DTYPES), draw.choice(OUTS)()
        named |= {name: value for name, value in (("dtype", dtype), ("out", out)) if value is not None}
        return [value for name, value in ((first, x), (second, dim)) if not name], named

    return make


@pytest.mark.parametrize("part", [0, pytest.param(1, marks=pytest.mark.long)])
def test_whatever_it_is_called_with_it_does_what_torch_does(part: int) -> None:
    calls = 600 if part == 0 else 20000
    results = sum(check_alike(drawn(seed + 10**6 * part)) for seed in range(calls))
    assert calls / 10 < results < calls * 9 / 10  # neither is the exception


@pytest.mark.parametrize("kind", INPUTS)
def test_every_kind_of_input_in_every_dimension(kind: str) -> None:
    for dim in (0, -1, 1):
        for dtype in (None, torch.float32, torch.int64):
            named = {"dtype": dtype} if dtype else {}
            check_alike(lambda: ([INPUTS[kind](), dim], dict(named)))  # noqa: B023


def test_a_parameter_is_multiplied_by_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not by the dispatcher either, where nobody derives."""
    plan = get(the_module(), "Plan")
    followed: list[torch.Tensor] = []
    original = plan.follow
    monkeypatch.setattr(plan, "follow", lambda x, dim: (followed.append(x), original(x, dim))[1])
    x = nn.Parameter(base(), requires_grad=False)
    assert type(ours(x, 1)) is torch.Tensor
    assert followed == [x]


def test_a_symbolic_trace_has_it_as_one_call() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return ours(x, 1, dtype=torch.float64) + 1

    traced = torch.fx.symbolic_trace(function)
    assert the_module().cumprod in [node.target for node in traced.graph.nodes]
    x = base().float()
    torch.testing.assert_close(traced(x), torch.cumprod(x, 1, dtype=torch.float64) + 1)


def test_scripted_code_calls_the_one_of_torch() -> None:
    cumprod = the_module().cumprod
    scripted = torch.jit.script(lambda_of(cumprod))
    assert "aten::cumprod" in str(scripted.graph)
    torch.testing.assert_close(scripted(base()), torch.cumprod(base(), 1))


def lambda_of(cumprod: Callable[..., torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    def function(x: torch.Tensor) -> torch.Tensor:
        return cumprod(x, 1)

    return function


def test_distributed_tensors_are_left_to_torch() -> None:
    """They have a placement for torch's operators, and none for ours."""
    distributed = pytest.importorskip("torch.distributed")
    if not distributed.is_available():
        pytest.skip("torch without torch.distributed")
    from torch.distributed.tensor import Replicate, distribute_tensor
    from torch.testing._internal.distributed.fake_pg import FakeStore

    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    try:
        mesh = distributed.init_device_mesh("cpu", (2,))
        x = distribute_tensor(base(), mesh, [Replicate()])
        y = ours(x, 1)
        assert type(y) is type(x)
        torch.testing.assert_close(y.to_local(), torch.cumprod(base(), 1))
    finally:
        distributed.destroy_process_group()
