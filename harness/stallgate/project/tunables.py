"""What a variant's text says of its tunables: its parameters, their defaults, and what ``@triton.autotune`` lists."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import product
from typing import Any

_LAUNCH_OPTIONS = {"num_warps", "num_stages", "num_ctas", "maxnreg"}
"""What every kernel of Triton takes beside its parameters."""

_MOST = 10_000
"""Most configurations that are read of a decorator."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class CannotRead(ValueError):
    """The text computes something that the syntax tree alone does not tell."""


def is_taken(source: str, tunable: str) -> bool:
    """Whether a function of a file takes a tunable by name, or passes unknown keywords on to a kernel's launch."""
    functions = [node for node in ast.walk(_tree(source)) if isinstance(node, _Function)]
    passes_on = any(function.args.kwarg is not None for function in functions)
    named = any(tunable in _parameters(function) for function in functions)
    return named or (passes_on and tunable in _LAUNCH_OPTIONS)


def keyword_defaults(source: str, tunables: list[str]) -> dict[str, Any]:
    """Tunable -> the first literal default of a parameter of that name."""
    found: dict[str, Any] = {}
    for function in ast.walk(_tree(source)):
        if isinstance(function, _Function):
            for name, default in _defaults(function):
                if name in tunables and name not in found and isinstance(default, ast.Constant):
                    found[name] = default.value
    return {name: value for name, value in found.items() if isinstance(value, (int, float, str, bool))}


def autotuned_configurations(source: str) -> list[dict[str, Any]]:
    """The configurations of the first ``@triton.autotune`` of a file, each once; empty if it has none.

    Raises:
        CannotRead: they are neither literals nor comprehensions over literals.
    """
    tree = _tree(source)
    for function in ast.walk(tree):
        for decorator in getattr(function, "decorator_list", []):
            if isinstance(decorator, ast.Call) and _last_name(decorator.func) == "autotune":
                named = {each.arg: each.value for each in decorator.keywords}
                written = named.get("configs", decorator.args[0] if decorator.args else None)
                found = _Reader(tree).listed(written, {}) if written is not None else []
                return [each for number, each in enumerate(found) if each not in found[:number]]
    return []


