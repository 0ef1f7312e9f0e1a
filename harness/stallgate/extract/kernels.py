"""Classifies the kernels that a run's calls launch: a variant's own, allowed, or foreign."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from stallgate.extract.evidence import ProfiledCall
from stallgate.model import Case, Problem, Run
from stallgate.project.load import Project
from stallgate.project.variant import kernels_of


def foreign_kernels(run: Run, project: Project, calls: list[ProfiledCall]) -> dict[Case, list[str]]:
    """Case -> the kernels that neither its variant's file defines nor its problem allows, as C++ spells them."""
    found: dict[Case, list[str]] = {}
    for call in calls:
        problem = project.problems.get(call.case.problem)
        if run.kind == "imported" or problem is None or call.case.variant not in problem.variants:
            continue
        variant = problem.variants[call.case.variant]
        own = _own_kernels(project.root / variant.path, variant.digest)
        foreign = [name for name in _names(call) if name not in own and not _is_allowed(problem, name)]
        found[call.case] = list(dict.fromkeys([*found.get(call.case, []), *foreign]))
    return {case: names for case, names in found.items() if names}


@lru_cache(maxsize=64)
def _own_kernels(path: Path, digest: str) -> set[str]:  # noqa: ARG001  (the digest is the key)
    """The kernels that a file defines; each file is parsed once."""
    return kernels_of(path)


def _names(call: ProfiledCall) -> Iterator[str]:
    """The kernels' full names. A C++ kernel's has a namespace and arguments; a Triton kernel's never has."""
    for launch in call.launches:
        yield launch.signature or launch.kernel or "a launch without a name"


def _is_allowed(problem: Problem, name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, allowed.pattern) for allowed in problem.allowed_kernels)
