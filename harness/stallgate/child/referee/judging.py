"""What the referee does for each request of the measuring child."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from stallgate.child.correctness import ExpectedPart, fault, same_bits
from stallgate.child.load import expected_of, load_file
from stallgate.child.referee.edge_cases import EdgeCases
from stallgate.child.shared_memory import Lender, Place, end_of, form, laid_out, span_of

_Answer = dict[str, object]


class Referee:
    """Lends the inputs of one step after another, and compares what comes back.

    A step is ``check`` (the first call), ``edge`` (small inputs, several) or ``sample`` (a profiled call).
    """

    def __init__(self, plan: dict[str, Any], device: str) -> None:
        """Gets ready for the cases of a plan.

        Args:
            plan: the same plan that the child gets.
            device: where inputs are made and outputs compared; ``cpu`` where this process cannot use the GPU.
        """
        self._cases = {case["name"]: case for case in plan["cases"]}
        self._references = plan["references"]
        self._loaded: dict[str, ModuleType] = {}
        self._device = device
        self._variants_run_on = plan["device"]
        self._lender = Lender(device)
        self._edge_cases = EdgeCases()
        self._case: dict[str, Any] = {}
        self._arguments: dict[str, Any] = {}
        self._step = ""
        self._inputs: list[torch.Tensor] = []
        self._lent: list[Place] = []
        self._is_returned = False
        self._output: list[Place] = []
        self._prepared: dict[tuple[str, str, int], _Answer] = {}

    def prepare(self) -> None:
        """Makes the inputs that will be asked for first, and loads what compares, while the child still starts."""
        first = next(iter(self._cases), None)
        if first is not None:
            self._prepared = {(first, "check", 0): self.inputs(first, "check", 0)}
            self._rehearse()

    def _rehearse(self) -> None:
        """Compares right results with themselves, because the first comparison on a GPU has to load its kernels."""
        reference = self._reference()
        alike = [case for case in self._cases.values() if _asks_for(case) == _asks_for(self._case)]
        tolerance = reference.tolerance(**self._arguments)
        for expected in dict.fromkeys(expected_of(reference, case) for case in alike):
            _, part = next(iter(expected(self._inputs, **self._arguments)))
            fault(part, [((), part)], tolerance)
        for span in map(span_of, self._inputs):
            same_bits(span, span)

    def inputs(self, case: str, step: str, number: int) -> _Answer:
        """Fresh inputs of a step.

        Returns:
            ``tensors`` (places), ``memory`` (a handle), ``about`` (what is special about them) and, where a model is
            to be made, ``init`` (its arguments: a pickled list in base64). After the last edge case: ``end``.
        """
        prepared = self._prepared.pop((case, step, number), None)
        if prepared is not None:
            return prepared
        self._case, self._step = self._cases[case], step
        self._inputs = []
        if step == "edge":
            return self._edge(number)
        self._arguments = self._case["arguments"]
        self._inputs = self._reference().get_inputs(**self._arguments, device=self._device, seed=number)
        return {**self._lend(), "about": "", **(self._init() if step == "check" else {})}

    def returned(self) -> _Answer:
        """Whether the inputs, which the child has put back where it got them, are what they were."""
        same = all(
            same_bits(self._lender.span(place), span_of(tensor))
            for tensor, place in zip(self._inputs, self._lent, strict=True)
        )
        self._is_returned = True
        return self._verdict(None if same else "it changed its input")

    def output(self, tensors: list[Place]) -> _Answer:
        """A place for an output of this form."""
        self._output = laid_out(tensors)
        self._lender.reserve(end_of(self._output))
        return {"tensors": self._output, "memory": self._lender.handle}

    def compare(self) -> _Answer:
        """Whether the output that now lies in the lent memory is right, and what is wrong with it."""
        if not self._is_returned:
            return self._verdict("the child did not return the inputs it borrowed")
        (place,) = self._output
        output = self._lender.view(place)
        reference = self._reference()
        parts: Iterator[ExpectedPart] = expected_of(reference, self._case)(self._inputs, **self._arguments)
        tolerance = reference.tolerance(**self._arguments)
        if self._step == "edge":
            found = self._edge_cases.compare(output.to("cpu", copy=True), parts, tolerance)
            return {"right": found is None, "reason": found or ""}
        return self._verdict(fault(output, parts, tolerance))

    def use_host_memory(self) -> _Answer:
        """The inputs again, in memory of the host: the child cannot open the GPU's."""
        self._lender.use_host_memory()
        return self._lend()

    def _verdict(self, fault: str | None) -> _Answer:
        if fault is not None and self._step == "edge":
            fault = self._edge_cases.note(fault)
        return {"right": fault is None, "reason": fault or ""}

    def _edge(self, number: int) -> _Answer:
        if number == 0:
            self._edge_cases.begin(self._reference(), self._case)
        edge = self._edge_cases.next()
        if edge is None:
            return {"end": True, "right": not self._edge_cases.fault, "reason": self._edge_cases.fault}
        self._arguments, self._inputs = self._edge_cases.arguments, edge.inputs
        return {**self._lend(), "about": str(edge), **(self._init() if number == 0 else {})}

    def _lend(self) -> _Answer:
        """Lays the inputs into the lent memory, with room for an output that moves the rest of the case's bytes."""
        self._is_returned = False
        self._lent = laid_out([form(tensor) for tensor in self._inputs])
        room = self._case["bytes"] - end_of(self._lent) if self._step != "edge" else 0
        self._lender.reserve(max(end_of(self._lent), room))
        self._lender.put(self._inputs, self._lent)
        return {"tensors": [self._for_variant(place) for place in self._lent], "memory": self._lender.handle}

    def _for_variant(self, place: Place) -> Place:
        """The place as the variant is to have it: on its own device, wherever the referee made the tensor."""
        made_here = self._step == "edge" or self._device != self._variants_run_on
        return {**place, "device": self._variants_run_on} if made_here else place

    def _init(self) -> _Answer:
        init = self._reference().get_init_inputs(**self._arguments)
        return {"init": base64.b64encode(pickle.dumps(init)).decode("ascii")}

    def _reference(self) -> ModuleType:
        problem = self._case["problem"]
        if problem not in self._loaded:
            file = self._references[problem]
            self._loaded[problem] = load_file(Path(file["path"]), file["digest"], "stallgate_reference")
        return self._loaded[problem]


def _asks_for(case: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What decides on a case's inputs, but for the seed."""
    return case["problem"], case["arguments"]
