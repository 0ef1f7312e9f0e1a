"""Whether numbers are of the code that the tree holds now."""

from __future__ import annotations

from stallgate.model import Case, Run
from stallgate.project.digests import (
    CHILD,
    DEFAULT,
    REFERENCE,
    configuration_key,
    subject_digests,
    variant_key,
    workload_key,
)
from stallgate.project.load import Project

PROBLEM = "the problem"
"""Differs where the tree has no such problem, or the run does not say what it measured of it."""


def changes(run: Run, project: Project) -> dict[str, list[str]]:
    """Problem -> what differs between what a run measured and what the tree holds, named as a person would.

    Nothing of an imported run is of a tree.
    """
    if run.kind == "imported":
        return {}
    return {name: _differing(run, project, name) for name in dict.fromkeys(r.case.problem for r in run.cases)}


def _differing(run: Run, project: Project, name: str) -> list[str]:
    if name not in project.problems or name not in run.subjects:
        return [PROBLEM]
    measured, current = run.subjects[name].digests, subject_digests(project.problems[name])
    return [key for key in {**measured, **current} if measured.get(key) != current.get(key)]


def stale_because(case: Case, changed: dict[str, list[str]]) -> list[str]:
    """What has changed of all that the numbers of a case depend on."""
    depends = [PROBLEM, CHILD, REFERENCE, variant_key(case.variant), workload_key(case.workload)]
    if case.configuration != DEFAULT:
        depends.append(configuration_key(case.variant, case.configuration))
    return [key for key in changed.get(case.problem, []) if key in depends]
