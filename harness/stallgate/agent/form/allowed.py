"""What an answer may use: the imports, the functions of torch and Triton, the attributes and Python's own names.

Everything else is refused, so that what nobody thought of is refused too.
"""

from __future__ import annotations

import collections.abc
import itertools
import math
import sys


def words(text: str, prefix: str = "") -> frozenset[str]:
    """The words of a text, each behind a prefix."""
    return frozenset(prefix + word for word in text.split())


_DTYPES = """
    float16 bfloat16 float32 float64 half float double int8 int16 int32 int64 short int long uint8 uint16 uint32 uint64
    bool complex64 complex128 cfloat cdouble float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu
"""
_QUERIES = """
    Tensor Size dtype device layout memory_format strided contiguous_format channels_last channels_last_3d
    preserve_format finfo iinfo is_tensor is_floating_point is_complex numel promote_types result_type broadcast_shapes
    get_default_dtype is_grad_enabled no_grad enable_grad inference_mode inf nan pi e __version__
"""
_ALLOCATIONS = """
    empty empty_like empty_strided zeros zeros_like ones ones_like full full_like tensor
"""
_VIEWS = """
    reshape transpose permute squeeze unsqueeze movedim moveaxis swapaxes swapdims flatten unflatten narrow select split
    chunk unbind broadcast_to as_strided view_as_real view_as_complex t
"""
_ELSEWHERE = """
    autograd.Function autograd.function.Function autograd.function.once_differentiable amp.custom_fwd amp.custom_bwd
    cuda.amp.custom_fwd cuda.amp.custom_bwd
    cuda.is_available cuda.current_device cuda.get_device_properties cuda.get_device_capability cuda.device
    cuda.device_of cuda.device_count version.cuda version.hip
    nn nn.Module nn.Parameter nn.parameter.Parameter nn.ParameterList nn.functional.pad nn.Buffer nn.functional
    nn.parameter cuda cuda.amp version autograd autograd.function amp
"""
TORCH = words(f"{_DTYPES}{_QUERIES}{_ALLOCATIONS}{_VIEWS}{_ELSEWHERE}", "torch.") | {"torch"}
"""Of torch, anywhere: dtypes, allocation, views, queries, and what surrounds a kernel."""

TORCH_IN_SHORT = (
    "allowed are allocation (torch.empty, zeros, full …), views (reshape, transpose …), queries of shape, dtype and "
    "device, copies (.contiguous(), .to(), torch.nn.functional.pad) and fills"
)

RANDOM = words("rand randn randint rand_like randn_like normal", "torch.")
"""What fills weights: in ``__init__`` alone, beside ``torch.nn.init`` and the layers that hold weights."""

TRITON = {"triton"} | words(
    """
    jit autotune heuristics Config cdiv next_power_of_2 constexpr_function set_allocator language runtime
    runtime.jit runtime.driver runtime.driver.active tools tools.tensor_descriptor __version__
    tools.tensor_descriptor.TensorDescriptor tools.tensor_descriptor.TensorDescriptor.from_tensor
    runtime.Config runtime.autotuner runtime.autotuner.Config
    """,
    "triton.",
)
_DRIVER = "triton.runtime.driver.active."
DRIVER = words("utils.get_device_properties get_current_device get_current_target get_active_torch_device", _DRIVER)
"""Of Triton's driver: queries. Others lead to streams, timers and torch."""

_NOT_LANGUAGE = sys.stdlib_module_names | {"triton", "torch", "numpy", "np", "runtime", "compiler", "driver", "ir"}
"""What modules of Triton import for themselves: ``tl.core.inspect`` is Python's ``inspect``."""

MODULES: dict[str, frozenset[str]] = {
    "__future__": frozenset({"annotations"}),
    "collections": frozenset({"OrderedDict", "defaultdict", "namedtuple"}),
    "collections.abc": frozenset(collections.abc.__all__),
    "dataclasses": frozenset({"dataclass", "field", "replace"}),
    "enum": frozenset({"Enum", "IntEnum", "auto"}),
    "functools": frozenset({"cache", "lru_cache", "partial", "reduce", "cached_property"}),
    "itertools": frozenset(name for name in dir(itertools) if name[0] != "_"),
    "math": frozenset(name for name in dir(math) if name[0] != "_"),
    "typing": words(
        """
        Any Callable ClassVar Dict Final Iterable Iterator List Literal Mapping NamedTuple Optional Protocol
        Sequence Tuple Type TypeAlias TypeVar Union cast overload
        """
    ),
}
"""Modules of Python that an answer may import -> their names that it may use."""

