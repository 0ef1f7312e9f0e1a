"""Fresh inputs of one workload, used in rotation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch

from stallgate.child.correctness import ExpectedOutput, checksums, is_same_place
from stallgate.child.load import ProjectModules
from stallgate.child.reference import Reference
from stallgate.child.shared_memory import extent_of, form


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
        self._own: list[Any] = []
        """The same inputs by objects that no contender gets to see."""
        self.sums: list[list[int]] = []
        self.is_fixed = False
        """Whether graphs hold on to the memory of the inputs."""
        self.keeps = False
        """Whether what contenders are checked with is made once for all: inputs, and what is right for them. It takes
        memory, and pays where there are many contenders."""
        self._first: tuple[list[Any], list[int]] | None = None
        self._right: tuple[list[Any], list[ExpectedOutput]] | None = None

    def grow(self, count: int) -> None:
        """Makes inputs, each of a seed of its own, until there are so many; seed 0 is that of the first check."""
        while len(self.inputs) < count:
            self.inputs.append(self.fresh(len(self.inputs) + 1))
            self._own.append(_handles(self.inputs[-1]))
            self.sums.append(checksums(tensors_of(self.inputs[-1])))

    def renew(self, place: int, seed: int) -> bool:
        """Inputs of another seed, in the same memory; of a backward pass, only the gradients of results.

        A forward pass is not timed: what it keeps of its inputs belongs to them, and a graph starts from there.

        Returns:
            Whether they have the same form. Others take the place of what is there; where graphs hold on to its memory,
            they do not.
        """
        made = self.fresh(seed)
        start = len(made) - self.reference.cotangents_of(self.row) if self.row.get("direction") == "backward" else 0
        is_same = _is_same_form(self._own[place], made)
        if is_same:
            self._restore(place)
            _write(tensors_of(self._own[place][start:]), tensors_of(made[start:]))
        elif not self.is_fixed:
            self.inputs[place], self._own[place] = made, _handles(made)
        self.sums[place] = checksums(tensors_of(self._own[place]))
        self.forget()
        return is_same

    def _restore(self, place: int) -> None:
        """Undoes what contenders did to the objects that they were lent: their shape, memory, or members."""
        lent, own = self.inputs[place], self._own[place]
        for number, (each, handle) in enumerate(zip(lent, own, strict=True)):
            if not isinstance(each, torch.Tensor):
                lent[number] = _handles(handle)
            elif not is_same_place(each, handle):
                each.data = handle

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
    def is_of_one_form(self) -> bool:
        """Whether the values of each place could stand in every other."""
        return all(_is_same_form(self._own[0], each) for each in self._own)

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
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_same_form(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_is_same_form, one, other))
    try:
        return bool(one == other) or bool(one != one and other != other)  # so is NaN
    except Exception:  # noqa: BLE001  (arrays, among others, do not say whether they are equal)
        return False


def _handles(value: Any) -> Any:
    """The same value by other objects: tensors in the same memory, in lists, tuples and tables of their own."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    if type(value) is dict:
        return {key: _handles(each) for key, each in value.items()}
    return type(value)(map(_handles, value)) if type(value) in (list, tuple) else value


def _write(into: list[torch.Tensor], values: list[torch.Tensor]) -> None:
    """Copies values into the memory of tensors of the same form, whose elements may lie in one place."""
    with torch.inference_mode():  # a tensor that was made in this mode can be written in no other
        for old, new in zip(into, values, strict=True):
            if old.numel():
                _flat(old).copy_(_flat(new))


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """The extent of a tensor in its memory, without overlaps."""
    return tensor.as_strided([extent_of(form(tensor))], [1])


def tensors_of(inputs: Any) -> list[torch.Tensor]:
    """The tensors among inputs, and in their lists, tuples and tables."""
    if isinstance(inputs, torch.Tensor):
        return [inputs]
    if isinstance(inputs, dict):
        inputs = inputs.values()
    elif not isinstance(inputs, (list, tuple)):
        return []
    return [tensor for each in inputs for tensor in tensors_of(each)]
