"""One case: is it right, does it fit, is it right on edge cases, then its labelled samples."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch

from stallgate.child.channel import ParentChannel, first_line
from stallgate.child.correctness import returned_fault, shares_memory
from stallgate.child.device import ComputeDevice, filled_memory
from stallgate.child.load import ProjectModules, constructed
from stallgate.child.observed import KernelObserver
from stallgate.child.referee_client import Inputs, RefereeClient, ReferenceFailed, Skip, Wrong
from stallgate.child.reference import gradients, split_cotangents
from stallgate.child.roofs import is_built_in, moved
from stallgate.child.settings import kept_settings


class Surroundings(NamedTuple):
    """What the cases of a process share."""

    device: ComputeDevice
    channel: ParentChannel
    modules: ProjectModules
    kernels: KernelObserver

    @staticmethod
    def of(plan: dict[str, Any], device: ComputeDevice, channel: ParentChannel) -> Surroundings:
        """Those of a plan; from now on, the project's modules can be imported and Triton's launches are seen."""
        modules = ProjectModules(plan["root"], plan["import_paths"])
        modules.install()
        kernels = KernelObserver(modules.relative)
        kernels.install()
        return Surroundings(device, channel, modules, kernels)


def outcome(plan: dict[str, Any], case: dict[str, Any], around: Surroundings) -> dict[str, object]:
    """The outcome of a case. What a variant raises is its own outcome and does not end the others."""
    around.kernels.forget()
    try:
        with kept_settings(), torch.no_grad():  # as the reference is called
            measured = _measure(plan, case, around)
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


def _measure(plan: dict[str, Any], case: dict[str, Any], around: Surroundings) -> dict[str, object]:
    """Checks, times and samples a case.

    Returns the time of one call in milliseconds; what is wrong on edge cases with a variant that is not gated, whose
    numbers are still shown (a candidate is right everywhere or wrong); the files, packages and kernels that it used.

    Raises:
        Wrong: its result is wrong.
        Skip: it does not fit, or takes too long.
    """
    device = around.device

    def step(name: str) -> None:
        around.channel.tell("step", case=case["name"], step=name)

    step("load")
    _skip_if_too_large(case, device)
    subject = VariantUnderTest(case, around)
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
    return {"run_ms": run_ms, "edge_case_fault": edge_case_fault, **subject.used()}


def _skip_if_too_large(case: dict[str, Any], device: ComputeDevice) -> None:
    free = device.free_bytes()
    if (case["bytes"] or 0) > free:
        raise Skip(f"its tensors take {_gib(case['bytes'])}, and {_gib(free)} of GPU memory are free")


def _skip_if_too_slow(plan: dict[str, Any], run_s: float) -> None:
    if run_s > plan["run_limit_s"]:
        raise Skip(f"one run takes {run_s:.1f} s, over the limit of {plan['run_limit_s']:g} s")


class VariantUnderTest:
    """A variant with a workload. Its inputs come from the referee, and its outputs go there."""

    def __init__(self, case: dict[str, Any], around: Surroundings) -> None:
        self._case = case
        self._device = around.device
        self._modules = around.modules
        self._kernels = around.kernels
        self._referee = RefereeClient(around.channel, case["name"], around.device.name)
        self._inputs = self._lent("check", 0)  # before the variant's code runs for the first time
        entry = case["entry"]
        self._variant = moved if is_built_in(entry) else self._modules.load(entry)
        self._model = self._made(self._inputs)

    def check(self) -> float:
        """Has whole outputs compared, in memory that held NaN before, so that an element never written shows.

        Returns the seconds that the call ran on after it had been launched: compilation is not among them.
        """
        with filled_memory():
            returned = _call(self._model, self._inputs)()
        run_s = self._device.wait()
        self._hand_over(returned, self._inputs)
        return run_s

    def milliseconds(self) -> float:
        """One call, compiled and warm."""
        return self._device.milliseconds(_call(self._model, self._inputs))

    def sample(self, label: str, number: int) -> None:
        """One profiled call on fresh data; its outputs are compared as well."""
        inputs = self._lent("sample", number)
        call = _call(self._model, inputs)
        self._device.release()
        with self._device.profiled(label):
            returned = call()
        self._hand_over(returned, inputs)

    def used(self) -> dict[str, object]:
        """What the variant has loaded and launched."""
        if is_built_in(self._case["entry"]):
            return {}
        return {
            "modules": self._modules.loaded_by(self._case["entry"]),
            "packages": self._modules.packages_of(self._case["entry"]),
            "kernels": self._kernels.kernels(),
        }

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
        model, number = self._model, 0
        previous: list[torch.Tensor] = []
        while (inputs := self._referee.inputs("edge", number)) is not None:
            try:
                model = self._made(inputs) if number == 0 else model
                previous = self._edge_case(model, inputs, previous)
            except (Wrong, Skip, ReferenceFailed):
                raise
            except Exception as error:
                raise Wrong(f"on {inputs.about} it raises {type(error).__name__}: {first_line(error)}") from error
            number += 1

    def _edge_case(self, model: Any, inputs: Inputs, previous: list[torch.Tensor]) -> list[torch.Tensor]:
        """One call; its outputs are kept alive until after the next one, so that their memory is not reused."""
        with filled_memory():
            returned = _call(model, inputs)()
        fresh = inputs.fresh(returned)
        if any(shares_memory(output, former) for output in fresh for former in previous):
            raise Wrong(f"on {inputs.about}: its output shares memory with that of its previous call")
        self._hand_over(returned, inputs)
        own = inputs.may_be_shared
        return [each for each in fresh if isinstance(each, torch.Tensor) and not _in_memory_of(each, own)]

    def _lent(self, step: str, number: int) -> Inputs:
        inputs = self._referee.inputs(step, number)
        assert inputs is not None
        return inputs

    def _made(self, inputs: Inputs) -> Any:
        named = {**self._case["entry"]["keywords"], **self._case["tunables"]}
        return constructed(self._variant, inputs.init, named, self._device.name, inputs.seed)

    def _hand_over(self, returned: object, inputs: Inputs) -> None:
        """Has outputs compared, and the inputs that the call has to leave as they were.

        Outputs are what the call returned, and then the inputs that it changes.
        """
        where = f"on {inputs.about}: " if inputs.about else ""
        if inputs.is_replaced:
            raise Wrong(f"{where}it resized an input, or gave it other memory")
        self._referee.return_inputs()
        outputs = inputs.fresh(returned) + inputs.changed
        if not outputs:
            raise Wrong(f"{where}it returned nothing")
        for output in outputs:
            found = returned_fault(output, self._device.name)
            if found is not None:
                raise Wrong(f"{where}{found}")
        if any(_in_memory_of(output, inputs.must_not_be_shared) for output in outputs):
            raise Wrong(f"{where}its output shares memory with its input")
        self._referee.judge([output for output in outputs if isinstance(output, torch.Tensor)])


def _call(model: Any, inputs: Inputs) -> Callable[[], object]:
    """What is measured of a model: its forward call; or its backward pass, after the forward call."""
    if not inputs.cotangents:
        return partial(model, *inputs.values)
    return gradients(model, *split_cotangents(inputs.values, inputs.cotangents))


def _in_memory_of(output: object, tensors: list[torch.Tensor]) -> bool:
    return any(shares_memory(output, tensor) for tensor in tensors)


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
