"""Parts of a child's plan, as ``stallgate.measure.child_plan`` makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stallgate.child.correctness import ExpectedOutput, Rule, compare
from stallgate.project.digests import text_digest


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


def fault(output: Any, parts: Any, tolerance: float) -> str | None:
    """What is wrong with an output, by a relative tolerance."""
    return compare(output, ExpectedOutput(parts, Rule(rtol=tolerance))).fault