TENSOR_ATTRIBUTES = words(
    """
    shape dtype device ndim T mT H mH is_cuda is_cpu layout requires_grad itemsize nbytes real imag names
    is_sparse size stride dim numel nelement element_size data_ptr storage_offset is_contiguous
    is_floating_point is_complex is_signed get_device index type ndimension view view_as reshape reshape_as
    transpose permute squeeze unsqueeze movedim moveaxis swapaxes swapdims flatten unflatten narrow select
    split chunk unbind expand expand_as broadcast_to as_strided t ravel view_as_real new_empty new_zeros
    new_full new_ones new_empty_strided new_tensor contiguous to float half double bfloat16 int long short
    clone copy_ zero_ fill_ detach requires_grad_ weight bias eps data
    """
)
"""Attributes and methods of tensors: queries, views, allocation, copies, fills and conversions."""

OTHER_ATTRIBUTES = words(
    """
    multi_processor_count shared_memory_per_block shared_memory_per_block_optin
    shared_memory_per_multiprocessor major minor total_memory warp_size max_threads_per_multi_processor
    regs_per_multiprocessor L2_cache_size name append extend insert pop get items keys values setdefault
    update copy count union intersection join format startswith endswith upper lower strip replace
    partition bit_length bit_count is_integer as_integer_ratio save_for_backward saved_tensors
    needs_input_grad mark_dirty mark_non_differentiable set_materialize_grads apply register_buffer
    register_parameter parameters named_parameters base block_shape strides from_tensor from_iterable kwargs
    num_warps num_stages num_ctas arch backend
    """
)
"""Attributes of what else an answer deals with: device properties, Python's containers, contexts, descriptors."""

LIMITS = frozenset({"max", "min", "eps", "tiny", "smallest_normal", "bits", "resolution", "dtype"})
"""Attributes of ``torch.finfo(…)`` and ``torch.iinfo(…)``; of a tensor, ``max`` and ``min`` compute."""

BUILTINS = words(
    """
    abs all any bool bytes callable complex dict divmod enumerate filter float format frozenset hasattr hash
    int isinstance issubclass iter len list map max min next object pow property range repr reversed round set
    slice sorted staticmethod classmethod str sum super tuple type zip True False None NotImplemented Ellipsis
    ArithmeticError AssertionError AttributeError Exception IndexError KeyError LookupError
    NotImplementedError OverflowError RuntimeError StopIteration TypeError ValueError ZeroDivisionError
    """
)

IN_KERNELS = frozenset({"print", "float", "int", "min", "max", "range", "len", "bool", "isinstance", "static_print"})
"""What kernels may use of Python beside `BUILTINS`."""

MODULE_LEVEL_CALLS = words(
    """
    triton.Config triton.runtime.Config triton.runtime.autotuner.Config triton.cdiv triton.next_power_of_2
    triton.language.constexpr torch.device torch.Size torch.finfo torch.iinfo collections.namedtuple
    typing.TypeVar typing.NamedTuple typing.cast dataclasses.field enum.auto itertools.product dict list tuple
    set frozenset range len int float bool str min max sum abs sorted zip enumerate reversed round slice
    """
)
"""Calls whose results may be constants of the module; beside them all of ``math``."""

DECORATORS = words(
    """
    triton.jit triton.runtime.jit triton.autotune triton.heuristics triton.constexpr_function functools.cache
    functools.lru_cache functools.cached_property dataclasses.dataclass typing.overload torch.no_grad
    torch.enable_grad torch.inference_mode torch.autograd.function.once_differentiable torch.amp.custom_fwd
    torch.amp.custom_bwd torch.cuda.amp.custom_fwd torch.cuda.amp.custom_bwd staticmethod classmethod property
    """
)

BASES = words(
    """
    torch.nn.Module torch.autograd.Function torch.autograd.function.Function typing.NamedTuple typing.Protocol
    enum.Enum enum.IntEnum object
    """
)

DUNDERS = frozenset({"__init__", "__name__", "__version__", "__post_init__"})

IN_PLAIN_CLASSES = frozenset({"__call__", "__repr__", "__len__"})
"""Special methods of classes that inherit nothing: calling a module or a tensor stays torch's."""


def is_allowed_path(path: str) -> bool:
    """Whether something of torch, Triton or Python may be used anywhere outside of kernels."""
    if path in TORCH or path in TRITON or path in DRIVER or is_language(path):
        return True
    module, _, name = path.rpartition(".")
    return path in MODULES or name in MODULES.get(module, ())


def is_language(path: str) -> bool:
    """Whether something is of Triton's language: not a module that the language's own modules import."""
    names = path.removeprefix("triton.language.").split(".")
    is_below = path.startswith("triton.language.")
    first = [] if names[0] in ("math", "random") else names[:1]
    return is_below and not any(name in _NOT_LANGUAGE or name[0] == "_" for name in [*first, *names[1:]])


def is_weight(path: str) -> bool:
    """Whether something makes or fills weights, as ``__init__`` may."""
    if path in RANDOM or path.startswith("torch.nn.init"):
        return True
    name = path.removeprefix("torch.nn.")
    return path.startswith("torch.nn.") and name[:1].isupper() and "." not in name
