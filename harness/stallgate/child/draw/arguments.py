"""Arguments of workloads: drawn at random by a problem, or made small by it, with what a call then needs."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from stallgate.child.load import load_file


class Drawer:
    """Asks the references of a plan."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._references = plan["references"]
        self._loaded: dict[str, ModuleType] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, object]:
        """The arguments that a request leads to; with ``needs``, also the bytes and flops that a call needs.

        A request of the kind ``draw`` has a ``key``, which decides on the random numbers, and the ``largest`` number of
        elements, or None. One of the kind ``small`` has the ``arguments`` of a workload.
        """
        reference = self._reference(request["problem"])
        if request["kind"] == "draw":
            if not hasattr(reference, "draw"):
                return {"fault": "the reference has no draw(rng)"}
            arguments = _drawn(reference.draw, request)
        elif hasattr(reference, "small_arguments"):
            arguments = reference.small_arguments(**request["arguments"])
        else:
            arguments = request["arguments"]
        if not isinstance(arguments, dict):
            return {"fault": f"it returned {type(arguments).__name__}, not a dict of arguments"}
        return {"arguments": arguments, **(_needs(reference, arguments) if request["needs"] else {})}

    def _reference(self, problem: str) -> ModuleType:
        if problem not in self._loaded:
            file = self._references[problem]
            self._loaded[problem] = load_file(Path(file["path"]), file["digest"], "stallgate_reference")
        return self._loaded[problem]


def _drawn(draw: Callable[..., dict[str, object]], request: dict[str, Any]) -> dict[str, object]:
    """Arguments that depend on the key alone: Python draws alike on every machine."""
    limit = {"largest": request["largest"]} if request["largest"] is not None and _takes(draw, "largest") else {}
    return draw(random.Random(request["key"]), **limit)


def _takes(function: Callable[..., object], name: str) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(each.name == name or each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)


def _needs(reference: ModuleType, arguments: dict[str, Any]) -> dict[str, int]:
    """Bytes and flops of a call: what the reference says, or else the bytes of its inputs and outputs.

    Those are found without memory for any element: torch works out shapes and dtypes alone.
    """
    if hasattr(reference, "needs"):
        said = reference.needs(**arguments)
        return {"bytes": int(said["bytes"]), "flops": int(said.get("flops", 0))}
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        inputs = reference.get_inputs(**arguments, device="cpu", seed=0)
        outputs = [part for _, part in reference.expected(inputs, **arguments)]
    tensors = [each for each in [*inputs, *outputs] if isinstance(each, torch.Tensor)]
    return {"bytes": max(1, sum(tensor.nbytes for tensor in tensors)), "flops": 0}
