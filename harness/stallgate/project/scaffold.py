"""What ``stallgate init`` writes into somebody's repository: a problem, a line for git, and a workflow.

Nothing that exists is overwritten: a problem is appended to the project's file, and a file that is there stays. Only
``force`` replaces the tables of a problem, and nothing else.
"""

from __future__ import annotations

import re
from pathlib import Path

from stallgate.errors import BadArgument, BrokenFile
from stallgate.project.adoption import AdoptedKernel
from stallgate.project.decode import parse_toml, read_toml
from stallgate.project.layout import packaging_file, problem_file, project_file, relative
from stallgate.project.tomltext import toml_key, toml_value
from stallgate.project.workflow import WORKFLOW
from stallgate.project.written import FileChange, WrittenFile, apply_changes, existing_text, joined_text

_IGNORED = ("/reports/*", "!/reports/recorded/")
"""Runs are not committed, recordings are."""

_IGNORES_ALL = re.compile(r"^/?reports/?\s*$", re.MULTILINE)
"""A line that ignores the whole folder: what is below it cannot be included again."""

_HEADER = re.compile(r"^\s*\[\[?\s*(?P<name>[^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")


def write_scaffold(root: Path, subject: AdoptedKernel, *, pyproject: bool, ci: bool, force: bool) -> list[WrittenFile]:
    """Writes what a project needs to measure a kernel.

    Args:
        root: the project's.
        subject: what is measured.
        pyproject: write ``[tool.stallgate]`` into pyproject.toml instead of a file of its own.
        ci: also write a workflow for GitHub.
        force: replace a problem of this name.

    Raises:
        BadArgument: there is a problem of this name, or no pyproject.toml.
        BrokenFile: a file that would be extended is not what it should be.
    """
    changes = [_problem_change(root, subject, pyproject=pyproject, force=force), _ignore_change(root)]
    if ci:
        changes.append(_workflow_change(root))
    return apply_changes(root, changes)


# --- the problem ------------------------------------------------------------------------------------------------------


def _problem_change(root: Path, subject: AdoptedKernel, *, pyproject: bool, force: bool) -> FileChange:
    path, heading = _home(root, pyproject=pyproject)
    before = existing_text(path)
    other = problem_file(root, subject.name)
    if other.exists():
        raise BadArgument(
            f"there is a problem {subject.name} already: {relative(root, other)}",
            "choose another name with --name",
        )
    kept = before or ""
    if before is not None and subject.name in _known(read_toml(path, path.name), heading):
        if not force:
            raise BadArgument(
                f"{path.name} has a problem {subject.name} already",
                "choose another name with --name, or replace its tables with --force",
            )
        kept = _without(kept, heading, subject.name, path.name)
    added = problem_text(subject, heading)
    if not kept.strip():
        added = f"# What stallgate measures and judges. `stallgate docs files` explains every key.\n\n{added}"
    return FileChange(path=path, before=before, after=joined_text(kept, added))


def _home(root: Path, *, pyproject: bool) -> tuple[Path, str]:
    """The file that the problem belongs into, and the heading of all problems in it."""
    own, packaging = project_file(root), packaging_file(root)
    if pyproject and not packaging.is_file():
        raise BadArgument("there is no pyproject.toml", "leave out --pyproject: stallgate.toml is written then")
    if pyproject and own.is_file():
        raise BadArgument("this project has a stallgate.toml already", "leave out --pyproject: it is extended then")
    if pyproject or (not own.is_file() and _has_tool_table(packaging)):
        return packaging, "tool.stallgate.problems"
    return own, "problems"


def _has_tool_table(packaging: Path) -> bool:
    return packaging.is_file() and "stallgate" in _table(read_toml(packaging, packaging.name).get("tool"))


