"""One case: is it right, does it fit, then its labelled samples."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import torch

from stallgate.child.compare import checksums, fault, shares_memory
from stallgate.child.device import Device, filled_memory
from stallgate.child.edge_cases import stray
from stallgate.child.events import Events
from stallgate.child.load import load


class Wrong(Exception):
    """The variant's result is not the reference's."""


class Skip(Exception):
    """The case is not measured, for the reason that the message states."""


def outcome(plan: dict[str, Any], case: dict[str, Any], device: Device, events: Events) -> dict[str, object]:
    """What became of a case. Whatever a variant raises is its own outcome, never the end of the others."""
    try:
        measured = _measure(plan, case, device, events)
    except Wrong as error:
        return {"outcome": "wrong_result", "reason": str(error)}
    except Skip as error:
        return {"outcome": "skipped", "reason": str(error)}
    except torch.OutOfMemoryError as error:
        return {"outcome": "skipped", "reason": f"it does not fit in GPU memory: {_first_line(error)}"}
    except (Exception, SystemExit) as error:  # noqa: BLE001  (a variant's code can raise anything)
        traceback.print_exc()
        return {"outcome": "crashed", "reason": f"{type(error).__name__}: {_first_line(error)}"}
    return {"outcome": "profiled", "reason": "", **measured}


def _measure(plan: dict[str, Any], case: dict[str, Any], device: Device, events: Events) -> dict[str, object]:
    """Checks, times and samples a case.

    Returns the time of one call in milliseconds, and where a variant that is not gated is wrong beside its workload:
    its numbers are shown all the same. A candidate is right everywhere or wrong.

    Raises:
        Wrong: its result is wrong.
        Skip: it does not fit, or takes too long.
    """

    def step(name: str) -> None:
        events.tell("step", name=case["name"], step=name)

    step("load")
    _skip_if_too_large(case, device)
    subject = Subject(plan["references"][case["problem"]], case, device)
    step("check")
    _skip_if_too_slow(plan, subject.check())
    step("warm-up")
    run_ms = subject.milliseconds()
    _skip_if_too_slow(plan, run_ms / 1e3)
    step("trial")
    edge_case_fault = stray(plan["references"][case["problem"]], case, device.name)
    if edge_case_fault and case["role"] == "candidate":
        raise Wrong(edge_case_fault)
    for number, label in enumerate(case["labels"], 1):
        step(f"sample {number} of {len(case['labels'])}")
        subject.sample(label, seed=number)
    return {"run_ms": run_ms, "edge_case_fault": edge_case_fault}


def _skip_if_too_large(case: dict[str, Any], device: Device) -> None:
    free = device.free_bytes()
    if case["bytes"] > free:
        raise Skip(f"its tensors take {_gib(case['bytes'])}, and {_gib(free)} of GPU memory are free")


def _skip_if_too_slow(plan: dict[str, Any], run_s: float) -> None:
    if run_s > plan["run_limit_s"]:
        raise Skip(f"one run takes {run_s:.1f} s, over the limit of {plan['run_limit_s']:g} s")


class Subject:
    """A variant with a workload, ready to be called."""

    def __init__(self, reference: dict[str, str], case: dict[str, Any], device: Device) -> None:
        self._device = device
        self._arguments: dict[str, Any] = case["arguments"]
        self._reference = load(Path(reference["path"]), reference["digest"], "stallgate_reference")
        self._expected = self._reference.expected_roof if case["role"] == "roof" else self._reference.expected
        variant = load(Path(case["path"]), case["digest"], f"stallgate_variant_{case['variant']}")
        self._model = variant.ModelNew(*self._reference.get_init_inputs(**self._arguments), **case["tunables"])

    def check(self) -> float:
        """Compares a whole output, in memory that held NaN before, so that an element never written shows.

        Returns the seconds that the call ran on after it had been launched: compilation is not among them.
        """
        inputs = self._inputs(seed=0)
        before = checksums(inputs)
        with filled_memory():
            output = self._model(*inputs)
        run_s = self._device.wait()
        self._compare(output, inputs, before)
        return run_s

    def milliseconds(self) -> float:
        """One call, compiled and warm."""
        inputs = self._inputs(seed=0)
        return self._device.milliseconds(lambda: self._model(*inputs))

    def sample(self, label: str, seed: int) -> None:
        """One profiled call on fresh data; its output is compared as well."""
        inputs = self._inputs(seed)
        before = checksums(inputs)
        self._device.release()
        with self._device.profiled(label):
            output = self._model(*inputs)
        self._compare(output, inputs, before)

    def _inputs(self, seed: int) -> list[torch.Tensor]:
        inputs: list[torch.Tensor] = self._reference.get_inputs(**self._arguments, device=self._device.name, seed=seed)
        return inputs

    def _compare(self, output: object, inputs: list[torch.Tensor], before: list[int]) -> None:
        """What is right is computed of the inputs, so they have to be what they were."""
        if checksums(inputs) != before:
            raise Wrong("it changed its input")
        if any(shares_memory(output, tensor) for tensor in inputs):
            raise Wrong("its output shares memory with its input")
        parts = self._expected(inputs, **self._arguments)
        found = fault(output, parts, self._reference.tolerance(**self._arguments))
        if found is not None:
            raise Wrong(found)


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else "without a message"
