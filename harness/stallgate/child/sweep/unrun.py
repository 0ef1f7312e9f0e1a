"""Torch without work: tensors that have a shape, a type and an address, and operations that compute nothing.

A wrapper that is called with such tensors makes its decisions and comes to its launches. Many processes can do so at a
time, of tensors that a GPU could not hold twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

_BYTES = 1 << 20
"""Memory behind all tensors; nothing reads or writes it."""

_READS = {"aten::_local_scalar_dense", "aten::item", "aten::equal", "aten::is_nonzero", "aten::nonzero"}
"""Operations whose results are values of elements."""


class NeedsValues(Exception):
    """The code asks for values of elements, which nobody has computed."""


class Unrun(TorchDispatchMode):  # type: ignore[misc]
    """Makes tensors without memory of their own, and computes shapes instead of elements."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self._device = device
        self._memory = torch.empty(_BYTES, dtype=torch.uint8, device=device)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        schema = func._schema
        if schema.name in _READS:
            raise NeedsValues(f"{schema.name.removeprefix('aten::')} of a tensor")
        written = _written(schema, args, named)
        if written is not None:
            return written
        if any(each.alias_info is not None for each in schema.returns):  # a view: only its shape is computed
            return func(*args, **named)
        if not self._concerns_device(args, named):
            return func(*args, **named)
        meta = func(*tree_map(_as_meta, args), **{name: _meta_option(name, each) for name, each in named.items()})
        return tree_map(lambda each: self.claimed(each) if isinstance(each, torch.Tensor) else each, meta)

    def claimed(self, like: torch.Tensor) -> torch.Tensor:
        """A tensor of a shape, strides and type, with an address; on the CPU memory is lent when it is written."""
        if self._device == "cpu":
            return torch.empty_strided(like.shape, like.stride(), dtype=like.dtype)
        raw = torch.as_tensor(_Claim(self._memory.data_ptr(), like), device=self._device)
        return raw.view(like.dtype) if raw.dtype != like.dtype else raw

    def _concerns_device(self, args: Any, named: dict[str, Any]) -> bool:
        """Whether an operation has tensors of the device, or makes one there.

        Raises:
            NeedsValues: it brings elements to another device.
        """
        tensors = [each for each in _flat([args, named]) if isinstance(each, torch.Tensor)]
        is_there = any(each.device.type == self._device for each in tensors)
        made = torch.device(named["device"]).type if named.get("device") is not None else None
        if is_there and made not in (None, self._device):
            raise NeedsValues(f"a copy of a tensor on the {made}")
        return is_there or made == self._device or (not tensors and made is None and self._device == "cpu")


class _Claim:
    """What torch reads of another library's array."""

    def __init__(self, address: int, like: torch.Tensor) -> None:
        size = like.element_size()
        self.__cuda_array_interface__ = {
            "data": (address, False),
            "shape": tuple(like.shape),
            "strides": tuple(each * size for each in like.stride()),
            "typestr": {1: "|u1", 2: "<i2", 4: "<i4", 8: "<i8", 16: "<c16"}[size],
            "version": 2,
        }


def _flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [part for each in value for part in _flat(each)]
    if isinstance(value, dict):
        return [part for each in value.values() for part in _flat(each)]
    return [value]


def _as_meta(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    return torch.device("meta") if isinstance(value, torch.device) else value


def _meta_option(name: str, value: Any) -> Any:
    if name == "device":
        return torch.device("meta")
    if name in ("generator", "pin_memory"):
        return None
    return tree_map(_as_meta, value)


def _written(schema: Any, args: Any, named: dict[str, Any]) -> Any:
    """The tensors that an operation writes into, which are its results; None if it makes its own."""
    if not schema.returns or not all(
        each.alias_info is not None and each.alias_info.is_write for each in schema.returns
    ):
        return None
    found = []
    for number, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found.append(args[number] if number < len(args) else named[argument.name])
    return found[0] if len(schema.returns) == 1 and found else tuple(found)