def _tree(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module(body=[], type_ignores=[])


def _parameters(function: _Function) -> list[str]:
    given = function.args
    return [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]


def _defaults(function: _Function) -> Iterator[tuple[str, ast.expr | None]]:
    given = function.args
    places = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [*given.defaults]
    for parameter, default in zip(places[len(places) - len(defaults) :], defaults, strict=True):
        yield parameter.arg, default
    for parameter, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield parameter.arg, default


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


_Names = dict[str, Any]


class _Reader:
    """Reads lists of ``triton.Config(...)`` from a syntax tree; runs nothing."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree

    def listed(self, node: ast.expr, names: _Names) -> list[dict[str, Any]]:
        """The configurations of an expression."""
        match node:
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [each for part in parts for each in self._part(part, names)]
            case ast.ListComp(elt=element, generators=generators):
                return [self._config(element, each) for each in self._bound(generators, names)]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.listed(left, names) + self.listed(right, names)
            case ast.Name(id=name):
                return self.listed(self._assigned(name), names)
            case ast.Call(func=ast.Name(id=name), args=[], keywords=[]):
                return self.listed(self._returned(name), names)
            case _:
                raise CannotRead(f"line {node.lineno}: `{ast.unparse(node)[:60]}`")

    def _part(self, node: ast.expr, names: _Names) -> list[dict[str, Any]]:
        """One element of a list: a configuration, or a list that is spread into it."""
        return self.listed(node.value, names) if isinstance(node, ast.Starred) else [self._config(node, names)]

    def _config(self, node: ast.expr, names: _Names) -> dict[str, Any]:
        if not isinstance(node, ast.Call) or _last_name(node.func) != "Config":
            raise CannotRead(f"line {node.lineno}: `{ast.unparse(node)[:60]}` is no triton.Config")
        given = {each.arg: each.value for each in node.keywords if each.arg is not None}
        table = node.args[0] if node.args else given.pop("kwargs", None)
        found = self._value(table, names) if table is not None else {}
        if not isinstance(found, dict):
            raise CannotRead(f"line {node.lineno}: its tunables are no dict")
        options = {name: self._value(value, names) for name, value in given.items() if name in _LAUNCH_OPTIONS}
        return {**found, **options}

    def _bound(self, generators: list[ast.comprehension], names: _Names) -> list[_Names]:
        """The names of a comprehension in each of its turns."""
        turns: list[_Names] = [names]
        for each in generators:
            turns = [
                {**turn, **self._unpacked(each.target, value)}
                for turn in turns
                for value in self._values(each.iter, turn)
            ]
            turns = [turn for turn in turns if all(self._value(condition, turn) for condition in each.ifs)]
            if len(turns) > _MOST:
                raise CannotRead(f"it lists more than {_MOST} configurations")
        return turns

    def _unpacked(self, target: ast.expr, value: Any) -> _Names:
        if isinstance(target, ast.Name):
            return {target.id: value}
        if isinstance(target, ast.Tuple) and isinstance(value, (tuple, list)) and len(value) == len(target.elts):
            return {
                name: part
                for each, inner in zip(target.elts, value, strict=True)
                for name, part in self._unpacked(each, inner).items()
            }
        raise CannotRead(f"line {target.lineno}: `{ast.unparse(target)[:60]}`")

    def _values(self, node: ast.expr, names: _Names) -> list[Any]:
        """What a comprehension goes through: a list, ``range(...)``, ``itertools.product(...)``."""
        if isinstance(node, ast.Call) and _last_name(node.func) == "range":
            limits = [self._value(each, names) for each in node.args]
            if all(isinstance(each, int) for each in limits) and 1 <= len(limits) <= 3:
                return list(range(*limits)[:_MOST])
        if isinstance(node, ast.Call) and _last_name(node.func) == "product" and not node.keywords:
            return list(product(*(self._values(each, names) for each in node.args)))
        found = self._value(node, names)
        if isinstance(found, (list, tuple)):
            return list(found)
        raise CannotRead(f"line {node.lineno}: `{ast.unparse(node)[:60]}`")

    def _value(self, node: ast.expr, names: _Names) -> Any:
        """The value of literals, of names that are bound, and of arithmetic and comparisons on them."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if name in names:
                return names[name]
            case ast.Name(id=name):
                return self._value(self._assigned(name), {})
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [self._value(each, names) for each in parts]
            case ast.Dict(keys=keys, values=values) if None not in keys:
                pairs = zip(keys, values, strict=True)
                return {self._value(k, names): self._value(v, names) for k, v in pairs if k is not None}
            case ast.BinOp() | ast.Compare() | ast.UnaryOp() | ast.BoolOp():
                return self._computed(node, names)
            case _:
                raise CannotRead(f"line {node.lineno}: `{ast.unparse(node)[:60]}`")

    def _computed(self, node: ast.BinOp | ast.Compare | ast.UnaryOp | ast.BoolOp, names: _Names) -> Any:
        """Small arithmetic."""
        match node:
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                a, b = self._value(left, names), self._value(right, names)
                if isinstance(a, int) and isinstance(b, int) and max(abs(a), abs(b)) < 2**31:
                    return _ARITHMETIC[type(op)](a, b) if not (b == 0 and type(op) in _DIVISIONS) else 0
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARED:
                return _COMPARED[type(op)](self._value(left, names), self._value(right, names))
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return not self._value(inner, names)
            case ast.BoolOp(op=op, values=values):
                found = [bool(self._value(each, names)) for each in values]
                return all(found) if isinstance(op, ast.And) else any(found)
            case _:
                pass
        raise CannotRead(f"line {node.lineno}: `{ast.unparse(node)[:60]}`")

    def _assigned(self, name: str) -> ast.expr:
        """What a module gives a name."""
        for node in self._tree.body:
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                return node.value
            if isinstance(node, ast.AnnAssign) and node.value is not None and _last_name(node.target) == name:
                return node.value
        raise CannotRead(f"the value of `{name}` is not in the file")

    def _returned(self, name: str) -> ast.expr:
        """What a function of the module without arguments returns, where that is all that it does."""
        for node in self._tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                body = [each for each in node.body if not _is_docstring(each)]
                if len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value is not None:
                    return body[0].value
        raise CannotRead(f"what `{name}()` returns is not in the file")


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


_DIVISIONS = {ast.FloorDiv, ast.Mod}
_ARITHMETIC: dict[type[ast.operator], Any] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: lambda a, b: a**b if 0 <= b < 64 and abs(a) < 1024 else 0,
}
_COMPARED: dict[type[ast.cmpop], Any] = {
    ast.LtE: lambda a, b: a <= b,
    ast.GtE: lambda a, b: a >= b,
    ast.Lt: lambda a, b: a < b,
    ast.Gt: lambda a, b: a > b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}
