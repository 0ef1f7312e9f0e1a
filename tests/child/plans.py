"""Parts of a child's plan, as ``stallgate.measure.child_plan`` makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stallgate.child.correctness import ExpectedOutput, Rule, compare_output, flat_outputs, written_rule
from stallgate.child.load import ProjectModules
from stallgate.child.reference import Reference
from stallgate.project.digests import text_digest
from stallgate.project.inputs import tensor_input


def entry_of(path: Path, **changes: Any) -> dict[str, Any]:
    """The entry of a file that is loaded by its path."""
    plain = {"path": str(path), "digest": text_digest(path), "module": "", "attribute": "", "keywords": {}}
    return {**plain, **changes}


def reference_of(path: Path, **changes: Any) -> dict[str, Any]:
    """A reference in a file; special data is held against it."""
    rules = {"mutates": [], "seed": None, "specials": "strict", "tolerance": [], "draw": None}
    return {"entry": entry_of(path), **rules, **changes}


def workload_of(**changes: Any) -> dict[str, Any]:
    """What a case is called with."""
    return {"arguments": {}, "inputs": [], "direction": "forward", "tolerance": [], "bytes": 1, **changes}


def places_of(folder: Path) -> dict[str, Any]:
    """A project's root, as a plan has it."""
    return {"root": str(folder), "import_paths": [str(folder)]}


def fault(output: Any, parts: Any, tolerance: float | dict[str, Any]) -> str | None:
    """What is wrong with an output, by a relative tolerance or a table."""
    rule = written_rule(tolerance) if isinstance(tolerance, dict) else Rule(rtol=tolerance)
    return compare_output(output, ExpectedOutput(parts, rule)).fault


def library_reference(name: str, *, keywords: dict[str, Any] | None = None, **changes: Any) -> Reference:
    """A reference that is a function or a class of an installed package, or of a test's module."""
    entry = {"path": "", "digest": "", "module": name, "attribute": "", "keywords": keywords or {}}
    rules = {"mutates": [], "seed": None, "specials": "library", "tolerance": [], "draw": None}
    return Reference(
        {"entry": entry, **rules, **changes}, ProjectModules(str(Path(__file__).parent / "no_project"), [])
    )


def plain_case(*inputs: str | object, **changes: Any) -> dict[str, Any]:
    """A candidate's case with inputs as a project writes them."""
    described = [tensor_input(each) if isinstance(each, str) else {"value": each} for each in inputs]
    return {"role": "candidate", "ceiling": None, **workload_of(inputs=described), **changes}


def first_fault(outputs: Any, expected: list[ExpectedOutput]) -> str | None:
    """What is wrong with the first wrong output."""
    flat = flat_outputs(outputs)
    assert len(flat) == len(expected)
    found = [compare_output(got, want).fault for got, want in zip(flat, expected, strict=True)]  # type: ignore[arg-type]
    return next((each for each in found if each is not None), None)
