"""The child's side of its exchange with the referee: it borrows inputs and submits outputs."""

from __future__ import annotations

import base64
import pickle
from typing import Any, NamedTuple

import torch

from stallgate.child.channel import ParentChannel
from stallgate.child.correctness import flat_outputs, is_same_place, is_same_tensor
from stallgate.child.shared_memory import (
    CannotShare,
    Handle,
    Place,
    borrowed,
    contiguous_form,
    dtype_of,
    extent_of,
    seen_as,
    span,
)


class Wrong(Exception):
    """The variant's result is wrong."""


class Skip(Exception):
    """The case is not measured, for the reason that the message states."""


class ReferenceFailed(Exception):
    """The reference raised an exception."""


class Inputs(NamedTuple):
    """What a step calls a variant with."""

    values: list[Any]
    """Tensors, and whatever else it takes."""
    mutates: list[int]
    """Those that the call changes."""
    cotangents: int
    """How many of the last are gradients of results: then the backward pass is called."""
    about: str
    """What is special about them."""
    init: list[Any]
    """Arguments of a class that is called; empty where none is to be made."""
    seed: int | None
    """Of torch's random numbers when an instance is made."""
    lent: list[Any]
    """The values again; of tensors, others in the same memory, which a call does not get to see."""

    @property
    def tensors(self) -> list[torch.Tensor]:
        return [value for value in self.values if isinstance(value, torch.Tensor)]

    @property
    def changed(self) -> list[torch.Tensor]:
        """The memory of the tensors that a call changes."""
        return [self.lent[place] for place in self.mutates]

    @property
    def may_be_shared(self) -> list[torch.Tensor]:
        """Tensors whose memory results may lie in: those that a call changes, and gradients that it passes on."""
        return self.changed + self.lent[len(self.lent) - self.cotangents :]

    @property
    def must_not_be_shared(self) -> list[torch.Tensor]:
        """Tensors that a result has to be apart from."""
        forward = self.lent[: len(self.lent) - self.cotangents]
        return [each for n, each in enumerate(forward) if isinstance(each, torch.Tensor) and n not in self.mutates]

    @property
    def is_replaced(self) -> bool:
        """Whether a tensor is no longer the one that was lent: resized, or in other memory."""
        pairs = zip(self.values, self.lent, strict=True)
        return any(isinstance(lent, torch.Tensor) and not is_same_place(value, lent) for value, lent in pairs)

    def fresh(self, returned: object) -> list[object]:
        """The outputs that a call returned beside the inputs that it changes."""
        return [each for each in flat_outputs(returned) if not any(is_same_tensor(each, one) for one in self.changed)]


class RefereeClient:
    """Fetches the inputs of a case's steps and has its outputs compared.

    The tensors of one step become those of the next: their contents change, as a caller's would. Shared memory is open
    only while something is copied.
    """

    def __init__(self, channel: ParentChannel, case: str, device: str) -> None:
        self._channel = channel
        self._case = case
        self._device = device
        self._memory: Handle = {}
        self._lent: list[Place] = []
        self._buffers: dict[tuple[str, int], torch.Tensor] = {}

    def inputs(self, step: str, number: int) -> Inputs | None:
        """The inputs of a step; None after the last edge case.

        Raises:
            Wrong: an earlier trial of the same edge cases ended with a fault.
            Skip: they do not fit.
            ReferenceFailed: the reference cannot make them.
        """
        answer = self._ask("inputs", step=step, number=number)
        if answer.get("end"):
            _refuse_wrong(answer)
            return None
        try:
            tensors = self._fetched(answer, step)
        except CannotShare:
            tensors = self._fetched(self._ask("cannot_share"), step)
        values = [tensors[value] if kind == "tensor" else value for kind, value in _unpickled(answer["values"])]
        init = _unpickled(answer["init"]) if answer.get("init") else []
        more = (answer["mutates"], answer["cotangents"], answer["about"], init, answer.get("seed"))
        lent = [value.detach() if isinstance(value, torch.Tensor) else value for value in values]
        return Inputs(values, *more, lent)

    def return_inputs(self) -> None:
        """Puts the inputs back where they came from, to be compared with what they were.

        Raises:
            Wrong: they have changed.
        """
        with borrowed(self._memory) as memory:
            for number, place in enumerate(self._lent):
                span(memory, place).copy_(self._buffers[self._key(place, number)])
        _refuse_wrong(self._ask("returned"))

    def judge(self, outputs: list[torch.Tensor]) -> None:
        """Hands outputs over and waits for the verdict on them.

        Raises:
            Wrong: it is wrong.
            Skip: it does not fit a second time.
            ReferenceFailed: the reference cannot say what is right.
        """
        answer = self._ask("output", tensors=[contiguous_form(output) for output in outputs])
        with borrowed(answer["memory"]) as memory:
            for output, place in zip(outputs, answer["tensors"], strict=True):
                seen_as(span(memory, place), place).copy_(output.detach())
        _refuse_wrong(self._ask("written"))

    def _ask(self, event: str, **facts: object) -> dict[str, Any]:
        answer = self._channel.ask(event, case=self._case, **facts)
        refused = answer.get("refused")
        if refused is not None:
            raise (Skip if refused == "skipped" else ReferenceFailed)(answer["reason"])
        return answer

    def _fetched(self, answer: dict[str, Any], step: str) -> list[torch.Tensor]:
        """Tensors of this process with the contents that were lent; they keep their memory from call to call."""
        self._memory, self._lent = answer["memory"], [{**place, "step": step} for place in answer["tensors"]]
        tensors = []
        with borrowed(self._memory) as memory:
            for number, place in enumerate(self._lent):
                buffer = self._buffer(place, number)
                buffer.copy_(span(memory, place))
                tensors.append(seen_as(buffer, place))
        return tensors

    def _buffer(self, place: Place, number: int) -> torch.Tensor:
        """Memory for an input: that of the step before, where it has the same extent."""
        key = self._key(place, number)
        buffer = self._buffers.get(key)
        if buffer is None or buffer.numel() != extent_of(place) or buffer.dtype != dtype_of(place):
            device = "cpu" if place["device"] == "cpu" else self._device
            buffer = self._buffers[key] = torch.empty(extent_of(place), dtype=dtype_of(place), device=device)
        return buffer

    def _key(self, place: Place, number: int) -> tuple[str, int]:
        """Edge cases have separate memory, so that the check's inputs stay unchanged."""
        return "edge" if place["step"] == "edge" else "whole", number


def _unpickled(text: str) -> list[Any]:
    found: list[Any] = pickle.loads(base64.b64decode(text))
    return found


def _refuse_wrong(answer: dict[str, Any]) -> None:
    if not answer["right"]:
        raise Wrong(answer["reason"])
