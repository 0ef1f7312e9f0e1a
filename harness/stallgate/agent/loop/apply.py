"""Writes the best answer of a loop as a new variant beside the one that the loop began with."""

from __future__ import annotations

from pathlib import Path

from stallgate.agent.loop.plan import looped_variant
from stallgate.errors import BadArgument
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.project.own_files import folder_beside
from stallgate.project.paths import inside
from stallgate.project.tomltext import toml_key
from stallgate.runs.journal import START, Journal, read_kept


class AppliedAnswer(FrozenStruct, frozen=True):
    """What was written."""

    file: str
    """Relative to the project's root."""
    hint: str
    """The lines that make it a variant."""


def apply_best(project: Project, folder: Path, journal: Journal) -> AppliedAnswer | None:
    """Writes the code of the best answer into a new file; never over another. None where the start is the best.

    Raises:
        BadArgument: no file of a free name can be written.
        BrokenFile: the answer's file is missing, or not the one that was judged.
    """
    best = journal.best
    if best.name == START:
        return None
    code = read_kept(folder, best.source)
    problem = project.problem(journal.problem)
    variant = looped_variant(project, journal.problem, journal.variant)
    beside = folder_beside(variant.entry) if variant.path else Path(problem.file).parent
    for number in range(1, 1000):
        name = f"{variant.name}_loop{'' if number == 1 else number}"
        path = inside(project.root, *beside.parts, f"{name}.py")
        if name in problem.variants:
            continue
        try:
            with path.open("x", encoding="utf-8", newline="") as file:
                file.write(code)
        except FileExistsError:
            continue
        shown = (beside / f"{name}.py").as_posix()
        return AppliedAnswer(shown, _hint(journal, problem.file, beside, name, shown))
    raise BadArgument(f"{beside} has a thousand files of this name", "remove some")


def _hint(journal: Journal, file: str, beside: Path, name: str, shown: str) -> str:
    """How it becomes a variant."""
    tables = {
        "stallgate.toml": f"problems.{journal.problem}.",
        "pyproject.toml": f"tool.stallgate.problems.{journal.problem}.",
    }
    lines = [f"to make it a variant, add to {file}:", f"[{tables.get(file, '')}variants.{toml_key(name)}]"]
    if Path(file).parent != beside or file in tables:
        lines.append(f'entry = "{shown}"')
    return "\n".join([*lines, 'role = "candidate"'])
