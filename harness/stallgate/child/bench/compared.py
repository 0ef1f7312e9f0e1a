"""A variant or a peer as the timing child checks it: in the process that runs it.

The timing child gates nothing. What it compares guards against mistakes, not against code that changes the comparison;
for that a verdict takes the measuring child and its referee.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from stallgate.child.correctness import Allowed, checksums, fault, returned_fault, shares_memory
from stallgate.child.device import ComputeDevice, filled_memory
from stallgate.child.load import expected_of, load_file
from stallgate.child.referee_client import Wrong


class ComparedVariant:
    """A variant with a workload, ready to be called, and the reference beside it."""

    def __init__(self, reference: dict[str, str], case: dict[str, Any], device: ComputeDevice) -> None:
        self._device = device
        self._arguments: dict[str, Any] = case["arguments"]
        self._reference = load_file(Path(reference["path"]), reference["digest"], "stallgate_reference")
        self._expected = expected_of(self._reference, case)
        variant = load_file(Path(case["path"]), case["digest"], f"stallgate_variant_{case['variant']}")
        self._model = variant.ModelNew(*self._reference.get_init_inputs(**self._arguments), **case["tunables"])

    def check(self) -> float:
        """Compares a whole output, in memory that held NaN before, so that an element never written shows.

        Returns the seconds that the call ran on after it had been launched: compilation is not among them.

        Raises:
            Wrong: it is not right.
        """
        inputs = self._reference.get_inputs(**self._arguments, device=self._device.name, seed=0)
        before = checksums(inputs)
        with filled_memory():
            output = self._model(*inputs)
        run_s = self._device.wait()
        self._compare(output, inputs, before)
        return run_s

    def _compare(self, output: object, inputs: list[torch.Tensor], before: list[int]) -> None:
        """Compares an output. The inputs have to be what they were: the right result is computed of them.

        Raises:
            Wrong: it is not right.
        """
        if checksums(inputs) != before:
            raise Wrong("it changed its input")
        if any(shares_memory(output, tensor) for tensor in inputs):
            raise Wrong("its output shares memory with its input")
        parts = self._expected(inputs, **self._arguments)
        raise_if_wrong(output, parts, self._reference.tolerance(**self._arguments))


def raise_if_wrong(output: object, parts: Any, tolerance: Allowed) -> None:
    """Compares an output, part by part.

    Raises:
        Wrong: it is not right.
    """
    found = returned_fault(output)
    if found is None:
        assert isinstance(output, torch.Tensor)
        found = fault(output, parts, tolerance)
    if found is not None:
        raise Wrong(found)
