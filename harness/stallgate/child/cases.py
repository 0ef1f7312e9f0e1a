"""One case: is it right, does it fit, is it right on edge cases, then its labelled samples."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import torch

from stallgate.child.channel import ParentChannel, first_line
from stallgate.child.correctness import returned_fault, shares_memory
from stallgate.child.device import ComputeDevice, filled_memory
from stallgate.child.load import load_file
from stallgate.child.referee_client import Inputs, RefereeClient, ReferenceFailed, Skip, Wrong


def outcome(
    plan: dict[str, Any], case: dict[str, Any], device: ComputeDevice, channel: ParentChannel
) -> dict[str, object]:
    """The outcome of a case. What a variant raises is its own outcome and does not end the others."""
    try:
        measured = _measure(plan, case, device, channel)
    except Wrong as error:
        return {"outcome": "wrong_result", "reason": str(error)}
    except Skip as error:
        return {"outcome": "skipped", "reason": str(error)}
    except torch.OutOfMemoryError as error:
        return {"outcome": "skipped", "reason": f"it does not fit in GPU memory: {first_line(error)}"}
    except (Exception, SystemExit) as error:  # noqa: BLE001  (a variant's code can raise anything)
        traceback.print_exc()
        return {"outcome": "crashed", "reason": f"{type(error).__name__}: {first_line(error)}"}
    return {"outcome": "profiled", "reason": "", **measured}


def _measure(
    plan: dict[str, Any], case: dict[str, Any], device: ComputeDevice, channel: ParentChannel
) -> dict[str, object]:
    """Checks, times and samples a case.

    Returns the time of one call in milliseconds, and what is wrong on edge cases with a variant that is not gated: its
    numbers are still shown. A candidate is right everywhere or wrong.

    Raises:
        Wrong: its result is wrong.
        Skip: it does not fit, or takes too long.
    """

    def step(name: str) -> None:
        channel.tell("step", case=case["name"], step=name)

    step("load")
    _skip_if_too_large(case, device)
    subject = VariantUnderTest(case, device, RefereeClient(channel, case["name"], device.name))
    step("check")
    _skip_if_too_slow(plan, subject.check())
    step("warm-up")
    run_ms = subject.milliseconds()
    _skip_if_too_slow(plan, run_ms / 1e3)
    step("edge cases")
    edge_case_fault = subject.edge_case_fault()
    if edge_case_fault and case["role"] == "candidate":
        raise Wrong(edge_case_fault)
    for number, label in enumerate(case["labels"], 1):
        step(f"sample {number} of {len(case['labels'])}")
        subject.sample(label, number)
    return {"run_ms": run_ms, "edge_case_fault": edge_case_fault}


def _skip_if_too_large(case: dict[str, Any], device: ComputeDevice) -> None:
    free = device.free_bytes()
    if case["bytes"] > free:
        raise Skip(f"its tensors take {_gib(case['bytes'])}, and {_gib(free)} of GPU memory are free")


def _skip_if_too_slow(plan: dict[str, Any], run_s: float) -> None:
    if run_s > plan["run_limit_s"]:
        raise Skip(f"one run takes {run_s:.1f} s, over the limit of {plan['run_limit_s']:g} s")


class VariantUnderTest:
    """A variant with a workload. Its inputs come from the referee, and its outputs go there."""

    def __init__(self, case: dict[str, Any], device: ComputeDevice, referee: RefereeClient) -> None:
        self._case = case
        self._device = device
        self._referee = referee
        self._inputs = self._lent("check", 0)  # before the variant's code runs for the first time
        self._variant = load_file(Path(case["path"]), case["digest"], f"stallgate_variant_{case['variant']}")
        self._model = self._made(self._inputs.init)

    def check(self) -> float:
        """Has a whole output compared, in memory that held NaN before, so that an element never written shows.

        Returns the seconds that the call ran on after it had been launched: compilation is not among them.
        """
        with filled_memory():
            output = self._model(*self._inputs.tensors)
        run_s = self._device.wait()
        self._hand_over(output, self._inputs)
        return run_s

    def milliseconds(self) -> float:
        """One call, compiled and warm."""
        return self._device.milliseconds(lambda: self._model(*self._inputs.tensors))

    def sample(self, label: str, number: int) -> None:
        """One profiled call on fresh data; its output is compared as well."""
        inputs = self._lent("sample", number)
        self._device.release()
        with self._device.profiled(label):
            output = self._model(*inputs.tensors)
        self._hand_over(output, inputs)

    def edge_case_fault(self) -> str:
        """What is wrong with the variant on small and special inputs, in a sentence; empty where nothing is."""
        try:
            self._try_edge_cases()
        except Wrong as error:
            return str(error)
        return ""

    def _try_edge_cases(self) -> None:
        """Calls one model on every edge case, in the same tensors.

        Raises:
            Wrong: a result is wrong, or the variant raised an exception.
        """
        model, previous, number = self._model, None, 0
        while (inputs := self._referee.inputs("edge", number)) is not None:
            try:
                model = self._made(inputs.init) if number == 0 else model
                previous = self._edge_case(model, inputs, previous)
            except (Wrong, Skip, ReferenceFailed):
                raise
            except Exception as error:
                raise Wrong(f"on {inputs.about} it raises {type(error).__name__}: {first_line(error)}") from error
            number += 1

    def _edge_case(self, model: torch.nn.Module, inputs: Inputs, previous: torch.Tensor | None) -> torch.Tensor:
        """One call; its output is kept alive until after the next one, so that its memory is not reused."""
        with filled_memory():
            output = model(*inputs.tensors)
        if shares_memory(output, previous):
            raise Wrong(f"on {inputs.about}: its output shares memory with that of its previous call")
        return self._hand_over(output, inputs)

    def _lent(self, step: str, number: int) -> Inputs:
        inputs = self._referee.inputs(step, number)
        assert inputs is not None
        return inputs

    def _made(self, init: list[Any]) -> torch.nn.Module:
        model: torch.nn.Module = self._variant.ModelNew(*init, **self._case["tunables"])
        return model

    def _hand_over(self, output: object, inputs: Inputs) -> torch.Tensor:
        """Has an output compared, and the inputs, which have to be what they were."""
        self._referee.return_inputs()
        where = f"on {inputs.about}: " if inputs.about else ""
        if any(shares_memory(output, tensor) for tensor in inputs.tensors):
            raise Wrong(f"{where}its output shares memory with its input")
        found = returned_fault(output)
        if found is not None:
            raise Wrong(f"{where}{found}")
        assert isinstance(output, torch.Tensor)
        self._referee.judge(output)
        return output


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
