"""Classifies the kernels that a run's calls launch: a variant's own, allowed, or foreign."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator

from stallgate.extract.evidence import ProfiledCall
from stallgate.model import Case, CaseResult, LaunchedKernel, Problem, Run
from stallgate.project.load import Project

_LIBRARY_NAMES = re.compile(
    r"nvjet|cublas|cutlass|cudnn|gemv|gemm_|.*_(?:gemm|xmma|cutlass|cudnn)_|(?:volta|turing|ampere|hopper|sm\d+)_|flash_fwd|"
    r"flash_bwd|fmha_|nccl|void |magma_"
)
"""Names of compiled libraries' kernels that look like Triton's: no function of a project may pass for one of them."""


def foreign_kernels(run: Run, project: Project, calls: list[ProfiledCall]) -> dict[Case, list[str]]:
    """Case -> the kernels that are neither its variant's own nor allowed, as C++ spells them.

    Own is what a file of the project defines, as the child saw Triton compile and launch it, and what the problem or
    the variant calls its own.
    """
    results = {result.case: result for result in run.cases}
    found: dict[Case, list[str]] = {}
    for call in calls:
        problem = project.problems.get(call.case.problem)
        if run.kind == "imported" or problem is None or call.case.variant not in problem.variants:
            continue
        foreign = [name for name in _names(call) if not _is_known(problem, results[call.case], name)]
        found[call.case] = list(dict.fromkeys([*found.get(call.case, []), *foreign]))
    return {case: names for case, names in found.items() if names}


def line_to_paste(result: CaseResult, names: list[str]) -> str:
    """The line of a project's file that makes kernels a variant's own."""
    seen = {kernel.name: kernel for kernel in result.kernels}
    patterns = [f"{seen[name].module}.*" if name in seen else _pattern_of(name) for name in names]
    return f"own_kernels = {json.dumps(list(dict.fromkeys(patterns)))}"


def _pattern_of(name: str) -> str:
    """A pattern that matches a kernel's name, without the types of its arguments."""
    short = re.split(r"[<(]", name.removeprefix("void "), maxsplit=1)[0]
    return name if short == name else f"*{short}*"


def _names(call: ProfiledCall) -> Iterator[str]:
    """The kernels' full names. A C++ kernel's has a namespace and arguments; a Triton kernel's never has."""
    for launch in call.launches:
        yield launch.signature or launch.kernel or "a launch without a name"


def _is_known(problem: Problem, result: CaseResult, name: str) -> bool:
    allowed = [allowed.pattern for allowed in problem.allowed_kernels]
    called_own = [*problem.own_kernels, *problem.variants[result.case.variant].own_kernels]
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in (*allowed, *called_own)):
        return True
    seen = next((kernel for kernel in result.kernels if kernel.name == name), None)
    return seen is not None and (_is_of_the_project(problem, result, seen) or _is_called_own(seen, called_own))


def _is_of_the_project(problem: Problem, result: CaseResult, kernel: LaunchedKernel) -> bool:
    """Whether a file that the case is known to have loaded defines a kernel."""
    files = {problem.variants[result.case.variant].path, *result.modules} - {""}
    return kernel.file in files and not _LIBRARY_NAMES.match(kernel.name)


def _is_called_own(kernel: LaunchedKernel, patterns: list[str]) -> bool:
    """Whether a kernel's function is one of those that the project calls its own: ``package.module.function``."""
    return any(fnmatch.fnmatchcase(f"{kernel.module}.{kernel.function}", pattern) for pattern in patterns)
