"""Python files of a variant, parsed: functions, kernels, imports and constants, found without running anything.

A kernel is a function with the decorator ``jit``; all other functions are called host functions here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from stallgate.project.definitions import is_kernel

_TUNABLE = re.compile(r"_*[A-Z][A-Z0-9_]*|num_(?:warps|stages|ctas)|maxnreg|waves_per_eu")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def is_tunable(name: str) -> bool:
    """Whether a name is written as tunables are: in capitals, or one of the options of a launch."""
    return _TUNABLE.fullmatch(name) is not None


class Function:
    """A function of a file, with what its local names are bound to."""

    def __init__(self, node: FunctionNode, module: Module) -> None:
        self.node = node
        self.module = module
        self.is_kernel = isinstance(node, ast.FunctionDef) and is_kernel(node)
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        self.parameters = [each.arg for each in every]
        rest = [each.arg for each in (arguments.vararg, arguments.kwarg) if each is not None]
        self.opaque = {*self.parameters, *rest}
        self.bindings = _bindings(node.body)

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def lines(self) -> range:
        return range(self.node.lineno, (self.node.end_lineno or self.node.lineno) + 1)

    def constexprs(self) -> set[str]:
        """The parameters that are annotated as compile-time constants."""
        arguments = self.node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        return {each.arg for each in every if each.annotation and "constexpr" in ast.unparse(each.annotation)}

    def defaults(self) -> dict[str, ast.expr]:
        """Parameter -> its default."""
        arguments = self.node.args
        places = [*arguments.posonlyargs, *arguments.args]
        found = dict(zip(places[len(places) - len(arguments.defaults) :], arguments.defaults, strict=True))
        pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        found |= {parameter: default for parameter, default in pairs if default is not None}
        return {parameter.arg: default for parameter, default in found.items()}

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Its nodes in their order, without those of nested functions."""
        return list(own_nodes(self.node.body))

    @cached_property
    def result(self) -> ast.expr | None:
        """The expression that it returns, if there is exactly one ``return``."""
        returns = [node for node in self.nodes if isinstance(node, ast.Return)]
        return returns[0].value if len(returns) == 1 else None


class Module:
    """A parsed file."""

    def __init__(self, path: str, tree: ast.Module) -> None:
        self.path = path
        self.tree = tree
        self.aliases = _aliases(tree)
        self.bindings = _bindings(tree.body)
        nodes = [node for node in ast.walk(tree) if isinstance(node, FunctionNode)]
        self.functions = [Function(node, self) for node in sorted(nodes, key=lambda node: node.lineno)]

    def place(self, node: ast.AST) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


class SourceTree:
    """The files of one version of a variant."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.modules: list[Module] = []
        self.unread: dict[str, str] = {}
        """File -> why it could not be parsed."""
        for path, text in sorted(sources.items()):
            try:
                tree = ast.parse(text)
                check_depth(tree)
                self.modules.append(Module(path, tree))
            except (SyntaxError, ValueError, RecursionError) as error:
                self.unread[path] = str(error) or type(error).__name__
        functions = [function for module in self.modules for function in module.functions]
        self.functions = functions
        self.kernels = {function.name: function for function in functions if function.is_kernel}
        self.hosts = {function.name: function for function in functions if not function.is_kernel}


_DEEPEST = 150
"""Levels of nested syntax that are followed; code that people write has a third of them."""


def check_depth(tree: ast.AST) -> None:
    """Refuses a tree that is nested too deeply to be walked."""
    level: list[ast.AST] = [tree]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def own_nodes(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of statements in their order, without what nested functions and classes hold."""
    for statement in body:
        yield from _descend(statement)


def _descend(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if not isinstance(node, FunctionNode | ast.ClassDef | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _descend(child)


# --- names ------------------------------------------------------------------------------------------------------------

Binding = tuple[str, ast.AST]
"""How a name is bound, and to what: ``value``, ``each`` (of a loop), ``item 0`` (of a tuple), ``function``."""


def _bindings(body: list[ast.stmt]) -> dict[str, list[Binding]]:
    """Name -> everything that it is bound to, in the order of the statements."""
    found: dict[str, list[Binding]] = {}
    for node in own_nodes(body):
        for name, binding in _bound_by(node):
            found.setdefault(name, []).append(binding)
    return found


def _bound_by(node: ast.AST) -> Iterator[tuple[str, Binding]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _unpacked(target, "value", value)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield from _unpacked(target, "value", value)
        case ast.NamedExpr(target=target, value=value):
            yield from _unpacked(target, "value", value)
        case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
            yield name, ("value", ast.BinOp(left=ast.Name(id=name, ctx=ast.Load()), op=op, right=value))
        case ast.For(target=target, iter=iterated) | ast.comprehension(target=target, iter=iterated):
            yield from _unpacked(target, "each", iterated)
        case ast.FunctionDef(name=name):
            yield name, ("function", node)
        case _:
            pass


def _unpacked(target: ast.AST, how: str, value: ast.AST) -> Iterator[tuple[str, Binding]]:
    """The names of a target; those of a tuple get their own element where the value is a tuple as well."""
    match target, value:
        case ast.Name(id=name), _:
            yield name, (how, value)
        case (ast.Tuple(elts=targets), ast.Tuple(elts=values)) if how == "value" and len(targets) == len(values):
            for each, own in zip(targets, values, strict=True):
                yield from _unpacked(each, how, own)
        case ast.Tuple(elts=targets) | ast.List(elts=targets), _:
            for number, each in enumerate(targets):
                yield from _unpacked(each, f"item {number} of {how}", value)
        case _:
            pass


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Local name -> what it is imported from; ``triton.language`` is always ``tl``."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found |= {each.asname: each.name for each in names if each.asname}
            case ast.ImportFrom(module=str(module), names=names):
                found |= {each.asname or each.name: f"{module}.{each.name}" for each in names}
            case _:
                pass
    return {name: _short(path) for name, path in found.items()}


def _short(path: str) -> str:
    return re.sub(r"^triton\.language\b", "tl", path)
