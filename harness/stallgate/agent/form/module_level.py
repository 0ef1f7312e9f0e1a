"""Nothing acts when an answer is imported: its module and its classes hold definitions and constants only."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from stallgate.agent.form.allowed import BASES, DECORATORS, MODULE_LEVEL_CALLS, MODULES, TRITON, is_language
from stallgate.agent.form.syntax import AnswerCode
from stallgate.agent.objection import Objection
from stallgate.project.source_tree import FunctionNode

_ONLY = "a module holds imports, kernels, functions, classes and constants; move the rest into forward or its wrapper"


def module_level(code: AnswerCode) -> Iterator[Objection]:
    """Statements of the module and of its classes that do something, or may."""
    for node in code.tree.body:
        yield from _statement(code, node)
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                yield from _statement(code, each)


def _statement(code: AnswerCode, node: ast.stmt) -> Iterator[Objection]:
    match node:
        case ast.Import() | ast.ImportFrom() if node in code.tree.body:
            yield from _import(code, node)
        case ast.FunctionDef():
            yield from _function(code, node)
        case ast.ClassDef() if node in code.tree.body:
            yield from _class(code, node)
        case ast.Assign(targets=targets, value=value):
            yield from _constant(code, targets, value)
        case ast.AnnAssign(target=target, annotation=annotation, value=value):
            yield from _acting(code, annotation)
            yield from _constant(code, [target], value)
        case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
            pass
        case ast.If(test=test) if _asks_for_main(test):
            yield code.object_to(
                node, "main_block", "the file has a __main__ block", "leave it out: nothing runs the file"
            )
        case _:
            what = f"a module-level `{_word(node)}` acts when the file is imported"
            yield code.object_to(node, "module_level_action", what, _ONLY)


def _word(node: ast.stmt) -> str:
    """A statement in the reader's words."""
    return ast.unparse(node).split("\n")[0][:60]


def _asks_for_main(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))


# --- imports ----------------------------------------------------------------------------------------------------------

_IMPORTS = f"import torch, torch.nn, triton and triton.language; of Python {', '.join(MODULES)} are allowed too"


def _import(code: AnswerCode, node: ast.Import | ast.ImportFrom) -> Iterator[Objection]:
    """Imports of what an answer may not use. Whether a name of torch is allowed is a rule about its use."""
    if isinstance(node, ast.ImportFrom) and (node.level or any(each.name == "*" for each in node.names)):
        yield code.object_to(node, "import", f"`{ast.unparse(node)[:80]}` imports what cannot be seen", _IMPORTS)
        return
    for each in node.names:
        path = f"{node.module}.{each.name}" if isinstance(node, ast.ImportFrom) else each.name
        if not _may_be_imported(node, path):
            yield code.object_to(node, "import", f"{path[:80]} may not be imported", _IMPORTS)


def _may_be_imported(node: ast.Import | ast.ImportFrom, path: str) -> bool:
    if path in ("torch", "torch.nn") or path in MODULES or path in TRITON or path == "triton.language":
        return True
    if isinstance(node, ast.ImportFrom) and node.module in (*MODULES, "torch", "torch.nn", "torch.autograd"):
        return path != "torch.nn.functional"
    return is_language(path) or (isinstance(node, ast.ImportFrom) and node.module in TRITON)


# --- definitions ------------------------------------------------------------------------------------------------------


def _function(code: AnswerCode, node: FunctionNode) -> Iterator[Objection]:
    """A decorator, a default or an annotation runs when its function is defined."""
    for each in node.decorator_list:
        yield from _decorator(code, each)
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    annotations = [each.annotation for each in every if each is not None]
    for value in (*arguments.defaults, *arguments.kw_defaults, *annotations, node.returns):
        yield from _acting(code, value)


def _decorator(code: AnswerCode, node: ast.expr) -> Iterator[Objection]:
    called = node.func if isinstance(node, ast.Call) else node
    name = code.path(called) or (called.id if isinstance(called, ast.Name) else "")
    if name not in DECORATORS:
        text = f"the decorator `{ast.unparse(called)[:60]}` acts when the file is imported"
        hint = "allowed are triton.jit, autotune and heuristics, functools.cache, and those of classes"
        yield code.object_to(node, "decorator", text, hint)
    elif isinstance(node, ast.Call):
        for each in (*node.args, *(keyword.value for keyword in node.keywords)):
            yield from _acting(code, each)


def _class(code: AnswerCode, node: ast.ClassDef) -> Iterator[Objection]:
    for each in node.decorator_list:
        yield from _decorator(code, each)
    for base in node.bases:
        name = code.path(base) or (base.id if isinstance(base, ast.Name) else "")
        if name not in BASES and name not in code.classes:
            text = f"a class of an answer may not be a `{ast.unparse(base)[:60]}`"
            yield code.object_to(base, "base_class", text, "use nn.Module, torch.autograd.Function or NamedTuple")
    for keyword in node.keywords:
        yield code.object_to(
            keyword.value, "base_class", "a class may not have a metaclass or options", "leave them out"
        )


# --- constants --------------------------------------------------------------------------------------------------------


def _constant(code: AnswerCode, targets: list[ast.expr], value: ast.expr | None) -> Iterator[Objection]:
    for target in targets:
        names = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
        for each in names:
            if not isinstance(each, ast.Name):
                text = f"`{ast.unparse(each)[:60]} = …` changes what it does not own"
                yield code.object_to(each, "monkey_patch", text, "an answer changes nothing outside of itself")
    yield from _acting(code, value)


def _acting(code: AnswerCode, value: ast.expr | None) -> Iterator[Objection]:
    """Parts of an expression that do something when it is evaluated."""
    pending: list[ast.AST] = [value] if value is not None else []
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Lambda):
            pending += [each for each in (*node.args.defaults, *node.args.kw_defaults) if each is not None]
            continue
        if isinstance(node, ast.Call) and not _is_harmless(code, node.func):
            text = f"`{ast.unparse(node.func)[:60]}(…)` is called when the file is imported"
            hint = "constants may use triton.Config, tl.constexpr, math and Python's own functions of numbers"
            yield code.object_to(node, "module_level_call", text, hint)
        elif isinstance(node, ast.keyword) and node.arg == "key" and not code.path(_called(code, node)):
            text = "`key=` calls a function when the file is imported"
            yield code.object_to(node.value, "module_level_call", text, "write the constant out in its order")
        elif isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
            yield code.object_to(node, "module_level_action", "a constant may not assign or wait", _ONLY)
        pending += ast.iter_child_nodes(node)


def _called(code: AnswerCode, keyword: ast.keyword) -> ast.AST:
    """What is called with a keyword."""
    call = code.parents.get(keyword)
    return call.func if isinstance(call, ast.Call) else keyword


def _is_harmless(code: AnswerCode, called: ast.expr) -> bool:
    name = code.path(called)
    if not name and isinstance(called, ast.Name) and called.id not in {*code.functions, *code.kernels, *code.classes}:
        name = called.id
    return name in MODULE_LEVEL_CALLS or name.startswith("math.")
