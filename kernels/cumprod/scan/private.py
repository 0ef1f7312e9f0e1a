"""Every private name of torch and triton that the rest uses, each with something that works where it is missing."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
import triton
from torch import nn
from torch.autograd import forward_ad

Launcher = Callable[..., None]
"""Launches a compiled kernel again, given the addresses of its tensors."""


def found(root: Any, path: str, otherwise: Any) -> Any:
    """What a dotted path leads to from a module, or `otherwise` if a step of it is missing."""
    missing = object()
    value = reduce(lambda each, name: getattr(each, name, missing), path.split("."), root)
    return otherwise if value is missing else value


def shared_memory(device: torch.device) -> int:
    """Bytes of shared memory that a program can have; where torch does not say, what every GPU has."""
    room: int = getattr(torch.cuda.get_device_properties(device), "shared_memory_per_block_optin", 48 * 1024)
    return room


# --- a launch once more, past triton ----------------------------------------------------------------------------------


def launcher(compiled: Any, grid: tuple[int, int, int], numbers: tuple[Any, ...], device: int) -> Launcher | None:
    """A launch of a compiled kernel as torch launches those that it compiles itself; `numbers` follow the tensors.

    Triton's own launch costs twice that. It is triton's own where torch cannot, and where hooks before or after
    launches are set. None if the kernel has to be asked for anew each time, as in the interpreter.
    """
    if not hasattr(compiled, "__getitem__") or found(compiled, "metadata.instrumentation_mode", ""):
        return None
    by_triton = compiled[grid]
    by_torch = _launcher_of_torch(compiled, grid, numbers, device)
    hooks = found(triton, "knobs.runtime", None)
    if by_torch is None or not all(hasattr(getattr(hooks, name, None), "calls") for name in _HOOKS):
        return lambda *addresses: by_triton(*addresses, *numbers)

    def launch(*addresses: int) -> None:
        if hooks.launch_enter_hook.calls or hooks.launch_exit_hook.calls:
            by_triton(*addresses, *numbers)
        else:
            by_torch(addresses)

    return launch


_HOOKS = ("launch_enter_hook", "launch_exit_hook")


def _launcher_of_torch(
    compiled: Any, grid: tuple[int, int, int], numbers: tuple[Any, ...], device: int
) -> Callable[[tuple[int, ...]], None] | None:
    """The launch by what torch launches its own compiler's kernels with; None if it cannot launch this one."""
    launch_compiled, metadata = launch_of_compiled(), found(compiled, "metadata", None)
    types = list(found(compiled, "src.signature", {}).values())
    pointers = [kind for kind in types if kind.startswith("*")]
    scratch = [getattr(metadata, f"{name}_scratch_size", None) for name in ("global", "profile")]
    is_known = hasattr(compiled, "function") and hasattr(metadata, "num_warps") and hasattr(metadata, "shared")
    is_usual = getattr(metadata, "num_ctas", 1) == 1 and not any(scratch)
    if launch_compiled is None or not (is_known and is_usual) or len(types) != len(pointers) + len(numbers):
        return None
    every = zip(types[len(pointers) :], numbers, strict=True)
    taken = [(kind, number) for kind, number in every if kind != "constexpr"]
    if not all(kind in _KINDS for kind, _ in taken):
        return None
    others = [None for size in scratch if size is not None]  # memory for instruments: none, but a parameter
    kinds = "O" * len(pointers) + "".join(_KINDS[kind] for kind, _ in taken) + "O" * len(others)
    rest = (*(number for _, number in taken), *others)
    function, warps, shared, stream_of = compiled.function, metadata.num_warps, metadata.shared, stream_on()

    def launch(addresses: tuple[int, ...]) -> None:
        launch_compiled(function, *grid, warps, shared, kinds, (*addresses, *rest), stream_of(device))

    return launch


_KINDS = {"i32": "i", "i64": "l"}
"""Types of numbers in triton's signatures, and what torch's launcher calls them."""


def launch_of_compiled() -> Launcher | None:
    """What torch launches the Triton kernels with that its own compiler makes."""
    launch: Launcher | None = found(torch, "_C._StaticCudaLauncher._launch_kernel", None)
    return launch


