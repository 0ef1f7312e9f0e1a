"""Edge cases: small inputs and special values, on which a variant has to be right as well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch

from stallgate.child.reference import EdgeCase, Reference


class EdgeCases:
    """The edge cases of one variant after another.

    Workloads that are alike once they are small share a result. A reference of a file without ``small_arguments`` has
    none, and neither has the built-in roof.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._key = ""
        self._left: Iterator[EdgeCase] = iter(())
        self._previous: list[torch.Tensor] = []
        self.current = EdgeCase("", [])
        self.case: dict[str, Any] = {}
        """The current variant's case, with the small workload."""
        self.fault = ""
        """What was wrong with the variant's first wrong output, in a sentence; empty as long as all were right."""

    def begin(self, reference: Reference, case: dict[str, Any], device: str, *, has_any: bool) -> None:
        """Starts with a variant, for a workload."""
        self._left, self._previous, self.fault, self._key = iter(()), [], "", ""
        if not has_any:
            return
        self.case = reference.small(case)
        asked = ("problem", "entry", "role", "ceiling", "tunables", "arguments", "inputs", "direction")
        self._key = json.dumps([self.case[name] for name in asked], sort_keys=True)
        self.fault = self._known.get(self._key, "")
        if self._key not in self._known:
            self._left = reference.edge_cases(self.case, device)

    def next(self) -> EdgeCase | None:
        """The next edge case; None after the last, and after one that came out wrong."""
        found = next(self._left, None) if not self.fault else None
        if found is None:
            self._known[self._key] = self.fault
        else:
            self.current = found
        return found

    def repeats(self, outputs: list[torch.Tensor]) -> bool:
        """Whether these outputs are those of the edge case before; they are kept for the next."""
        previous, self._previous = self._previous, outputs
        same = len(previous) == len(outputs) > 0
        return same and all(map(torch.equal, previous, outputs))

    def note(self, fault: str) -> str:
        """Keeps what is wrong with the current edge case; the sentence that says where."""
        self.fault = f"on {self.current}: {fault}"
        return self.fault
