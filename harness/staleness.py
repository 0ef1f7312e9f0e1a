"""Whether numbers are of the code that the tree holds now."""

from __future__ import annotations

from harness.model import Case, Run
from harness.project.digests import CHILD, REFERENCE, subject_digests, variant_key, workload_key
from harness.project.tree import Project


def changes(run: Run, project: Project) -> dict[str, list[str]]:
    """Problem -> what differs between what a run measured and what the tree holds, named as a person would."""
    return {name: _differing(run, project, name) for name in run.subjects}


def _differing(run: Run, project: Project, name: str) -> list[str]:
    measured = run.subjects[name].digests
    problem = project.problems.get(name)
    current = subject_digests(problem) if problem is not None else {}
    return [key for key, digest in measured.items() if current.get(key) != digest]


def stale_because(case: Case, changed: dict[str, list[str]]) -> list[str]:
    """What has changed of all that the numbers of a case depend on."""
    depends = (CHILD, REFERENCE, variant_key(case.variant), workload_key(case.workload))
    return [key for key in changed.get(case.problem, []) if key in depends]
