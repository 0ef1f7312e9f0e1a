"""Fresh inputs of one workload, used in rotation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch

from stallgate.child.correctness import checksums
from stallgate.child.load import ProjectModules
from stallgate.child.reference import Reference


class Pool:
    """The inputs of a row, and the reference that makes them; what they held is known by checksums."""

    def __init__(
        self,
        row: dict[str, Any],
        reference: Reference,
        modules: ProjectModules,
        device: str,
        make: Callable[[int], list[Any]] | None = None,
    ) -> None:
        """Starts with no inputs.

        Args:
            row: of the plan.
            reference: the problem's.
            modules: loads the project's code.
            device: where inputs are made.
            make: makes inputs of a seed; None for those of the reference.
        """
        self.row = {**row, "role": "candidate", "ceiling": None}
        self.reference = reference
        self.modules = modules
        self._device = device
        self._make = make if make is not None else self._of_reference
        self.inputs: list[list[Any]] = []
        self.sums: list[list[int]] = []

    def grow(self, count: int) -> None:
        """Makes inputs, each of a seed of its own, until there are so many; seed 0 is that of the first check."""
        while len(self.inputs) < count:
            self.inputs.append(self.fresh(len(self.inputs) + 1))
            self.sums.append(checksums(tensors_of(self.inputs[-1])))

    def fresh(self, seed: int) -> list[Any]:
        """Inputs of a seed, which the pool does not keep."""
        return self._make(seed)

    @property
    def bytes_each(self) -> int:
        """Bytes of one call's inputs; at least 1."""
        return max(1, int(sum(tensor.nbytes for tensor in tensors_of(self.inputs[0]))))

    @cached_property
    def traffic(self) -> tuple[int, int]:
        """Bytes of the workload's inputs, and of its outputs."""
        return self.reference.traffic(self.row, self._device)

    def __len__(self) -> int:
        return len(self.inputs)

    def _of_reference(self, seed: int) -> list[Any]:
        return self.reference.inputs(self.row, self._device, seed)


def tensors_of(inputs: list[Any]) -> list[torch.Tensor]:
    """The tensors among inputs."""
    return [each for each in inputs if isinstance(each, torch.Tensor)]
