"""What the code around the kernels may use: no torch operation that computes, and no way around the rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from stallgate.agent.form.allowed import (
    BUILTINS,
    DUNDERS,
    IN_KERNELS,
    IN_PLAIN_CLASSES,
    LIMITS,
    MODULES,
    OTHER_ATTRIBUTES,
    TENSOR_ATTRIBUTES,
    TORCH_IN_SHORT,
    is_allowed_path,
    is_weight,
)
from stallgate.agent.form.own_objects import is_own_object, own_names, unbound_methods
from stallgate.agent.form.syntax import AnswerCode, bound_names
from stallgate.agent.objection import Objection
from stallgate.project.source_tree import FunctionNode

_NO_WAY = "an answer computes with its kernels; it looks at nothing and changes nothing outside of itself"


def names_used(code: AnswerCode) -> Iterator[Objection]:
    """Names that an answer neither defines nor may use: ``exec``, ``getattr``, ``print`` …; and imports that change."""
    defined = {name for name, _ in bound_names(code.tree)} | set(code.imported)
    for node in ast.walk(code.tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) if name not in defined | BUILTINS:
                if not (name in IN_KERNELS and _in_kernel(code, node)) and not _is_main_test(code, node):
                    yield code.object_to(node, "forbidden_name", f"{name} may not be used", _NO_WAY)
            case ast.Call(func=ast.Name(id="type"), args=args) if len(args) != 1:
                yield code.object_to(node, "forbidden_name", "type(…) may not make classes", _NO_WAY)
            case _:
                pass


def names_rebound(code: AnswerCode) -> Iterator[Objection]:
    """Names of modules, of torch, of Triton and of Python that are made to mean something else."""
    for name, node in bound_names(code.tree):
        path = code.imported.get(name, "")
        if path in MODULES or path.partition(".")[0] in ("torch", "triton"):
            yield code.object_to(node, "name_rebound", f"{name} is imported and may mean nothing else", _RENAME)
        elif name in BUILTINS and (node in code.tree.body or code.parents.get(node) in code.tree.body):
            yield code.object_to(node, "name_rebound", f"{name} is Python's and may mean nothing else", _RENAME)


_RENAME = "choose another name"


def _in_kernel(code: AnswerCode, node: ast.AST) -> bool:
    return any(code.is_kernel(each) for each in code.within(node))


def _is_main_test(code: AnswerCode, node: ast.Name) -> bool:
    """Whether a name is that of a ``__main__`` block, which has an objection of its own."""
    return node.id == "__name__" and any(isinstance(each, ast.If) for each in code.within(node))


# --- statements -------------------------------------------------------------------------------------------------------


def statements_used(code: AnswerCode) -> Iterator[Objection]:
    """Statements inside of functions that an answer has no use for."""
    for node in ast.walk(code.tree):
        match node:
            case ast.Import() | ast.ImportFrom() if node not in code.tree.body:
                yield code.object_to(node, "order", "imports stand at the head of the file", "move it there")
            case ast.Global():
                text = "`global` keeps something from one call to the next"
                yield code.object_to(node, "global_state", text, "give what a call needs to its functions as arguments")
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield code.object_to(node, "forbidden_name", "asynchronous code has no place in an answer", _NO_WAY)
            case ast.ClassDef() if node not in code.tree.body:
                yield code.object_to(node, "order", "classes stand in the module, not in functions", "move it there")
            case ast.FunctionDef(name=name) if _is_special(name) and not _may_define(code, node):
                yield code.object_to(node, "special_method", f"{name} may not be defined", _NO_WAY)
            case ast.Name(id=name, ctx=ast.Store()) if _is_special(name) and name not in ("__all__", "__slots__"):
                yield code.object_to(node, "special_method", f"{name} may not be defined", _NO_WAY)
            case ast.Attribute(ctx=ast.Store() | ast.Del()) if not _is_own(code, node):
                text = f"`{ast.unparse(node)[:60]}` is changed, which the answer does not own"
                yield code.object_to(node, "monkey_patch", text, "set attributes of self alone")
            case _:
                pass


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _may_define(code: AnswerCode, node: ast.FunctionDef) -> bool:
    """Whether a special method is one that an answer may have: some of them in classes that inherit nothing."""
    owner = code.parents.get(node)
    is_plain = isinstance(owner, ast.ClassDef) and all(ast.unparse(each) == "object" for each in owner.bases)
    return node.name in DUNDERS or (is_plain and node.name in IN_PLAIN_CLASSES)


def _is_own(code: AnswerCode, node: ast.Attribute) -> bool:
    """Whether an attribute is of ``self`` in a method, or of the context of an autograd.Function."""
    if not isinstance(node.value, ast.Name):
        return False
    for each in code.within(node):
        if isinstance(each, FunctionNode) and isinstance(code.parents.get(each), ast.ClassDef):
            first = [*each.args.posonlyargs, *each.args.args][:1]
            decorated = {ast.unparse(name) for name in each.decorator_list}
            is_object = not decorated & {"staticmethod", "classmethod"} or (
                first[:1] and first[0].arg in ("ctx", "context")
            )
            return bool(first) and node.value.id == first[0].arg and bool(is_object)
    return False


# --- attributes and torch ---------------------------------------------------------------------------------------------


def attributes_used(code: AnswerCode) -> Iterator[Objection]:
    """Functions of torch, methods of tensors and attributes of anything that are not allowed."""
    fields = own_names(code)
    for node in code.host_nodes():
        match node:
            case ast.Name(ctx=ast.Load()) if node.id in code.imported:
                yield from _path(code, node)
            case ast.Attribute(attr=name) if _is_special(name) and name not in DUNDERS:
                yield code.object_to(node, "forbidden_attribute", f".{name} may not be used", _NO_WAY)
            case ast.Attribute(ctx=ast.Load()) if not code.path(node):
                yield from _attribute(code, node, fields)
            case ast.MatchClass(kwd_attrs=[_, *_] as names):
                yield from _matched(code, node, names, fields)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)) if (
                name in fields and not _is_method(code, name)
            ):
                text = f"self.{name}(…) lets something other than the answer's code compute"
                yield code.object_to(node, "torch_operation", text, "take its weights and compute in a kernel")
            case ast.BinOp(op=ast.MatMult()) | ast.AugAssign(op=ast.MatMult()):
                yield code.object_to(node, "torch_operation", "`@` is torch's matrix product", "multiply in a kernel")
            case _:
                pass


def kernels_attributes(code: AnswerCode) -> Iterator[Objection]:
    """The same in kernels, which Triton's interpreter runs as Python: what is imported, and what is private."""
    for node in ast.walk(code.tree):
        if not isinstance(node, ast.Attribute | ast.Name) or not _in_kernel(code, node):
            continue
        if isinstance(node, ast.Name):
            if code.imported.get(node.id, "torch").partition(".")[0] != "torch":  # torch's have an objection as a slip
                yield from _path(code, node)
        elif (_is_special(node.attr) and node.attr not in DUNDERS) or node.attr in _OF_INTERPRETER:
            yield code.object_to(node, "forbidden_attribute", f".{node.attr} may not be used", _NO_WAY)


