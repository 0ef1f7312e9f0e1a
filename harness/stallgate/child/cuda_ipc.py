"""GPU memory that two processes share: allocated here, mapped there, by the CUDA driver's own interface.

torch can share tensors too, but keeps memory mapped that is no longer looked at. A mapping that is open while ncu
profiles makes each launch 50 ms slower, so the child opens the memory to copy and closes it at once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch


class CudaError(RuntimeError):
    """The driver refused a call."""


class _Handle(ctypes.Structure):
    _fields_ = [("reserved", ctypes.c_char * 64)]


LAZY_PEER_ACCESS = 1
"""``CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS``, which the driver insists on."""


def allocate(size: int) -> int:
    """The address of so many bytes of GPU memory.

    Raises:
        CudaError: there is no room.
    """
    address = ctypes.c_uint64()
    _call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
    return address.value


def free(address: int) -> None:
    """Returns memory that was allocated."""
    _call("cuMemFree_v2", ctypes.c_uint64(address))


def handle_of(address: int) -> bytes:
    """The handle by which another process opens the memory.

    Raises:
        CudaError: memory cannot be shared on this machine.
    """
    handle = _Handle()
    _call("cuIpcGetMemHandle", ctypes.byref(handle), ctypes.c_uint64(address))
    return bytes(handle)


@contextmanager
def mapped(handle: bytes) -> Iterator[int]:
    """The address, here, of another process's memory, as long as it is open.

    Raises:
        CudaError: it cannot be mapped.
    """
    torch.cuda.synchronize()  # torch's context is this thread's from here on
    address = ctypes.c_uint64()
    theirs = _Handle.from_buffer_copy(handle)
    _call("cuIpcOpenMemHandle_v2", ctypes.byref(address), theirs, ctypes.c_uint(LAZY_PEER_ACCESS))
    try:
        yield address.value
        torch.cuda.synchronize()
    finally:
        _call("cuIpcCloseMemHandle", ctypes.c_uint64(address.value))


def as_tensor(address: int, size: int) -> torch.Tensor:
    """Bytes of GPU memory as a tensor; it does not own them."""
    return torch.as_tensor(_Bytes(address, size), device="cuda")


class _Bytes:
    """GPU memory as the CUDA array interface describes it."""

    def __init__(self, address: int, size: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, False),
            "version": 3,
            "strides": None,
        }


@cache
def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")


def _call(name: str, *arguments: object) -> None:
    """Calls the driver, in torch's context."""
    status = getattr(_driver(), name)(*arguments)
    if status != 0:
        raise CudaError(f"{name} failed with CUDA error {status}")
