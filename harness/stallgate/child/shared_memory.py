"""Memory that the referee lends to the child: on the GPU through CUDA IPC, otherwise on the host.

Tensors travel as their bytes. A *place* says where in the memory a tensor lies and how it is to be seen: ``dtype``,
``shape``, ``stride`` (in elements), ``at`` (bytes from the start) and the ``device`` that it belongs on.
"""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch

from stallgate.child import cuda_ipc

Place = dict[str, Any]
Handle = dict[str, Any]

ALIGNMENT = 512
"""Alignment in bytes, the same as torch's own allocations."""


class CannotShare(Exception):
    """The child cannot open the GPU memory that it was lent."""


class Lender:
    """The referee's end: owns the memory, which grows as tensors need it."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device == "cuda"
        self._memory = torch.empty(0, dtype=torch.uint8)
        self._address = 0
        self._descriptor = -1
        self.handle: Handle = {}

    def use_host_memory(self) -> None:
        """Lends memory of the host from now on; what the memory held is lost."""
        self._on_gpu = False
        self._let_go()

    def reserve(self, size: int) -> None:
        """Makes room for so many bytes, at least one. What the memory held is lost if it has to grow."""
        if size <= self._memory.numel() and self.handle:
            return
        self._let_go()
        if not (self._on_gpu and self._lend_gpu_memory(max(size, 1))):
            self._lend_host_memory(max(size, 1))

    def _let_go(self) -> None:
        self._memory, self.handle = torch.empty(0, dtype=torch.uint8), {}
        if self._address:
            cuda_ipc.free(self._address)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._address, self._descriptor = 0, -1

    def _lend_gpu_memory(self, size: int) -> bool:
        """Whether GPU memory could be had and can be shared."""
        with suppress(cuda_ipc.CudaError):
            torch.cuda.empty_cache()
            self._address = cuda_ipc.allocate(size)
            handle = cuda_ipc.handle_of(self._address)
            self._memory = cuda_ipc.as_tensor(self._address, size)
            self.handle = {"cuda": base64.b64encode(handle).decode("ascii"), "size": size}
        return bool(self.handle)

    def _lend_host_memory(self, size: int) -> None:
        """Memory that has no name in any file system: it is gone when the last process that maps it is."""
        self._descriptor = os.memfd_create("stallgate")
        os.ftruncate(self._descriptor, size)
        path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        self._memory = torch.from_file(path, shared=True, size=size, dtype=torch.uint8)
        self.handle = {"host": path, "size": size}

    def put(self, tensors: list[torch.Tensor], places: list[Place]) -> None:
        """Copies strided tensors, of any device, to their places."""
        for tensor, place in zip(tensors, places, strict=True):
            span(self._memory, place).copy_(span_of(tensor))
        self.finish()

    def finish(self) -> None:
        """Waits for what was copied: the other process's streams do not wait for ours."""
        if self._memory.is_cuda:
            torch.cuda.synchronize()

    def span(self, place: Place) -> torch.Tensor:
        """The extent of a place as a flat tensor that shares the memory."""
        return span(self._memory, place)

    def view(self, place: Place) -> torch.Tensor:
        """The tensor at a place; it shares the memory."""
        return seen_as(span(self._memory, place), place)


@contextmanager
def borrowed(handle: Handle) -> Iterator[torch.Tensor]:
    """The child's end: the memory of a handle as bytes, as long as it is open.

    Raises:
        CannotShare: it cannot be opened here.
    """
    if "host" in handle:
        yield torch.from_file(handle["host"], shared=True, size=handle["size"], dtype=torch.uint8)
        return
    with ExitStack() as stack:
        try:
            address = stack.enter_context(cuda_ipc.mapped(base64.b64decode(handle["cuda"])))
        except cuda_ipc.CudaError as error:
            raise CannotShare(str(error)) from error
        yield cuda_ipc.as_tensor(address, handle["size"])


# --- forms and places -------------------------------------------------------------------------------------------------


def form(tensor: torch.Tensor) -> Place:
    """A tensor's dtype, shape, stride and device."""
    return {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "stride": list(tensor.stride()),
        "device": tensor.device.type,
    }


def contiguous_form(tensor: torch.Tensor) -> Place:
    """The form of a tensor's contiguous copy."""
    steps = [math.prod(max(size, 1) for size in tensor.shape[axis + 1 :]) for axis in range(tensor.dim())]
    return {**form(tensor), "stride": steps}


def laid_out(forms: list[Place]) -> list[Place]:
    """Forms with a place in memory for each, one behind the other."""
    places, at = [], 0
    for each in forms:
        places.append({**each, "at": at})
        at += -(-size_of(each) // ALIGNMENT) * ALIGNMENT
    return places


def extent_of(place: Place) -> int:
    """Elements from the first to the last that a tensor of this form touches, those in between included."""
    if 0 in place["shape"]:
        return 0
    return 1 + int(sum((size - 1) * step for size, step in zip(place["shape"], place["stride"], strict=True)))


def size_of(place: Place) -> int:
    """Bytes of that extent."""
    return extent_of(place) * int(dtype_of(place).itemsize)


def end_of(places: list[Place]) -> int:
    """Bytes up to the end of the last place."""
    return max((place["at"] + size_of(place) for place in places), default=0)


def dtype_of(place: Place) -> torch.dtype:
    """The dtype of a form.

    Raises:
        ValueError: torch has no dtype of that name.
    """
    dtype = getattr(torch, place["dtype"], None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"there is no dtype {place['dtype']}")
    return dtype


def span(memory: torch.Tensor, place: Place) -> torch.Tensor:
    """The extent of a place as a flat tensor of its dtype."""
    return memory[place["at"] : place["at"] + size_of(place)].view(dtype_of(place))


def seen_as(flat: torch.Tensor, place: Place) -> torch.Tensor:
    """A flat extent, seen in the shape and stride of a place."""
    return flat.as_strided(place["shape"], place["stride"])


def span_of(tensor: torch.Tensor) -> torch.Tensor:
    """The extent of a tensor as a flat tensor that shares its memory."""
    plain = tensor.detach().resolve_conj().resolve_neg()
    return plain.as_strided([extent_of(form(plain))], [1])
