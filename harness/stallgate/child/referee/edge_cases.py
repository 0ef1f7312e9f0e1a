"""Edge cases: small inputs of odd sizes and with special values, on which a variant has to be right as well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import torch

from stallgate.child.correctness import Allowed, ExpectedPart, fault


class EdgeCase(NamedTuple):
    """Small inputs, on the CPU, and what is special about them."""

    name: str
    inputs: list[torch.Tensor]

    def __str__(self) -> str:
        shapes = ("x".join(map(str, tensor.shape)) for tensor in self.inputs)
        return f"{' and '.join(shapes)} of {self.name}"


class EdgeCases:
    """The edge cases of one variant after another.

    Workloads that are alike once they are small share a result. A reference without ``small_arguments`` has none.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._key = ""
        self._left: Iterator[EdgeCase] = iter(())
        self._previous: torch.Tensor | None = None
        self._current = EdgeCase("", [])
        self.arguments: dict[str, Any] = {}
        self.fault = ""
        """What was wrong with the variant's first wrong output, in a sentence; empty as long as all were right."""

    def begin(self, reference: ModuleType, case: dict[str, Any]) -> None:
        """Starts with a variant, for a workload."""
        self._left, self._previous, self.fault, self._key = iter(()), None, "", ""
        if not hasattr(reference, "small_arguments"):
            return
        self.arguments = reference.small_arguments(**case["arguments"])
        subject = [case[name] for name in ("problem", "path", "digest", "role", "ceiling", "tunables")]
        self._key = json.dumps([*subject, self.arguments], sort_keys=True)
        self.fault = self._known.get(self._key, "")
        if self._key not in self._known:
            self._left = _edge_cases(reference, self.arguments)

    def next(self) -> EdgeCase | None:
        """The next edge case; None after the last, and after one that came out wrong."""
        found = next(self._left, None) if not self.fault else None
        if found is None:
            self._known[self._key] = self.fault
        else:
            self._current = found
        return found

    def compare(self, output: torch.Tensor, expected: Iterator[ExpectedPart], tolerance: Allowed) -> str | None:
        """What is wrong with the output of the current edge case, in a sentence; None where nothing is."""
        found = fault(output, expected, tolerance)
        if found is not None and self._previous is not None and torch.equal(self._previous, output):
            found = "it returned the result of its previous call"
        self._previous = output
        return self.note(found) if found is not None else None

    def note(self, fault: str) -> str:
        """Keeps what is wrong with the current edge case; the sentence that says where."""
        self.fault = f"on {self._current}: {fault}"
        return self.fault


def _edge_cases(reference: ModuleType, arguments: dict[str, Any]) -> Iterator[EdgeCase]:
    """Fresh data twice, so that a result that is kept shows, then what the reference plants."""
    for seed in (1, 2):
        yield EdgeCase("fresh data", reference.get_inputs(**arguments, device="cpu", seed=seed))
    for name, inputs in reference.get_special_inputs(**arguments, device="cpu", seed=3).items():
        yield EdgeCase(name, inputs)
