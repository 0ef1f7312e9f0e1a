"""Small trials: is a variant right on more than its workload, and does each call compute its own result?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from stallgate.child.compare import checksums, fault, shares_memory
from stallgate.child.device import filled_memory
from stallgate.child.load import load

Datasets = Iterator[tuple[str, list[torch.Tensor]]]
"""What is special about a set of inputs, and the inputs, on the CPU."""

FILES = ("path", "digest")


def stray(reference: dict[str, str], case: dict[str, Any], device: str) -> str:
    """Where a variant goes astray on small data of its workload's kind, in a sentence; empty where it does not.

    Workloads that are alike once they are small share a trial. A reference without ``small_arguments`` has none.
    """
    yardstick = load(Path(reference["path"]), reference["digest"], "stallgate_reference")
    if not hasattr(yardstick, "small_arguments"):
        return ""
    subject = {name: case[name] for name in (*FILES, "role", "variant", "tunables")}
    subject["arguments"] = yardstick.small_arguments(**case["arguments"])
    return _tried(json.dumps(reference, sort_keys=True), json.dumps(subject, sort_keys=True), device)


@cache
def _tried(reference: str, subject: str, device: str) -> str:
    """Whatever a variant raises on small data is what is wrong with it."""
    yardstick, told = _load(json.loads(reference), "stallgate_reference"), json.loads(subject)
    name = "fresh data"
    try:
        model = _load(told, f"stallgate_variant_{told['variant']}").ModelNew(
            *yardstick.get_init_inputs(**told["arguments"]), **told["tunables"]
        )
        calls = _Calls(yardstick, told, device, model)
        for name, data in _datasets(yardstick, told["arguments"]):
            found = calls.fault(data)
            if found is not None:
                return f"on {_form(data)} of {name}: {found}"
    except Exception as error:  # noqa: BLE001  (a variant's code can raise anything)
        return f"on small inputs of {name} it raises {type(error).__name__}: {str(error).strip()[:300]}"
    return ""


def _load(file: dict[str, str], name: str) -> ModuleType:
    return load(Path(file["path"]), file["digest"], name)


def _datasets(yardstick: ModuleType, arguments: dict[str, Any]) -> Datasets:
    """Fresh data twice, so that a result that is kept shows, then what the reference plants."""
    for seed in (1, 2):
        yield "fresh data", yardstick.get_inputs(**arguments, device="cpu", seed=seed)
    yield from yardstick.get_special_inputs(**arguments, device="cpu", seed=3).items()


def _form(data: list[torch.Tensor]) -> str:
    return " and ".join("x".join(map(str, tensor.shape)) for tensor in data)


class _Calls:
    """Calls of one model on the same tensors, whose contents change between them."""

    def __init__(self, yardstick: ModuleType, told: dict[str, Any], device: str, model: torch.nn.Module) -> None:
        self._expected = yardstick.expected_roof if told["role"] == "roof" else yardstick.expected
        self._tolerance = yardstick.tolerance(**told["arguments"])
        self._arguments, self._device, self._model = told["arguments"], device, model
        self._inputs: list[torch.Tensor] = []
        self._before: torch.Tensor | None = None
        """The output of the call before: while it lives, its memory can be nobody else's."""

    def fault(self, data: list[torch.Tensor]) -> str | None:
        """What is wrong with a call on this data; data and comparison stay on the CPU, which loads no kernels."""
        if not self._inputs:
            self._inputs = [tensor.to(self._device, copy=True) for tensor in data]
        for tensor, content in zip(self._inputs, data, strict=True):
            tensor.copy_(content)
        sums = checksums(self._inputs)
        with filled_memory():
            output = self._model(*self._inputs)
        found = self._wrong(output, data, sums)
        self._before = output if isinstance(output, torch.Tensor) else None
        return found

    def _wrong(self, output: object, data: list[torch.Tensor], sums: list[int]) -> str | None:
        if checksums(self._inputs) != sums:
            return "it changed its input"
        if any(shares_memory(output, tensor) for tensor in self._inputs):
            return "its output shares memory with its input"
        if shares_memory(output, self._before):
            return "its output shares memory with that of its previous call"
        found = output.cpu() if isinstance(output, torch.Tensor) else output
        wrong = fault(found, self._expected(data, **self._arguments), self._tolerance)
        if wrong is not None and isinstance(found, torch.Tensor) and self._is_before(found):
            return "it returned the result of its previous call"
        return wrong

    def _is_before(self, found: torch.Tensor) -> bool:
        return self._before is not None and torch.equal(self._before.cpu(), found)
