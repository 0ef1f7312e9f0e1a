"""The files of a project that a Python file imports, found in its syntax tree: nothing is run."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from stallgate.errors import BrokenFile
from stallgate.project.decode import LARGEST_SOURCE, read_bounded
from stallgate.project.entries import module_below, module_file, source_roots
from stallgate.project.layout import relative
from stallgate.project.paths import inside

_MOST_FILES = 200
"""Most files that are followed."""


def with_imported_files(root: Path, paths: list[str]) -> dict[str, str]:
    """Path -> text of some files, and of those below the project's root that they import, at any distance.

    What cannot be read is left out; of what cannot be parsed the imports are not known.

    Args:
        root: the project's.
        paths: relative to it, with forward slashes.
    """
    found: dict[str, str] = {}
    pending = list(dict.fromkeys(paths))
    while pending and len(found) < _MOST_FILES:
        path = pending.pop(0)
        text = _text(root, path)
        if path in found or text is None:
            continue
        found[path] = text
        pending += [relative(root, file) for file in _imports(root, root / path, text)]
    return found


def _text(root: Path, path: str) -> str | None:
    try:
        return read_bounded(inside(root, path), LARGEST_SOURCE).decode("utf-8", "replace")
    except (OSError, BrokenFile):
        return None


def _imports(root: Path, file: Path, text: str) -> Iterator[Path]:
    """The project's files that a file imports itself, in their order."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in nodes:
        match node:
            case ast.Import(names=names):
                yield from filter(None, (_absolute(root, file, each.name.split(".")) for each in names))
            case ast.ImportFrom(module=module, names=names, level=level):
                base = _base(root, file, level)
                if base is None:
                    continue
                whole = [*base, *(module.split(".") if module else [])]
                modules = [whole, *([*whole, each.name] for each in names)]
                found = (
                    _absolute(root, file, parts) if level == 0 else module_file(root, parts)
                    for parts in modules
                    if parts
                )
                yield from filter(None, found)
            case _:
                pass


def _absolute(root: Path, file: Path, parts: list[str]) -> Path | None:
    """The file of a module that a file names in full.

    Beside a file, or beside the package that it lies in, is what it can import where the file is loaded by its path:
    that folder is the last on Python's path.
    """
    folder = file.parent
    while folder != root and (folder / "__init__.py").is_file():
        folder = folder.parent
    beside = module_below(folder, parts) if parts[0] not in sys.stdlib_module_names else None
    return module_file(root, parts) or beside


def _base(root: Path, file: Path, level: int) -> list[str] | None:
    """The package that an import starts from; None where it leaves the project."""
    if level == 0:
        return []
    bases = [base for base in reversed(source_roots(root)) if file.is_relative_to(base)]
    folders = list(file.relative_to(bases[0]).parts[:-1]) if bases else []
    return folders[: len(folders) - (level - 1)] if level <= len(folders) else None
