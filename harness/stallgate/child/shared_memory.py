"""Memory that the referee lends to the child: on the GPU through CUDA IPC, otherwise on the host.

Tensors travel as their bytes. A *place* says where in the memory a tensor lies and how it is to be seen: ``dtype``,
``shape``, ``stride`` (in elements), ``at`` (bytes from the start) and the ``device`` that it belongs on.
"""

from __future__ import annotations

import base64
import math
import os
import pickle
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
import torch.multiprocessing  # registers how CUDA tensors are pickled: as IPC handles

Place = dict[str, Any]
Handle = dict[str, Any]

ALIGNMENT = 512
"""Bytes; the alignment that torch's own allocations have."""


class CannotShare(Exception):
    """CUDA IPC does not work between these two processes."""


class Lender:
    """The referee's end: owns the memory, which grows as tensors need it."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device == "cuda"
        self._memory = torch.empty(0, dtype=torch.uint8)
        self.handle: Handle = {"number": 0}

    def use_host_memory(self) -> None:
        """Lends memory of the host from now on."""
        self._on_gpu = False
        self._memory = torch.empty(0, dtype=torch.uint8)

    def reserve(self, size: int) -> None:
        """Makes room for so many bytes; what the memory held before is lost if it has to grow."""
        if size <= self._memory.numel() and self.handle["number"]:
            return None
        self._memory = torch.empty(0, dtype=torch.uint8)
        number = self.handle["number"] + 1
        if self._on_gpu:
            try:
                self._memory = torch.empty(size, dtype=torch.uint8, device="cuda")
                handle = base64.b64encode(bytes(ForkingPickler.dumps(self._memory))).decode("ascii")
            except RuntimeError:  # neither room on the GPU, nor CUDA IPC on this machine, are certain
                return self._lend_host_memory(size, number)
            self.handle = {"number": number, "cuda": handle}
            return None
        return self._lend_host_memory(size, number)

    def _lend_host_memory(self, size: int, number: int) -> None:
        """Memory that has no name in any file system: it is gone when the last process that maps it is."""
        descriptor = os.memfd_create("stallgate")
        os.ftruncate(descriptor, size)
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
        self._memory = torch.from_file(path, shared=True, size=size, dtype=torch.uint8)
        self.handle = {"number": number, "host": path, "size": size}

    def put(self, tensors: list[torch.Tensor], room: int = 0) -> list[Place]:
        """Lays tensors into the memory.

        Args:
            tensors: strided ones, on any device.
            room: bytes that the memory should have at least, for what is to be returned.
        """
        places = laid_out([form(tensor) for tensor in tensors])
        self.reserve(max(end_of(places), room, 1))
        for tensor, place in zip(tensors, places, strict=True):
            span(self._memory, place).copy_(_span_of(tensor))
        if self._on_gpu:
            torch.cuda.synchronize()  # the other process's streams do not wait for ours
        return places

    def views(self, places: list[Place]) -> list[torch.Tensor]:
        """The tensors that lie at places; they share the memory."""
        return [view(self._memory, place) for place in places]


class Borrower:
    """The child's end: opens the memory that a handle names."""

    def __init__(self) -> None:
        self._memory = torch.empty(0, dtype=torch.uint8)
        self._number = 0

    def open(self, handle: Handle) -> None:
        """Opens the memory, unless it is open.

        Raises:
            CannotShare: it cannot be opened here.
        """
        if handle["number"] == self._number:
            return
        self._memory = torch.empty(0, dtype=torch.uint8)
        if "host" in handle:
            self._memory = torch.from_file(handle["host"], shared=True, size=handle["size"], dtype=torch.uint8)
        else:
            try:
                self._memory = pickle.loads(base64.b64decode(handle["cuda"]))  # made by the referee, never by a variant
            except RuntimeError as error:
                raise CannotShare(str(error)) from error
        self._number = handle["number"]

    def read_into(self, buffer: torch.Tensor, place: Place) -> None:
        """Copies what lies at a place into a flat buffer of its extent."""
        buffer.copy_(span(self._memory, place))

    def write(self, tensor: torch.Tensor, place: Place) -> None:
        """Copies a tensor to a place of its shape."""
        view(self._memory, place).copy_(tensor)


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


def view(memory: torch.Tensor, place: Place) -> torch.Tensor:
    """The tensor at a place."""
    return seen_as(span(memory, place), place)


def seen_as(flat: torch.Tensor, place: Place) -> torch.Tensor:
    """A flat extent, seen in the shape and stride of a place."""
    return flat.as_strided(place["shape"], place["stride"])


def _span_of(tensor: torch.Tensor) -> torch.Tensor:
    plain = tensor.detach().resolve_conj().resolve_neg()
    return plain.as_strided([extent_of(form(plain))], [1])
