"""The kernels of an answer: they are there, and ``forward`` launches them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from stallgate.agent.form.syntax import AnswerCode
from stallgate.agent.objection import Objection
from stallgate.project.source_tree import FunctionNode


def kernels_launched(code: AnswerCode) -> Iterator[Objection]:
    """An answer without a kernel, or whose ``forward`` cannot reach one; and kernels launched by ``__init__``."""
    if not code.kernels:
        text = "there is no @triton.jit kernel at the head of the file"
        yield code.object_to(code.tree, "no_kernel", text, "write the computation as a Triton kernel")
        return
    model = code.model
    forward = code.method(model, "forward") if model is not None else None
    if model is None or forward is None:
        return
    if not any(_launches(code, each) for each in reached(code, [forward])):
        text = "forward does not launch a kernel of the file"
        yield code.object_to(
            forward, "kernel_not_launched", text, "launch it as kernel[grid](…), there or in a wrapper"
        )
    for owner in code.classes.values():
        made = code.method(owner, "__init__")
        launched = made is not None and any(_launches(code, each) for each in reached(code, [made]))
        if made is not None and launched:
            text = "__init__ launches a kernel: work belongs into forward"
            yield code.object_to(made, "work_in_init", text, "let __init__ keep its arguments")


def reached(code: AnswerCode, starts: list[FunctionNode]) -> list[ast.AST]:
    """The functions and classes that functions may call, by the names that they use; themselves included."""
    found: dict[ast.AST, None] = {}
    pending: list[ast.AST] = list(starts)
    while pending:
        node = pending.pop()
        if node in found:
            continue
        found[node] = None
        for each in ast.walk(node):
            match each:
                case ast.Name(id=name, ctx=ast.Load()):
                    pending += _named(code, name)
                case ast.Attribute(value=ast.Name(id="self" | "cls" as name), attr=attribute):
                    pending += [method for owner in code.classes.values() if (method := code.method(owner, attribute))]
                case _:
                    pass
    return list(found)


def _named(code: AnswerCode, name: str) -> list[ast.AST]:
    """The function or class of a name, or what a constant of that name holds."""
    known = code.functions.get(name) or code.classes.get(name)
    if known is not None and known is not code.model:
        return [known]
    return list(code.constants.get(name, []))


def _launches(code: AnswerCode, node: ast.AST) -> bool:
    """Whether a function launches a kernel: ``kernel[grid](…)``, by a name as well, or one of a table of kernels."""
    return any(isinstance(each, ast.Call) and launched_kernels(code, each) for each in ast.walk(node))


def launched_kernels(code: AnswerCode, node: ast.Call) -> list[str]:
    """The kernels that a call may launch; several where it chooses among them, all where it is given one."""
    match node.func:
        case ast.Subscript(value=value):
            chosen = value
        case ast.Name(id=name) if name in code.launchers:
            chosen = code.launchers[name]
        case _:
            return []
    names = [each.id for each in ast.walk(chosen) if isinstance(each, ast.Name)]
    direct = [name for name in names if name in code.kernels]
    return direct or (list(code.kernels) if names else [])
