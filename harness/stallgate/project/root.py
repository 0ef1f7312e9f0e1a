"""Which folder is a project, and where its problems are written: its own file, and each ``problem.toml``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from stallgate.errors import BrokenFile, UserFault
from stallgate.model import FrozenStruct, Problem
from stallgate.project.decode import LARGEST_SOURCE, convert, read_bounded, read_toml
from stallgate.project.layout import packaging_file, problem_files, project_file, relative
from stallgate.project.problems import problem_of, read_problem


def find_root(start: Path, *, needed: bool = True) -> Path:
    """The nearest folder at or above ``start`` that is a project; ``start`` where there is none and none is needed.

    Raises:
        UserFault: there is none.
    """
    for folder in (start, *start.parents):
        if is_project(folder):
            return folder
    if not needed:
        return start
    raise UserFault(
        f"{start} is not in a stallgate project",
        "`stallgate init` makes it one; or name a project's folder with --root",
    )


def is_project(folder: Path) -> bool:
    """Whether it has ``stallgate.toml``, ``[tool.stallgate]`` in its ``pyproject.toml``, or a ``problem.toml``."""
    if project_file(folder).is_file() or problem_files(folder):
        return True
    own_yardsticks = (folder / "kernels").is_dir() and (folder / "metrics").is_dir()
    return own_yardsticks or _has_table(packaging_file(folder))


def _has_table(path: Path) -> bool:
    try:
        return b"[tool.stallgate" in read_bounded(path, LARGEST_SOURCE)
    except OSError:
        return False


def problem_sources(root: Path) -> dict[str, Callable[[], Problem]]:
    """The problems of a project by name; each is read when it is called, and may raise BrokenFile.

    Raises:
        BrokenFile: a project's own file is invalid as a whole.
    """
    found: dict[str, Callable[[], Problem]] = {}
    for file, heading, tables in _project_tables(root):
        for name, raw in tables.items():
            found[name] = _second(name) if name in found else partial(_from_table, root, file, heading, name, raw)
    for path in problem_files(root):
        name = path.parent.name
        found[name] = _second(name) if name in found else partial(read_problem, root, path)
    return found


def _from_table(root: Path, file: Path, heading: str, name: str, raw: object) -> Problem:
    return problem_of(root, file, name, raw, f"{heading}.{name}")


def _second(name: str) -> Callable[[], Problem]:
    def refuse() -> Problem:
        raise BrokenFile(f"problem {name} is written in two places", "rename one of them")

    return refuse


class _ProjectTable(FrozenStruct, frozen=True):
    problems: dict[str, object] = {}


def _project_tables(root: Path) -> Iterator[tuple[Path, str, dict[str, object]]]:
    """Each file that has problems as tables: the file, the heading above them, the tables."""
    own, packaging = project_file(root), packaging_file(root)
    if own.is_file():
        shown = relative(root, own)
        yield own, "problems", convert(read_toml(own, shown), _ProjectTable, shown).problems
    if _has_table(packaging):
        shown = relative(root, packaging)
        tool = convert(read_toml(packaging, shown).get("tool", {}), dict[str, object], shown, "tool")
        table = convert(tool.get("stallgate", {}), _ProjectTable, shown, "tool.stallgate")
        yield packaging, "tool.stallgate.problems", table.problems