def _known(tables: dict[str, object], heading: str) -> dict[str, object]:
    """The problems of a file's tables."""
    for key in heading.split("."):
        tables = _table(tables.get(key))
    return tables


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _without(text: str, heading: str, problem: str, shown: str) -> str:
    """A TOML file without the tables of a problem.

    Raises:
        BrokenFile: they are not written under headings of their own, so that they cannot be cut out.
    """
    table = f"{heading}.{problem}"
    kept, is_cut = [], False
    for line in text.splitlines(keepends=True):
        header = _HEADER.match(line)
        if header is not None:
            name = re.sub(r"[\s\"']", "", header["name"])
            is_cut = f"{name}.".startswith(f"{table}.")
        if not is_cut:
            kept.append(line)
    found = "".join(kept)
    if problem in _known(parse_toml(found.replace("\r\n", "\n"), shown), heading):
        raise BrokenFile(f"{shown}: {table} is not under headings of its own", "remove it by hand, and run init again")
    return found


def problem_text(subject: AdoptedKernel, heading: str = "problems") -> str:
    """The tables of a problem.

    Args:
        subject: what is measured.
        heading: the table that holds all problems.
    """
    table = f"{heading}.{toml_key(subject.name)}"
    blocks = [
        [f"[{table}]", *_reference_lines(subject), f"stages = {toml_value([subject.stage])}"],
        [f"[{table}.workloads.main]", *_workload_lines(subject)],
        [f"[{table}.variants.{toml_key(subject.variant)}]", *_entry_lines(subject.kernel, subject.kernel_keywords)],
        [
            f"[{table}.variants.{toml_key(subject.baseline)}]",
            *_role_lines(subject),
            *_entry_lines(subject.reference, subject.keywords),
        ],
        [
            f"[{table}.variants.copy]  # moves the same bytes: the speed of memory",
            *_entry_lines("stallgate:copy", {}),
            'role = "roof"',
            'ceiling = "bytes"',
        ],
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"


def _reference_lines(subject: AdoptedKernel) -> list[str]:
    if not subject.keywords:
        return [f"reference = {toml_value(subject.reference)}"]
    comment = "  # assumed by init: correct it, here and below" if subject.is_assumed else ""
    return [f"reference = {toml_value({'entry': subject.reference, 'keywords': subject.keywords})}{comment}"]


def _workload_lines(subject: AdoptedKernel) -> list[str]:
    lines = [f"inputs = {toml_value(subject.inputs)}"]
    return [*lines, f"flops = {subject.flops}"] if subject.flops else lines


def _entry_lines(entry: str, keywords: dict[str, object]) -> list[str]:
    lines = [f"entry = {toml_value(entry)}"]
    return [*lines, f"keywords = {toml_value(keywords)}"] if keywords else lines


def _role_lines(subject: AdoptedKernel) -> list[str]:
    """A library is the roof of arithmetic: it may be beaten. Otherwise the reference is shown beside the candidate."""
    if subject.is_arithmetic:
        return ['role = "roof"', 'ceiling = "library"']
    return ['role = "baseline"']


# --- the other files --------------------------------------------------------------------------------------------------


def _ignore_change(root: Path) -> FileChange:
    path = root / ".gitignore"
    before = existing_text(path)
    text = before or ""
    if _IGNORES_ALL.search(text):
        why = "it ignores all of reports/; to commit recordings, write /reports/* and !/reports/recorded/ instead"
        return FileChange(path=path, before=text, after=text, reason=why)
    present = {line.strip() for line in text.splitlines()}
    added = "".join(f"{line}\n" for line in _IGNORED if line not in present)
    if not added:
        return FileChange(path=path, before=text, after=text, reason="it has the lines already")
    return FileChange(path=path, before=before, after=joined_text(text, added, blank=False))


def _workflow_change(root: Path) -> FileChange:
    path = root / ".github" / "workflows" / "stallgate.yml"
    before = existing_text(path)
    if before is not None:
        return FileChange(path=path, before=before, after=before, reason="it exists already")
    return FileChange(path=path, before=None, after=WORKFLOW)
