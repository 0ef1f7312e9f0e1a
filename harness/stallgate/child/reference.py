"""The reference of a problem: its inputs, its special inputs, and what is right.

Three kinds share one interface. A file in this project's form makes its inputs and says what is right. A file in
KernelBench's form makes its inputs, and its ``Model`` is what is right. Of a function or a class alone, the workload
says what the inputs are.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import torch

from stallgate.child import inputs as written_inputs
from stallgate.child.correctness import (
    ExpectedOutput,
    Rule,
    agree,
    default_rule,
    flat_outputs,
    is_same_tensor,
    same_bits,
    written_rule,
)
from stallgate.child.load import ProjectModules, constructed
from stallgate.child.settings import TorchSettings, kept_settings
from stallgate.child.shared_memory import span_of

PlannedCase = dict[str, Any]
"""Of a plan: what is read are ``arguments``, ``inputs``, ``direction``, ``tolerance``, ``role``, ``ceiling``."""


class EdgeCase(NamedTuple):
    """Inputs that are small or have special values, and what is special about them."""

    name: str
    inputs: list[Any]
    is_special: bool = False

    def __str__(self) -> str:
        shapes = ("x".join(map(str, each.shape)) for each in self.inputs if isinstance(each, torch.Tensor))
        return f"{' and '.join(shapes)} of {self.name}"


class NoTruth(Exception):
    """The reference does not say what is right for a case."""


class Reference:
    """A reference that is loaded."""

    def __init__(self, spec: dict[str, Any], modules: ProjectModules) -> None:
        """Loads it.

        Args:
            spec: of the plan: ``entry``, ``mutates``, ``seed``, ``specials``, ``tolerance``.
            modules: loads the project's code.
        """
        self._spec = spec
        self._modules = modules
        with kept_settings():
            self._target = modules.load(spec["entry"])
            self._settings = TorchSettings()  # its own calls find them again, whatever a variant has changed since
        self._file = self._target if isinstance(self._target, ModuleType) else None
        self.mutates: list[int] = spec["mutates"]
        self.seed: int | None = spec["seed"]

    @property
    def files(self) -> dict[str, str]:
        """The project's files that it has loaded beside its own -> their digests."""
        return self._modules.loaded_by(self._spec["entry"])

    # --- inputs ---

    def inputs(self, case: PlannedCase, device: str, seed: int) -> list[Any]:
        """Fresh inputs of a workload: tensors, and whatever else a call takes. Gradients of results come last.

        Raises:
            NoTruth: `mutates` names one that is no tensor.
        """
        if self._has_no("get_inputs"):
            forward = written_inputs.made(case["inputs"], device, seed)
        else:
            forward = self._from_file(case["arguments"], device, seed)
        for place in self.mutates:
            if place >= len(forward) or not isinstance(forward[place], torch.Tensor):
                raise NoTruth(f"`mutates` names input {place}, which is no tensor")
        return forward + self._cotangents(case, forward, seed)

    def init(self, case: PlannedCase) -> list[Any]:
        """Arguments of a class that is called."""
        make = getattr(self._file, "get_init_inputs", None)
        if make is None:
            return []
        found: list[Any] = make(**case["arguments"]) if _takes_arguments(make) else make()
        return found

    def cotangents_of(self, case: PlannedCase) -> int:
        """How many of the last inputs are gradients of results."""
        return len(self._output_forms(case)) if case["direction"] == "backward" else 0

    @property
    def draw(self) -> Callable[..., Any] | None:
        """The file's ``draw``; None where it has none."""
        return getattr(self._file, "draw", None)

    @property
    def has_inputs(self) -> bool:
        """Whether it makes its own inputs, from a workload's arguments."""
        return not self._has_no("get_inputs")

    def needs(self, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """Bytes and flops of a call as the file's ``needs`` says; None where it has none."""
        found: dict[str, Any] | None = self._file.needs(**arguments) if hasattr(self._file, "needs") else None  # type: ignore[union-attr]
        return found

    def _from_file(self, arguments: dict[str, Any], device: str, seed: int) -> list[Any]:
        make: Callable[..., list[Any]] = getattr(self._file, "get_inputs")  # noqa: B009
        if _takes_arguments(make):
            return list(make(**arguments, device=device, seed=seed))
        torch.manual_seed(seed)
        return [each.to(device) if isinstance(each, torch.Tensor) else each for each in make()]

    def _cotangents(self, case: PlannedCase, forward: list[Any], seed: int) -> list[Any]:
        """A gradient of each result that has one, where the backward pass is called."""
        if case["direction"] != "backward":
            return []
        device = next(each.device.type for each in forward if isinstance(each, torch.Tensor))
        with kept_settings():
            self._settings.restore()
            outputs = differentiated(self._model(case, forward, wide=False), forward)[0]
        case.setdefault("output_forms", [tuple(output.shape) for output in outputs])
        return [written_inputs.normal_like(output, device, seed * 1000 + 500 + n) for n, output in enumerate(outputs)]

    def _output_forms(self, case: PlannedCase) -> list[Any]:
        if "output_forms" not in case:
            self._cotangents(case, self.inputs({**case, "direction": "forward"}, "cpu", 0), 0)
        forms: list[Any] = case["output_forms"]
        return forms

    # --- edge cases ---

    @property
    def says_what_is_right(self) -> bool:
        """Whether it is a file with a function of its own for that, which can be called on the CPU."""
        return not self._has_no("expected")

    def has_edge_cases(self) -> bool:
        """Whether there is anything small or special to try."""
        return self._has_no("get_inputs") or self._is_of_one_size or hasattr(self._file, "small_arguments")

    @property
    def _is_of_one_size(self) -> bool:
        """Whether it is a file in KernelBench's form: its inputs cannot be made small."""
        return not self._has_no("get_inputs") and not _takes_arguments(self._file.get_inputs)  # type: ignore[union-attr]

    def small(self, case: PlannedCase) -> PlannedCase:
        """The workload of a case's edge cases."""
        if self._has_no("get_inputs"):
            small = ({**case, "inputs": described} for described in written_inputs.small(case["inputs"]))
            return next((each for each in small if self._can(each)), case)
        if self._is_of_one_size:
            return case
        return {**case, "arguments": self._file.small_arguments(**case["arguments"])}  # type: ignore[union-attr]

    def edge_cases(self, small: PlannedCase, device: str) -> Iterator[EdgeCase]:
        """Fresh data twice, so that a result that is kept shows, then special data."""
        for seed in (1, 2):
            yield EdgeCase("fresh data", self.inputs(small, device, seed))
        if self._has_no("get_inputs") or self._is_of_one_size:
            for name, values in written_inputs.special(lambda seed: self.inputs(small, device, seed)):
                yield EdgeCase(name, values, is_special=True)
        elif hasattr(self._file, "get_special_inputs"):
            special = self._file.get_special_inputs(**small["arguments"], device=device, seed=3)  # type: ignore[union-attr]
            for name, values in special.items():
                yield EdgeCase(name, values, is_special=True)

    def _can(self, case: PlannedCase) -> bool:
        """Whether the reference takes inputs of a workload."""
        try:
            self.outputs(case, self.inputs(case, "cpu", 0))
        except Exception:  # noqa: BLE001  (a reference's code can raise anything)
            return False
        return True

    # --- what is right ---

    def expected(self, case: PlannedCase, inputs: list[Any], *, special: bool = False) -> list[ExpectedOutput]:
        """The right outputs of a case: those returned, then the inputs that the call changes.

        Args:
            case: of the plan. A roof does less than the problem, and has to return what ``expected_roof`` of the
                reference says (``expected_flops_roof``, where its ceiling is flops and there is such a function); a
                library as a roof computes the problem itself.
            inputs: as the call got them.
            special: whether they are special, and the problem holds nobody to what its library gets wrong.

        Raises:
            NoTruth: the reference does not say what a roof returns.
        """
        parts = self._expected_of_file(case, inputs)
        found = parts if parts is not None else self._expected_of_call(case, inputs)
        if special and self._spec["specials"] == "library":
            return self._trusted(case, inputs, found)
        return found

    def outputs(self, case: PlannedCase, inputs: list[Any]) -> list[torch.Tensor]:
        """What the reference itself makes of inputs, in their own dtypes."""
        return self._called(case, inputs, case["direction"])

    def traffic(self, case: PlannedCase, device: str) -> tuple[int, int]:
        """Bytes of a workload's inputs, and of its outputs."""
        inputs = self.inputs(case, device, 0)
        reads = sum(each.nbytes for each in inputs if isinstance(each, torch.Tensor))
        if not self.says_what_is_right:
            return reads, sum(output.nbytes for output in self.outputs(case, inputs))
        right = self.expected({**case, "role": "candidate"}, inputs)
        return reads, sum(want.nbytes for output in right for _, want in output.parts)

    def _expected_of_file(self, case: PlannedCase, inputs: list[Any]) -> list[ExpectedOutput] | None:
        """What the file's own function says; None where it has none."""
        name = self._function(case)
        if name is None:
            return None
        found = getattr(self._file, name)(inputs, **case["arguments"])
        outputs = found if isinstance(found, (list, tuple)) else [found]
        rules = self._rules_of_file(case, len(outputs))
        return [ExpectedOutput(parts, rule) for parts, rule in zip(outputs, rules, strict=True)]

    def _function(self, case: PlannedCase) -> str | None:
        """The name of the file's function that says what is right for a case; None where its model is called."""
        is_roof = case["role"] == "roof" and case["ceiling"] != "library"
        if is_roof and case["ceiling"] == "flops" and hasattr(self._file, "expected_flops_roof"):
            return "expected_flops_roof"
        if is_roof and not hasattr(self._file, "expected_roof"):
            raise NoTruth(
                'the reference has no `expected_roof`: use entry = "stallgate:copy", or a library as the roof'
            )
        if is_roof:
            return "expected_roof"
        return "expected" if hasattr(self._file, "expected") else None

    def _rules_of_file(self, case: PlannedCase, outputs: int) -> list[Rule]:
        """The problem's tolerances, or what the file's function says: a relative one or a table for each output."""
        written = self._written_rules(case)
        if written:
            return _one_each(written, outputs)
        found = self._file.tolerance(**case["arguments"])  # type: ignore[union-attr]
        tables = [each if isinstance(each, dict) else {"rtol": each} for each in _as_list(found)]
        return _one_each([written_rule(table) for table in tables], outputs)

    def _expected_of_call(self, case: PlannedCase, inputs: list[Any]) -> list[ExpectedOutput]:
        """What the reference makes of the inputs in 64 bits, rounded to the dtype that it returns by itself."""
        own = self.outputs(case, inputs)
        right = self._in_64_bits(case, inputs, own)
        written = self._written_rules(case)
        rules = _one_each(written, len(right)) if written else list(map(default_rule, right, own))
        return [
            ExpectedOutput([((), want)], rule, _undisputed(want, plain))
            for want, plain, rule in zip(right, own, rules, strict=True)
        ]

    def _in_64_bits(self, case: PlannedCase, inputs: list[Any], own: list[torch.Tensor]) -> list[torch.Tensor]:
        """The outputs computed in 64 bits and rounded; those in the inputs' own dtypes where there is no such way."""
        try:
            wide = self._called(case, [_widened(each) for each in inputs], case["direction"], wide=True)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # noqa: BLE001  (a reference may refuse these dtypes in any way)
            return own
        if [each.shape for each in wide] != [each.shape for each in own]:
            return own
        return [exact.to(plain.dtype) for exact, plain in zip(wide, own, strict=True)]

    def rule_of_file(self, case: PlannedCase) -> Rule:
        """The rule of a file's single output."""
        return self._rules_of_file(case, 1)[0]

    def _written_rules(self, case: PlannedCase) -> list[Rule]:
        return [written_rule(table) for table in case["tolerance"] or self._spec["tolerance"]]

    def _trusted(self, case: PlannedCase, inputs: list[Any], expected: list[ExpectedOutput]) -> list[ExpectedOutput]:
        """The same, compared only where the reference in the inputs' own dtypes agrees with it.

        What is not finite may be so in any way. What is finite only on the CPU, or only on the GPU, is compared with
        nothing: torch's own kernels disagree there, as its norms do on infinities.
        """
        if self._file is not None and not hasattr(self._file, "Model"):
            return expected  # of a file with a function of its own there is nothing that could be called
        found = []
        outputs = self.outputs(case, inputs)
        for output, own, elsewhere in zip(expected, outputs, self._on_the_cpu(case, inputs, outputs), strict=True):
            parts = list(output.parts)
            trusted = torch.zeros(own.shape, dtype=torch.bool, device=own.device)
            for index, want in parts:
                trusted[index] = agree(own[index], want, output.rule)
            trusted &= torch.isfinite(own) == torch.isfinite(elsewhere)
            found.append(ExpectedOutput(parts, output.rule, trusted, not_finite_alike=True))
        return found

    def _on_the_cpu(self, case: PlannedCase, inputs: list[Any], own: list[torch.Tensor]) -> list[torch.Tensor]:
        """The outputs as the CPU computes them; those that there are where the reference needs a GPU."""
        if all(each.device.type == "cpu" for each in own):
            return own
        try:
            found = self.outputs(case, [each.cpu() if isinstance(each, torch.Tensor) else each for each in inputs])
        except Exception:  # noqa: BLE001  (a reference may refuse the CPU in any way)
            return own
        if [each.shape for each in found] != [each.shape for each in own]:
            return own
        return [each.to(plain.device) for each, plain in zip(found, own, strict=True)]

    def _called(
        self, case: PlannedCase, inputs: list[Any], direction: str, *, wide: bool = False
    ) -> list[torch.Tensor]:
        """Calls the reference on copies of inputs; what is returned, and what the call changed.

        Raises:
            NoTruth: it changes what it does not say it changes, or leaves nothing to compare.
        """
        copies = [each.clone() if isinstance(each, torch.Tensor) else each for each in inputs]
        with kept_settings():
            self._settings.restore()
            model = self._model(case, copies, wide=wide)
            if direction == "backward":
                forward, cotangents = split_cotangents(copies, self.cotangents_of(case))
                return gradients(model, forward, cotangents)()
            with torch.no_grad():
                returned = flat_outputs(model(*copies))
        self._refuse_undeclared(inputs, copies)
        changed = [copies[place] for place in self.mutates]
        tensors = [each.detach() for each in returned if isinstance(each, torch.Tensor)]
        fresh = [each for each in tensors if not any(is_same_tensor(each, other) for other in changed)]
        if not fresh and not changed:
            raise NoTruth("it returns no tensor, and `mutates` names no input that it changes")
        return [*fresh, *changed]

    def _refuse_undeclared(self, inputs: list[Any], copies: list[Any]) -> None:
        """Holds the call to `mutates`.

        Raises:
            NoTruth: it changed another input.
        """
        for place, (before, after) in enumerate(zip(inputs, copies, strict=True)):
            if isinstance(before, torch.Tensor) and place not in self.mutates and not _same(before, after):
                raise NoTruth(f"it changes input {place}, and `mutates` does not name it")

    def _model(self, case: PlannedCase, inputs: list[Any], *, wide: bool) -> Any:
        device = next((each.device.type for each in inputs if isinstance(each, torch.Tensor)), "cpu")
        target = self._file.Model if self._file is not None else self._target
        made = constructed(target, self.init(case), self._spec["entry"]["keywords"], device, self.seed)
        return copy.deepcopy(made).double() if wide and isinstance(made, torch.nn.Module) else made

    def _has_no(self, function: str) -> bool:
        return not hasattr(self._file, function)


# --- calls ------------------------------------------------------------------------------------------------------------


def split_cotangents(inputs: list[Any], count: int) -> tuple[list[Any], list[Any]]:
    """A forward call's inputs, and the gradients of its results behind them."""
    return (inputs[:-count], inputs[-count:]) if count else (inputs, [])


def gradients(model: Any, forward: list[Any], cotangents: list[Any]) -> Callable[[], list[torch.Tensor]]:
    """Calls a model, and returns what computes the gradients of its floating-point inputs that have one.

    Raises:
        ValueError: no result requires a gradient, or there are not as many as gradients of results.
    """
    outputs, wanted = differentiated(model, forward)
    if len(outputs) != len(cotangents):
        raise ValueError(f"{len(outputs)} of its results require a gradient; of the reference {len(cotangents)} do")

    def backward() -> list[torch.Tensor]:
        found = torch.autograd.grad(outputs, wanted, cotangents, retain_graph=True, allow_unused=True)
        return [gradient for gradient in found if gradient is not None]

    return backward


def differentiated(model: Any, forward: list[Any]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Calls a model for its gradients: the results that have one, and the inputs that may have one."""
    leaves = [each.detach().requires_grad_() if _differentiable(each) else each for each in forward]
    with torch.enable_grad():
        outputs = [out for out in flat_outputs(model(*leaves)) if isinstance(out, torch.Tensor) and out.requires_grad]
    return outputs, [leaf for leaf in leaves if _differentiable(leaf)]


def _differentiable(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())


def _undisputed(want: torch.Tensor, own: torch.Tensor) -> torch.Tensor | None:
    """Where integers are compared: where 64 bits lead to the same ones. Numbers that are rounded to integers differ."""
    if want.is_floating_point() or want.is_complex() or torch.equal(want, own):
        return None
    return want == own


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two dense tensors hold the same bits."""
    return same_bits(span_of(one.contiguous()), span_of(other.contiguous()))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _widened(value: Any) -> Any:
    if not _differentiable(value):
        return value
    return value.to(torch.complex128 if value.is_complex() else torch.float64)


def _one_each(rules: list[Rule], outputs: int) -> list[Rule]:
    """A rule for each output; one alone is for all.

    Raises:
        NoTruth: there are several, and not as many as outputs.
    """
    if len(rules) not in (1, outputs):
        raise NoTruth(f"`tolerance` has {len(rules)} entries, and there are {outputs} outputs")
    return rules * outputs if len(rules) == 1 else rules


def _takes_arguments(function: Callable[..., Any]) -> bool:
    """Whether a function of a file takes a workload's arguments: KernelBench's take none."""
    return bool(inspect.signature(function).parameters)
