"""Python files of a project, loaded by path and held against the digest that the plan names."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType


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
