"""Whether numbers are of the code that the tree holds now."""

from __future__ import annotations

from msgspec.structs import replace

from stallgate.errors import BrokenFile
from stallgate.model import Case, CaseResult, Run, Subject, Variant, Workload
from stallgate.project.digests import (
    CHILD_KEY,
    DEFAULT,
    REFERENCE_KEY,
    configuration_key,
    module_key,
    subject_digests,
    text_digest,
    tunables_digest,
    variant_key,
    workload_digest,
    workload_key,
)
from stallgate.project.load import Project
from stallgate.project.paths import inside

PROBLEM = "the problem"
"""Differs where the tree does not have the problem, or the run does not have its digests."""


def changes(run: Run, project: Project) -> dict[str, list[str]]:
    """Problem -> the things that differ between the run's measurement and the tree, by names for a reader.

    Imported runs were not measured from a tree: nothing differs.
    """
    if run.kind == "imported":
        return {}
    moved = _moved_modules(run, project)
    return {name: _differing(run, project, name) + moved for name in dict.fromkeys(r.case.problem for r in run.cases)}


def _moved_modules(run: Run, project: Project) -> list[str]:
    """The files that cases loaded beside their own, and that differ now or are gone."""
    loaded = {item for result in run.cases for item in result.modules.items()}  # many cases load the same files
    moved = {path for path, digest in loaded if changed_files(project, {path: digest})}
    return [module_key(path) for path in sorted(moved)]


def changed_files(project: Project, digests: dict[str, str]) -> list[str]:
    """The files of a project that differ from their digests, or are gone."""
    return [path for path, digest in digests.items() if _digest_now(project, path) != digest]


def _digest_now(project: Project, path: str) -> str | None:
    try:
        return text_digest(inside(project.root, path))
    except (OSError, BrokenFile):
        return None


def _differing(run: Run, project: Project, name: str) -> list[str]:
    if name not in project.problems or name not in run.subjects:
        return [PROBLEM]
    subject, problem = run.subjects[name], project.problems[name]
    measured, current = subject.digests, {**_swept_digests(subject), **subject_digests(problem)}
    needed = [key for result in run.cases if result.case.problem == name for key in dependencies_of(result.case)]
    known = dict.fromkeys([*measured, *current, *needed])
    differing = [key for key in known if measured.get(key) is None or measured.get(key) != current.get(key)]
    return differing + [role_key(v.name) for v in problem.variants.values() if _other_role(subject, v)]


def _swept_digests(subject: Subject) -> dict[str, str]:
    """The digests of the configurations that a sweep tried, which count where the tree has none of that name."""
    return {
        configuration_key(variant, name): tunables_digest(tunables)
        for variant, configurations in subject.swept.items()
        for name, tunables in configurations.items()
    }


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


def dependencies_of(case: Case) -> list[str]:
    """The digests of a subject that have to be the same for a case: one that neither side has counts as changed."""
    keys = [CHILD_KEY, REFERENCE_KEY, variant_key(case.variant), workload_key(case.workload)]
    if case.configuration != DEFAULT:
        keys.append(configuration_key(case.variant, case.configuration))
    return keys


def stale_because(result: CaseResult, changed: dict[str, list[str]]) -> list[str]:
    """The changed things that the numbers of a case depend on."""
    case = result.case
    depends = [PROBLEM, role_key(case.variant), *dependencies_of(case), *map(module_key, result.modules)]
    return [key for key in changed.get(case.problem, []) if key in depends]


def measured_workload(run: Run, project: Project, case: Case) -> Workload | None:
    """The workload that a case was measured on, with the bytes that it needs: those that are written, or else derived.

    None where it is not known.
    """
    load = written_workload(run, project, case)
    if load is None or load.bytes is not None:
        return load
    needed = derived_bytes(run, case)
    return replace(load, bytes=needed) if needed is not None else None


def written_workload(run: Run, project: Project, case: Case) -> Workload | None:
    """The workload that a case was measured on, as it was written; ``bytes`` is None where they were left out.

    It is the tree's or the run's, whichever has the digest of the measurement; None if neither has it.
    """
    subject, problem = run.subjects.get(case.problem), project.problems.get(case.problem)
    digest = subject.digests.get(workload_key(case.workload)) if subject is not None else None
    known = [found.workloads.get(case.workload) for found in (problem, subject) if found is not None]
    return next((load for load in known if load is not None and workload_digest(load) == digest), None)


def derived_bytes(run: Run, case: Case) -> int | None:
    """Bytes of the inputs and outputs of a case's workload; None where no case of it was measured."""
    if run.kind == "imported":
        return None
    derived = [r.needed_bytes for r in run.cases if (r.case.problem, r.case.workload) == (case.problem, case.workload)]
    return next((count for count in derived if count), None)
