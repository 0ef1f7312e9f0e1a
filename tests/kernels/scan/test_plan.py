"""The launch plan of a repeated call: when it is followed, and that it launches what the first call launched."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import triton
from packages import get, put
from subject import compiled, some, the_module
from torch.func import grad, vmap

# Tracing is one of those who look into a call.
pytestmark = pytest.mark.filterwarnings(r"ignore:`torch.jit.\w+` is deprecated:DeprecationWarning")


class Kernel:
    """Stands in for a kernel of triton's: its first launch compiles it; what was compiled can be launched by itself."""

    function, types, more = 17, ("i32", "i64"), 0

    def __init__(self) -> None:
        self.bound: list[tuple[Any, ...]] = []
        self.launched: list[tuple[Any, ...]] = []
        self.metadata = SimpleNamespace(
            num_warps=4, shared=96, instrumentation_mode="", global_scratch_size=0, profile_scratch_size=0
        )

    def __getitem__(self, grid: tuple[int]) -> Callable[..., Any]:
        return lambda *arguments, **options: self.run(*arguments, grid=grid, warmup=False, **options)

    def run(self, *arguments: Any, grid: tuple[int], warmup: bool, **options: Any) -> Kernel.Compiled:
        self.bound.append((grid, arguments))
        return Kernel.Compiled(self, arguments)

    def launch(self, function: int, x: int, y: int, z: int, *rest: Any) -> None:
        """As torch launches compiled kernels."""
        assert (function, *rest[:2], rest[-1]) == (17, 4, 96, 5)
        kinds, arguments = rest[2:4]
        assert len(kinds) == len(arguments)
        self.launched.append(((x, y, z), kinds, arguments))

    class Compiled:
        """All numbers but the first two are constants."""

        def __init__(self, kernel: Kernel, arguments: tuple[Any, ...]) -> None:
            self.kernel, self.metadata, self.function = kernel, kernel.metadata, kernel.function
            numbers = iter(kernel.types)
            kinds = ["*" if isinstance(each, torch.Tensor) else next(numbers, "constexpr") for each in arguments]
            self.src = SimpleNamespace(signature=dict(enumerate(kinds + ["constexpr"] * kernel.more)))

        def __getitem__(self, grid: tuple[int, int, int]) -> Callable[..., None]:
            return lambda *arguments: self.kernel.launched.append(("with hooks", grid, arguments))


class OnGpu(torch.Tensor):
    """A tensor that says it were on the first GPU."""

    is_cuda = True

    def get_device(self) -> int:
        return 0


def on_gpu(x: torch.Tensor) -> torch.Tensor:
    return x.as_subclass(OnGpu)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """In the place of short sequences' kernel, on a machine that seems to have a GPU."""
    module, kernel = the_module(), Kernel()
    put(monkeypatch, module, "_short_kernel", kernel)
    monkeypatch.setattr(get(module, "Plan"), "known", {})
    put(monkeypatch, module, "launch_of_compiled", lambda: kernel.launch)
    put(monkeypatch, module, "empty_on_gpu", lambda: torch._C._dynamo.guards._empty_strided_cpu)
    put(monkeypatch, module, "stream_on", lambda: lambda device: 5 + device)
    put(monkeypatch, module, "_current_device", lambda: 0)
    properties = type("Properties", (), {"multi_processor_count": 132, "shared_memory_per_block_optin": 232448})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "device_of", lambda tensor: torch.no_grad())
    return kernel


def followed(x: torch.Tensor, dim: int = 1) -> torch.Tensor:
    result: torch.Tensor = get(the_module(), "Plan").follow(x, dim)
    return result


def test_only_the_first_call_of_a_kind_is_worked_out(kernel: Kernel) -> None:
    """The others launch the same with memory of their own."""
    inputs = [on_gpu(some(6, 40, dtype=torch.float32)) for _ in range(3)]
    results = [followed(x) for x in inputs]
    ((grid, first),) = kernel.bound
    assert [each.data_ptr() for each in first[:2]] == [inputs[0].data_ptr(), results[0].data_ptr()]
    assert kernel.launched == [
        ((*grid, 1, 1), "OOilOO", (x.data_ptr(), y.data_ptr(), *first[2:4], None, None))
        for x, y in zip(inputs[1:], results[1:], strict=True)
    ]
    assert all((y.shape, y.dtype, y.is_contiguous()) == ((6, 40), torch.float32, True) for y in results)


