"""Whether a case's numbers are of the work that its variant is there for: its own launches, possible figures."""

from __future__ import annotations

import ast
import fnmatch
from collections.abc import Iterator
from pathlib import Path

from stallgate.extract.evidence import Call, Evidence
from stallgate.extract.table import Summaries
from stallgate.formatting import scaled, shortened, spaced
from stallgate.model import Case, CaseResult, Noun, Problem, Run, Status
from stallgate.project.catalogue import L2_SECTORS, ROOF_FRACTION
from stallgate.project.load import Project

SECTOR_BYTES = 32
"""Of an L2 cache, on every chip that ncu knows."""

BEYOND_ROOF = 1.15
"""Fractions of the roof above this are no merit: something was not done, or the roof is none."""

JITS = ("triton.jit", "triton.runtime.jit.jit", "triton.experimental.gluon.jit")
"""The decorators whose functions become kernels under their own names."""

LONGEST_NAME = 120
"""Characters of a kernel's name in a sentence."""


class Doubt(Noun, frozen=True):
    """Why the numbers of a case are not judged."""

    status: Status
    reason: str
    """A code of ``stallgate/judge/verdicts.py``."""
    sentence: str


def doubts(run: Run, foreign: dict[Case, list[str]], summaries: Summaries) -> dict[Case, Doubt]:
    """The cases of candidates and roofs whose numbers are unsound. Baselines are shown, not judged.

    Args:
        run: the run.
        foreign: what `foreign_kernels` found in it.
        summaries: its metrics.
    """
    found = {
        result.case: _strays(result) or _foreign(result, foreign) or _implausible(result, run, summaries)
        for result in run.cases
        if result.outcome == "profiled" and result.role in ("candidate", "roof")
    }
    return {case: doubt for case, doubt in found.items() if doubt is not None}


def _strays(result: CaseResult) -> Doubt | None:
    """A baseline may be wrong beside its workload; a candidate that it was promoted to may not."""
    if not result.strays or result.role != "candidate":
        return None
    return Doubt(status="fail", reason="wrong_result", sentence=f"wrong result: {result.strays}")


# --- whose kernels ----------------------------------------------------------------------------------------------------


def foreign_kernels(run: Run, project: Project, evidence: Evidence) -> dict[Case, list[str]]:
    """The kernels of each case that neither its variant's file defines nor its problem allows, as C++ spells them."""
    known: dict[tuple[str, str], set[str]] = {}
    found: dict[Case, list[str]] = {}
    for call in evidence.calls:
        problem = project.problems.get(call.case.problem)
        if run.kind == "imported" or problem is None or call.case.variant not in problem.variants:
            continue
        key = (call.case.problem, call.case.variant)
        if key not in known:
            known[key] = kernels_of(project.root / problem.variants[call.case.variant].path)
        strangers = [name for name in _names(call) if name not in known[key] and not _allowed(problem, name)]
        found[call.case] = list(dict.fromkeys([*found.get(call.case, []), *strangers]))
    return {case: names for case, names in found.items() if names}


def _names(call: Call) -> Iterator[str]:
    """What a kernel of C++ calls itself has its namespace and its arguments: no Triton kernel can bear it."""
    for launch in call.launches:
        yield launch.signature or launch.kernel or "a launch without a name"


def _allowed(problem: Problem, name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, allowed.pattern) for allowed in problem.allowed_kernels)


def kernels_of(path: Path) -> set[str]:
    """The names of the Triton kernels that a file defines, by its syntax tree; none where it has no valid one."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two of what is nested too deeply
        return set()
    statements = _statements(tree)
    names = _imported(statements)
    return {
        node.name
        for node in statements
        if isinstance(node, ast.FunctionDef) and any(_full_name(d, names) in JITS for d in node.decorator_list)
    }


def _statements(tree: ast.Module) -> list[ast.AST]:
    """A syntax tree without its expressions, which are most of it, and neither import nor define."""
    found: list[ast.AST] = [tree]
    for node in found:
        found += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr)]
    return found


def _imported(statements: list[ast.AST]) -> dict[str, str]:
    """Name in a file -> what it stands for."""
    found: dict[str, str] = {}
    for node in statements:
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname is not None}
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _full_name(decorator: ast.expr, names: dict[str, str]) -> str:
    """What a decorator is, whether it is called or not, under whatever name it was imported."""
    written = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
    first, dot, rest = written.partition(".")
    return names.get(first, first) + dot + rest


def _foreign(result: CaseResult, foreign: dict[Case, list[str]]) -> Doubt | None:
    if result.role != "candidate" or result.case not in foreign:
        return None
    names = foreign[result.case]
    shown = [shortened(name.removeprefix("void "), LONGEST_NAME) for name in names[:3]]
    said = ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    kernels = "a kernel" if len(names) == 1 else "kernels"
    sentence = f"it launches {kernels} that it does not define and problem.toml does not allow: {said}"
    return Doubt(status="fail", reason="foreign_kernel", sentence=sentence)


# --- whether the figures can be ---------------------------------------------------------------------------------------


def _implausible(result: CaseResult, run: Run, summaries: Summaries) -> Doubt | None:
    """Too little moved, or too fast; without the reading that would tell, neither is known."""
    subject = run.subjects.get(result.case.problem)
    workload = subject.workloads.get(result.case.workload) if subject is not None else None
    sectors, fraction = summaries.get((result.case, L2_SECTORS)), summaries.get((result.case, ROOF_FRACTION))
    if workload is None:
        return None
    if sectors is None or sectors.low is None:
        state = "absent" if sectors is None else sectors.state
        sentence = f"{L2_SECTORS} is {spaced(state)}, so that nobody knows whether the bytes needed were moved"
        return Doubt(status="not_measured", reason=state, sentence=sentence)
    moved = sectors.low * SECTOR_BYTES
    if moved < workload.bytes:
        sentence = (
            f"implausible: {scaled(moved, 'byte')} went through L2, and the workload needs "
            f"{scaled(workload.bytes, 'byte')}"
        )
        return Doubt(status="not_measured", reason="implausible", sentence=sentence)
    if fraction is not None and fraction.median is not None and fraction.median > BEYOND_ROOF:
        sentence = f"implausible: {fraction.median:.3g} of the roof, and nothing beats it by over {BEYOND_ROOF - 1:.0%}"
        return Doubt(status="not_measured", reason="implausible", sentence=sentence)
    return None
