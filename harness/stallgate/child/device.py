"""The device that the child measures on."""

from __future__ import annotations

import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
import triton


class CannotMeasure(Exception):
    """This interpreter cannot measure."""


class ComputeDevice(Protocol):
    """A place where variants run: a GPU under ncu, or Triton's interpreter where nothing is profiled."""

    name: str

    def describe(self) -> dict[str, object]: ...
    def free_bytes(self) -> int: ...
    def release(self) -> None: ...
    def wait(self) -> float: ...
    def usable(self) -> bool: ...
    def profiled(self, label: str) -> AbstractContextManager[None]: ...
    def milliseconds(self, call: Callable[[], object]) -> float: ...


def open_device(name: str) -> ComputeDevice:
    """The device of a plan: ``cuda``, or ``cpu`` for the interpreter.

    Raises:
        CannotMeasure: this interpreter cannot measure on it.
    """
    return Gpu() if name == Gpu.name else Interpreter()


def versions() -> dict[str, object]:
    """Versions of what runs the variants."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "cuda": torch.version.cuda or "none",
    }


@contextmanager
def filled_memory() -> Iterator[None]:
    """Makes torch fill uninitialised memory with NaN, or with the largest integer."""
    before = torch.get_deterministic_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_deterministic_debug_mode("warn")  # unlike use_deterministic_algorithms, it imports no compiler
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(before)


class Gpu:
    """The CUDA device that the parent made visible."""

    name = "cuda"

    def __init__(self) -> None:
        if torch.version.cuda is None:
            raise CannotMeasure("its torch is built without CUDA")
        if not torch.cuda.is_available():
            raise CannotMeasure("its torch finds no CUDA device")

    def describe(self) -> dict[str, object]:
        facts = torch.cuda.get_device_properties(0)
        return {"gpu": facts.name, "compute_capability": f"{facts.major}.{facts.minor}", **versions()}

    def free_bytes(self) -> int:
        free, _ = torch.cuda.mem_get_info()
        return int(free)

    def release(self) -> None:
        """Returns cached memory to the driver: ncu saves and restores whatever is allocated, for every pass."""
        torch.cuda.empty_cache()

    def wait(self) -> float:
        """Waits for all launched work; returns the seconds that it waited."""
        begin = time.monotonic()
        torch.cuda.synchronize()
        return time.monotonic() - begin

    def usable(self) -> bool:
        """Whether the process can go on: a fault inside a kernel spoils its CUDA context for good."""
        try:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        except RuntimeError:
            return False
        return True

    @contextmanager
    def profiled(self, label: str) -> Iterator[None]:
        """ncu profiles the launches within, under an NVTX range of that name."""
        torch.cuda.synchronize()
        torch.cuda.profiler.start()
        torch.cuda.nvtx.range_push(label)
        try:
            yield
            torch.cuda.synchronize()
        finally:
            torch.cuda.nvtx.range_pop()
            torch.cuda.profiler.stop()

    def milliseconds(self, call: Callable[[], object]) -> float:
        """GPU time of a call."""
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end))


class Interpreter:
    """Triton's interpreter on the CPU: it shows whether results are right, and profiles nothing."""

    name = "cpu"

    def __init__(self) -> None:
        if os.environ.get("TRITON_INTERPRET") != "1":
            raise CannotMeasure("TRITON_INTERPRET=1 is not set")
        from stallgate.child.interpreter import mend_interpreter  # imports what only an interpreting process has

        mend_interpreter()

    def describe(self) -> dict[str, object]:
        return {"gpu": "none", "compute_capability": "0.0", **versions()}

    def free_bytes(self) -> int:
        return int(os.sysconf("SC_AVPHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))

    def release(self) -> None: ...

    def wait(self) -> float:
        return 0.0

    def usable(self) -> bool:
        return True

    @contextmanager
    def profiled(self, label: str) -> Iterator[None]:  # noqa: ARG002  (there is no profiler to tell)
        yield

    def milliseconds(self, call: Callable[[], object]) -> float:
        begin = time.perf_counter()
        call()
        return (time.perf_counter() - begin) * 1e3
