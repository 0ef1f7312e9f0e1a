"""The Python files that an entry consists of: one, or all of its folder."""

from __future__ import annotations

from pathlib import Path

from stallgate.model import EntryPoint
from stallgate.project.decode import LARGEST_SOURCE, read_bounded
from stallgate.project.digests import module_key, text_digest
from stallgate.project.layout import relative
from stallgate.project.paths import inside

_PACKAGE = "__init__.py"


def own_files(root: Path, entry: EntryPoint) -> list[str]:
    """The files of an entry, relative to the project's root: its own first, then the others of a folder.

    Empty where the entry is of an installed package.

    Raises:
        BrokenFile: the entry leads out of the project.
    """
    if not entry.path:
        return []
    path = inside(root, entry.path)
    beside = sorted(path.parent.rglob("*.py")) if path.name == _PACKAGE else []
    return list(dict.fromkeys([entry.path, *(relative(root, each) for each in beside)]))


def own_sources(root: Path, entry: EntryPoint) -> dict[str, str]:
    """Path -> text of the same.

    Raises:
        BrokenFile: a file cannot be read, or leads out of the project.
    """
    return {
        path: read_bounded(inside(root, path), LARGEST_SOURCE).decode("utf-8", errors="replace")
        for path in own_files(root, entry)
    }


def own_digests(root: Path, entry: EntryPoint) -> dict[str, str]:
    """The digests of an entry's files but its first, by names that a reader understands; of one file there are none."""
    return {module_key(path): text_digest(inside(root, path)) for path in own_files(root, entry)[1:]}


def folder_beside(entry: EntryPoint) -> Path:
    """The folder that an entry's file is in, or that has its folder; relative to the project's root."""
    path = Path(entry.path)
    return path.parent.parent if path.name == _PACKAGE else path.parent
