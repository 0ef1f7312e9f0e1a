"""What rules read beside metrics: facts of the code, the configuration, the workload and the roof.

A fact that is not known is left out, and rules that need it are silent.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import NamedTuple

from stallgate.extract.read_run import ReadRun
from stallgate.judge.roof import Roof, Roofs
from stallgate.model import Case, CaseResult, LaunchedKernel, Variant
from stallgate.project.arithmetic import float_types
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.load import Project
from stallgate.project.own_files import own_files
from stallgate.project.staleness import measured_workload

CACHES = ("l1_throughput", "l2_throughput")
"""Utilisation of the caches: sectors that are asked for in vain cost time in the busier one."""

AT_THE_ROOF = 0.97
"""The fraction of the roof from which nothing is left that is worth looking for, as stages of memory ask."""


def facts_of_case(read: ReadRun, project: Project, roofs: Roofs, result: CaseResult) -> dict[str, float]:
    """Name -> value, of the facts that are known of a case, whichever kernel is meant."""
    found = _of_roof(read, roofs, result.case) | _of_workload(read, project, result)
    if result.run_ms is not None:
        found["call_time"] = 1e6 * result.run_ms
    return found


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


def facts_of_code(project: Project, result: CaseResult, kernel: str) -> dict[str, float]:
    """What the code of one kernel says of loops and dots, and its launches of stages.

    Args:
        project: has the files.
        result: of the case that launched it.
        kernel: the kernel's name, as ncu shows it; empty for all kernels of the call.
    """
    problem = project.problems.get(result.case.problem)
    variant = problem.variants.get(result.case.variant) if problem is not None else None
    kernels = [found for found in result.kernels if kernel in ("", found.name)]
    if variant is None or not kernels:
        return {}
    own = own_files(project.root, variant.entry)
    places = {(path, found.function) for found in kernels for path in (variant.path, found.file) if path}
    codes = [(_code(project.root, path, own), function) for path, function in sorted(places)]
    traits = [traits_of(code, function) for code, function in codes if code]
    if not traits:
        return {}
    found = {"has_dot": float(any(each.has_dot for each in traits)), "has_loop": float(any(t.has_loop for t in traits))}
    stages = _stages(variant, result, kernels, frozenset().union(*(each.stages for each in traits)))
    return found | ({"num_stages": float(stages)} if stages is not None else {})


def _code(root: Path, path: str, own: list[str]) -> str:
    """A file's text; of a variant in several files all of them, this one last: its functions are meant first."""
    others = [each for each in own if each != path] if path in own else []
    return "\n".join(_text(root / each) for each in (*others, path))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _stages(variant: Variant, result: CaseResult, kernels: list[LaunchedKernel], given: frozenset[int]) -> int | None:
    """The ``num_stages`` that a case was launched with: an autotuner's, its configuration's, or the one default."""
    chosen = {kernel.configuration.get("num_stages") for kernel in kernels}
    named = variant.configurations.get(result.case.configuration, {}).get("num_stages")
    passed = variant.entry.keywords.get("num_stages")
    for found in (next(iter(chosen)) if len(chosen) == 1 else None, named if given else None, passed):
        if isinstance(found, int):
            return found
    return next(iter(given)) if len(given) == 1 else None


class KernelTraits(NamedTuple):
    """What a file says of one kernel."""

    has_dot: bool
    has_loop: bool
    stages: frozenset[int]
    """The values of ``num_stages`` that its launches, or its loops, may have."""


@lru_cache(maxsize=64)
def traits_of(text: str, kernel: str) -> KernelTraits:
    """The traits of a kernel and of the functions that it calls; where the file has no such kernel, of all its kernels.

    Args:
        text: of a Python file. Of one that does not parse nothing is known.
        kernel: the name of a function.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return KernelTraits(False, False, frozenset())
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    mentions = {name: _names_in(node) for name, node in functions.items()}
    if kernel in functions:
        kernels = _reached([kernel], mentions)
        callers = {name: frozenset(other for other in mentions if name in mentions[other]) for name in functions}
        around: list[ast.AST] = [functions[name] for name in sorted(_reached([kernel], callers))]
    else:
        kernels = {name for name, node in functions.items() if _is_kernel(node)}
        around = [tree]
    parts = [part for name in kernels for part in ast.walk(functions[name])]
    calls = [part.func.attr for part in parts if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute)]
    return KernelTraits(
        has_dot=any(name in ("dot", "dot_scaled") for name in calls),
        has_loop=any(isinstance(part, ast.For | ast.While) for part in parts),
        stages=_given_stages([part for root in around for part in ast.walk(root)]),
    )


def _names_in(node: ast.AST) -> frozenset[str]:
    """Every name that a function mentions, with the last part of those with dots."""
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return frozenset(names | {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)})


def _reached(begin: list[str], edges: dict[str, frozenset[str]]) -> set[str]:
    found: set[str] = set()
    left = list(begin)
    while left:
        name = left.pop()
        if name in edges and name not in found:
            found.add(name)
            left += edges[name]
    return found


def _is_kernel(node: ast.FunctionDef) -> bool:
    return any("jit" in ast.unparse(decorator) for decorator in node.decorator_list)


def _given_stages(parts: list[ast.AST]) -> frozenset[int]:
    """The constants that functions have as the default of ``num_stages``; else those that calls pass for it."""
    defaults, passed = set(), set()
    for node in parts:
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
