"""The project's code: loaded, digested as it is read, and told apart from what is installed.

Every file below the project's root is compiled from the bytes that its digest is taken of. No bytecode is used or left.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch

PlannedEntry = dict[str, Any]
"""As the plan has it: ``path``, ``digest``, ``module``, ``attribute``, ``keywords``."""

_INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed packages, also where an environment lies below the project's root."""

_EVERYWHERE = {"torch", "triton"}
"""Packages whose versions are known of every run."""


class Changed(Exception):
    """A file is not the one that was planned."""


class _Read(NamedTuple):
    """A module of the project as it was read."""

    path: Path
    digest: str
    imports: set[str]
    """Names that its import statements may load, those of packages above them included."""


class ProjectModules:
    """Loads modules of a project. Python asks it first, and it passes on what lies elsewhere."""

    def __init__(self, root: str, import_paths: Iterable[str]) -> None:
        self._root = Path(root).resolve()
        self._import_paths = list(import_paths)
        self._read: dict[str, _Read] = {}
        self._folder = ""

    def install(self) -> None:
        """Puts the project's modules within reach of import statements."""
        sys.meta_path.insert(0, self)
        sys.path[:0] = self._import_paths

    # --- Python's import system ---

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """What the other finders find; a file of the project gets a loader that takes its digest."""
        others = [each for each in sys.meta_path if not isinstance(each, ProjectModules) and hasattr(each, "find_spec")]
        for finder in others:
            spec = finder.find_spec(name, path, target)
            if spec is None:
                continue
            if type(spec.loader) is SourceFileLoader and spec.origin and self._is_own(Path(spec.origin)):
                spec.loader = _DigestingLoader(self, spec.name, spec.origin)
            return spec
        return None

    def invalidate_caches(self) -> None: ...

    def note(self, name: str, path: str, source: bytes) -> None:
        """Keeps what a module was compiled from."""
        is_package = Path(path).name == "__init__.py"
        self._read[name] = _Read(Path(path).resolve(), _digest(source), _imported(name, source, is_package=is_package))

    def _is_own(self, path: Path) -> bool:
        path = path.resolve()
        below = path.is_relative_to(self._root) and not _INSTALLED & set(path.relative_to(self._root).parts)
        return below and not path.is_relative_to(Path(__file__).resolve().parents[1])

    # --- entries ---

    def load(self, entry: PlannedEntry) -> Any:
        """What an entry names: a callable, or a module where it names no attribute.

        Raises:
            Changed: its file is not the one that was planned.
        """
        if entry["path"] and not entry["module"]:
            found: Any = self._of_file(Path(entry["path"]))
        else:
            found, rest = _imported_module(entry["module"])
            for part in rest:
                found = getattr(found, part)
        self._check(entry)
        for part in filter(None, entry["attribute"].split(".")):
            found = getattr(found, part)
        return found

    def loaded_by(self, entry: PlannedEntry) -> dict[str, str]:
        """The project's files that an entry has loaded beside its own, relative to the root, and their digests."""
        own = Path(entry["path"]).resolve() if entry["path"] else None
        files = {read.path: read.digest for read in self._closure(entry).values() if read.path != own}
        return {path.relative_to(self._root).as_posix(): digest for path, digest in sorted(files.items())}

    def packages_of(self, entry: PlannedEntry) -> dict[str, str]:
        """The installed distributions that an entry's modules import, with their versions; torch and triton aside."""
        names = {name.partition(".")[0] for read in self._closure(entry).values() for name in read.imports}
        if not entry["path"]:
            names.add(entry["module"].partition(".")[0])
        own = {name.partition(".")[0] for name in self._read}
        names = {name for name in names - own - _EVERYWHERE - {"stallgate"} if name not in sys.stdlib_module_names}
        if not names:
            return {}
        known = importlib.metadata.packages_distributions()
        found = {distribution for name in names & set(sys.modules) for distribution in known.get(name, [])}
        return {name: importlib.metadata.version(name) for name in sorted(found)}

    def relative(self, path: str) -> str:
        """A file of the project relative to its root; '' for any other."""
        return Path(path).resolve().relative_to(self._root).as_posix() if self._is_own(Path(path)) else ""

    def _closure(self, entry: PlannedEntry) -> dict[str, _Read]:
        """The modules of the project that an entry's imports lead to, its own included."""
        own = Path(entry["path"]).resolve() if entry["path"] else None
        pending = [name for name, read in self._read.items() if read.path == own]
        found: dict[str, _Read] = {}
        while pending:
            name = pending.pop()
            if name in self._read and name not in found:
                found[name] = self._read[name]
                pending += self._read[name].imports
                pending += _packages_above(name)
        return found

    def _check(self, entry: PlannedEntry) -> None:
        if not entry["path"]:
            return
        path = Path(entry["path"]).resolve()
        read = next((read for read in reversed(self._read.values()) if read.path == path), None)
        if read is None or read.digest != entry["digest"]:
            raise Changed(f"{path.name} has changed since the run was planned")

    def _of_file(self, path: Path) -> ModuleType:
        """The module of a file, made anew. It can import what lies beside it, by its name or relatively."""
        is_package = path.name == "__init__.py"
        folder, stem = (path.parent.parent, path.parent.name) if is_package else (path.parent, path.stem)
        self._reach(folder)
        name = f"{_package_of(folder)}.{stem}"
        for known in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
            del sys.modules[known]
        spec = importlib.util.spec_from_file_location(
            name,
            path,
            loader=_DigestingLoader(self, name, str(path)),
            submodule_search_locations=[str(path.parent)] if is_package else None,
        )
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def _reach(self, folder: Path) -> None:
        """Puts a folder's modules behind all others, in place of the folder before: its modules are forgotten."""
        if self._folder == str(folder):
            return
        if self._folder:
            sys.path.remove(self._folder)
            beside = Path(self._folder).resolve()
            for name in [name for name, read in self._read.items() if "." not in name and read.path.parent == beside]:
                sys.modules.pop(name, None)
        sys.path.append(str(folder))
        self._folder = str(folder)


