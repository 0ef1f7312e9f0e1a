"""Workloads: drawn at random by a problem, or made small by it, with what a call then needs."""

from __future__ import annotations

import inspect
import json
import random
import re
from collections.abc import Callable
from typing import Any

import torch

from stallgate.child.inputs import written
from stallgate.child.load import ProjectModules
from stallgate.child.reference import Reference

REDRAWS = 50
"""Draws after a first one of a dtype that is to be avoided. A problem that has it in all of them has hardly another."""


class CannotDraw(Exception):
    """A problem has nothing to draw with, or what it drew is no workload."""


class Drawer:
    """Asks the references of a plan."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._specs = plan["references"]
        self._modules = ProjectModules(plan["root"], plan["import_paths"])
        self._modules.install()
        self._loaded: dict[str, Reference] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, object]:
        """The arguments or inputs that a request leads to; with ``needs``, also the bytes and flops of a call.

        A request of the kind ``draw`` has a ``key``, which decides on the random numbers, and the ``largest`` number of
        elements, or None. One of the kind ``small`` has the ``arguments`` and ``inputs`` of a workload.

        Where a request has ``avoid``, a dtype, the answer says whether that was ``avoided``, or is in it (``kept``).

        Raises:
            CannotDraw: there is nothing to draw with.
        """
        reference = self._reference(request["problem"])
        if request["kind"] == "small":
            small = _made_small(reference, request)
            return {**small, "kept": _has(request["avoid"], reference, small)}
        return _drawn(self._draw(request["problem"], reference), reference, request)

    def _draw(self, problem: str, reference: Reference) -> Callable[..., Any]:
        entry = self._specs[problem]["draw"]
        found: Callable[..., Any] | None = self._modules.load(entry) if entry is not None else reference.draw
        if found is None:
            raise CannotDraw("the reference has no draw(rng)")
        return found

    def _reference(self, problem: str) -> Reference:
        if problem not in self._loaded:
            self._loaded[problem] = Reference(self._specs[problem], self._modules)
        return self._loaded[problem]


def _made_small(reference: Reference, request: dict[str, Any]) -> dict[str, object]:
    """A workload of the same kind that Triton's interpreter can do."""
    case: dict[str, Any] = {
        "arguments": request["arguments"],
        "inputs": request["described"],
        "direction": request["direction"],
    }
    case |= {"tolerance": [], "role": "candidate", "ceiling": None}
    small = reference.small(case) if reference.has_edge_cases() else case
    if reference.has_inputs:
        return _with_needs(reference, small["arguments"], request)
    return {"inputs": [written(each) for each in small["inputs"]]}


def _with_needs(reference: Reference, arguments: Any, request: dict[str, Any]) -> dict[str, object]:
    """Arguments, with the bytes and flops of a call where they are asked for."""
    if not isinstance(arguments, dict):
        raise CannotDraw(f"it returned {type(arguments).__name__}, not a dict of arguments")
    return {"arguments": arguments, **(_needs(reference, arguments) if request["needs"] else {})}


def _drawn(draw: Callable[..., Any], reference: Reference, request: dict[str, Any]) -> dict[str, object]:
    """The first draw that does without the dtype that is to be avoided; the very first if none does.

    All depends on the key alone: Python draws alike on every machine.
    """
    limit = {"largest": request["largest"]} if request["largest"] is not None and _takes(draw, "largest") else {}
    rng = random.Random(request["key"])
    first = found = _checked(draw(rng, **limit), reference)
    redraws = 0
    while (kept := _has(request["avoid"], reference, found)) and redraws < REDRAWS:
        found = _checked(draw(rng, **limit), reference)
        redraws += 1
    found = first if kept else found
    needs = _needs(reference, found["arguments"]) if request["needs"] and reference.has_inputs else {}
    return {**found, **needs, "avoided": redraws > 0 and not kept, "kept": kept}


def _checked(drawn: Any, reference: Reference) -> dict[str, Any]:
    """What was drawn, as ``arguments`` of the reference or as ``inputs``.

    Raises:
        CannotDraw: it is neither.
    """
    if not isinstance(drawn, dict):
        raise CannotDraw(f"draw(rng) returned {type(drawn).__name__}, not a dict")
    if reference.has_inputs:
        return {"arguments": drawn}
    if not isinstance(drawn.get("inputs"), list):
        raise CannotDraw('draw(rng) has to return {"inputs": [...]}')
    return {"inputs": drawn["inputs"]}


_SHORT = {"bfloat16": "bf16"}


def _has(dtype: str, reference: Reference, found: dict[str, Any]) -> bool:
    """Whether a workload is of a dtype: its arguments or inputs name it, or a tensor that is made of them has it."""
    if not dtype:
        return False
    names = f"{dtype}|{_SHORT.get(dtype, dtype)}"
    if re.search(rf"\b(?:{names})\b", json.dumps([found.get("arguments"), found.get("inputs")]), re.IGNORECASE):
        return True
    return reference.has_inputs and dtype in _dtypes(reference, found["arguments"])


def _dtypes(reference: Reference, arguments: dict[str, Any]) -> set[str]:
    """Of the inputs; of none where they cannot be made, which their check will say."""
    case: dict[str, Any] = {"arguments": arguments, "inputs": [], "direction": "forward"}
    try:
        made = reference.inputs(case, "cpu", 0)
    except Exception:  # noqa: BLE001  (a reference's code can raise anything)
        return set()
    return {str(each.dtype).removeprefix("torch.") for each in made if isinstance(each, torch.Tensor)}


def _takes(function: Callable[..., object], name: str) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(each.name == name or each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)


def _needs(reference: Reference, arguments: dict[str, Any]) -> dict[str, int]:
    """Bytes and flops of a call: what the reference says, or else the bytes of its inputs and outputs.

    Those are found without memory for any element: torch works out shapes and dtypes alone.
    """
    said = reference.needs(arguments)
    if said is not None:
        return {"bytes": int(said["bytes"]), "flops": int(said.get("flops", 0))}
    if not reference.says_what_is_right:
        return {"bytes": 0, "flops": 0}  # they are derived when it is measured
    from torch._subclasses.fake_tensor import FakeTensorMode

    case: dict[str, Any] = {"arguments": arguments, "inputs": [], "direction": "forward", "tolerance": []}
    case |= {"role": "candidate", "ceiling": None}
    with FakeTensorMode():
        inputs = reference.inputs(case, "cpu", 0)
        outputs = [part for output in reference.expected(case, inputs) for _, part in output.parts]
    tensors = [each for each in [*inputs, *outputs] if isinstance(each, torch.Tensor)]
    return {"bytes": max(1, sum(tensor.nbytes for tensor in tensors)), "flops": 0}
