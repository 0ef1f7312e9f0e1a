"""Launches as data: a form says what is to be launched, and whoever asked launches it, keeps it or reads it."""

from typing import Any, NamedTuple

import torch


class Task(NamedTuple):
    """Cumulative products of `x` into `y`, both contiguous, of `outer` x `axis` x `inner` elements, along `axis`."""

    x: torch.Tensor
    y: torch.Tensor
    outer: int
    axis: int
    inner: int


class Launch(NamedTuple):
    """One launch of a kernel, but for the tensors that it works on."""

    kernel: Any
    grid: tuple[int]
    numbers: tuple[Any, ...]
    """The kernel's arguments after its tensors."""
    options: dict[str, int]
    """Of the compiler: num_warps, and maxnreg where a thread's registers are limited."""

    def run(self, *tensors: torch.Tensor) -> Any:
        """Launch it on the current device. Returns the compiled kernel; None from triton's interpreter."""
        return self.kernel[self.grid](*tensors, *self.numbers, **self.options)


class Work(NamedTuple):
    """All that a call launches, one after the other; every launch is given the same tensors."""

    launches: list[Launch]
    words: int = 0
    """Of so many words of 64 bits, all 0, a tensor follows the input and the result."""

    def run(self, x: torch.Tensor, y: torch.Tensor) -> list[Any]:
        """Launch all, from `x` into `y`. Returns the compiled kernels."""
        words = [torch.zeros(self.words, dtype=torch.int64, device=x.device)] if self.words else []
        return [launch.run(x, y, *words) for launch in self.launches]


def launches_of(
    kernel: Any, programs: int, sizes: tuple[int, ...], constants: tuple[Any, ...], **options: int
) -> list[Launch]:
    """Launches of so many programs in all: a grid has room for 2**31 - 1.

    The kernel is told the first program of its launch, then `sizes`, then `constants`.
    """
    return [
        Launch(kernel, (min(2**30, programs - begin),), (begin, *sizes, *constants), options)
        for begin in range(0, programs, 2**30)
    ]
