"""An answer as a variant of a problem, in a copy of the project: the user's own files are never written."""

from __future__ import annotations

import shutil
from pathlib import Path

from msgspec.structs import replace

from stallgate.errors import BrokenFile
from stallgate.model import EntryPoint, FrozenStruct, Problem, Stage, Variant
from stallgate.project.entries import file_entry
from stallgate.project.files import project_files
from stallgate.project.load import Project, load_project

ANSWER_NAME = "answer"
"""What the answer is called among the variants; a number follows where a variant has the name."""

_LARGEST_COPY = 2**30
"""Bytes of a project; a larger one is refused."""


class Adopted(FrozenStruct, frozen=True):
    """The copy, with the answer in it."""

    project: Project
    """It has one problem, and of its variants the roofs, the version that is replaced, and the answer."""
    problem: str
    against: str
    answer: str
    """The variant's name."""
    path: Path
    """The answer's file in the copy."""


def adopt(project: Project, problem: str, against: str, source: str, folder: Path) -> Adopted:
    """Copies a project and puts an answer beside a problem.

    Args:
        project: the user's; it is only read.
        problem: what the answer computes.
        against: the variant that it is to replace: it is constructed as that one is.
        source: the answer's Python.
        folder: takes the copy; it is empty.

    Raises:
        BrokenFile: the project is too large to copy.
    """
    _copy(project.root, folder)
    loaded = load_project(folder)
    known = loaded.problem(problem)
    replaced = project.problem(problem).variants[against]  # a loop puts an earlier answer in its place
    if replaced.path:
        _copy_file(project.root / replaced.path, folder / replaced.path)
    path = (folder / known.file).parent / f"{_unused(known, folder)}.py"
    path.write_text(source, encoding="utf-8")
    answer = Variant(path.stem, "candidate", _entry(folder, path, replaced), {"default": {}})
    kept = {v.name: v for v in known.variants.values() if v.role == "roof"}
    own = replace(known, variants={**kept, against: replaced, answer.name: answer}, waivers=[])
    stages = {name: _judging(stage, against, answer.name) for name, stage in loaded.stages.items()}
    copied = replace(loaded, problems={problem: own}, stages=stages, broken_problems={})
    return Adopted(project=copied, problem=problem, against=against, answer=answer.name, path=path)


def _entry(folder: Path, path: Path, replaced: Variant) -> EntryPoint:
    return replace(file_entry(folder, path, written=path.name), keywords=replaced.entry.keywords)


def _unused(problem: Problem, folder: Path) -> str:
    """A name that no variant and no file has."""
    beside = (folder / problem.file).parent
    names = (ANSWER_NAME if number == 1 else f"{ANSWER_NAME}{number}" for number in range(1, 10**6))
    return next(name for name in names if name not in problem.variants and not (beside / f"{name}.py").exists())


def _judging(stage: Stage, against: str, answer: str) -> Stage:
    """A stage whose targets for the version that is replaced are for the answer as well."""
    targets = [
        replace(target, variants=[*target.variants, answer]) if against in target.variants else target
        for target in stage.targets
    ]
    return replace(stage, targets=targets)


# --- the copy ---------------------------------------------------------------------------------------------------------


def _copy(root: Path, folder: Path) -> None:
    size = 0
    for path in project_files(root):
        size += path.stat().st_size
        if size > _LARGEST_COPY:
            raise BrokenFile(
                f"the project is too large to copy: over {_LARGEST_COPY // 2**30} GiB",
                "an answer is checked in a copy; move data out of the project's folder",
            )
        _copy_file(path, folder / path.relative_to(root))


def _copy_file(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def project_state(root: Path) -> dict[str, tuple[int, int, int]]:
    """Size, time of the last change and inode of a project's files. The time is the kernel's: no program can set it."""
    found = {}
    for path in project_files(root):
        facts = path.stat()
        found[path.relative_to(root).as_posix()] = (facts.st_size, facts.st_ctime_ns, facts.st_ino)
    return found
