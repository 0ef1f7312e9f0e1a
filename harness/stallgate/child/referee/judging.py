"""What the referee does for each request of the measuring child."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from stallgate.child.correctness import Part, fault
from stallgate.child.load import load
from stallgate.child.referee.edge_cases import EdgeCases
from stallgate.child.shared_memory import Lender, Place, end_of, laid_out

Answer = dict[str, object]


class Referee:
    """Lends the inputs of one step after another, and compares what comes back.

    A step is ``check`` (the first call), ``edge`` (small inputs, several) or ``sample`` (a profiled call).
    """

    def __init__(self, plan: dict[str, Any], device: str) -> None:
        """Gets ready for the cases of a plan.

        Args:
            plan: what the child is told as well.
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
        self._places: list[Place] = []
        self._lend_again: Callable[[], Answer] = dict

    def inputs(self, case: str, step: str, number: int) -> Answer:
        """Fresh inputs of a step.

        Returns:
            ``tensors`` (places), ``memory`` (a handle), ``about`` (what is special about them) and, where a model is
            to be made, ``init`` (its arguments: a pickled list in base64). After the last edge case: ``end``.
        """
        self._case, self._step = self._cases[case], step
        self._inputs = []
        if step == "edge":
            return self._edge(number)
        self._arguments = self._case["arguments"]
        inputs = self._reference().get_inputs(**self._arguments, device=self._device, seed=number)
        return self._lend(inputs, room=self._case["bytes"], about="", with_init=step == "check")

    def output(self, tensors: list[Place]) -> Answer:
        """Places for an output of these forms."""
        self._places = laid_out(tensors)
        self._lend_again = self._lend_room
        return self._lend_room()

    def compare(self) -> Answer:
        """Whether the output that now lies in the lent memory is right, and what is wrong with it."""
        (output,) = self._lender.views(self._places)
        reference = self._reference()
        expected = reference.expected_roof if self._case["role"] == "roof" else reference.expected
        parts: Iterator[Part] = expected(self._inputs, **self._arguments)
        tolerance = reference.tolerance(**self._arguments)
        if self._step == "edge":
            found = self._edge_cases.compare(output.to("cpu", copy=True), parts, tolerance)
        else:
            found = fault(output, parts, tolerance)
        return {"right": found is None, "reason": found or ""}

    def use_host_memory(self) -> Answer:
        """The last answer again, with memory of the host: the child cannot open the GPU's."""
        self._lender.use_host_memory()
        return self._lend_again()

    def _edge(self, number: int) -> Answer:
        if number == 0:
            self._edge_cases.begin(self._reference(), self._case)
        edge = self._edge_cases.next()
        if edge is None:
            return {"end": True, "right": not self._edge_cases.fault, "reason": self._edge_cases.fault}
        self._arguments = self._edge_cases.arguments
        return self._lend(edge.inputs, room=0, about=str(edge), with_init=number == 0)

    def _lend(self, inputs: list[torch.Tensor], *, room: int, about: str, with_init: bool) -> Answer:
        self._inputs = inputs
        facts: Answer = {"about": about}
        if with_init:
            init = self._reference().get_init_inputs(**self._arguments)
            facts["init"] = base64.b64encode(pickle.dumps(init)).decode("ascii")
        self._lend_again = lambda: {"tensors": self._put(room), "memory": self._lender.handle, **facts}
        return self._lend_again()

    def _put(self, room: int) -> list[Place]:
        """Lays the inputs into the lent memory; those that were made here because of the variant go to its device."""
        places = self._lender.put(self._inputs, room)
        if self._step == "edge" or self._device != self._variants_run_on:
            return [{**place, "device": self._variants_run_on} for place in places]
        return places

    def _lend_room(self) -> Answer:
        self._lender.reserve(end_of(self._places))
        return {"tensors": self._places, "memory": self._lender.handle}

    def _reference(self) -> ModuleType:
        problem = self._case["problem"]
        if problem not in self._loaded:
            file = self._references[problem]
            self._loaded[problem] = load(Path(file["path"]), file["digest"], "stallgate_reference")
        return self._loaded[problem]
