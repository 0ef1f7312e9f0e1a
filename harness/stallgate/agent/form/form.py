"""The form of an answer, by its syntax tree, without running it.

Imports, kernels, wrappers, ``class ModelNew(nn.Module)``, in that order, and nothing else; no torch operation that
computes; and none of the slips that cost a round. What syntax cannot see, such as what a variable holds, is seen later:
by drawn data, by counters, and by whose kernels took the time. ``stallgate docs answers`` has every rule.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator

from stallgate.agent.answer import Answer
from stallgate.agent.form.host_code import (
    attributes_used,
    kernels_attributes,
    methods_unbound,
    names_rebound,
    names_used,
    statements_used,
)
from stallgate.agent.form.launches import kernels_launched
from stallgate.agent.form.layers import layers_called
from stallgate.agent.form.module_level import module_level
from stallgate.agent.form.slips import slips
from stallgate.agent.form.syntax import AnswerCode
from stallgate.agent.form.tensors import cached_tensors, tensor_arithmetic
from stallgate.agent.objection import Objection

MOST_OBJECTIONS = 100
"""The first that are said; nobody reads more."""


def objections_to_form(
    answer: Answer, tl_names: Collection[str] = (), known_elsewhere: Callable[[], Collection[str]] | None = None
) -> tuple[Objection, ...]:
    """Every reason why the form of an answer is not accepted, in the order of its lines.

    Args:
        answer: as it was read; of one that cannot be read these are its own objections.
        tl_names: what Triton has in the interpreter that will run the answer, as `tl_names` gives it; empty: not known,
            and nothing is said about names of Triton.
        known_elsewhere: gives the names that tensors and Python's own objects have; fields of the answer's classes that
            are not among them may be read of any object. None: not known, and they are of its own objects alone.
    """
    if answer.objections:
        return answer.objections
    code = AnswerCode(answer, known_elsewhere)
    found = [objection for rule in _RULES for objection in rule(code)] + list(slips(code, tl_names))
    unique = {(each.line, each.code, each.text): each for each in found}
    return tuple(sorted(unique.values(), key=lambda each: each.line or 0)[:MOST_OBJECTIONS])


# --- order ------------------------------------------------------------------------------------------------------------

_PARTS = ("imports", "kernels", "wrappers", "class ModelNew")


def order(code: AnswerCode) -> Iterator[Objection]:
    """Parts of the file that stand behind a later part. Constants may stand anywhere."""
    needed = _needed_by_kernels(code)
    latest = 0
    for node in code.tree.body:
        place = _place(code, node, needed)
        if place is None:
            continue
        if place < latest:
            text = f"{_PARTS[place]} stand before {_PARTS[latest]}"
            yield code.object_to(node, "order", text, f"the order is {', '.join(_PARTS)}")
        latest = max(latest, place)


def _place(code: AnswerCode, node: ast.stmt, needed: set[str]) -> int | None:
    match node:
        case ast.Import() | ast.ImportFrom():
            return 0
        case ast.FunctionDef(name=name):
            return 1 if code.is_kernel(node) or name in needed else 2
        case ast.ClassDef(name=name):
            return 3 if name == "ModelNew" else (1 if name in needed else 2)
        case _:
            return None


def _needed_by_kernels(code: AnswerCode) -> set[str]:
    """Names that decorators and constants use: what they mean has to stand before."""
    roots: list[ast.AST] = [each for kernel in code.kernels.values() for each in kernel.decorator_list]
    roots += [node for node in code.tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    named = {node.id for root in roots for node in ast.walk(root) if isinstance(node, ast.Name)}
    inside = [code.functions[name] for name in named if name in code.functions]
    return named | {node.id for each in inside for node in ast.walk(each) if isinstance(node, ast.Name)}


# --- the model, and what is not an answer's -------------------------------------------------------------------------


def model(code: AnswerCode) -> Iterator[Objection]:
    """``class ModelNew(nn.Module)`` with ``forward``, once."""
    found = [node for node in code.tree.body if isinstance(node, ast.ClassDef) and node.name == "ModelNew"]
    if not found:
        text = "there is no class ModelNew"
        yield code.object_to(code.tree, "no_model", text, "end the file with class ModelNew(nn.Module)")
    for again in found[1:]:
        yield code.object_to(again, "no_model", "ModelNew is defined twice", "keep one of them")
    for node in found[:1]:
        if not any(code.path(base) == "torch.nn.Module" for base in node.bases):
            yield code.object_to(node, "no_model", "ModelNew is no nn.Module", "write class ModelNew(nn.Module)")
        if code.method(node, "forward") is None:
            text = "ModelNew has no forward"
            yield code.object_to(node, "no_model", text, "def forward(self, …) takes the inputs of the problem")


_GIVEN = ("get_inputs", "get_init_inputs")


def test_code(code: AnswerCode) -> Iterator[Objection]:
    """Functions that belong to the problem, and tests."""
    for name, node in code.functions.items():
        if name in _GIVEN:
            text = f"{name} is the problem's, not the answer's"
            yield code.object_to(node, "input_functions", text, "leave it out")
        elif name.startswith(("test_", "bench_", "benchmark")) or name in ("main", "test", "check", "bench"):
            yield code.object_to(
                node, "test_code", f"{name} looks like test code", "leave it out, or name it for its work"
            )
    for name, owner in code.classes.items():
        if name == "Model" or name.startswith("Test"):
            what = "the reference" if name == "Model" else "test code"
            yield code.object_to(owner, "test_code", f"class {name} is {what}", "leave it out: it is the problem's")


def repeated_names(code: AnswerCode) -> Iterator[Objection]:
    """Functions and classes of the module that are defined twice: the first is not what is used."""
    seen: set[str] = set()
    for node in code.tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if node.name in seen and node.name != "ModelNew":
                yield code.object_to(node, "name_rebound", f"{node.name} is defined twice", "keep one of them")
            seen.add(node.name)


_RULES: tuple[Callable[[AnswerCode], Iterator[Objection]], ...] = (
    module_level,
    order,
    model,
    test_code,
    repeated_names,
    names_used,
    names_rebound,
    statements_used,
    attributes_used,
    kernels_attributes,
    methods_unbound,
    layers_called,
    tensor_arithmetic,
    cached_tensors,
    kernels_launched,
)
