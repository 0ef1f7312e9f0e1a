"""Entries: where a callable is found, as a project's files write it.

``package.module:function``, ``file.py``, ``file.py:function`` or a folder with ``__init__.py``. A module is looked for
below the project's root and its ``src/``; one that is not there is an installed package's.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from stallgate.errors import BrokenFile, UnknownName
from stallgate.model import EntryPoint
from stallgate.project.digests import text_digest
from stallgate.project.layout import relative
from stallgate.project.paths import inside

BUILT_IN = "stallgate"
"""The package of entries that come with stallgate: ``stallgate:copy``."""

_BUILT_IN_ROOFS = ("copy",)
_DOTTED = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_MODULE = re.compile(rf"(?P<module>{_DOTTED})(?::(?P<attribute>{_DOTTED}))?", re.ASCII)


def source_roots(root: Path) -> list[Path]:
    """The folders that a project's modules are imported from."""
    return [folder for folder in (root, root / "src") if folder.is_dir()]


def read_entry(root: Path, folder: Path, written: str, where: str) -> EntryPoint:
    """The entry that a text names.

    Args:
        root: the project's.
        folder: that of the file that has the text: files are looked for there first.
        written: the text.
        where: file and key, for messages.

    Raises:
        BrokenFile: it names no file or module, or one that leads out of the project.
    """
    file, _, attribute = written.partition(":")
    if file.endswith(".py") or "/" in file or (folder / file / "__init__.py").is_file():
        return _of_file(root, folder, written, file, attribute, where)
    found = _MODULE.fullmatch(written)
    if found is None:
        raise BrokenFile(
            f"{where}: '{written}' is not an entry",
            "write package.module:function, file.py, file.py:function or a folder",
        )
    if found["module"] == BUILT_IN:
        return _built_in(written, found["attribute"] or "", where)
    return _of_module(root, written, found["module"], found["attribute"] or "", where)


def file_entry(root: Path, path: Path, attribute: str = "", written: str = "") -> EntryPoint:
    """The entry of an existing file, which is loaded by its path."""
    inside(root, relative(root, path))
    return EntryPoint(path=relative(root, path), digest=text_digest(path), attribute=attribute, written=written)


def _of_file(root: Path, folder: Path, written: str, file: str, attribute: str, where: str) -> EntryPoint:
    for base in dict.fromkeys((folder, root)):
        path = inside(root, *base.relative_to(root).parts, file)
        path = path / "__init__.py" if path.is_dir() else path
        if path.is_file():
            return file_entry(root, path, attribute, written)
    shown = relative(root, folder) if folder != root else "the project's root"
    raise BrokenFile(f"{where}: {file} does not exist", f"it is looked for in {shown} and from the project's root")


def _built_in(written: str, attribute: str, where: str) -> EntryPoint:
    if attribute not in _BUILT_IN_ROOFS:
        error = UnknownName("built-in roof", attribute, _BUILT_IN_ROOFS)
        raise BrokenFile(f"{where}: {error.message}", error.hint)
    return EntryPoint(path="", digest=_of_text(written), module=BUILT_IN, attribute=attribute, written=written)


def _of_module(root: Path, written: str, module: str, attribute: str, where: str) -> EntryPoint:
    """The entry of a module. Without a colon, what follows the longest name of a module is the callable's."""
    parts = module.split(".")
    lengths = [len(parts)] if attribute else range(len(parts), 0, -1)
    for length in lengths:
        path = module_file(root, parts[:length])
        if path is not None:
            rest = attribute or ".".join(parts[length:])
            entry = file_entry(root, path, rest, written)
            return EntryPoint(entry.path, entry.digest, ".".join(parts[:length]), rest, {}, written)
    if module_file(root, parts[:1]) is not None:
        raise BrokenFile(
            f"{where}: there is no module {module} below the project's root",
            f"{parts[0]} is there: look for a misspelt name or a missing __init__.py",
        )
    return EntryPoint(path="", digest=_of_text(written), module=module, attribute=attribute, written=written)


def module_file(root: Path, parts: list[str]) -> Path | None:
    """The file of a module below a project's root or its ``src/``; None where there is none."""
    return next(filter(None, (module_below(base, parts) for base in source_roots(root))), None)


def module_below(folder: Path, parts: list[str]) -> Path | None:
    """The file of a module below a folder; None where there is none."""
    whole = folder.joinpath(*parts)
    return next((path for path in (whole.with_suffix(".py"), whole / "__init__.py") if path.is_file()), None)


def _of_text(written: str) -> str:
    return hashlib.sha256(written.encode()).hexdigest()
