"""The contenders: implementations of the problem, checked as they are under ncu, and torch's own copy."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import torch

from stallgate.child.bench.clock import TimedCall
from stallgate.child.bench.compared import ComparedVariant, raise_if_wrong
from stallgate.child.bench.pool import Pool, tensors_of
from stallgate.child.correctness import ExpectedOutput, checksums, shares_memory
from stallgate.child.device import ComputeDevice, filled_memory
from stallgate.child.referee_client import Skip, Wrong


class Contender(Protocol):
    """Something that can be called on one of the inputs of a pool."""

    @property
    def is_repeatable(self) -> bool: ...
    def check(self) -> float: ...
    def ready(self, place: int) -> TimedCall: ...
    def compare(self, output: object, place: int) -> None: ...


class Implementation(ComparedVariant):
    """A variant or a peer."""

    def ready(self, place: int) -> TimedCall:
        return self._prepared(self._inputs(place))

    def compare(self, output: object, place: int) -> None:
        """Compares the output of a timed call.

        Raises:
            Wrong: it is not right.
        """
        inputs = self._inputs(place)
        self._compare(output, inputs, self._sums(place, inputs))

    def _inputs(self, place: int) -> list[Any]:
        """Those of the pool; the built-in roof's own, of which there are two."""
        if not self._built_in:
            return self._pool.inputs[place]
        own = self._own
        if place % 2 not in own:
            own[place % 2] = self._fresh(place % 2 + 1)
        return own[place % 2]

    def _sums(self, place: int, inputs: list[Any]) -> list[int]:
        return checksums(tensors_of(inputs)) if self._built_in else self._pool.sums[place]

    @cached_property
    def _own(self) -> dict[int, list[Any]]:
        return {}


class GradientContender(ComparedVariant):
    """The gradient of a variant's or a peer's input, with the forward pass or without; the pool has cotangents too."""

    def __init__(self, pool: Pool, truth: Any, case: dict[str, Any], device: ComputeDevice, *, alone: bool) -> None:
        super().__init__(pool, case, device)
        self._truth = truth
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
        parts = self._truth.expected_gradient(inputs[:-1], inputs[-1], **self._case["arguments"])
        right = ExpectedOutput(parts, self._pool.reference.rule_of_file(self._case))
        raise_if_wrong([output], [right], self._device.name)


class Copy:
    """``Tensor.copy_`` that moves as many bytes as the workload has to: half of them read, half of them written.

    It copies the input itself where that is half of the bytes, else random bytes.
    """

    def __init__(self, bytes_moved: int, pool: Pool, device: str) -> None:
        self._pool = pool
        self._size = bytes_moved // 2
        self._device = device
        self._own: dict[int, torch.Tensor] = {}

    is_repeatable = True

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
