"""The child's side of its talk with the referee: inputs that are lent, outputs that are handed over."""

from __future__ import annotations

import base64
import pickle
from typing import Any, NamedTuple

import torch

from stallgate.child.channel import Channel
from stallgate.child.shared_memory import (
    Borrower,
    CannotShare,
    Place,
    contiguous_form,
    dtype_of,
    extent_of,
    seen_as,
)


class Wrong(Exception):
    """The variant's result is wrong."""


class Skip(Exception):
    """The case is not measured, for the reason that the message states."""


class ReferenceFailed(Exception):
    """The reference raised an exception."""


class Inputs(NamedTuple):
    """What a step calls a variant with."""

    tensors: list[torch.Tensor]
    about: str
    """What is special about them."""
    init: list[Any]
    """Arguments that construct the model; empty where none is to be made."""


class RefereeClient:
    """Fetches the inputs of a case's steps and has its outputs compared.

    The tensors of one step become those of the next: their contents change, as a caller's would.
    """

    def __init__(self, channel: Channel, case: str, device: str) -> None:
        self._channel = channel
        self._case = case
        self._device = device
        self._memory = Borrower()
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
        answer = self._opened(answer)
        tensors = [self._own(step, place, number) for number, place in enumerate(answer["tensors"])]
        init = answer.get("init")
        return Inputs(tensors, answer["about"], pickle.loads(base64.b64decode(init)) if init else [])

    def judge(self, output: torch.Tensor) -> None:
        """Hands an output over and waits for what is said of it.

        Raises:
            Wrong: it is wrong.
            Skip: it does not fit a second time.
            ReferenceFailed: the reference cannot say what is right.
        """
        (place,) = self._opened(self._ask("output", tensors=[contiguous_form(output)]))["tensors"]
        self._memory.write(output.detach(), place)
        if output.is_cuda:
            torch.cuda.synchronize()
        _refuse_wrong(self._ask("written"))

    def _ask(self, event: str, **facts: object) -> dict[str, Any]:
        answer = self._channel.ask(event, case=self._case, **facts)
        refused = answer.get("refused")
        if refused is not None:
            raise (Skip if refused == "skipped" else ReferenceFailed)(answer["reason"])
        return answer

    def _opened(self, answer: dict[str, Any]) -> dict[str, Any]:
        """An answer whose memory is open here: the same, or one that lends memory of the host instead."""
        try:
            self._memory.open(answer["memory"])
        except CannotShare:
            answer = self._ask("cannot_share")
            self._memory.open(answer["memory"])
        return answer

    def _own(self, step: str, place: Place, number: int) -> torch.Tensor:
        """A tensor of this process with the contents of a place; it keeps its memory from call to call."""
        key = ("edge" if step == "edge" else "whole", number)
        buffer = self._buffers.get(key)
        if buffer is None or buffer.numel() != extent_of(place) or buffer.dtype != dtype_of(place):
            device = "cpu" if place["device"] == "cpu" else self._device
            buffer = self._buffers[key] = torch.empty(extent_of(place), dtype=dtype_of(place), device=device)
        self._memory.read_into(buffer, place)
        return seen_as(buffer, place)


def _refuse_wrong(answer: dict[str, Any]) -> None:
    if not answer["right"]:
        raise Wrong(answer["reason"])
