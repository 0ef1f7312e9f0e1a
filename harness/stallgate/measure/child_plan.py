"""The plan of the measuring child and the referee: the cases, as JSON."""

from __future__ import annotations

import msgspec

from stallgate.model import Case, EntryPoint, Problem, Workload
from stallgate.project.entries import source_roots
from stallgate.project.inputs import tensor_input
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
        **project_places(project),
        "references": references(project),
        "cases": [child_case(project, case, samples) for case in cases],
    }
    return as_json(plan)


def as_json(plan: dict[str, object]) -> bytes:
    """A plan as a file has it."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=2)


def project_places(project: Project) -> dict[str, object]:
    """Where a child finds the project's code: its root, and the folders that its modules are imported from."""
    return {"root": str(project.root), "import_paths": [str(path) for path in source_roots(project.root)]}


def references(project: Project) -> dict[str, dict[str, object]]:
    """Problem -> what a child needs to know of its reference."""
    return {name: _reference(project, problem) for name, problem in project.problems.items()}


def _reference(project: Project, problem: Problem) -> dict[str, object]:
    """The reference's entry, and how outputs are compared with its own."""
    return {
        "entry": child_entry(project, problem.reference),
        "mutates": problem.mutates,
        "seed": problem.seed,
        "specials": problem.specials,
        "tolerance": msgspec.to_builtins(problem.tolerance),
        "draw": child_entry(project, problem.draw) if problem.draw is not None else None,
    }


def child_entry(project: Project, entry: EntryPoint) -> dict[str, object]:
    """An entry as a child loads it."""
    return {
        "path": str(project.root / entry.path) if entry.path else "",
        "digest": entry.digest,
        "module": entry.module,
        "attribute": entry.attribute,
        "keywords": entry.keywords,
    }


def child_case(project: Project, case: Case, samples: list[str]) -> dict[str, object]:
    """A case as a child loads it."""
    problem = project.problems[case.problem]
    variant = problem.variants[case.variant]
    return {
        "name": case.name,
        "problem": case.problem,
        "variant": case.variant,
        "role": variant.role,
        "ceiling": variant.ceiling,
        "entry": child_entry(project, variant.entry),
        "tunables": variant.configurations[case.configuration],
        **child_workload(problem.workloads[case.workload]),
        "labels": [case.label(sample) for sample in samples],
    }


def child_workload(workload: Workload) -> dict[str, object]:
    """A workload as a child calls code with it."""
    return {
        "arguments": workload.arguments,
        "inputs": [tensor_input(each) if isinstance(each, str) else {"value": each} for each in workload.inputs],
        "direction": workload.direction,
        "tolerance": msgspec.to_builtins(workload.tolerance),
        "bytes": workload.bytes,
    }
