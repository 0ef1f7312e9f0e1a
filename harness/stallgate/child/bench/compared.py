"""A variant or a peer as the timing child checks it: in the process that runs it.

The timing child gates nothing. What it compares guards against mistakes, not against code that changes the comparison;
for that a verdict takes the measuring child and its referee.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from stallgate.child.bench.clock import TimedCall
from stallgate.child.bench.pool import Pool, tensors_of
from stallgate.child.correctness import (
    ExpectedOutput,
    Rule,
    checksums,
    compare_output,
    flat_outputs,
    is_same_place,
    is_same_tensor,
    returned_fault,
    shares_memory,
)
from stallgate.child.device import ComputeDevice, filled_memory
from stallgate.child.load import constructed
from stallgate.child.referee_client import Wrong
from stallgate.child.reference import gradients, split_cotangents
from stallgate.child.roofs import is_built_in, moved, moved_bytes, traffic_result, traffic_source


class ComparedVariant:
    """A variant with a workload, ready to be called, and the reference beside it."""

    def __init__(self, pool: Pool, case: dict[str, Any], device: ComputeDevice) -> None:
        self._device = device
        self._pool = pool
        self._case = case
        self._built_in = is_built_in(case["entry"])
        reference = pool.reference
        self._is_backward = case["direction"] == "backward" and not self._built_in
        self._mutates = [] if self._built_in or self._is_backward else reference.mutates
        self._values: list[Any] = []
        """What the last call that was made ready is called with."""
        self._lent: list[Any] = []
        """The same; of tensors, others in the same memory, which a call does not get to see."""
        found = moved if self._built_in else pool.modules.load(case["entry"])
        named = {**case["entry"]["keywords"], **case["tunables"]}
        init = [] if self._built_in else reference.init(case)
        self._model = constructed(found, init, named, device.name, reference.seed)

    @property
    def is_repeatable(self) -> bool:
        """Whether the same call can be made again: one that changes its inputs finds others."""
        return not self._mutates

    def check(self) -> float:
        """Compares whole outputs, in memory that held NaN before, so that an element never written shows.

        Returns the seconds that the call ran on after it had been launched: compilation is not among them.

        Raises:
            Wrong: one is not right.
        """
        inputs, before = self._first()
        call = self._prepared(inputs)
        with filled_memory():
            returned = call()
        run_s = self._device.wait()
        self._compare(returned, inputs, before)
        return run_s

    def _first(self) -> tuple[list[Any], list[int]]:
        """Inputs and their checksums."""
        if not self._built_in:
            return self._pool.first()
        inputs = self._fresh(0)
        return inputs, checksums(tensors_of(inputs))

    def _fresh(self, seed: int) -> list[Any]:
        """Inputs that the pool does not have; the built-in roof has inputs of its own."""
        if not self._built_in:
            return self._pool.fresh(seed)
        reads, writes = moved_bytes(self._case["bytes"], *self._pool.traffic)
        return [traffic_source(reads, self._device.name, seed), writes]

    def _prepared(self, inputs: list[Any]) -> TimedCall:
        """The call on inputs: on copies of those that it changes; the backward pass alone, where that is asked for."""
        if self._is_backward:
            forward, cotangents = split_cotangents(inputs, self._pool.reference.cotangents_of(self._pool.row))
            return gradients(self._model, forward, cotangents)
        self._values = [each.clone() if place in self._mutates else each for place, each in enumerate(inputs)]
        self._lent = [each.detach() if isinstance(each, torch.Tensor) else each for each in self._values]
        return partial(self._model, *self._values)

    def _compare(self, returned: object, inputs: list[Any], before: list[int]) -> None:
        """Compares outputs. The inputs have to be what they were: the right result is computed of them.

        Args:
            returned: what the call returned.
            inputs: as they were before it.
            before: their checksums.

        Raises:
            Wrong: an output is not right.
        """
        try:
            self._raise_if_wrong(returned, inputs, before)
        except Wrong:
            self._pool.forget()
            raise

    def _raise_if_wrong(self, returned: object, inputs: list[Any], before: list[int]) -> None:
        if checksums(tensors_of(inputs)) != before:
            raise Wrong("it changed its input")
        if not self._is_backward and not all(map(_is_kept, self._values, self._lent)):
            raise Wrong("it resized an input, or gave it other memory")
        changed = [self._lent[place] for place in self._mutates]
        fresh = [each for each in flat_outputs(returned) if not any(is_same_tensor(each, one) for one in changed)]
        if any(shares_memory(output, tensor) for output in fresh for tensor in self._apart(inputs)):
            raise Wrong("its output shares memory with its input")
        raise_if_wrong([*fresh, *changed], self._expected(inputs), self._device.name)

    def _apart(self, inputs: list[Any]) -> list[torch.Tensor]:
        """The inputs that results have to be apart from: a backward pass may pass gradients on."""
        if self._is_backward:
            inputs = split_cotangents(inputs, self._pool.reference.cotangents_of(self._pool.row))[0]
        return tensors_of([each for place, each in enumerate(inputs) if place not in self._mutates])

    def _expected(self, inputs: list[Any]) -> list[ExpectedOutput]:
        if self._built_in:
            return [ExpectedOutput([((), traffic_result(*inputs))], Rule())]
        return self._pool.right(self._case, inputs)


def raise_if_wrong(outputs: list[object], expected: list[ExpectedOutput], device: str) -> None:
    """Compares outputs, part by part.

    Raises:
        Wrong: one is not right.
    """
    if len(outputs) != len(expected):
        raise Wrong(f"it returned {len(outputs)} outputs; expected {len(expected)}")
    for output, right in zip(outputs, expected, strict=True):
        found = returned_fault(output, device)
        if found is None:
            assert isinstance(output, torch.Tensor)
            found = compare_output(output, right).fault
        if found is not None:
            raise Wrong(found)


def _is_kept(value: Any, lent: Any) -> bool:
    return not isinstance(lent, torch.Tensor) or is_same_place(value, lent)
