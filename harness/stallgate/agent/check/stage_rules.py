"""The rules of a stage, held against an answer and the version that it replaces.

Twice: before the answer runs, with the readings of the version that it replaces, and once both were profiled, for the
rules that could not be told before. A rewritten kernel, for one, writes its grid in other words: only its launches say
whether it is another grid.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stallgate.agent.answer import Answer
from stallgate.agent.objection import Objection
from stallgate.compare.rules import NO_READINGS, RuleFinding, VersionReadings, decided_by, hold_to_rules
from stallgate.model import FrozenStruct
from stallgate.project.code_changes import CodeChange, code_difference
from stallgate.project.held_rules import is_after
from stallgate.project.load import Project
from stallgate.project.own_files import own_sources

_ANSWER = "answer"
_MOST_CHANGES = 4
"""Changes that an objection names; the rest are counted."""


class StageRules(FrozenStruct, frozen=True):
    """What the rules of a stage say of an answer."""

    objections: tuple[Objection, ...] = ()
    notes: tuple[str, ...] = ()
    """Rules that cannot be told, with the readings that would tell, and files that could not be parsed."""
    untold: tuple[RuleFinding, ...] = ()
    """Those rules."""
    changes: tuple[CodeChange, ...] = ()
    """Everything that changed, in the terms that rules speak of."""


class MeasuredAnswer(FrozenStruct, frozen=True):
    """An answer whose rules could not all be told, and that was measured since."""

    readings: VersionReadings
    """Its own, of the same run as those of the version that it replaces."""
    untold: Collection[RuleFinding]
    """The rules that could not be told."""


def stage_objections(
    project: Project,
    problem: str,
    answer: Answer,
    replaced: Mapping[str, str],
    readings: VersionReadings = NO_READINGS,
    stages: list[str] | None = None,
    measured: MeasuredAnswer | None = None,
) -> StageRules:
    """The rules of the stages that an answer breaks.

    Args:
        project: the stages, and the catalogue.
        problem: what the answer computes.
        answer: one that could be read.
        replaced: path -> text of the version that it replaces; `replaced_sources` reads a variant's.
        readings: of that version, where it was measured; without them no condition of a rule can be told.
        stages: those to hold to; None for those of the problem.
        measured: what became of the answer in a run; only the rules that could not be told before are held to then.
    """
    if answer.objections:
        return StageRules(notes=("the stage's rules were not applied: the answer cannot be read",))
    difference = code_difference(replaced, {_ANSWER: answer.source})
    after = measured.readings if measured is not None else NO_READINGS
    changes, findings = hold_to_rules(project, problem, difference, readings, after, stages)
    if measured is not None:
        held = {(each.stage, each.text) for each in measured.untold}
        findings = [each for each in findings if (each.stage, each.text) in held]
    untold = tuple(each for each in findings if each.state == "cannot_be_told")
    notes = [_untold(answer, each) for each in untold]
    notes += [f"changes of {each}" for each in difference.unread]
    broken = tuple(_objection(answer, each) for each in findings if each.state == "broken")
    return StageRules(objections=broken, notes=tuple(notes), untold=untold, changes=tuple(changes))


def replaced_sources(project: Project, problem: str, variant: str) -> dict[str, str]:
    """Path -> text of a variant's own Python files; empty where it is a function of an installed package.

    Raises:
        BrokenFile: a file cannot be read.
    """
    return own_sources(project.root, project.problems[problem].variants[variant].entry)


def _objection(answer: Answer, finding: RuleFinding) -> Objection:
    lines = [line for change in finding.changes if (line := _line(answer, change)) is not None]
    text = f"a rule of the stage {finding.stage} is broken: {finding.text} ({_named(answer, finding.changes)})"
    return Objection(
        part="stage", code="stage_rule", text=text, hint=decided_by(finding), line=min(lines, default=None)
    )


def _named(answer: Answer, changes: list[CodeChange], most: int = _MOST_CHANGES) -> str:
    """Changes in words, each with its line of the answer."""
    named = []
    for change in changes[:most]:
        line = _line(answer, change)
        named.append(change.sentence + (f", line {line}" if line is not None else ""))
    more = len(changes) - len(named)
    return "; ".join([*named, *([f"and {more} more"] if more else [])])


def _line(answer: Answer, change: CodeChange) -> int | None:
    """The line of a change in the answer's own text; None for what was removed."""
    path, _, line = change.after_place.rpartition(":")
    return int(line) + answer.first_line - 1 if path == _ANSWER and line.isdigit() else None


def _untold(answer: Answer, finding: RuleFinding) -> str:
    missing = ", ".join(finding.missing) or "a measurement of the version that is replaced"
    rule = f"{finding.text} (stage {finding.stage}; {_named(answer, finding.changes, most=1)})"
    by = "; a run of both versions on a GPU tells" if any(map(is_after, finding.missing)) else ""
    return f"it cannot be told whether the answer keeps to a rule: {rule}; needed: {missing}{by}"
