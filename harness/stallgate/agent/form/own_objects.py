"""Which objects are of an answer's own classes, and what those classes name.

A name that an answer gives to a field must not open the same name of a tensor, a frame or a module: ``cumprod = 0`` in
a class is no leave to call ``x.cumprod(0)``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from stallgate.agent.form.syntax import AnswerCode, bound_names
from stallgate.project.source_tree import FunctionNode

_HOPS = 8
"""Calls and names in a row that are followed to where an object is made."""


def own_names(code: AnswerCode) -> frozenset[str]:
    """Methods and fields of the classes of an answer and of its named tuples."""
    found: set[str] = set()
    for owner in code.classes.values():
        for node in owner.body:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                found |= {name for name, _ in bound_names(node)}
            if isinstance(node, FunctionNode):
                found.add(node.name)
    for each in ast.walk(code.tree):
        match each:
            case ast.Attribute(value=ast.Name(), attr=name, ctx=ast.Store()):
                found.add(name)
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="self"), attr="register_buffer" | "register_parameter"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                found.add(name)
            case ast.Call(func=func, args=[_, fields, *_]) if code.path(func) == "collections.namedtuple":
                found |= set(_words(fields))
            case _:
                pass
    return frozenset(found)


def _words(fields: ast.expr) -> Iterator[str]:
    """The names in ``"rows, n"`` or ``["rows", "n"]``."""
    for each in ast.walk(fields):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield from each.value.replace(",", " ").split()


def is_own_object(code: AnswerCode, node: ast.expr, hops: int = _HOPS) -> bool:
    """Whether an expression surely is a class of the answer or an object of one: ``self``, ``Plan(…)``, ``plan``."""
    match node:
        case _ if hops == 0:
            return False
        case ast.Name(id=name):
            return _is_class(code, name) or _is_receiver(code, node) or _is_own_name(code, node, hops - 1)
        case ast.Call(func=ast.Name(id=name)) if _is_class(code, name):
            return True
        case ast.Call(func=ast.Name(id=name)) if name in code.functions:
            return _gives_own(code, code.functions[name], hops - 1)
        case ast.Call(func=ast.Attribute(value=owner, attr=name)) if is_own_object(code, owner, hops - 1):
            methods = [found for each in code.classes.values() if (found := code.method(each, name))]
            return bool(methods) and all(_gives_own(code, each, hops - 1) for each in methods)
        case ast.Call(func=ast.Name(id="cls") as called):
            return _is_receiver(code, called)
        case _:
            return False


def unbound_methods(code: AnswerCode) -> Iterator[tuple[ast.Attribute, str]]:
    """Methods that are taken from their class, and so may be given a tensor as their ``self``; each with its name."""
    for node in code.host_nodes():
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in code.classes or owner == "cls":
                among = [code.classes[owner]] if owner in code.classes else list(code.classes.values())
                found = [(each, method) for each in among if (method := code.method(each, name))]
                if any(_is_receivers(code, each, method) and not _is("classmethod", method) for each, method in found):
                    yield node, name
            case _:
                pass


def _is_receiver(code: AnswerCode, name: ast.Name) -> bool:
    """Whether a name is the first parameter of a method, ``self``, ``cls`` or ``ctx``, and is bound to nothing else."""
    for each in code.within(name):
        if not isinstance(each, FunctionNode | ast.Lambda):
            continue
        names = [arg.arg for arg in (*each.args.posonlyargs, *each.args.args)]
        if any(bound == name.id for bound, node in bound_names(each) if not isinstance(node, ast.arg)):
            return False
        if name.id in {arg.arg for arg in ast.walk(each.args) if isinstance(arg, ast.arg)}:
            owner = code.parents.get(each)
            is_first = bool(names) and names[0] == name.id
            return is_first and isinstance(each, FunctionNode) and _is_receivers(code, owner, each)
    return False


def _is_receivers(code: AnswerCode, owner: ast.AST | None, method: FunctionNode) -> bool:
    """Whether a function is a method with a receiver; that of an ``autograd.Function`` has its context as one."""
    if not isinstance(owner, ast.ClassDef):
        return False
    is_function = any(code.path(base).startswith("torch.autograd.") for base in owner.bases)
    return not _is("staticmethod", method) or (is_function and method.name in ("forward", "backward", "setup_context"))


def _is(decorator: str, method: FunctionNode) -> bool:
    return any(ast.unparse(each) == decorator for each in method.decorator_list)


def _is_class(code: AnswerCode, name: str) -> bool:
    """Whether a name of the module is a class of the answer, or a named tuple."""
    made = code.constants.get(name, [])
    return name in code.classes or (len(made) == 1 and _is_named_tuple(code, made[0]))


def _is_named_tuple(code: AnswerCode, node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    return isinstance(value, ast.Call) and code.path(value.func) == "collections.namedtuple"


def _is_own_name(code: AnswerCode, name: ast.Name, hops: int) -> bool:
    """Whether everything that a name is bound to, where it is used and around, is an object of the answer."""
    functions = [each for each in code.within(name) if isinstance(each, FunctionNode)]
    if not functions:
        return False
    values: list[bool] = []
    for node in ast.walk(functions[-1]):
        match node:
            case ast.arg(arg=bound) if bound == name.id:
                values.append(False)  # whatever its annotation says, which nothing enforces
            case ast.Name(id=bound, ctx=ast.Store() | ast.Del()) if bound == name.id:
                value = _value(code.parents.get(node), node)
                values.append(value is not None and is_own_object(code, value, hops))
            case ast.MatchAs(name=bound) | ast.ExceptHandler(name=bound) if bound == name.id:
                values.append(False)
            case _:
                pass
    return bool(values) and all(values)


def _value(statement: ast.AST | None, target: ast.Name) -> ast.expr | None:
    match statement:
        case ast.Assign(targets=[only], value=value) if only is target:
            return value
        case ast.AnnAssign(value=value) | ast.NamedExpr(value=value):
            return value
        case _:
            return None


def _gives_own(code: AnswerCode, function: FunctionNode, hops: int) -> bool:
    """Whether every result of a function is an object of the answer."""
    given = [each.value for each in ast.walk(function) if isinstance(each, ast.Return)]
    return bool(given) and all(each is not None and is_own_object(code, each, hops) for each in given)
