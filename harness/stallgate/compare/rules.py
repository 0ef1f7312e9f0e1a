"""Rules of a stage that a change of a variant broke.

The changes are those of the source (``project/code_changes.py``) and of how kernels were launched. A rule allows its
changes where its condition holds on a workload that the stage judges; the readings are those of the version that was
replaced. Where one is missing nothing is broken and nothing is allowed: it *cannot be told*. So it is with a grid that
is written in other words, until launches of both versions say whether it is another (``grids.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from stallgate.compare.grids import GRID_SIZE, LaunchedGrids, SettledGrids, launched_grids, settle_grids
from stallgate.errors import BrokenFile
from stallgate.extract.read_run import ReadRun
from stallgate.formatting import quantity
from stallgate.model import Case, CaseResult, FrozenStruct, HeldRule, Run, Stage
from stallgate.project.catalogue import find_metric
from stallgate.project.code_changes import CodeChange, CodeDifference, code_difference
from stallgate.project.comparisons import parse_condition
from stallgate.project.decode import LARGEST_SOURCE, read_bounded
from stallgate.project.digests import entry_digest, text_digest, variant_key
from stallgate.project.held_rules import (
    LAUNCH_FACTS,
    SEVERAL,
    ChangePattern,
    bare_name,
    is_after,
    name_after,
    parse_pattern,
)
from stallgate.project.load import Project
from stallgate.project.paths import inside
from stallgate.runs.conditions import conditions

# --- nouns ------------------------------------------------------------------------------------------------------------


class RuleReading(FrozenStruct, frozen=True):
    """A reading that decides whether a rule allows a change."""

    name: str
    """The metric; with ``after.`` before it where it is of the new version."""
    workload: str
    value: float | None
    """None where it is missing."""
    unit: str

    @property
    def shown(self) -> str:
        value = quantity(self.value, self.unit) if self.value is not None else "not measured"
        return f"{self.name} {value} on {self.workload}"


class RuleFinding(FrozenStruct, frozen=True):
    """A rule with the changes that it is about, where no reading allows them."""

    stage: str
    text: str
    """The rule."""
    state: Literal["broken", "cannot_be_told"]
    changes: list[CodeChange]
    unless: str
    """The condition that would have allowed them; empty: nothing would."""
    readings: list[RuleReading]
    """What the condition is computed from, on each workload that the stage judges."""

    @property
    def missing(self) -> list[str]:
        """The readings that would tell."""
        return list(dict.fromkeys(reading.name for reading in self.readings if reading.value is None))


class VariantRules(FrozenStruct, frozen=True):
    """What changed in a variant between two runs, and the rules of its stages that this broke."""

    problem: str
    variant: str
    stages: list[str]
    changes: list[CodeChange]
    broken: list[RuleFinding]
    untold: list[RuleFinding]
    unread: list[str] = []
    """Files that could not be parsed: changes in them are not known."""


class VersionReadings(FrozenStruct, frozen=True):
    """Readings of one version of a variant."""

    values: dict[tuple[str, str], float]
    """(workload, metric) -> median."""
    grids: LaunchedGrids = {}
    """Those of its kernels."""


NO_READINGS = VersionReadings(values={})


# --- judging ----------------------------------------------------------------------------------------------------------


def hold_to_rules(
    project: Project,
    problem: str,
    difference: CodeDifference,
    before: VersionReadings = NO_READINGS,
    after: VersionReadings = NO_READINGS,
    stages: list[str] | None = None,
) -> tuple[list[CodeChange], list[RuleFinding]]:
    """All changes between two versions, and the rules of the stages that do not allow them.

    Args:
        project: the stages, and the catalogue.
        problem: what the variant computes.
        difference: the changes of the source.
        before: of the version that is replaced: the evidence.
        after: of the new version, under the same conditions.
        stages: those to hold to; None for those of the problem.
    """
    changes = [*difference.changes, *_launched(before, after)]
    found: list[RuleFinding] = []
    for stage in project.with_sound(stages if stages is not None else project.stages_of(problem)):
        workloads = project.judged_workloads(problem, stage.name) if problem in project.problems else []
        value_of = _evidence(project, before, after)
        grids = settle_grids(changes, before.grids, after.grids, workloads)
        found += [each for rule in stage.held if (each := _finding(stage, rule, grids, workloads, value_of))]
    return changes, list({(each.text, each.unless): each for each in reversed(found)}.values())[::-1]


_ValueOf = Callable[[str, str], RuleReading]


def _evidence(project: Project, before: VersionReadings, after: VersionReadings) -> _ValueOf:
    """Gives the reading of a name on a workload."""

    def reading(name: str, workload: str) -> RuleReading:
        metric = find_metric(project.catalogue, bare_name(name))
        version = after if is_after(name) else before
        key = (workload, metric.name if metric is not None else name)
        unit = metric.unit if metric is not None else ""
        return RuleReading(name=name, workload=workload, value=version.values.get(key), unit=unit)

    return reading


def _finding(
    stage: Stage, rule: HeldRule, grids: SettledGrids, workloads: list[str], value_of: _ValueOf
) -> RuleFinding | None:
    """A rule that does not allow the changes that it is about; None where it allows them, or there are none."""
    patterns = [parse_pattern(text, stage.autotune) for text in rule.changes]
    certain = _concerned(patterns, [each for each in grids.changes if each not in grids.untold])
    concerned = certain or _concerned(patterns, grids.changes)
    if not concerned:
        return None
    condition = parse_condition(rule.unless)
    by_workload = [[value_of(name, workload) for name in condition.names] for workload in workloads]
    answers = [condition.holds({each.name: each.value for each in readings}.get) for readings in by_workload]
    if True in answers:
        return None
    told = bool(certain) and (not rule.unless or (bool(answers) and None not in answers))
    launches = [] if certain else [_unknown_grid(workload, is_new=is_new) for workload, is_new in grids.missing]
    return RuleFinding(
        stage=stage.name,
        text=rule.text,
        state="broken" if told else "cannot_be_told",
        changes=concerned,
        unless=rule.unless,
        readings=[*(reading for readings in by_workload for reading in readings), *launches],
    )


def _unknown_grid(workload: str, *, is_new: bool) -> RuleReading:
    return RuleReading(name_after(GRID_SIZE) if is_new else GRID_SIZE, workload, None, "block")


def _concerned(patterns: list[ChangePattern], changes: list[CodeChange]) -> list[CodeChange]:
    """The changes that a rule is about. ``several`` is about all of them, if they are of more than one thing."""
    things = {(change.kind, change.subject if change.kind == "tunable" else "") for change in changes}
    several = len({thing for thing in things if thing[0] != "launch"}) > 1
    if several and any(pattern.subject == SEVERAL for pattern in patterns):
        return [change for change in changes if change.kind != "launch"]
    return [change for change in changes if any(pattern.matches(change) for pattern in patterns)]


def _launched(before: VersionReadings, after: VersionReadings) -> list[CodeChange]:
    """Changes of how kernels were launched, each with the workloads on which it is the same."""
    places: dict[tuple[str, float, float], list[str]] = {}
    for (workload, metric), value in before.values.items():
        now = after.values.get((workload, metric))
        if metric in LAUNCH_FACTS and now is not None and now != value:
            places.setdefault((metric, value, now), []).append(workload)
    return [
        CodeChange(
            kind="launch",
            subject=metric,
            verb="raised" if now > value else "lowered",
            before=f"{value:g}",
            after=f"{now:g}",
            after_place=", ".join(workloads),
        )
        for (metric, value, now), workloads in places.items()
    ]


# --- two runs ---------------------------------------------------------------------------------------------------------


def rules_of_runs(project: Project, base: ReadRun, run: ReadRun) -> list[VariantRules]:
    """The candidates whose code changed between two runs that have it, each with the rules that this broke."""
    found = []
    for problem in base.run.subjects:
        if problem not in run.run.subjects or problem not in project.problems:
            continue
        for variant in project.problems[problem].variants.values():
            if variant.role == "candidate":
                found += _of_variant(project, base, run, problem, variant.name)
    return found


def _of_variant(project: Project, base: ReadRun, run: ReadRun, problem: str, variant: str) -> list[VariantRules]:
    """The rules for one variant; nothing where its code is not known in both runs, or did not change."""
    sources = [sources_when_measured(project, side.folder, side.run, problem, variant) for side in (base, run)]
    if not all(sources) or sources[0] == sources[1]:
        return []
    difference = code_difference(*sources)
    results = [_results(side, problem, variant) for side in (base, run)]
    alike = [load for load in results[0] if load in results[1] and _same_conditions(base, run, load, results)]
    before = version_readings(base, {result.case: load for load, result in results[0].items()})
    after = version_readings(run, {results[1][load].case: load for load in alike})
    changes, findings = hold_to_rules(project, problem, difference, before, after)
    if not changes and not difference.unread:
        return []
    made = VariantRules(
        problem=problem,
        variant=variant,
        stages=project.stages_of(problem),
        changes=changes,
        broken=[each for each in findings if each.state == "broken"],
        untold=[each for each in findings if each.state == "cannot_be_told"],
        unread=difference.unread,
    )
    return [made]


def _results(side: ReadRun, problem: str, variant: str) -> dict[str, CaseResult]:
    """Workload -> the variant's case in its default configuration, if it has numbers."""
    return {
        result.case.workload: result
        for result in side.run.cases
        if (result.case.problem, result.case.variant, result.case.configuration) == (problem, variant, "default")
        and result.outcome == "profiled"
        and result.case.name not in side.faults
    }


