"""cumprod in the place of torch.cumprod: results, errors, derivatives, transforms, compiling, and loading twice."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from loading import load
from packages import get, put
from subject import compiled, loaded_again, ours, package_again, some, the_module
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

# torch itself scripts for forward mode; tracing is one of those who look into a call.
pytestmark = pytest.mark.filterwarnings(r"ignore:`torch.jit.\w+` is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def _by_our_kernels(_as_on_a_gpu: None) -> None:
    """Interpreted kernels take tensors on the CPU, which would go to torch else."""
    assert get(the_module(), "is_interpreted")()


def with_zeros() -> torch.Tensor:
    """Rows without a zero, with one, with two, and beginning with one."""
    x = some(4, 3)
    x[1, 1] = x[2, 1] = x[2, 2] = x[3, 0] = 0
    return x


def zeros_in_planes(a: int, b: int) -> torch.Tensor:
    """As torch's own samples of cumprod have them."""
    x = some(5, 5, 5)
    for one, other in ((0, 1), (2, 3), (4, 3)):
        x.narrow(a, one, 1).narrow(b, other, 1).zero_()
    return x


SAMPLES: list[tuple[torch.Tensor, int, dict[str, Any]]] = [
    *((some(5, 5, 5), dim, {}) for dim in (0, 1, 2, -1)),
    *((some(*shape), 0, {}) for shape in ((), (1,), (0,))),
    (some(3, 0, 2), 2, {}),
    *((zeros_in_planes(*places), 1, {}) for places in ((0, 1), (0, 2), (1, 2))),
    (zeros_in_planes(1, 2), 1, {"dtype": torch.float64}),
    (some(7).to(torch.complex64).conj().imag, 0, {}),  # whose elements are not what is in memory
    (some(5, 3, dtype=torch.float16).T, 1, {"dtype": torch.float32}),
    (some(5, low=-4), 0, {"dtype": torch.int32}),
    (some(5, low=-4).to(torch.int8), 0, {}),
    (some(9, low=-100).to(torch.int8), 0, {"dtype": torch.int8}),
    (some(5) > 0, 0, {}),
    (some(5) > 0, 0, {"dtype": torch.float32}),
]


@pytest.mark.parametrize("sample", range(len(SAMPLES)))
def test_it_gives_what_torch_gives(sample: int) -> None:
    x, dim, named = SAMPLES[sample]
    got, wanted = ours(x, dim, **named), torch.cumprod(x, dim, **named)
    torch.testing.assert_close(got, wanted)
    assert got.stride() == wanted.stride()
    assert got.data_ptr() != x.data_ptr() or not x.numel()


@pytest.mark.parametrize(("shape", "dim"), [((), 1), ((), -2), ((3,), 1), ((3, 4), 2), ((3, 4), -3)])
@pytest.mark.parametrize("needs_grad", [False, True])
def test_a_dimension_that_there_is_not_is_refused_as_torch_does(
    shape: tuple[int, ...], dim: int, needs_grad: bool
) -> None:
    x = torch.ones(shape, requires_grad=needs_grad)
    with pytest.raises(IndexError) as wanted:
        torch.cumprod(x, dim)
    with pytest.raises(IndexError) as got:
        ours(x, dim)
    assert str(got.value) == str(wanted.value)


