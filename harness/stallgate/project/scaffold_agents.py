"""What ``stallgate init --agents`` writes for programs that work on a repository: a section of AGENTS.md, and a skill.

In each file only what stands between two marker lines is stallgate's. It is replaced when ``init`` runs again; the rest
of the file stays as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from string import Template

from stallgate.errors import BrokenFile
from stallgate.formatting import listed
from stallgate.model import Problem
from stallgate.project.written import (
    FileChange,
    WrittenFile,
    apply_changes,
    existing_text,
    joined_text,
    line_ends,
)

GUIDE = "AGENTS.md"
"""Read by every agent that knows the convention."""

SKILLS = (".agents/skills/stallgate/SKILL.md", ".claude/skills/stallgate/SKILL.md")
"""The skill where most agents look for it, and where those look that do not read the first."""

_BEGIN = "<!-- stallgate:begin (`stallgate init --agents` replaces what is between these two lines) -->"
_END = "<!-- stallgate:end -->"
_IS_BEGIN = re.compile(r"^<!-- stallgate:begin\b.*-->[ \t]*\r?$", re.MULTILINE)
_IS_END = re.compile(r"^<!-- stallgate:end\b.*-->[ \t]*\r?$", re.MULTILINE)

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_FOR_ANSWERS = {"prompt", "loop"}
"""Commands without which nothing is said of kernels that a program writes."""

_MOST_PROBLEMS = 20
_MOST_NAMES = 5

_NOT_ADOPTED = """\
No kernel is adopted here yet. Do that first; it writes the file that says what is measured:

```sh
stallgate init --kernel package.module:function --reference torch.softmax --input "float32[8192,4096]"
```

Then run `stallgate init --agents` again, so that the problems are named here."""


def write_agents(root: Path, problems: list[Problem], commands: Collection[str]) -> list[WrittenFile]:
    """Writes or updates the section of AGENTS.md and the skill.

    Args:
        root: the project's.
        problems: those that are named as the project's.
        commands: the commands that there are.

    Raises:
        BrokenFile: a file's markers do not fit together, it is not UTF-8, or it leads out of the project.
    """
    words = _words(problems)
    head = _template("agents_skill_head", words)
    skill = _template("agents_skill", words)
    if set(commands) >= _FOR_ANSWERS:
        skill += _template("agents_answers", words)
    guide = _section_change(root, root / GUIDE, _template("agents_section", words))
    skills = _apart([root / name for name in SKILLS])
    return apply_changes(root, [guide, *(_section_change(root, path, skill, head) for path in skills)])


def _apart(paths: list[Path]) -> list[Path]:
    """Paths of different files: one folder of skills may be a link to the other."""
    return list({_real(path): path for path in reversed(paths)}.values())[::-1]


def _real(path: Path) -> Path:
    """Where a path leads; unlike ``resolve``, also where links go round in a circle."""
    return Path(os.path.realpath(path))


# --- the texts --------------------------------------------------------------------------------------------------------


def _template(name: str, words: dict[str, str]) -> str:
    return Template((_TEMPLATES / f"{name}.md").read_text(encoding="utf-8")).substitute(words)


def _words(problems: list[Problem]) -> dict[str, str]:
    """What the texts say of this project."""
    named = [(problem.name, name) for problem in problems for name in _candidates(problem)]
    problem, variant = named[0] if named else ("PROBLEM", "VARIANT")
    return {
        "problems": _problems_text(problems),
        "subject": f"{problem}/{variant}",
        "variant": variant,
        "skill": f"`{SKILLS[0]}`",
    }


def _candidates(problem: Problem) -> list[str]:
    return [variant.name for variant in problem.variants.values() if variant.role == "candidate"]


def _problems_text(problems: list[Problem]) -> str:
    if not problems:
        return _NOT_ADOPTED
    lines = ["Problems of this repository, with the candidates that are gated:", ""]
    for problem in problems[:_MOST_PROBLEMS]:
        stages = f"; stages {_names(problem.stages)}" if problem.stages else ""
        lines.append(f"- `{problem.name}`: {_names(_candidates(problem)) or 'no candidate'}{stages}")
    if len(problems) > _MOST_PROBLEMS:
        lines.append(f"- and {len(problems) - _MOST_PROBLEMS} more: `stallgate show problems`")
    return "\n".join(lines)


def _names(names: list[str]) -> str:
    shown = [f"`{name}`" for name in names[:_MOST_NAMES]]
    more = len(names) - len(shown)
    return listed([*shown, f"{more} more"] if more else shown)


# --- a part of a file -------------------------------------------------------------------------------------------------


def _section_change(root: Path, path: Path, text: str, head: str = "") -> FileChange:
    """The change that puts a text between the markers of a file.

    Args:
        root: the project's.
        path: the file's.
        text: what stands between the markers.
        head: what a file begins with that does not exist yet. Without one, a file without markers is extended.
    """
    if not _real(path).is_relative_to(_real(root)):
        raise BrokenFile(f"{path} leads out of the project, to {_real(path)}", "replace the link by a file")
    before = existing_text(path)
    part = f"{_BEGIN}\n{text.strip()}\n{_END}"
    if before is None:
        return FileChange(path=path, before=None, after=f"{head}{part}\n")
    place = _place(path, before)
    if place is not None:
        begin, end = place
        after = before[:begin] + part.replace("\n", line_ends(before)) + before[end:]
        return FileChange(path=path, before=before, after=after, reason="it is up to date", is_update=True)
    if head and before.strip():
        why = "stallgate did not write it: remove it, and run `stallgate init --agents` again"
        return FileChange(path=path, before=before, after=before, reason=why)
    return FileChange(path=path, before=before, after=joined_text(before, f"{head}{part}\n"))


def _place(path: Path, text: str) -> tuple[int, int] | None:
    """Where the part between the markers begins and ends, markers included; None where there are none.

    Raises:
        BrokenFile: there is one without the other, or more than one pair.
    """
    begins, ends = list(_IS_BEGIN.finditer(text)), list(_IS_END.finditer(text))
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or ends[0].start() < begins[0].end():
        raise BrokenFile(
            f"{path.name}: the lines <!-- stallgate:begin … --> and {_END} are not one pair",
            "remove both with what is between them, and run `stallgate init --agents` again",
        )
    return begins[0].start(), ends[0].end() - (1 if ends[0].group().endswith("\r") else 0)
