"""Which folder is a project, and where its problems are written: its own file, and each ``problem.toml``.

Its own file also names the stages that imported reports are judged by, and clusters to measure on.
"""

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
    for file, key, table in _project_tables(root):
        heading = _under(key, "problems")
        for name, raw in table.problems.items():
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


def import_stages(root: Path) -> tuple[str, list[str]]:
    """The stages that imported reports are judged by where the command line names none, and where they are written.

    Raises:
        BrokenFile: a project's own file is invalid as a whole, or two of them name stages for imports.
    """
    written = [
        (f"{relative(root, file)}: {_under(key, 'imports')}.stages", table.imports.stages)
        for file, key, table in _project_tables(root)
        if table.imports is not None
    ]
    if len(written) > 1:
        raise BrokenFile(f"{written[1][0]}: {written[0][0]} names stages for imports too", "remove one of them")
    return written[0] if written else ("", [])


def named_clusters(root: Path) -> dict[str, ClusterTable]:
    """The clusters that a project has names for.

    Raises:
        BrokenFile: a project's own file is invalid as a whole.
    """
    return {name: found for _, _, table in _project_tables(root) for name, found in table.clusters.items()}


class _ImportsTable(FrozenStruct, frozen=True):
    stages: list[str]


class ClusterTable(FrozenStruct, frozen=True):
    """Workers that a project has a name for, under ``clusters``."""

    scheduler: str = ""
    """A scheduler's address."""
    start: str = ""
    """Or the class of a cluster to start, such as ``dask_jobqueue:SLURMCluster``."""
    options: dict[str, object] = {}
    """What the class is called with."""
    workers: int = 0
    """How many workers it is asked for; 0: as many as it starts by itself."""

    def __post_init__(self) -> None:
        if bool(self.scheduler) == bool(self.start):
            raise ValueError("a cluster has `scheduler` or `start`")


class _ProjectTable(FrozenStruct, frozen=True):
    problems: dict[str, object] = {}
    imports: _ImportsTable | None = None
    clusters: dict[str, ClusterTable] = {}


def _project_tables(root: Path) -> Iterator[tuple[Path, str, _ProjectTable]]:
    """Each file that may be a project's own: the file, the key of the project's table in it, and the table."""
    own, packaging = project_file(root), packaging_file(root)
    if own.is_file():
        shown = relative(root, own)
        yield own, "", convert(read_toml(own, shown), _ProjectTable, shown)
    if _has_table(packaging):
        shown = relative(root, packaging)
        tool = convert(read_toml(packaging, shown).get("tool", {}), dict[str, object], shown, "tool")
        yield packaging, "tool.stallgate", convert(tool.get("stallgate", {}), _ProjectTable, shown, "tool.stallgate")


def _under(key: str, name: str) -> str:
    """The key of a table under another, which is empty for the whole file."""
    return f"{key}.{name}" if key else name