def doing(cumprod: Callable[..., torch.Tensor], x: torch.Tensor, out: torch.Tensor, **named: Any) -> tuple[Any, ...]:
    """What comes of cumprod(x, 0, out=out): the result, or the error; and warnings."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            result = cumprod(x, 0, out=out, **named)
        except Exception as error:  # noqa: BLE001  (any that torch raises)
            return type(error).__name__, str(error).partition(" dtype ")[0]  # torch.float64 is "double" there
    assert result is out
    return result, result.dtype, result.shape, result.stride(), [str(each.message)[:60] for each in told]


OUTS: dict[str, Callable[[], tuple[torch.Tensor, torch.Tensor, dict[str, Any]]]] = {
    "alike": lambda: (some(4), torch.empty(4, dtype=torch.float64), {}),
    "strided": lambda: (some(4), torch.empty(8, dtype=torch.float64)[::2], {}),
    "transposed": lambda: (some(4, 3), torch.empty(3, 4, dtype=torch.float64).T, {}),
    "empty, resized": lambda: (some(4), torch.empty(0, dtype=torch.float64), {}),
    "resized with a warning": lambda: (some(4), torch.empty(2, 5, dtype=torch.float64), {}),
    "a narrower dtype": lambda: (some(4), torch.empty(4, dtype=torch.float16), {}),
    "integers of floats": lambda: (some(4, low=-9), torch.empty(4, dtype=torch.int32), {}),
    "floats of integers": lambda: (some(4, low=-9).long(), torch.empty(4), {}),
    "of the dtype asked for": lambda: (some(4), torch.empty(4), {"dtype": torch.float32}),
    "of another dtype than asked for": lambda: (some(4), torch.empty(4), {"dtype": torch.float64}),
    "the input itself": lambda: ((x := some(4)), x, {}),
    "one element for all": lambda: (some(4), torch.empty(1, dtype=torch.float64).expand(4), {}),
    "of a differentiated input": lambda: (some(4).requires_grad_(), torch.empty(4, dtype=torch.float64), {}),
    "differentiated": lambda: (some(4), torch.empty(4, dtype=torch.float64, requires_grad=True), {}),
}


@pytest.mark.parametrize("case", OUTS)
def test_out_is_filled_resized_or_refused_as_torch_does(case: str) -> None:
    got, wanted = (doing(cumprod, *OUTS[case]()[:2], **OUTS[case]()[2]) for cumprod in (ours, torch.cumprod))
    assert got[1:] == wanted[1:]
    if isinstance(got[0], str):
        assert got[0] == wanted[0]
    else:
        torch.testing.assert_close(got[0], wanted[0])


def test_out_may_lie_across_the_input() -> None:
    """Where torch refuses: products are formed elsewhere first."""
    memory = some(6)
    wanted = torch.cumprod(memory[:-1].clone(), 0)
    torch.testing.assert_close(ours(memory[:-1], 0, out=memory[1:]), wanted)
    square = some(4, 4)
    wanted = torch.cumprod(square.clone(), 0)
    torch.testing.assert_close(ours(square, 0, out=square.T), wanted)


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with plain loops for the linear kernels, which have tests of their own and are slow to interpret."""
    module = the_module()

    def recurrence(a: torch.Tensor, b: torch.Tensor, dim: int, *, adjoint: bool = False) -> torch.Tensor:
        order = range(b.shape[dim])
        h = torch.empty_like(b)
        state = factor = torch.zeros_like(b.sum(dim))
        for k in reversed(order) if adjoint else order:
            state = (factor if adjoint else a.select(dim, k)) * state + b.select(dim, k)
            factor = a.select(dim, k)
            h.select(dim, k).copy_(state)
        return h

    def gradient(x: torch.Tensor, y: torch.Tensor, g: torch.Tensor, dim: int) -> torch.Tensor:
        return get(module, "before")(y, dim, 1) * recurrence(x, g, dim, adjoint=True)

    put(monkeypatch, module, "recurrence", recurrence)
    put(monkeypatch, module, "gradient", gradient)
    return module


DIFFERENTIATED: dict[str, Callable[[], tuple[torch.Tensor, int]]] = {
    "zeros": lambda: (with_zeros(), 1),
    "down columns": lambda: (with_zeros()[1:3, 1:], 0),
    "strided": lambda: (with_zeros()[2:].T, -2),
    "a number": lambda: (some(), 0),
    "one each": lambda: (some(3, 1), 1),
    "none": lambda: (some(2, 0), 1),
}


@pytest.mark.parametrize("case", DIFFERENTIATED)
def test_derivatives_of_first_and_second_order_backward_and_forward(plainly: ModuleType, case: str) -> None:
    x, dim = DIFFERENTIATED[case]()
    x.requires_grad_()
    assert gradcheck(partial(plainly.cumprod, dim=dim), x, check_forward_ad=True, check_batched_grad=bool(x.numel()))
    assert gradgradcheck(partial(plainly.cumprod, dim=dim), x, check_fwd_over_rev=True, check_rev_over_rev=True)


def test_operators_that_derivatives_are_made_of_are_differentiable_themselves(plainly: ModuleType) -> None:
    """In all of their arguments, on their own: a second derivative sees x, y and g bound to each other only."""
    x, y, g = (some(2, 3).add(k / 10).requires_grad_() for k in range(3))
    for adjoint in (False, True):
        assert gradcheck(lambda a, b: get(plainly, "Recurrence")(a, b, 1, adjoint), (x, g), check_forward_ad=True)  # noqa: B023
    assert gradcheck(lambda *given: get(plainly, "Gradient")(*given, 1), (x, y, g), check_forward_ad=True)


