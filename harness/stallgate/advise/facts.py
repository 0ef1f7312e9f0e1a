"""What rules read beside metrics: facts of the code, the configuration, the workload and the roof.

A fact that is not known is left out, and rules that need it are silent.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from math import ceil
from pathlib import Path

from stallgate.extract.read_run import ReadRun
from stallgate.judge.roof import Roof, Roofs
from stallgate.model import Case, CaseResult, Variant
from stallgate.project.arithmetic import float_types
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.load import Project
from stallgate.project.staleness import measured_workload

CACHES = ("l1_throughput", "l2_throughput")
"""Utilisation of the caches: sectors that are asked for in vain cost time in the busier one."""

AT_THE_ROOF = 0.97
"""The fraction of the roof from which nothing is left that is worth looking for, as stages of memory ask."""


def facts_of_case(read: ReadRun, project: Project, roofs: Roofs, result: CaseResult) -> dict[str, float]:
    """Name -> value, of the facts that are known of a case."""
    found = _of_roof(read, roofs, result.case) | _of_workload(read, project, result)
    if result.run_ms is not None:
        found["call_time"] = 1e6 * result.run_ms
    variant = _variant(project, result)
    return found | (_of_code(project, variant, result) if variant is not None else {})


def facts_of_launch(values: dict[str, float]) -> dict[str, float]:
    """Name -> value, of the facts that follow from a launch's readings."""
    waves = values.get("waves")
    caches = [values[name] for name in CACHES if name in values]
    found = {"waves_begun": float(ceil(waves))} if waves else {}
    return found | ({"busiest_cache": max(caches)} if caches else {})


# --- the roof and the workload ----------------------------------------------------------------------------------------


def _of_roof(read: ReadRun, roofs: Roofs, case: Case) -> dict[str, float]:
    roof = roofs[case.problem, case.workload].deciding
    if not isinstance(roof, Roof):
        return {"roof_known": 0.0}
    summary = read.summaries.get((case, ROOF_FRACTION))
    noise = (summary.high - summary.low) / 2 if summary and summary.high is not None and summary.low is not None else 0
    return {"roof_known": 1.0, "roof_is_library": float(roof.ceiling == "library"), "roof_goal": AT_THE_ROOF - noise}


def _of_workload(read: ReadRun, project: Project, result: CaseResult) -> dict[str, float]:
    workload = measured_workload(read.run, project, result.case)
    if workload is None:
        return {}
    found = {"fp64_needed": float("float64" in float_types(workload)), "needed_flops": float(workload.flops)}
    return found | ({"needed_bytes": float(workload.bytes)} if workload.bytes else {})


# --- the code ---------------------------------------------------------------------------------------------------------


def _variant(project: Project, result: CaseResult) -> Variant | None:
    problem = project.problems.get(result.case.problem)
    return problem.variants.get(result.case.variant) if problem is not None else None


def _of_code(project: Project, variant: Variant, result: CaseResult) -> dict[str, float]:
    """What the files of a case's kernels say of loops and dots, and what its configuration says of stages."""
    files = {variant.path, *(kernel.file for kernel in result.kernels)} - {""}
    traits = [_traits(project.root / file) for file in sorted(files) if (project.root / file).is_file()]
    if not traits or not result.kernels:
        return {}
    found = {
        "has_dot": float(any(dot for dot, _, _ in traits)),
        "has_loop": float(any(loop for _, loop, _ in traits)),
    }
    stages = _stages(variant, result, {stages for _, _, found in traits for stages in found})
    return found | ({"num_stages": float(stages)} if stages is not None else {})


def _stages(variant: Variant, result: CaseResult, defaults: set[int]) -> int | None:
    """The ``num_stages`` that a case was launched with: an autotuner's, its configuration's, or the one default."""
    chosen = {kernel.configuration.get("num_stages") for kernel in result.kernels}
    named = variant.configurations.get(result.case.configuration, {}).get("num_stages")
    passed = variant.entry.keywords.get("num_stages")
    for found in (next(iter(chosen)) if len(chosen) == 1 else None, named, passed):
        if isinstance(found, int):
            return found
    return next(iter(defaults)) if len(defaults) == 1 else None


def _traits(path: Path) -> tuple[bool, bool, frozenset[int]]:
    return _parsed(path.read_text(encoding="utf-8", errors="replace"))


@lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[bool, bool, frozenset[int]]:
    """Whether a file has ``tl.dot``, and loops in jit functions; the values that it gives ``num_stages``."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False, False, frozenset()
    kernels = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and _is_kernel(node)]
    parts = [part for kernel in kernels for part in ast.walk(kernel)]
    calls = [part.func.attr for part in parts if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute)]
    loops = any(isinstance(part, ast.For | ast.While) for part in parts)
    return any(name in ("dot", "dot_scaled") for name in calls), loops, _given_stages(tree)


def _is_kernel(node: ast.FunctionDef) -> bool:
    return any("jit" in ast.unparse(decorator) for decorator in node.decorator_list)


def _given_stages(tree: ast.Module) -> frozenset[int]:
    """The constants that functions have as the default of ``num_stages``; else those that calls pass for it."""
    defaults, passed = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            positional = [*node.args.posonlyargs, *node.args.args]
            given = dict(zip(positional[::-1], node.args.defaults[::-1], strict=False))
            given |= {
                arg: value for arg, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if value
            }
            defaults |= {_constant(value) for arg, value in given.items() if arg.arg == "num_stages"}
        elif isinstance(node, ast.keyword) and node.arg == "num_stages":
            passed.add(_constant(node.value))
    return frozenset(stages for stages in (defaults or passed) if stages is not None)


def _constant(node: ast.expr) -> int | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else None
