"""The plan of the measuring child and the referee: the cases, as JSON."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from stallgate.errors import BadArgument
from stallgate.model import Case
from stallgate.project.load import Project

RUN_LIMIT_S = 2.0
"""A case whose single run takes longer is skipped: its passes under ncu would take minutes."""


def child_plan(
    project: Project, cases: list[Case], samples: list[str], target: str, run_limit_s: float = RUN_LIMIT_S
) -> bytes:
    """The plan of one process.

    Args:
        project: the project.
        cases: what to measure, in this order.
        samples: the last part of each sample's label.
        target: ``cuda``; or ``cpu`` for Triton's interpreter, where nothing is profiled.
        run_limit_s: seconds that a call may take; a case that takes longer is skipped.
    """
    plan = {
        "device": target,
        "run_limit_s": run_limit_s,
        "references": references(project),
        "cases": [child_case(project, case, samples) for case in cases],
    }
    return as_json(plan)


def forget_bytecode(project: Project, problems: Iterable[str]) -> None:
    """Removes what Python compiled of problems' files: it would run in place of a source with the same size and time.

    The digests in a plan are those of the sources.

    Raises:
        BadArgument: a file cannot be removed.
    """
    for name in dict.fromkeys(problems):
        folder = (project.root / project.problems[name].reference).parent
        for cache in sorted(folder.rglob("__pycache__")):
            for path in [cache] if cache.is_symlink() else sorted(cache.glob("*.pyc")):
                try:
                    path.unlink()
                except OSError as error:
                    raise BadArgument(f"{path} cannot be removed: {error.strerror}", "remove it") from None


def as_json(plan: dict[str, object]) -> bytes:
    """A plan as a file has it."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=2)


def references(project: Project) -> dict[str, dict[str, str]]:
    """Problem -> its reference's file and digest."""
    return {
        name: {"path": str(project.root / problem.reference), "digest": problem.reference_digest}
        for name, problem in project.problems.items()
    }


def child_case(project: Project, case: Case, samples: list[str]) -> dict[str, object]:
    """A case as a child loads it."""
    problem = project.problems[case.problem]
    variant = problem.variants[case.variant]
    workload = problem.workloads[case.workload]
    return {
        "name": case.name,
        "problem": case.problem,
        "variant": case.variant,
        "role": variant.role,
        "ceiling": variant.ceiling,
        "path": str(project.root / variant.path),
        "digest": variant.digest,
        "tunables": variant.configurations[case.configuration],
        "arguments": workload.arguments,
        "bytes": workload.bytes,
        "labels": [case.label(sample) for sample in samples],
    }