_OF_INTERPRETER = frozenset({"handle", "interpreter_builder"})
"""What the interpreter's tensors have for Triton itself: memory as numpy has it."""


def _path(code: AnswerCode, name: ast.Name) -> Iterator[Objection]:
    """Something imported, with the attributes that follow it."""
    node: ast.AST = name
    while isinstance(above := code.parents.get(node), ast.Attribute):
        node = above
    if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
        return  # it has an objection as what is changed
    path = _allowed_part(code, node, name)
    if path in _PACKAGES and not _is_alone(code, node) and not _is_hidden(code, node):
        yield code.object_to(node, "name_rebound", f"{path} is handed on under another name", _WRITE_OUT)
        return
    if is_allowed_path(path) or (is_weight(path) and _in_init(code, node)):
        return
    if path.startswith("torch."):
        where = "; layers and random weights are made in __init__ alone" if is_weight(path) else ""
        yield code.object_to(
            node, "torch_operation", f"{path[:80]} is not a kernel of the answer", TORCH_IN_SHORT + where
        )
    else:
        yield code.object_to(node, "forbidden_attribute", f"{path[:80]} may not be used", _NO_WAY)


def _allowed_part(code: AnswerCode, node: ast.AST, name: ast.Name) -> str:
    """The path of something imported; of ``torch.float32.itemsize`` the part before an attribute of any object."""
    path = code.path(node)
    while isinstance(node, ast.Attribute) and not is_allowed_path(path) and code.path(node.value) not in _PACKAGES:
        if node.attr not in TENSOR_ATTRIBUTES | OTHER_ATTRIBUTES | DUNDERS or (node.value is name and path in MODULES):
            break
        node = node.value
        path = code.path(node)
    return path


