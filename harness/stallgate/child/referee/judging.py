"""What the referee does for each request of the measuring child."""

from __future__ import annotations

import base64
import json
import pickle
import sys
from typing import Any

import torch

from stallgate.child.correctness import ComparedOutput, ExpectedOutput, Rule, compare_output, same_bits
from stallgate.child.load import ProjectModules
from stallgate.child.referee.edge_cases import EdgeCases
from stallgate.child.reference import Reference
from stallgate.child.roofs import is_built_in, moved_bytes, traffic_result, traffic_source
from stallgate.child.shared_memory import Lender, Place, end_of, form, laid_out, span_of

_Answer = dict[str, object]

_LARGEST = sys.float_info.max
"""In the place of an infinite error, which JSON cannot say: where 0 is right and something else came."""


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
        self._modules = ProjectModules(plan["root"], plan["import_paths"])
        self._modules.install()
        self._loaded: dict[str, Reference] = {}
        self._device = device
        self._variants_run_on = plan["device"]
        self._lender = Lender(device)
        self._edge_cases = EdgeCases()
        self._traffic: dict[str, tuple[int, int]] = {}
        self._case: dict[str, Any] = {}
        self._step = ""
        self._inputs: list[Any] = []
        self._lent: list[Place] = []
        self._is_returned = False
        self._output: list[Place] = []
        self._prepared: dict[tuple[str, str, int], _Answer] = {}

    def prepare(self) -> None:
        """Makes the inputs that will be asked for first, and loads what compares, while the child still starts.

        Every reference is loaded now: later, a variant could have changed a file that one imports.
        """
        for case in self._cases.values():
            self._case = case
            self._reference()
        first = next(iter(self._cases), None)
        if first is not None:
            self._prepared = {(first, "check", 0): self.inputs(first, "check", 0)}
            self._rehearse()

    def _rehearse(self) -> None:
        """Compares right results with themselves, because the first comparison on a GPU has to load its kernels."""
        for output in self._expected(special=False):
            _, part = next(iter(output.parts))
            compare_output(part, ExpectedOutput([((), part)], output.rule))
        for span in map(span_of, self._tensors()):
            same_bits(span, span)

    def inputs(self, case: str, step: str, number: int) -> _Answer:
        """Fresh inputs of a step.

        Returns:
            ``tensors`` (places), ``memory`` (a handle), ``values`` (the inputs, with a tensor's number for each tensor:
            a pickled list in base64), ``about`` (what is special about them), ``mutates`` and ``cotangents``; and,
            where a model is to be made, ``init`` (its arguments, likewise) and ``seed``. After the last edge case:
            ``end``.
        """
        prepared = self._prepared.pop((case, step, number), None)
        if prepared is not None:
            return prepared
        self._case, self._step = self._cases[case], step
        self._inputs = []
        if step == "edge":
            return self._edge(number)
        self._inputs = self._fresh(number)
        return {**self._lend(), "about": "", **(self._init() if step == "check" else {})}

    def returned(self) -> _Answer:
        """Whether the inputs, which the child has put back where it got them, are what they were."""
        changed = {id(self._inputs[place]) for place in self._mutates()}
        same = all(
            same_bits(self._lender.span(place), span_of(tensor))
            for tensor, place in zip(self._tensors(), self._lent, strict=True)
            if id(tensor) not in changed
        )
        self._is_returned = True
        return self._verdict(None if same else "it changed its input")

    def output(self, tensors: list[Place]) -> _Answer:
        """Places for outputs of these forms."""
        self._output = laid_out(tensors)
        self._lender.reserve(end_of(self._output))
        return {"tensors": self._output, "memory": self._lender.handle}

    def compare(self) -> _Answer:
        """Whether the outputs that now lie in the lent memory are right, and what is wrong with them."""
        if not self._is_returned:
            return self._verdict("the child did not return the inputs it borrowed")
        outputs = [self._lender.view(place) for place in self._output]
        is_edge = self._step == "edge"
        if is_edge:
            outputs = [output.to(self._edge_device(), copy=True) for output in outputs]
        expected = self._expected(special=is_edge and self._edge_cases.current.is_special)
        if len(outputs) != len(expected):
            return self._verdict(f"it returned {_counted(len(outputs))}; expected {len(expected)}")
        found = [compare_output(output, right) for output, right in zip(outputs, expected, strict=True)]
        fault = _first_fault(found)
        if is_edge and self._edge_cases.repeats(outputs) and fault is not None:
            fault = "it returned the result of its previous call"
        worst = [
            {"output": number, "used": min(each.used, _LARGEST), "rule": str(right.rule)}
            for number, (each, right) in enumerate(zip(found, expected, strict=True))
        ]
        return {**self._verdict(fault), "worst": worst, "needed_bytes": self._needed(found)}

    def use_host_memory(self) -> _Answer:
        """The inputs again, in memory of the host: the child cannot open the GPU's."""
        self._lender.use_host_memory()
        return self._lend()

    def loaded(self) -> _Answer:
        """The project's files that the current case's reference has loaded beside its own -> their digests."""
        return {"files": self._reference().files}

    # --- inputs and outputs of a case ---

    def _fresh(self, number: int) -> list[Any]:
        if not is_built_in(self._case["entry"]):
            return self._reference().inputs(self._case, self._device, number)
        reads, writes = moved_bytes(self._case["bytes"], *self._traffic_of())
        return [traffic_source(reads, self._device, number), writes]

    def _expected(self, *, special: bool) -> list[ExpectedOutput]:
        if is_built_in(self._case["entry"]):
            return [ExpectedOutput([((), traffic_result(*self._inputs))], Rule())]
        case = self._edge_cases.case if self._step == "edge" else self._case
        return self._reference().expected(case, self._inputs, special=special)

    def _traffic_of(self) -> tuple[int, int]:
        """Bytes of the inputs and of the outputs of the current case's workload."""
        asked = ("problem", "arguments", "inputs", "direction")
        key = json.dumps([self._case[name] for name in asked], sort_keys=True)
        if key not in self._traffic:
            self._traffic[key] = self._reference().traffic(self._case, self._device)
        return self._traffic[key]

    def _needed(self, found: list[ComparedOutput]) -> int | None:
        """Bytes of the inputs and outputs of the workload, where the case computes the problem."""
        if self._step != "check" or self._case["role"] == "roof":
            return None
        return sum(int(tensor.nbytes) for tensor in self._tensors()) + sum(each.nbytes for each in found)

    def _tensors(self) -> list[torch.Tensor]:
        return [each for each in self._inputs if isinstance(each, torch.Tensor)]

    def _mutates(self) -> list[int]:
        is_plain = is_built_in(self._case["entry"]) or self._case["direction"] == "backward"
        return [] if is_plain else self._reference().mutates

    def _cotangents(self) -> int:
        return 0 if is_built_in(self._case["entry"]) else self._reference().cotangents_of(self._case)

    # --- edge cases ---

    def _edge_device(self) -> str:
        """Where edge cases are made and compared."""
        return "cpu" if self._reference().says_what_is_right else self._device

    def _edge(self, number: int) -> _Answer:
        reference = self._reference()
        if number == 0:
            has_any = not is_built_in(self._case["entry"]) and reference.has_edge_cases()
            self._edge_cases.begin(reference, self._case, self._edge_device(), has_any=has_any)
        edge = self._edge_cases.next()
        if edge is None:
            return {"end": True, "right": not self._edge_cases.fault, "reason": self._edge_cases.fault}
        self._inputs = edge.inputs
        return {**self._lend(), "about": str(edge), **(self._init() if number == 0 else {})}

    def _verdict(self, fault: str | None) -> _Answer:
        if fault is not None and self._step == "edge":
            fault = self._edge_cases.note(fault)
        return {"right": fault is None, "reason": fault or ""}

    # --- lending ---

    def _lend(self) -> _Answer:
        """Lays the inputs into the lent memory, with room for outputs that move the rest of the case's bytes."""
        self._is_returned = False
        tensors = self._tensors()
        self._lent = laid_out([form(tensor) for tensor in tensors])
        room = (self._case["bytes"] or 0) - end_of(self._lent) if self._step != "edge" else 0
        self._lender.reserve(max(end_of(self._lent), room))
        self._lender.put(tensors, self._lent)
        places = iter(range(len(tensors)))
        values = [
            ("tensor", next(places)) if isinstance(each, torch.Tensor) else ("value", each) for each in self._inputs
        ]
        return {
            "tensors": [self._for_variant(place) for place in self._lent],
            "memory": self._lender.handle,
            "values": _pickled(values),
            "mutates": self._mutates(),
            "cotangents": self._cotangents(),
        }

    def _for_variant(self, place: Place) -> Place:
        """The place as the variant is to have it: on its own device, wherever the referee made the tensor."""
        made_here = self._step == "edge" or self._device != self._variants_run_on
        return {**place, "device": self._variants_run_on} if made_here else place

    def _init(self) -> _Answer:
        case = self._edge_cases.case if self._step == "edge" else self._case
        built_in = is_built_in(self._case["entry"])
        return {
            "init": _pickled([] if built_in else self._reference().init(case)),
            "seed": None if built_in else self._reference().seed,
        }

    def _reference(self) -> Reference:
        problem = self._case["problem"]
        if problem not in self._loaded:
            self._loaded[problem] = Reference(self._references[problem], self._modules)
        return self._loaded[problem]


def _counted(outputs: int) -> str:
    return "1 output" if outputs == 1 else f"{outputs} outputs"


def _first_fault(found: list[ComparedOutput]) -> str | None:
    """What is wrong with the first wrong output; of several it is said which."""
    for number, each in enumerate(found):
        if each.fault is not None:
            return f"output {number}: {each.fault}" if len(found) > 1 else each.fault
    return None


def _pickled(values: list[Any]) -> str:
    return base64.b64encode(pickle.dumps(values)).decode("ascii")