def test_hooks_are_told_of_a_launch(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [on_gpu(some(6, 40, dtype=torch.float32)) for _ in range(2)]
    followed(inputs[0])
    monkeypatch.setattr(triton.knobs.runtime.launch_exit_hook, "calls", [print])
    y = followed(inputs[1])
    ((grid, first),) = kernel.bound
    assert kernel.launched == [("with hooks", (*grid, 1, 1), (inputs[1].data_ptr(), y.data_ptr(), *first[2:]))]


UNKNOWN: dict[str, Callable[[Kernel], object]] = {
    "no launcher in torch": lambda kernel: setattr(kernel, "launch", None),
    "memory for instruments": lambda kernel: setattr(kernel.metadata, "profile_scratch_size", 64),
    "several blocks a cluster": lambda kernel: setattr(kernel.metadata, "num_ctas", 2),
    "no number of warps": lambda kernel: delattr(kernel.metadata, "num_warps"),
    "another type of number": lambda kernel: setattr(kernel, "types", ("i32", "nvTmaDesc")),
    "a signature of another length": lambda kernel: setattr(kernel, "more", 1),
}


@pytest.mark.parametrize("reason", UNKNOWN)
def test_triton_launches_what_the_launcher_of_torch_does_not_know(kernel: Kernel, reason: str) -> None:
    UNKNOWN[reason](kernel)
    inputs = [on_gpu(some(6, 40, dtype=torch.float32)) for _ in range(2)]
    _, y = (followed(x) for x in inputs)
    ((grid, first),) = kernel.bound
    assert kernel.launched == [("with hooks", (*grid, 1, 1), (inputs[1].data_ptr(), y.data_ptr(), *first[2:]))]


def test_scratch_memory_is_a_parameter_where_triton_says_so(kernel: Kernel) -> None:
    del kernel.metadata.profile_scratch_size
    for _ in range(2):
        followed(on_gpu(some(6, 40, dtype=torch.float32)))
    ((_, kinds, arguments),) = kernel.launched
    assert (kinds, len(arguments), arguments[-1]) == ("OOilO", 5, None)


OTHER_KINDS: dict[str, tuple[Callable[[], torch.Tensor], dict[str, Any]]] = {
    "shape": (lambda: some(40, 60, dtype=torch.float32), {}),
    "dtype": (lambda: some(6, 40, dtype=torch.float16), {}),
    "dimension": (lambda: some(6, 40, dtype=torch.float32), {"dim": -1}),
    "not contiguous": (lambda: some(40, 6, dtype=torch.float32).T, {}),
    "not at a vector": (lambda: some(241, dtype=torch.float32)[1:].view(6, 40), {}),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_a_call_of_another_kind_is_worked_out_by_itself(kernel: Kernel, kind: str) -> None:
    followed(on_gpu(some(6, 40, dtype=torch.float32)))
    x, named = OTHER_KINDS[kind]
    followed(on_gpu(x()), **named)
    assert (len(kernel.bound), kernel.launched) == (2, [])


def test_plans_do_not_pile_up(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = get(the_module(), "Plan")
    monkeypatch.setattr(plans, "most", 3)
    for n in (20, 21, 22, 23, 23):
        followed(on_gpu(some(2, n)))
        assert len(plans.known) <= 3
    assert len(kernel.launched) == 1


def test_a_tensor_of_another_gpu_than_the_current_one_takes_no_plan(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, the_module(), "_current_device", lambda: 1)
    for _ in range(2):
        followed(on_gpu(some(6, 40, dtype=torch.float32)))
    assert (len(kernel.bound), kernel.launched) == (2, [])


def test_words_of_0_are_given_anew(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the first call took."""

    def with_words(task: Any, **_: int) -> Any:
        return get(module, "Work")([get(module, "Launch")(kernel, (1,), (7,), {})], 3)

    module, seen = the_module(), []

    def launch(*given: Any) -> None:
        address = given[-2][2]
        seen.append((address, ctypes.string_at(address, 24)))

    monkeypatch.setitem(get(module, "FORMS"), "short", with_words)
    put(monkeypatch, module, "launch_of_compiled", lambda: launch)
    for _ in range(3):
        followed(on_gpu(some(6, 40, dtype=torch.float32)))
    assert len(kernel.bound) == 1
    assert [words for _, words in seen] == [bytes(24)] * 2


@pytest.mark.parametrize("reason", ["another input", "instruments"])
def test_what_is_launched_otherwise_is_worked_out_anew(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    if reason == "instruments":
        kernel.metadata.instrumentation_mode = "consan"
    else:
        put(monkeypatch, the_module(), "readable", torch.clone)
    for _ in range(3):
        followed(on_gpu(some(6, 40, dtype=torch.float32)))
    assert len(kernel.bound) == 3
    assert kernel.launched == []


class Seen(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))


class Dispatched(torch.utils._python_dispatch.TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))


def test_plans_are_for_calls_that_nobody_looks_into() -> None:
    is_untraced, x = get(the_module(), "is_untraced"), some(3)
    assert is_untraced(x)
    assert is_untraced(torch.nn.Parameter(x))
    assert not is_untraced(on_gpu(x))
    assert not is_untraced(torch.complex(x, x).conj().imag)
    for mode in (Seen(), Dispatched(), torch.device("meta"), torch.autograd.forward_ad.dual_level()):
        with mode:
            assert not is_untraced(x)
    inside = []
    for transform in (grad, vmap, torch._vmap_internals._vmap):
        transform(lambda t: (inside.append((is_untraced(t), is_untraced(x), t)), t.sum())[1])(x)
    assert [answers[:2] for answers in inside] == [(False, False)] * 2 + [(False, True)]
    assert not is_untraced(inside[0][2])
    assert not compiled(lambda t: t * int(is_untraced(t)))(x).any()
    traced = torch.jit.trace(lambda t: t * int(is_untraced(t)), x, check_trace=False)
    assert not traced(x).any()
