"""The files of a project that its code may load: what is copied where a project is measured elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_NOT_COPIED = {"reports", "node_modules", "__pycache__", "site-packages", "dist-packages", "build", "dist"}
"""Folders that no reference loads code from; hidden folders and virtual environments are left out as well."""

_LARGEST_FILE = 64 * 2**20
"""Bytes of a file; a larger one is left out."""


def project_files(root: Path) -> Iterator[Path]:
    """The files of a project that code may load: without runs, hidden folders, environments and very large files."""
    for name, folders, files in os.walk(root):
        folder = Path(name)
        folders[:] = sorted(each for each in folders if _is_copied(folder / each))
        for path in sorted(folder / each for each in files):
            if path.is_file() and path.resolve().is_relative_to(root) and path.stat().st_size <= _LARGEST_FILE:
                yield path


def _is_copied(folder: Path) -> bool:
    is_environment = (folder / "pyvenv.cfg").is_file() or (folder / "conda-meta").is_dir()
    return not (folder.name.startswith(".") or folder.name in _NOT_COPIED or is_environment)