_PACKAGES = frozenset(
    {
        *MODULES,
        *(f"torch{part}" for part in ("", ".nn", ".cuda", ".autograd", ".amp", ".nn.functional", ".nn.init")),
        *("torch.autograd.function", "torch.nn.parameter", "torch.version", "torch.cuda.amp"),
        *(f"triton{part}" for part in ("", ".language", ".runtime", ".tools", ".runtime.autotuner")),
    }
)
"""Modules, whose attributes are their functions: below anything else they are those of a value, such as a dtype."""


_WRITE_OUT = "write it out where one of its functions is used"


def _is_alone(code: AnswerCode, node: ast.AST) -> bool:
    """Whether a module stands as a statement of its own, which does nothing."""
    return isinstance(code.parents.get(node), ast.Expr)


def _is_hidden(code: AnswerCode, node: ast.AST) -> bool:
    """Whether a module is given to a function that is refused itself, such as ``getattr``, or stands in a bad line."""
    above = code.parents.get(node)
    called = above.func if isinstance(above, ast.Call) else None
    return isinstance(called, ast.Name) and called.id not in BUILTINS and called.id not in code.functions


def _in_init(code: AnswerCode, node: ast.AST) -> bool:
    """Whether a piece stands in the ``__init__`` of a class."""
    return any(isinstance(each, FunctionNode) and each.name == "__init__" for each in code.within(node))


def _attribute(code: AnswerCode, node: ast.Attribute, fields: frozenset[str]) -> Iterator[Objection]:
    """An attribute of something that is not imported."""
    name, owner = node.attr, node.value
    if name in TENSOR_ATTRIBUTES or name in OTHER_ATTRIBUTES or name in DUNDERS:
        return
    if name in LIMITS and isinstance(owner, ast.Call) and code.path(owner.func) in ("torch.finfo", "torch.iinfo"):
        return
    if name in fields and (is_own_object(code, owner) or name not in code.known_elsewhere()):
        return
    is_super = isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "super"
    if is_super and (name in fields or name in ("forward", "extra_repr")):
        return
    if name.startswith("_"):
        yield code.object_to(node, "forbidden_attribute", f".{name} is private to another", _NO_WAY)
    else:
        text = f".{name[:60]} is none of the methods and attributes that an answer may use"
        yield code.object_to(node, "torch_operation", text, TORCH_IN_SHORT)


def _matched(code: AnswerCode, node: ast.MatchClass, names: list[str], fields: frozenset[str]) -> Iterator[Objection]:
    """Attributes that a pattern ``case Plan(rows=rows)`` reads: a dot by another sign."""
    for name in names:
        if name not in fields or not is_own_object(code, node.cls):
            yield code.object_to(node, "forbidden_attribute", f"the pattern reads .{name[:60]}", _NO_WAY)


def methods_unbound(code: AnswerCode) -> Iterator[Objection]:
    """``Plan.rows(x)``: a method that is given another object than its own."""
    for node, name in unbound_methods(code):
        text = f"`{ast.unparse(node)[:60]}` takes a method from its class, to be given any object"
        yield code.object_to(node, "forbidden_attribute", text, f"call .{name[:60]}(…) of an object")


def _is_method(code: AnswerCode, name: str) -> bool:
    return any(code.method(owner, name) is not None for owner in code.classes.values())
