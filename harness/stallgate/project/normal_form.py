"""Expressions in a normal form: equal for code that says the same in other words.

Names of locals, their order and number, parentheses, the order of keyword arguments, of summands and of factors,
casts between integers, and whether a piece is a helper function of its own make no difference. Parameters keep their
names, which a correspondence translates into those of the other version.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from hashlib import sha256

from stallgate.project.source_tree import Binding, Function, Module, SourceTree, is_tunable

_LONGEST = 400
"""Characters of a normal form; of a longer one the digest stands for it."""

_DEEPEST = 60
"""Nested names and calls that are followed."""

_COMMUTATIVE = (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr)
_INTEGER = re.compile(r"tl\.u?int(?:8|16|32|64)|\$INDEX")
_MIRRORED: dict[type[ast.cmpop], str] = {ast.Gt: "CompareLt", ast.GtE: "CompareLtE"}

Arguments = dict[str, tuple[ast.AST, "Scope"]]


class Scope:
    """Where names of a function mean something: its bindings, and what its parameters were given."""

    def __init__(
        self,
        tree: SourceTree,
        module: Module,
        function: Function | None,
        given: Arguments | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        self.tree = tree
        self.module = module
        self.function = function
        self.given = given or {}
        self._renamed = renamed or {}
        self._open: list[str] = []
        self._outermost = _DEEPEST
        """The first of the open names that was met again."""
        self._known: dict[str, str] = {}

    def of(self, node: ast.AST, depth: int = 0) -> str:
        """The normal form of an expression."""
        return _shortened(self._form(node, depth)) if depth < _DEEPEST else "..."

    def _form(self, node: ast.AST, depth: int) -> str:
        match node:
            case ast.Constant(value=value):
                return repr(value)
            case ast.Name(id=name):
                return self._name(name, depth)
            case ast.Attribute(value=value, attr=attribute):
                return re.sub(r"^triton\.language\b", "tl", f"{self.of(value, depth + 1)}.{attribute}")
            case ast.Call():
                return self._call(node, depth)
            case ast.BinOp(op=op) if isinstance(op, _COMMUTATIVE):
                operands = self._operands(node, type(op), depth)
                parts = sorted(scope.of(part, depth + 1) for part, scope in operands)
                return f"{type(op).__name__}({', '.join(parts)})"
            case ast.Compare(left=left, ops=[ast.Gt() | ast.GtE() as op], comparators=[right]):
                return f"{_MIRRORED[type(op)]}({self.of(right, depth + 1)}, {self.of(left, depth + 1)})"
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))) if self._is_meta(name):
                return key
            case ast.Lambda(body=body):
                return self.of(body, depth + 1)
            case _:
                return self._generic(node, depth)

    def _generic(self, node: ast.AST, depth: int) -> str:
        words = [type(each).__name__ for each in ast.iter_child_nodes(node) if isinstance(each, _WORDS)]
        parts = [self.of(each, depth + 1) for each in ast.iter_child_nodes(node) if not isinstance(each, _NO_PARTS)]
        return f"{type(node).__name__}{'.'.join(words)}({', '.join(parts)})"

    def _operands(self, node: ast.AST, op: type[ast.operator], depth: int) -> list[tuple[ast.AST, Scope]]:
        """The operands of a chain of one operator, also of what stands in locals."""
        if depth >= _DEEPEST:
            return [(node, self)]
        match node:
            case ast.BinOp(left=left, op=own, right=right) if isinstance(own, op):
                return [*self._operands(left, op, depth + 1), *self._operands(right, op, depth + 1)]
            case ast.Call() if (inner := self._without_cast(node, depth)) is not None:
                return self._operands(inner, op, depth + 1)
            case ast.Name(id=name) if (meant := self._meant(name)) is not None:
                value, scope = meant
                inside = scope._operands(value, op, depth + 1)
                return inside if len(inside) > 1 else [(node, self)]
            case _:
                return [(node, self)]

    def _meant(self, name: str) -> tuple[ast.AST, Scope] | None:
        """What a name stands for, where that is one expression: a local that is bound once, or an argument."""
        own = self.function.bindings.get(name, []) if self.function is not None else []
        if not own:
            return self.given.get(name)
        opaque = self.function is not None and name in self.function.opaque
        if len(own) > 1 or own[0][0] != "value" or opaque or name in self._open or self._stays(name):
            return None
        return own[0][1], self

    # --- names ---

    def _is_meta(self, name: str) -> bool:
        """Whether a name is the argument of a grid's function, which holds the tunables: bound nowhere else."""
        local = self.function is not None and (name in self.function.bindings or name in self.function.opaque)
        return not local and name not in self.module.bindings and name not in self.given

    def _name(self, name: str, depth: int) -> str:
        own = self.function.bindings.get(name, []) if self.function is not None else self.module.bindings.get(name, [])
        if own and not self._stays(name):
            return self._bound(name, own, depth)
        if name in self.given:
            value, scope = self.given[name]
            return scope.of(value, depth + 1)
        if self.function is not None and name in self.function.opaque:
            return f"${self._renamed.get(name, name)}"
        if name in self.module.aliases:
            return self.module.aliases[name]
        if self.function is not None and name in self.module.bindings and not is_tunable(name):
            return Scope(self.tree, self.module, None).of(ast.Name(id=name), depth + 1)
        return name

    def _stays(self, name: str) -> bool:
        """Whether a name is a tunable of host code: its value is compared for itself."""
        return is_tunable(name) and (self.function is None or not self.function.is_kernel)

    def _bound(self, name: str, bindings: list[Binding], depth: int) -> str:
        if name in self._open:
            self._outermost = min(self._outermost, self._open.index(name))
            return f"self{len(self._open) - self._open.index(name)}"
        if name in self._known:
            return self._known[name]
        outermost, self._outermost = self._outermost, _DEEPEST
        self._open.append(name)
        forms = sorted({self._binding(binding, depth) for binding in bindings})
        self._open.pop()
        form = _shortened(forms[0] if len(forms) == 1 else f"either({' | '.join(forms)})")
        if self._outermost >= len(self._open):  # it refers to no name that is being followed further out
            self._known[name] = form
        self._outermost = min(outermost, self._outermost)
        return form

    def _binding(self, binding: Binding, depth: int) -> str:
        how, node = binding
        if how == "function":
            return self._function(node, depth)
        form = self.bounds(node, depth) if "each" in how else self.of(node, depth + 1)
        return form if how == "value" else f"{how}({form})"

    def _function(self, node: ast.AST, depth: int) -> str:
        """A function as a value: what it returns, such as a grid that depends on tunables."""
        returns = [each for each in ast.walk(node) if isinstance(each, ast.Return) and each.value is not None]
        known = self.tree.hosts.get(getattr(node, "name", ""))
        if len(returns) == 1 and self.function is not None and returns[0].value is not None:
            return self.of(returns[0].value, depth + 1)
        return digest_of(known, self.tree) if known is not None else type(node).__name__

    def bounds(self, node: ast.AST, depth: int = 0) -> str:
        """What a loop goes over: start, end and step, however they are written and whatever else is asked for."""
        match node:
            case ast.Call(func=func, args=args):
                if self.of(func, depth + 1) in ("range", "tl.range", "tl.static_range"):
                    return _range([self.of(each, depth + 1) for each in args])
            case _:
                pass
        return self.of(node, depth + 1)

    # --- calls ---

    def _call(self, node: ast.Call, depth: int) -> str:
        if (inner := self._without_cast(node, depth)) is not None:
            return self.of(inner, depth + 1)
        helper = self.helper(node)
        if helper is not None and (result := helper.result) is not None:
            return self.entered(helper, node).of(result, depth + 1)
        name = self._called(node.func, depth)
        args = [self.of(each, depth + 1) for each in node.args]
        args += sorted(f"{each.arg or '**'}={self.of(each.value, depth + 1)}" for each in node.keywords)
        return f"{name}({', '.join(args)})"

    def _without_cast(self, node: ast.Call, depth: int) -> ast.expr | None:
        """What is cast to an integer type; None for any other call."""
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr="to"), args=[kind], keywords=[]):
                return value if _INTEGER.fullmatch(self.of(kind, depth + 1)) else None
            case ast.Call(func=func, args=[value, kind], keywords=[]) if self.of(func, depth + 1) == "tl.cast":
                return value if _INTEGER.fullmatch(self.of(kind, depth + 1)) else None
            case _:
                return None

    def _called(self, func: ast.expr, depth: int) -> str:
        """The name of a function; of a host function of the variant, what it does."""
        match func:
            case ast.Name(id=name) if name in self.tree.hosts and self._is_global(name):
                return digest_of(self.tree.hosts[name], self.tree)
            case _:
                return self.of(func, depth + 1)

    def _is_global(self, name: str) -> bool:
        return self.function is None or name not in {*self.function.bindings, *self.function.opaque}

    def helper(self, node: ast.Call) -> Function | None:
        """The function of the variant that a kernel calls."""
        if self.function is None or not self.function.is_kernel or not isinstance(node.func, ast.Name):
            return None
        return self.tree.kernels.get(node.func.id) if self._is_global(node.func.id) else None

    def entered(self, helper: Function, node: ast.Call) -> Scope:
        """The scope of a helper function that is called from here."""
        own = Scope(self.tree, helper.module, None)
        given: Arguments = {name: (default, own) for name, default in helper.defaults().items()}
        given |= {name: (each, self) for name, each in zip(helper.parameters, node.args, strict=False)}
        given |= {each.arg: (each.value, self) for each in node.keywords if each.arg is not None}
        return Scope(self.tree, helper.module, helper, given)