class _DigestingLoader(SourceFileLoader):
    """Compiles a file from its source, whose digest it takes."""

    def __init__(self, modules: ProjectModules, name: str, path: str) -> None:
        super().__init__(name, path)
        self._modules = modules

    def get_code(self, fullname: str) -> Any:
        source = self.get_data(self.path)
        self._modules.note(fullname, self.path, source)
        return self.source_to_code(source, self.path)


def _digest(source: bytes) -> str:
    return hashlib.sha256(source.replace(b"\r\n", b"\n")).hexdigest()


def _package_of(folder: Path) -> str:
    """The name of the package that a folder's files are modules of, which exists for their relative imports."""
    name = f"stallgate_folder_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name


def _packages_above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _imported(name: str, source: bytes, *, is_package: bool) -> set[str]:
    """The names of modules that a source's import statements may load."""
    package = name if is_package else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found | {above for each in found for above in _packages_above(each)}


def _imported_module(written: str) -> tuple[ModuleType, list[str]]:
    """The module of a dotted name, and the attributes that the name goes on with."""
    parts = written.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        try:
            return importlib.import_module(name), parts[length:]
        except ModuleNotFoundError as error:
            if length == 1 or error.name is None or not (f"{name}.").startswith(f"{error.name}."):
                raise
    raise AssertionError(written)


# --- what is called ---------------------------------------------------------------------------------------------------


def constructed(found: Any, init: list[Any], named: dict[str, Any], device: str, seed: int | None) -> Any:
    """What is called with the inputs: a function, or an instance of a class.

    Args:
        found: a function; a class; or a module with ``ModelNew``, or with ``Model`` if it has no such class.
        init: arguments of the class.
        named: keyword arguments of the class, or of each call of a function.
        device: where a module's weights belong.
        seed: of torch's random numbers, so that everybody's weights are the same; None stands for 0.
    """
    if isinstance(found, ModuleType):
        found = found.ModelNew if hasattr(found, "ModelNew") else found.Model
    if not isinstance(found, type):
        return partial(found, **named) if named else found
    torch.manual_seed(seed or 0)
    made = found(*init, **named)
    return made.to(device) if isinstance(made, torch.nn.Module) else made
