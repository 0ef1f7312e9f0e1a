"""The rules of a stage, held against an answer and the version that it replaces."""

from __future__ import annotations

from collections.abc import Mapping

from stallgate.agent.answer import Answer
from stallgate.agent.objection import Objection
from stallgate.compare.rules import NO_READINGS, RuleFinding, VersionReadings, decided_by, hold_to_rules
from stallgate.model import FrozenStruct
from stallgate.project.code_changes import CodeChange, code_difference
from stallgate.project.decode import LARGEST_SOURCE, read_bounded
from stallgate.project.load import Project
from stallgate.project.paths import inside

_ANSWER = "answer"
_MOST_CHANGES = 4
"""Changes that an objection names; the rest are counted."""


class StageRules(FrozenStruct, frozen=True):
    """What the rules of a stage say of an answer."""

    objections: tuple[Objection, ...] = ()
    notes: tuple[str, ...] = ()
    """Rules that cannot be told, with the readings that would tell, and files that could not be parsed."""
    changes: tuple[CodeChange, ...] = ()
    """Everything that changed, in the terms that rules speak of."""


def stage_objections(
    project: Project,
    problem: str,
    answer: Answer,
    replaced: Mapping[str, str],
    readings: VersionReadings = NO_READINGS,
    stages: list[str] | None = None,
) -> StageRules:
    """The rules of the stages that an answer breaks.

    Args:
        project: the stages, and the catalogue.
        problem: what the answer computes.
        answer: one that could be read.
        replaced: path -> text of the version that it replaces; `replaced_sources` reads a variant's.
        readings: of that version, where it was measured; without them no condition of a rule can be told.
        stages: those to hold to; None for those of the problem.
    """
    if answer.objections:
        return StageRules(notes=("the stage's rules were not applied: the answer cannot be read",))
    difference = code_difference(replaced, {_ANSWER: answer.source})
    changes, findings = hold_to_rules(project, problem, difference, readings, stages=stages)
    broken = [_objection(answer, each) for each in findings if each.state == "broken"]
    notes = [_untold(each) for each in findings if each.state == "cannot_be_told"]
    notes += [f"changes of {each}" for each in difference.unread]
    return StageRules(objections=tuple(broken), notes=tuple(notes), changes=tuple(changes))


def replaced_sources(project: Project, problem: str, variant: str) -> dict[str, str]:
    """Path -> text of a variant's own Python files: one, or those of its folder.

    Empty where the variant is a function of an installed package.

    Raises:
        BrokenFile: a file cannot be read.
    """
    entry = project.problems[problem].variants[variant].entry
    if not entry.path:
        return {}
    path = inside(project.root, entry.path)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return {
        each.relative_to(project.root).as_posix(): read_bounded(each, LARGEST_SOURCE).decode("utf-8", errors="replace")
        for each in files
    }


def _objection(answer: Answer, finding: RuleFinding) -> Objection:
    lines = [line for change in finding.changes if (line := _line(answer, change)) is not None]
    text = f"a rule of the stage {finding.stage} is broken: {finding.text} ({_named(answer, finding.changes)})"
    return Objection(
        part="stage", code="stage_rule", text=text, hint=decided_by(finding), line=min(lines, default=None)
    )


def _named(answer: Answer, changes: list[CodeChange]) -> str:
    """Changes in words, each with its line of the answer."""
    named = []
    for change in changes[:_MOST_CHANGES]:
        line = _line(answer, change)
        named.append(change.sentence + (f", line {line}" if line is not None else ""))
    more = len(changes) - len(named)
    return "; ".join([*named, *([f"and {more} more"] if more else [])])


def _line(answer: Answer, change: CodeChange) -> int | None:
    """The line of a change in the answer's own text; None for what was removed."""
    path, _, line = change.after_place.rpartition(":")
    return int(line) + answer.first_line - 1 if path == _ANSWER and line.isdigit() else None


def _untold(finding: RuleFinding) -> str:
    missing = ", ".join(finding.missing) or "a measurement of the version that is replaced"
    rule = f"{finding.text} (stage {finding.stage})"
    return f"it cannot be told whether the answer keeps to a rule: {rule}; needed: {missing}"
