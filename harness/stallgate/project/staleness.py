"""Whether numbers are of the code that the tree holds now."""

from __future__ import annotations

from stallgate.model import Case, Run, Subject, Variant, Workload
from stallgate.project.digests import (
    CHILD_KEY,
    DEFAULT,
    REFERENCE_KEY,
    configuration_key,
    subject_digests,
    variant_key,
    workload_digest,
    workload_key,
)
from stallgate.project.load import Project

PROBLEM = "the problem"
"""Differs where the tree does not have the problem, or the run does not have its digests."""


def changes(run: Run, project: Project) -> dict[str, list[str]]:
    """Problem -> the things that differ between the run's measurement and the tree, by names for a reader.

    Imported runs were not measured from a tree: nothing differs.
    """
    if run.kind == "imported":
        return {}
    return {name: _differing(run, project, name) for name in dict.fromkeys(r.case.problem for r in run.cases)}


def _differing(run: Run, project: Project, name: str) -> list[str]:
    if name not in project.problems or name not in run.subjects:
        return [PROBLEM]
    subject, problem = run.subjects[name], project.problems[name]
    measured, current = subject.digests, subject_digests(problem)
    needed = [key for result in run.cases if result.case.problem == name for key in _dependencies(result.case)]
    known = dict.fromkeys([*measured, *current, *needed])
    differing = [key for key in known if measured.get(key) is None or measured.get(key) != current.get(key)]
    return differing + [role_key(v.name) for v in problem.variants.values() if _other_role(subject, v)]


def role_key(variant: str) -> str:
    """What a reader calls the role of a variant."""
    return f"the role of {variant}"


def _other_role(subject: Subject, variant: Variant) -> bool:
    """Whether a variant was measured as a roof and is none now, or the reverse, or as a roof of another kind.

    What is right for a roof depends on what it saturates.
    """
    measured = subject.roles.get(variant.name)
    if measured is None or (measured == "roof") != (variant.role == "roof"):
        return True
    return measured == "roof" and subject.ceilings.get(variant.name, "bytes") != variant.ceiling


def _dependencies(case: Case) -> list[str]:
    """The digests that have to be the same: one that neither side has counts as changed."""
    keys = [CHILD_KEY, REFERENCE_KEY, variant_key(case.variant), workload_key(case.workload)]
    if case.configuration != DEFAULT:
        keys.append(configuration_key(case.variant, case.configuration))
    return keys


def stale_because(case: Case, changed: dict[str, list[str]]) -> list[str]:
    """The changed things that the numbers of a case depend on."""
    depends = [PROBLEM, role_key(case.variant), *_dependencies(case)]
    return [key for key in changed.get(case.problem, []) if key in depends]


def measured_workload(run: Run, project: Project, case: Case) -> Workload | None:
    """The workload that a case was measured on: the tree's or the run's, whichever has the digest of the measurement.

    None if neither has it: then the workload's needs are unknown.
    """
    subject, problem = run.subjects.get(case.problem), project.problems.get(case.problem)
    digest = subject.digests.get(workload_key(case.workload)) if subject is not None else None
    known = [found.workloads.get(case.workload) for found in (problem, subject) if found is not None]
    return next((load for load in known if load is not None and workload_digest(load) == digest), None)
