"""Fresh inputs of one workload, used in rotation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch

from stallgate.child.correctness import ExpectedOutput, checksums
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
        self.keeps = False
        """Whether what contenders are checked with is made once for all: inputs, and what is right for them. It takes
        memory, and pays where there are many contenders."""
        self._first: tuple[list[Any], list[int]] | None = None
        self._right: tuple[list[Any], list[ExpectedOutput]] | None = None

    def grow(self, count: int) -> None:
        """Makes inputs, each of a seed of its own, until there are so many; seed 0 is that of the first check."""
        while len(self.inputs) < count:
            self.inputs.append(self.fresh(len(self.inputs) + 1))
            self.sums.append(checksums(tensors_of(self.inputs[-1])))

    def renew(self, place: int, seed: int) -> None:
        """Inputs of another seed, in the same memory. Where they have another form, a place keeps what it has."""
        kept, made = self.inputs[place], self.fresh(seed)
        if not all(map(_is_same_form, kept, made)):
            return
        with torch.no_grad():
            for old, new in zip(tensors_of(kept), tensors_of(made), strict=True):
                old.copy_(new)
        self.sums[place] = checksums(tensors_of(kept))
        self.forget()

    def fresh(self, seed: int) -> list[Any]:
        """Inputs of a seed, which the pool does not keep."""
        return self._make(seed)

    def first(self) -> tuple[list[Any], list[int]]:
        """The inputs of seed 0, which every contender is checked with, and their checksums."""
        if self._first is not None:
            return self._first
        inputs = self.fresh(0)
        found = inputs, checksums(tensors_of(inputs))
        if self.keeps:
            self._first = found
        return found

    def right(self, case: dict[str, Any], inputs: list[Any]) -> list[ExpectedOutput]:
        """What is right for inputs. Of the pool's own, the last is kept for the next contender; a roof's is another."""
        own = [*self.inputs, *([self._first[0]] if self._first is not None else [])]
        if not self.keeps or case["role"] == "roof" or not any(inputs is each for each in own):
            return self.reference.expected(case, inputs)
        if self._right is None or self._right[0] is not inputs:
            self._right = None  # its memory is needed
            expected = self.reference.expected(case, inputs)
            self._right = inputs, [each._replace(parts=list(each.parts)) for each in expected]
        return self._right[1]

    def forget(self) -> None:
        """Drops what is kept for checks: a contender that is wrong may have written there."""
        self._first = self._right = None

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


def _is_same_form(one: Any, other: Any) -> bool:
    """Whether the values of one can stand where those of the other do."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype)
    return type(one) is type(other) and bool(one == other)


def tensors_of(inputs: list[Any]) -> list[torch.Tensor]:
    """The tensors among inputs."""
    return [each for each in inputs if isinstance(each, torch.Tensor)]