def stream_on() -> Callable[[int], int]:
    """What says which stream is current on a device."""
    try:
        stream_of: Callable[[int], int] = triton.runtime.driver.active.get_current_stream
    except (AttributeError, RuntimeError):  # moved; or there is no driver, as on a machine without a GPU
        return lambda device: torch.cuda.current_stream(device).cuda_stream
    return stream_of


def current_device_of() -> Callable[[], int]:
    """torch.cuda.current_device for whoever has a tensor on one: CUDA needs no more initialisation."""
    device_of: Callable[[], int] = found(torch, "_C._cuda_getDevice", torch.cuda.current_device)
    return device_of


def empty_on_gpu() -> Callable[[tuple[int, ...], tuple[int, ...], torch.dtype], torch.Tensor]:
    """What gives compiled code memory on the current device, for a shape with strides, past torch's dispatcher."""
    empty: Callable[[tuple[int, ...], tuple[int, ...], torch.dtype], torch.Tensor]
    empty = found(torch, "_C._dynamo.guards._empty_strided_cuda", _empty_by_dispatcher)
    return empty


def _empty_by_dispatcher(shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty_strided(shape, strides, dtype=dtype, device="cuda")


# --- whether anybody looks into a call --------------------------------------------------------------------------------


def _perhaps(*_: object) -> bool:
    """What nobody can ask may be so: torch's dispatcher then decides, more slowly."""
    return True


_transforms_are_active = found(torch, "_C._are_functorch_transforms_active", _perhaps)
_is_left_over = found(torch, "_C._functorch.is_functorch_wrapped_tensor", _perhaps)
"""From a transform that has ended."""
_is_batched = found(torch, "_C._functorch.is_legacy_batchedtensor", _perhaps)
"""By torch.autograd.grad's is_grads_batched."""
_is_seen = found(torch, "overrides.has_torch_function_unary", lambda x: torch.overrides.has_torch_function((x,)))
"""Whether a mode wants to see every function."""
_dispatch_modes = found(torch, "_C._len_torch_dispatch_stack", _perhaps)
_tracing_state = found(torch, "_C._get_tracing_state", _perhaps)


def is_untraced(x: torch.Tensor) -> bool:
    """Whether nobody compiles, transforms, traces or differentiates forward what is done with a tensor."""
    return (
        not torch.compiler.is_compiling()
        and type(x) in (torch.Tensor, nn.Parameter)
        and getattr(forward_ad, "_current_level", 0) < 0
        and not _transforms_are_active()
        and not _is_left_over(x)
        and not _is_batched(x)
        and not _is_seen(x)
        and not _dispatch_modes()
        and _tracing_state() is None
        and not x.is_neg()  # whose elements are not what is in memory
    )


def is_proxy(x: object) -> bool:
    """Whether it stands for a value in torch.fx.symbolic_trace."""
    return isinstance(x, _PROXY)


_PROXY = found(torch, "fx.Proxy", ())


def tell_torchscript(function: Callable[..., Any], operator: str) -> None:
    """Have scripted code call an operator of torch's in the place of a function, whose text it could not compile."""
    tell = found(torch, "jit._builtins._register_builtin", None)
    if tell is not None:
        tell(function, operator)


# --- derivatives ------------------------------------------------------------------------------------------------------

SingleLevelFunction: type = found(torch, "autograd.function._SingleLevelFunction", torch.autograd.Function)
"""An autograd.Function for one level of torch.func's transforms."""

may_derive_at_dispatcher: bool = all(
    found(torch, path, None) is not None
    for path in (
        "autograd.function._SingleLevelFunction",
        "_functorch.autograd_function.enable_single_level_autograd_function",
        "autograd.forward_ad._set_fwd_grad_enabled",
        "_C._AutoDispatchBelowAutograd",
    )
)
"""Whether derivatives can be attached there, forward ones too. Else torch.library attaches those backward."""


def single_level() -> Any:
    """A context in which a SingleLevelFunction may be applied."""
    return torch._functorch.autograd_function.enable_single_level_autograd_function()


def forward_derivatives() -> Any:
    """A context in which derivatives forward are formed."""
    return forward_ad._set_fwd_grad_enabled(True)


def below_derivatives() -> Any:
    """A context in which torch's dispatcher has derived already."""
    return torch._C._AutoDispatchBelowAutograd()
