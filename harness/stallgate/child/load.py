"""Python files of a project, loaded by path and checked against the digest in the plan."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any


class Changed(Exception):
    """A file is not the one that was planned."""


def load_file(path: Path, digest: str, name: str) -> ModuleType:
    """The module of a file.

    Raises:
        Changed: the file's text is not what the digest was taken of.
    """
    if hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest() != digest:
        raise Changed(f"{path.name} has changed since the run was planned")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expected_of(reference: ModuleType, case: dict[str, Any]) -> Any:
    """The reference's function that yields what is right for a case, part by part.

    A roof does less than the problem: what it has to return is ``expected_flops_roof``, where its ceiling is ``flops``
    and the reference has that, else ``expected_roof``. A library as a roof computes the problem itself.
    """
    ceiling = case.get("ceiling")
    if case["role"] != "roof" or ceiling == "library":
        return reference.expected
    if ceiling == "flops" and hasattr(reference, "expected_flops_roof"):
        return reference.expected_flops_roof
    return reference.expected_roof
