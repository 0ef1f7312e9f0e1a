"""Who is timed: implementations of the problem, checked as they are under ncu, and torch's own copy."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from harness.child.cases import Subject, Wrong
from harness.child.compare import checksums
from harness.child.device import Device


class Pool:
    """Fresh inputs of one workload, used in rotation; what they held is known by checksums."""

    def __init__(self, reference: Any, arguments: dict[str, Any], device: str) -> None:
        self._reference = reference
        self._arguments = arguments
        self._device = device
        self.inputs: list[list[torch.Tensor]] = []
        self.sums: list[list[int]] = []

    def grow(self, count: int) -> None:
        """Makes inputs, each of a seed of its own, until there are so many; seed 0 is that of the first check."""
        while len(self.inputs) < count:
            seed = len(self.inputs) + 1
            self.inputs.append(self._reference.get_inputs(**self._arguments, device=self._device, seed=seed))
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
    def call(self, place: int) -> object: ...
    def compare(self, output: object, place: int) -> None: ...


class Implementation(Subject):
    """A variant or a peer."""

    def __init__(self, reference: dict[str, str], case: dict[str, Any], device: Device, pool: Pool) -> None:
        super().__init__(reference, case, device)
        self._pool = pool

    def call(self, place: int) -> object:
        return self._model(*self._pool.inputs[place])

    def compare(self, output: object, place: int) -> None:
        """Compares what a timed call gave.

        Raises:
            Wrong: it is not right.
        """
        self._compare(output, self._pool.inputs[place], self._pool.sums[place])


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

    def call(self, place: int) -> object:
        source = self._source(place)
        return torch.empty_like(source).copy_(source)

    def compare(self, output: object, place: int) -> None:
        if not isinstance(output, torch.Tensor) or not torch.equal(output, self._source(place)):
            raise Wrong("the copy is not what was copied")

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