_WORDS = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
_NO_PARTS = (*_WORDS, ast.expr_context)


def _range(arguments: list[str]) -> str:
    """The arguments of ``range`` with start and step, where they are left out."""
    given = {1: ["0", *arguments, "1"], 2: [*arguments, "1"]}.get(len(arguments), arguments)
    return f"range({', '.join(given)})"


def _shortened(form: str) -> str:
    return form if len(form) <= _LONGEST else f"#{sha256(form.encode()).hexdigest()[:20]}"


# --- whole functions --------------------------------------------------------------------------------------------------


def digest_of(function: Function, tree: SourceTree) -> str:
    """A digest of what a function does: without its docstring and annotations, its locals numbered."""
    names: dict[str, str] = {}
    body = function.node.body
    documented = ast.get_docstring(function.node) is not None
    forms = [_dump(each, function, tree, names) for each in (body[1:] if documented else body)]
    return f"#{sha256(' '.join(forms).encode()).hexdigest()[:20]}"


def _dump(node: object, function: Function, tree: SourceTree, names: dict[str, str]) -> str:
    match node:
        case ast.Name(id=name):
            return _spelled(name, function, tree, names)
        case ast.arg(arg=name):
            return _spelled(name, function, tree, names)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            return _dump(ast.Assign(targets=[target], value=value), function, tree, names)
        case ast.Call(func=func, args=args, keywords=keywords):
            parts = [_dump(each, function, tree, names) for each in (func, *args)]
            ordered = sorted(keywords, key=lambda each: each.arg or "")
            parts += [f"{each.arg}={_dump(each.value, function, tree, names)}" for each in ordered]
            return f"Call({', '.join(parts)})"
        case ast.AST():
            parts = [_dump(value, function, tree, names) for key, value in ast.iter_fields(node) if key not in _IGNORED]
            return f"{type(node).__name__}({', '.join(parts)})"
        case list():
            return f"[{', '.join(_dump(each, function, tree, names) for each in node)}]"
        case _:
            return repr(node)


_IGNORED = ("ctx", "type_comment", "annotation", "returns", "kind")


def _spelled(name: str, function: Function, tree: SourceTree, names: dict[str, str]) -> str:
    """A name, numbered where it is the function's own."""
    if name in function.opaque or name in function.bindings:
        return names.setdefault(name, f"v{len(names)}")
    if name in tree.kernels or name in tree.hosts:
        return "function"
    return function.module.aliases.get(name, name)
