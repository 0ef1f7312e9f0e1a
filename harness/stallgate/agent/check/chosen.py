"""What an answer is held against where the user does not say: the problem, the version that it replaces, the stage."""

from __future__ import annotations

from stallgate.compare.rules import NO_READINGS, VersionReadings, version_readings
from stallgate.errors import BadArgument, StallgateError, UnknownName
from stallgate.judge.evaluate import evaluate
from stallgate.model import FrozenStruct, Verdict
from stallgate.project.load import Project
from stallgate.runs.folder import find


def chosen_problem(project: Project, name: str | None) -> str:
    """The problem of a name; without one, the only problem of the project.

    Raises:
        UserFault: there is no such problem, it is broken, or there are several and none is named.
    """
    if name is not None:
        return project.problem(name).name
    known = [*project.problems, *project.broken_problems]
    if len(known) != 1:
        hint = f"known: {', '.join(sorted(known))}" if known else "put one under kernels/<problem>/problem.toml"
        raise BadArgument(f"the project has {len(known) or 'no'} problems, and none is named: add --problem", hint)
    return project.problem(known[0]).name


def chosen_against(project: Project, problem: str, name: str | None) -> tuple[str, str]:
    """The variant that an answer is to replace; without a name, the first candidate, else the first baseline.

    Returns:
        its name, and how it was chosen, in a sentence; empty where it was named.

    Raises:
        UserFault: there is no such variant, or none at all.
    """
    variants = project.problem(problem).variants
    if name is not None:
        if name not in variants:
            raise UnknownName("variant", name, variants)
        return name, ""
    for role in ("candidate", "baseline"):
        found = [variant.name for variant in variants.values() if variant.role == role]
        if found:
            which = f"the only {role}" if len(found) == 1 else f"the first of {len(found)} {role}s"
            return found[0], f"held against {problem}/{found[0]}, {which}: --against names another"
    raise BadArgument(f"{problem} has no version that an answer could replace", "name one with --against")


class LatestRun(FrozenStruct, frozen=True):
    """What the latest run says of the version that an answer is to replace, if it is of the code as it stands."""

    verdicts: list[Verdict] = []
    """Empty where it says nothing."""
    readings: VersionReadings = NO_READINGS


def latest_run(project: Project, problem: str, variant: str, run: str | None = None) -> LatestRun:
    """What the latest run, or a run that is named, says of a variant in its default configuration."""
    try:
        judged = evaluate(project, find(project.reports, run), project.stages_of(problem), only_judge=True)
    except (StallgateError, OSError):
        return LatestRun()
    mine = [each for each in judged.judgement.verdicts if (each.problem, each.variant) == (problem, variant)]
    if any(verdict.reason == "stale" for verdict in mine):
        return LatestRun()
    cases = {
        result.case: result.case.workload
        for result in judged.run.cases
        if (result.case.problem, result.case.variant, result.case.configuration) == (problem, variant, "default")
    }
    return LatestRun(verdicts=mine, readings=version_readings(judged, cases))


def chosen_stage(
    project: Project, problem: str, against: str, name: str | None, latest: LatestRun
) -> tuple[str | None, str]:
    """The stage that an answer is held to; without a name, the first that the replaced version does not meet.

    Whether it meets a stage is what the latest run says. Without a run, or where it meets all, it is the first, or the
    last. None where the problem has no stage.

    Returns:
        its name, and how it was chosen, in a sentence; empty where it was named.

    Raises:
        UserFault: there is no such stage, or its file is broken.
    """
    if name is not None:
        return project.stage(name).name, ""
    stages = project.stages_of(problem)
    if not stages:
        return None, f"{problem} has no stage, so none is held against the answer"
    if not latest.verdicts:
        return stages[0], f"held to stage {stages[0]}, the first: no run says which are met; --stage names another"
    for stage in stages:
        if not _is_met(latest.verdicts, {each.name for each in project.with_sound([stage])}):
            return stage, f"held to stage {stage}, the first that {against} does not meet; --stage names another"
    return stages[-1], f"held to stage {stages[-1]}, the last: {against} meets them all"


def _is_met(verdicts: list[Verdict], stages: set[str]) -> bool:
    """Whether a variant meets stages: no target is missed, and there is one at least."""
    held = [verdict for verdict in verdicts if verdict.stage in stages or verdict.stage is None]
    return bool(held) and all(verdict.status == "pass" for verdict in held)
