"""The contenders: implementations of the problem, checked as they are under ncu, and torch's own copy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch

from stallgate.child.bench.clock import TimedCall
from stallgate.child.bench.compared import ComparedVariant, raise_if_wrong
from stallgate.child.correctness import checksums, shares_memory
from stallgate.child.device import ComputeDevice, filled_memory
from stallgate.child.referee_client import Skip, Wrong


class Pool:
    """Fresh inputs of one workload, used in rotation; what they held is known by checksums."""

    def __init__(self, get_inputs: Callable[..., list[torch.Tensor]], arguments: dict[str, Any], device: str) -> None:
        self._get_inputs = get_inputs
        self._arguments = arguments
        self._device = device
        self.inputs: list[list[torch.Tensor]] = []
        self.sums: list[list[int]] = []

    def grow(self, count: int) -> None:
        """Makes inputs, each of a seed of its own, until there are so many; seed 0 is that of the first check."""
        while len(self.inputs) < count:
            seed = len(self.inputs) + 1
            self.inputs.append(self._get_inputs(**self._arguments, device=self._device, seed=seed))
            self.sums.append(checksums(self.inputs[-1]))

    @property
    def bytes_each(self) -> int:
        """Bytes of one call's inputs; at least 1."""
        return max(1, int(sum(tensor.nbytes for tensor in self.inputs[0])))

    def __len__(self) -> int:
        return len(self.inputs)


class Contender(Protocol):
    """Something that can be called on one of the inputs of a pool."""

    def check(self) -> float: ...
    def ready(self, place: int) -> TimedCall: ...
    def compare(self, output: object, place: int) -> None: ...


class Implementation(ComparedVariant):
    """A variant or a peer."""

    def __init__(self, reference: dict[str, str], case: dict[str, Any], device: ComputeDevice, pool: Pool) -> None:
        super().__init__(reference, case, device)
        self._pool = pool

    def ready(self, place: int) -> TimedCall:
        return partial(self._model, *self._pool.inputs[place])

    def compare(self, output: object, place: int) -> None:
        """Compares the output of a timed call.

        Raises:
            Wrong: it is not right.
        """
        self._compare(output, self._pool.inputs[place], self._pool.sums[place])


def gradient_inputs(
    reference: Any, truth: Any, zeros: int, *, device: str, seed: int, **arguments: Any
) -> list[torch.Tensor]:
    """Inputs of a problem, and behind them a cotangent of its result."""
    inputs = reference.get_inputs(**arguments, device=device, seed=seed)
    found: list[torch.Tensor] = truth.get_gradient_inputs(inputs, zeros=zeros, seed=seed, **arguments)
    return found


class GradientContender(ComparedVariant):
    """The gradient of a variant's or a peer's input, with the forward pass or without; the pool has cotangents too."""

    def __init__(
        self,
        reference: dict[str, str],
        truth: Any,
        case: dict[str, Any],
        device: ComputeDevice,
        pool: Pool,
        *,
        alone: bool,
    ) -> None:
        super().__init__(reference, case, device)
        self._truth = truth
        self._pool = pool
        self._alone = alone

    def check(self) -> float:
        """Compares a first gradient, in memory that held NaN before; the seconds that the call ran on."""
        with filled_memory():
            gradient = self.ready(0)()
        run_s = self._device.wait()
        self.compare(gradient, 0)
        return run_s

    def ready(self, place: int) -> TimedCall:
        """The call; where the backward pass is alone, the result it starts from lives as long as the call does."""
        x, cotangent = self._pool.inputs[place]
        x = x.detach().requires_grad_()
        if not self._alone:
            return lambda: torch.autograd.grad(self._result(x), x, cotangent)[0]
        result = self._result(x)
        return lambda: torch.autograd.grad(result, x, cotangent, retain_graph=True)[0]

    def _result(self, x: torch.Tensor) -> torch.Tensor:
        """The output, with its autograd graph.

        Raises:
            Skip: there is none.
        """
        try:
            result: torch.Tensor = self._model(x)
        except BufferError as error:  # torch lends other libraries no memory of a tensor that requires grad
            raise Skip(f"no gradient: {error}") from error
        if not result.requires_grad:
            raise Skip("no gradient: its output does not require grad")
        return result

    def compare(self, output: object, place: int) -> None:
        """Compares a gradient.

        Raises:
            Wrong: it is not right.
        """
        inputs = self._pool.inputs[place]
        if checksums(inputs) != self._pool.sums[place]:
            raise Wrong("it changed its input or the cotangent")
        if any(shares_memory(output, tensor) for tensor in inputs):
            raise Wrong("its gradient shares memory with its input or the cotangent")
        right = self._truth.expected_gradient(inputs[:-1], inputs[-1], **self._arguments)
        raise_if_wrong(output, right, self._reference.tolerance(**self._arguments))


class Copy:
    """``Tensor.copy_`` that moves as many bytes as the workload has to: half of them read, half of them written.

    It copies the input itself where that is half of the bytes, else random bytes.
    """

    def __init__(self, bytes_moved: int, pool: Pool, device: str) -> None:
        self._pool = pool
        self._size = bytes_moved // 2
        self._device = device
        self._own: dict[int, torch.Tensor] = {}

    def check(self) -> float:
        return 0.0

    def ready(self, place: int) -> TimedCall:
        source = self._source(place)
        return lambda: torch.empty_like(source).copy_(source)

    def compare(self, output: object, place: int) -> None:
        if not isinstance(output, torch.Tensor) or not torch.equal(output, self._source(place)):
            raise Wrong("the copy differs from its source")

    def _source(self, place: int) -> torch.Tensor:
        inputs = self._pool.inputs[place]
        if len(inputs) == 1 and inputs[0].nbytes == self._size:
            return inputs[0]
        if place not in self._own:
            if self._size * len(self._own) > LARGEST_SOURCES:
                return next(iter(self._own.values()))
            fresh = torch.empty(self._size, dtype=torch.uint8, device=self._device)
            self._own[place] = fresh.random_()
        return self._own[place]


LARGEST_SOURCES = 2**31
"""Random bytes beyond this are used again: they are many times a cache already."""