def test_derivatives_by_the_kernels() -> None:
    """As they are: the same, of a small case."""
    x = some(2, 2)
    x[1, 1] = 0
    assert gradcheck(lambda x: ours(x, 1), x.requires_grad_(), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(lambda x: ours(x, 1), x, check_batched_grad=True)


def test_a_third_derivative(plainly: ModuleType) -> None:
    """All of x0 x1 x2: the only third derivative that is not 0 is that by each once."""

    def product(x: torch.Tensor) -> torch.Tensor:
        return plainly.cumprod(x, 0)[-1]

    third = jacrev(jacrev(jacrev(product)))(some(3))
    indices = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]).T
    torch.testing.assert_close(
        third, torch.zeros(3, 3, 3, dtype=third.dtype).index_put(tuple(indices), third.new_ones(6))
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_gradients_are_of_the_dtype_of_the_input(dtype: torch.dtype) -> None:
    x = some(3, 5, dtype=dtype).requires_grad_()
    ours(x, 1, dtype=torch.float32).sum().backward()
    exact = x.detach().double().requires_grad_()
    torch.cumprod(exact, 1).sum().backward()
    torch.testing.assert_close(x.grad, exact.grad.to(dtype))


def loss(cumprod: Callable[..., torch.Tensor], dim: int = -1) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: (cumprod(x, dim) * torch.arange(1, x.numel() + 1).view(x.shape)).sin().sum()


def pushed(cumprod: Callable[..., torch.Tensor], x: torch.Tensor, tangents: torch.Tensor) -> torch.Tensor:
    return vmap(lambda t: jvp(partial(cumprod, dim=1), (x,), (t,))[1])(tangents)


def constant_factor(cumprod: Callable[..., torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return grad(lambda x: (x * cumprod(y, 0)).sum())(x)


TRANSFORMED: dict[str, Callable[[Callable[..., torch.Tensor]], Any]] = {
    "grad": lambda cumprod: grad(loss(cumprod))(with_zeros()),
    "grad of grad": lambda cumprod: grad(lambda x: grad(loss(cumprod))(x).square().sum())(with_zeros()),
    "jvp": lambda cumprod: jvp(loss(cumprod), (with_zeros(),), (some(4, 3),)),
    "jacrev": lambda cumprod: jacrev(partial(cumprod, dim=0))(with_zeros()),
    "jacfwd": lambda cumprod: jacfwd(partial(cumprod, dim=0))(with_zeros()),
    "hessian": lambda cumprod: hessian(loss(cumprod))(some(2, 3)),
    "vmap": lambda cumprod: vmap(partial(cumprod, dim=0))(with_zeros()),
    "vmap over the last": lambda cumprod: vmap(partial(cumprod, dim=-1), in_dims=-1, out_dims=1)(some(2, 3, 4)),
    "vmap of numbers": lambda cumprod: vmap(partial(cumprod, dim=0))(some(4)),
    "vmap in vmap": lambda cumprod: vmap(vmap(partial(cumprod, dim=0)), in_dims=1)(some(2, 3, 4)),
    "vmap of grad": lambda cumprod: vmap(grad(loss(cumprod)))(with_zeros()),
    "grad of vmap": lambda cumprod: grad(lambda x: vmap(partial(cumprod, dim=0))(x).sin().sum())(with_zeros()),
    "vmap of the tangent alone": lambda cumprod: pushed(cumprod, with_zeros(), some(2, 4, 3)),
    "not what is transformed": lambda cumprod: constant_factor(cumprod, some(3), some(3)),
}


@pytest.mark.parametrize("case", TRANSFORMED)
def test_functions_of_torch_func_transform_it(plainly: ModuleType, case: str) -> None:
    torch.testing.assert_close(TRANSFORMED[case](plainly.cumprod), TRANSFORMED[case](torch.cumprod))


@contextmanager
def autocast_to_half() -> Iterator[None]:
    """On CUDA devices, one of which the interpreter stands for; torch.autocast itself looks whether there is any."""
    torch.set_autocast_enabled("cuda", True)
    yield
    torch.set_autocast_enabled("cuda", False)


@pytest.mark.parametrize(
    ("given", "named", "result"),
    [
        (torch.float16, {}, torch.float32),
        (torch.bfloat16, {}, torch.float32),
        (torch.float16, {"dtype": torch.float16}, torch.float16),
        (torch.float64, {}, torch.float64),
        (torch.int16, {}, torch.int64),
    ],
)
def test_autocast_widens_halves_unless_a_dtype_is_asked_for(
    given: torch.dtype, named: dict[str, Any], result: torch.dtype
) -> None:
    x = torch.full((4,), 100).to(given)
    with autocast_to_half():
        got = ours(x, 0, **named)
    assert got.dtype == result
    torch.testing.assert_close(got, torch.cumprod(x.double(), 0).to(result))


@pytest.mark.parametrize("operator", ["Cumprod", "Gradient", "Recurrence"])
def test_torch_finds_nothing_wrong_with_the_operators(plainly: ModuleType, operator: str) -> None:
    x, y, g = (some(2, 3).add(k / 10).requires_grad_() for k in range(3))
    arguments = {"Cumprod": (x, 1), "Gradient": (x, y, g, 1), "Recurrence": (x, g, 1, True)}[operator]
    found = torch.library.opcheck(get(plainly, operator), arguments)
    assert set(found.values()) == {"SUCCESS"}


COMPILED: dict[str, Callable[[Callable[..., torch.Tensor], torch.Tensor], Any]] = {
    "two of them": lambda cumprod, x: cumprod(cumprod(x, 0).sin(), -1),
    "a narrower dtype": lambda cumprod, x: cumprod(x, 1, dtype=torch.float32),
    "into another": lambda cumprod, x: cumprod(x.detach(), 1, out=torch.empty_like(x.detach())),
    "vmap": lambda cumprod, x: vmap(partial(cumprod, dim=0))(x),
    "grad": lambda cumprod, x: grad(loss(cumprod))(x),
}


@pytest.mark.parametrize("case", COMPILED)
def test_it_compiles_into_one_graph(plainly: ModuleType, case: str) -> None:
    got = compiled(partial(COMPILED[case], plainly.cumprod))(with_zeros())
    torch.testing.assert_close(got, COMPILED[case](torch.cumprod, with_zeros()))


def test_what_trains_compiles_into_one_graph(plainly: ModuleType) -> None:
    x, like_it = with_zeros().requires_grad_(), with_zeros().requires_grad_()
    compiled(loss(plainly.cumprod))(x).backward()
    loss(torch.cumprod)(like_it).backward()
    torch.testing.assert_close(x.grad, like_it.grad)


def test_one_graph_serves_every_length(plainly: ModuleType) -> None:
    function = torch.compile(partial(plainly.cumprod, dim=0), fullgraph=True, backend="aot_eager", dynamic=True)
    for n in (3, 5, 8):
        torch.testing.assert_close(function(some(n)), torch.cumprod(some(n), 0))


class Scan(torch.nn.Module):
    def __init__(self, cumprod: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.cumprod = cumprod

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.cumprod(x, 1)


@pytest.mark.parametrize("strict", [False, True])
def test_it_is_exported_as_one_operator(strict: bool) -> None:
    module = the_module()
    exported = torch.export.export(Scan(module.cumprod), (some(2, 3),), strict=strict)
    assert [node.target for node in exported.graph.nodes if node.op == "call_function"] == [get(module, "Cumprod")]
    torch.testing.assert_close(exported.module()(some(2, 3)), torch.cumprod(some(2, 3), 1))


def test_copies_of_the_file_leave_each_other_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is the same, and one that was edited: each runs what stands in its own file."""
    first, same = the_module(), loaded_again(tmp_path / "same")
    edited = loaded_again(tmp_path / "edited", lambda text: text.replace("return call.y", "return -call.y"))
    operators = [str(get(each, "Cumprod")) for each in (first, same, edited)]
    assert len(set(operators)) == 3
    put(monkeypatch, same, "gradient", lambda x, y, g, dim: x * 0 + 7)
    signs = []
    for module in (first, same, edited):
        x = some(3).requires_grad_()
        y = module.cumprod(x, 0)
        y.sum().backward()
        signs.append((float(y[0].detach() / x[0].detach()), bool((x.grad == 7).all())))
    assert signs == [(1, False), (1, True), (-1, False)]


def test_operators_are_named_after_all_that_is_in_the_files(tmp_path: Path) -> None:
    """The same name in each process that has the same files: programs that torch exported or kept call it."""

    def commented(text: str) -> str:
        return f"{text}# the end\n"

    packages = [load("scan"), package_again(tmp_path / "same_files", "forms.py", str)]
    packages.append(package_again(tmp_path / "another_file", "forms.py", commented))
    files = [the_module(), loaded_again(tmp_path / "same_file"), loaded_again(tmp_path / "other_file", commented)]
    names = [get(each, "Cumprod").namespace.rpartition("_")[0] for each in (*packages, *files)]
    assert (names[0] == names[1], names[3] == names[4]) == (True, True)
    assert len(set(names)) == 4
