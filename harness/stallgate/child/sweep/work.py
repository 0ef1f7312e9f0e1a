"""The compiling child's work: each configuration of a plan, compiled by one of its workers and not run."""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stallgate.child.channel import ParentChannel, first_line, printable
from stallgate.child.parent_watchdog import end_with_parent
from stallgate.child.sweep.workers import TookTooLong, Workers
from stallgate.child.work import UNABLE

if TYPE_CHECKING:
    from stallgate.child.load import ProjectModules

_COMPILE_ERRORS = {"CompilationError", "CompileTimeAssertionFailure", "PTXASError", "UnsupportedLanguageConstruct"}
"""What Triton raises for code that does not compile. Any other error may be due to nothing having been run."""


def main(plan_path: Path, channel: int, lifeline: int) -> int:
    """Compiles a plan; the exit status is 0 if each configuration has an answer.

    torch and triton are imported here, not above, so that their absence can be reported as an event.
    """
    plan = json.loads(plan_path.read_text(encoding="utf-8"))
    end_with_parent(lifeline)
    parent = ParentChannel(channel)
    try:
        from stallgate.child.load import ProjectModules
        from stallgate.child.sweep.compiling import use_no_gpu
    except ImportError as error:
        parent.tell("unable", reason=f"{sys.executable} cannot import {error.name}")
        return UNABLE
    if plan["target"]["device"] == "cpu":
        use_no_gpu(plan["target"]["compute_capability"])
    modules = ProjectModules(plan["root"], plan["import_paths"])
    modules.install()
    compiler, cases, notes = Compiler(plan, modules), plan["cases"], Path(plan["notes"])

    def compiled(number: int) -> None:
        told(number, compiler.answer(cases[number]))

    def lost(number: int) -> None:
        told(number, {"outcome": "unknown", "reason": "its compiler ended", "seconds": 0.0})

    def told(number: int, facts: dict[str, Any]) -> None:
        parent.tell("compiled", number=number, **facts)
        note(notes, cases[number]["name"])

    Workers(len(cases), compiled, lost, limit_s=plan["limit_s"]).work(plan["processes"])
    return 0


def note(notes: Path, line: str) -> None:
    """Adds a line, whole, whoever else does: the process that takes times reads there what it need not wait for."""
    with notes.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


class Compiler:
    """Compiles the kernels that a case would launch."""

    def __init__(self, plan: dict[str, Any], modules: ProjectModules) -> None:
        self._plan = plan
        self._modules = modules
        self._target: dict[str, Any] = plan["target"]

    def answer(self, case: dict[str, Any]) -> dict[str, Any]:
        """What came of a case, as the parent is told."""
        begin = time.monotonic()
        kernels: list[Any] = []
        try:
            self._compile(case, kernels)
            facts = self._facts(kernels)
        except TookTooLong:
            facts = {"outcome": "does_not_compile", "reason": f"it did not compile within {self._plan['limit_s']} s"}
        except (Exception, SystemExit) as error:  # noqa: BLE001  (a variant's code can raise anything)
            facts = self._failure(error)
        return {"seconds": time.monotonic() - begin, **facts}

    def _compile(self, case: dict[str, Any], kernels: list[Any]) -> None:
        import torch

        from stallgate.child.load import constructed
        from stallgate.child.reference import Reference
        from stallgate.child.sweep.compiling import compiling_only
        from stallgate.child.sweep.unrun import Unrun

        device = self._target["device"]
        reference = Reference(self._plan["references"][case["problem"]], self._modules)
        found = self._modules.load(case["entry"])
        named = {**case["entry"]["keywords"], **case["tunables"]}
        with torch.no_grad(), Unrun(device), compiling_only(kernels):
            inputs = reference.inputs({**case, "direction": "forward"}, device, 1)
            constructed(found, reference.init(case), named, device, reference.seed)(*inputs)

    def _facts(self, kernels: list[Any]) -> dict[str, Any]:
        """What is known of compiled kernels: whether they fit in shared memory is known before any is loaded."""
        from stallgate.child.sweep.compiling import compiled_facts

        if not kernels:
            return {"outcome": "unknown", "reason": "it launches no kernel of Triton"}
        facts = compiled_facts(kernels, has_gpu=False)
        limit = self._target["shared_bytes"]
        if limit is not None and facts.get("shared_bytes", 0) > limit:
            reason = f"it needs {facts['shared_bytes']} bytes of shared memory a block; the GPU has {limit}"
            return {"outcome": "too_much_shared_memory", "reason": reason, **facts}
        if self._target["device"] == "cuda":
            facts |= compiled_facts(kernels, has_gpu=True)
        return {"outcome": "compiled", **facts}

    def _failure(self, error: BaseException) -> dict[str, Any]:
        name = type(error).__name__
        reason = printable(f"{name}: {first_line(error)}")
        if name == "OutOfResources":
            shared = "shared memory" in str(error)
            return {"outcome": "too_much_shared_memory" if shared else "does_not_compile", "reason": reason}
        traceback.print_exception(error)
        return {"outcome": "does_not_compile" if name in _COMPILE_ERRORS else "unknown", "reason": reason}
