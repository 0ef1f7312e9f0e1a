"""What Triton compiles where a launch would be: the kernels, their registers and shared memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler.errors import CompileTimeAssertionFailure
from triton.runtime.autotuner import Autotuner
from triton.runtime.errors import OutOfResources, PTXASError
from triton.runtime.jit import JITFunction

_PASSED_OVER = (OutOfResources, CompileTimeAssertionFailure, PTXASError)
"""Errors at which an autotuner goes on with its next configuration."""


@contextmanager
def compiling_only(kernels: list[Any]) -> Iterator[None]:
    """Launches compile a kernel, which is noted, and launch nothing.

    Autotuners compile all that they would try. These kernels are not noted: the times decide which of them is launched.
    """
    launch, tune = JITFunction.run, Autotuner.run

    def compiled(function: Any, *arguments: Any, **named: Any) -> Any:
        kernel = launch(function, *arguments, **{**named, "warmup": True})
        kernels.append(kernel)
        return kernel

    def all_compiled(tuner: Any, *arguments: Any, **named: Any) -> Any:
        tuner.nargs = dict(zip(tuner.arg_names, arguments, strict=False))
        found = None
        noted = len(kernels)
        for each in tuner.prune_configs(named):
            with suppress(*_PASSED_OVER):
                found = tuner.fn.run(*arguments, **{**named, **each.all_kwargs(), "warmup": True})
        if len(tuner.configs) > 1:
            del kernels[noted:]
        return found

    JITFunction.run, Autotuner.run = compiled, all_compiled
    try:
        yield
    finally:
        JITFunction.run, Autotuner.run = launch, tune


def compiled_facts(kernels: list[Any], *, has_gpu: bool) -> dict[str, Any]:
    """Registers, spills and shared memory of the heaviest of some kernels, as far as they are known.

    Registers are known once the driver has loaded the code, which launches nothing.
    """
    known = [each for each in kernels if hasattr(each, "metadata")]
    shared = [int(each.metadata.shared) for each in known if hasattr(each.metadata, "shared")]
    facts: dict[str, Any] = {"shared_bytes": max(shared)} if shared else {}
    if has_gpu:
        for each in known:
            each._init_handles()
        loaded = [each for each in known if getattr(each, "n_regs", None) is not None]
        registers = [(int(each.n_regs), int(each.n_spills)) for each in loaded]
        if registers:
            facts["registers"] = max(count for count, _ in registers)
            facts["spills"] = max(spills for _, spills in registers)
    return facts


class _NoGpu:
    """A driver that knows what is compiled for, and nothing else."""

    def __init__(self, compute_capability: str) -> None:
        major, _, minor = compute_capability.partition(".")
        self._target = GPUTarget("cuda", int(major) * 10 + int(minor or 0), 32)

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int = 0) -> int:  # noqa: ARG002
        return 0

    def get_active_torch_device(self) -> Any:
        import torch

        return torch.device("cpu")


def use_no_gpu(compute_capability: str) -> None:
    """Makes Triton compile for a GPU that is not there."""
    triton.runtime.driver.set_active(_NoGpu(compute_capability))