def _same_conditions(base: ReadRun, run: ReadRun, workload: str, results: list[dict[str, CaseResult]]) -> bool:
    """Whether a workload was measured on the same GPU under the same control in both runs."""
    before, after = conditions(base.run, results[0][workload]), conditions(run.run, results[1][workload])
    known = (before.gpu, before.clock_control, before.cache_control)
    return None not in known and known == (after.gpu, after.clock_control, after.cache_control)


def version_readings(run: ReadRun, cases: Mapping[Case, str]) -> VersionReadings:
    """What a run measured of one version.

    Args:
        run: the run.
        cases: those of the version, each with its workload.
    """
    values = {
        (cases[case], metric): summary.median
        for (case, metric), summary in run.summaries.items()
        if case in cases and summary.state == "measured" and summary.median is not None
    }
    return VersionReadings(values=values, grids=launched_grids(run.calls, cases))


def sources_when_measured(project: Project, folder: Path, run: Run, problem: str, variant: str) -> dict[str, str]:
    """Path -> text of a variant's files as they were measured; empty where one of them is not known.

    Args:
        project: the code as it stands now.
        folder: the run's.
        run: a run that has the problem, as the project does.
        problem: the problem.
        variant: a variant of it.
    """
    entry = project.problems[problem].variants[variant].entry
    if not entry.path:
        return {}
    mine = [result for result in run.cases if (result.case.problem, result.case.variant) == (problem, variant)]
    wanted = {path: digest for result in mine for path, digest in result.modules.items() if path.endswith(".py")}
    is_own = run.subjects[problem].digests.get(variant_key(variant)) == entry_digest(entry)
    wanted[entry.path] = entry.digest if is_own else ""
    texts = {path: _text(project, folder, path, digest) for path, digest in wanted.items()}
    return {} if None in texts.values() else {path: text for path, text in texts.items() if text is not None}


def _text(project: Project, folder: Path, path: str, digest: str) -> str | None:
    """A file that the run kept; else the project's, where that is what was measured."""
    own = project.root / path
    try:
        kept = inside(folder, "source", path)
        if kept.is_file():
            return read_bounded(kept, LARGEST_SOURCE).decode("utf-8", errors="replace")
        if own.is_file() and text_digest(own) == digest:
            return read_bounded(own, LARGEST_SOURCE).decode("utf-8", errors="replace")
    except (OSError, BrokenFile):
        return None
    return None


def decided_by(finding: RuleFinding) -> str:
    """What would have allowed the changes, and what was read instead."""
    allowed = f"allowed by {finding.unless}" if finding.unless else "nothing allows it in this stage"
    if finding.unless and not finding.readings:
        return f"{allowed}; no workload that the stage judges was measured before"
    read = "; ".join(dict.fromkeys(reading.shown for reading in finding.readings))
    return f"{allowed}; read: {read}" if read else allowed
