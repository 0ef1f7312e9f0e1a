"""Where a variant's code declares the defaults of its tunables: read from the syntax tree, nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from stallgate.model import FrozenStruct

_KERNELBENCH_CLASS = "ModelNew"

_Callable = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class Default(FrozenStruct, frozen=True):
    """The expression that is a parameter's default."""

    node: ast.expr

    @property
    def is_literal(self) -> bool:
        """Whether it is a number, a text, true or false, in one line."""
        return self.value is not None and self.node.lineno == self.node.end_lineno

    @property
    def value(self) -> int | float | str | bool | None:
        """The literal's value; None where it is computed."""
        match self.node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return None if isinstance(value, bool) else -value
            case _:
                return None


def declared_defaults(tree: ast.Module, attribute: str) -> dict[str, list[Default]]:
    """Parameter -> the defaults that it has where the entry of a file, or what it passes keywords on to, declares it.

    Args:
        tree: the file.
        attribute: the function or class that is the entry; empty: ``ModelNew``.
    """
    found: dict[str, list[Default]] = {}
    for entry in _named(tree.body, attribute or _KERNELBENCH_CLASS):
        for name, default in _defaults(tree, entry, None, set()):
            if default.node not in [each.node for each in found.get(name, [])]:
                found.setdefault(name, []).append(default)
    return found


def _named(body: list[ast.stmt], name: str) -> list[_Callable]:
    """The functions and classes of a name in a body, also under conditions."""
    found: list[_Callable] = []
    for node in body:
        if isinstance(node, _Callable):
            found += [node] if node.name == name else []
            continue
        for inner in ("body", "orelse", "finalbody"):
            found += _named(getattr(node, inner, []), name)
        for handler in getattr(node, "handlers", []):
            found += _named(handler.body, name)
    return found


def _defaults(
    tree: ast.Module, entry: _Callable, owner: ast.ClassDef | None, seen: set[ast.AST]
) -> Iterator[tuple[str, Default]]:
    """The defaults of a callable and, for what it does not declare, of those that it passes its keywords on to."""
    if entry in seen:
        return
    seen.add(entry)
    owner = entry if isinstance(entry, ast.ClassDef) else owner
    for function in _named(entry.body, "__init__") if isinstance(entry, ast.ClassDef) else [entry]:
        if not isinstance(function, _Function):
            continue
        own = dict(_own(function))
        yield from own.items()
        keywords = function.args.kwarg
        if keywords is None:
            continue
        declared = {arg.arg for arg in (*function.args.args, *function.args.kwonlyargs)}
        scope = entry if isinstance(entry, ast.ClassDef) else function
        for callee, given in _passed_on(tree, scope, keywords.arg, owner):
            inner = _defaults(tree, callee, owner if callee not in tree.body else None, seen)
            yield from ((name, default) for name, default in inner if name not in declared | given)


def _own(function: _Function) -> Iterator[tuple[str, Default]]:
    positional = [*function.args.posonlyargs, *function.args.args]
    for arg, node in zip(reversed(positional), reversed(function.args.defaults), strict=False):
        if arg not in function.args.posonlyargs:  # those take no keyword
            yield arg.arg, Default(node)
    for arg, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if default is not None:
            yield arg.arg, Default(default)


def _passed_on(
    tree: ast.Module, scope: _Callable, keywords: str, owner: ast.ClassDef | None
) -> Iterator[tuple[_Callable, set[str]]]:
    """The callables of the file that are called with ``**keywords``, or a class's with ``**self.<what>``.

    Each with the keywords that the call gives itself.
    """
    for node in ast.walk(scope):
        if isinstance(node, ast.Call) and any(
            keyword.arg is None and _is_handed(keyword.value, keywords, scope) for keyword in node.keywords
        ):
            given = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
            for callee in _callees(tree, node.func, owner):
                yield callee, given


def _is_handed(value: ast.expr, keywords: str, scope: _Callable) -> bool:
    match value:
        case ast.Name(id=name):
            return name == keywords
        case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
            return isinstance(scope, ast.ClassDef) and attribute in _kept(scope, keywords)
        case _:
            return False


def _kept(scope: ast.ClassDef, keywords: str) -> set[str]:
    """The attributes that ``__init__`` keeps its keywords in."""
    found = set()
    for function in _named(scope.body, "__init__"):
        for node in ast.walk(function):
            match node:
                case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=attribute)], value=value):
                    pass
                case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=attribute), value=value):
                    pass
                case _:
                    continue
            names = {each.id for each in ast.walk(value) if isinstance(each, ast.Name)} if value is not None else set()
            if keywords in names:
                found.add(attribute)
    return found


def _callees(tree: ast.Module, called: ast.expr, owner: ast.ClassDef | None) -> list[_Callable]:
    match called:
        case ast.Name(id=name):
            return _named(tree.body, name)
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if owner is not None:
            return _named(owner.body, name)
        case _:
            return []
