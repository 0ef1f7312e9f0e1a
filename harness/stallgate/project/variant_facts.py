"""What rules of a stage speak of, read from source: launches, tunables, grids, accesses, loops, products."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Literal

from stallgate.model import FrozenStruct
from stallgate.project.normal_form import Scope
from stallgate.project.source_tree import Function, SourceTree, is_tunable, own_nodes

_POINTER_CALLS: dict[str, tuple[str, ...]] = {
    "tl.load": ("pointer", "mask", "other", "boundary_check", "padding_option"),
    "tl.store": ("pointer", "value", "mask", "boundary_check"),
    "tl.make_block_ptr": ("base", "shape", "strides", "offsets", "block_shape", "order"),
    "tl.make_tensor_descriptor": ("base", "shape", "strides", "block_shape"),
    **{
        f"tl.atomic_{name}": ("pointer", "val", "mask")
        for name in ("add", "max", "min", "and", "or", "xor", "xchg", "cas")
    },
}
"""Calls of Triton that touch memory -> their parameters."""

_NO_PLACE = ("value", "val", "other", "padding_option")
"""Arguments that say nothing of where memory is touched."""

_POLICIES = ("cache_modifier", "eviction_policy", "volatile")
_DESCRIPTOR_METHODS = ("load", "store", "gather", "scatter", "atomic_add")
_LOOP_TUNABLES = ("num_stages", "loop_unroll_factor", "warp_specialize", "flatten", "disallow_acc_multi_buffer")
_DOTS = ("tl.dot", "tl.dot_scaled")
_DOT_TYPES = ("out_dtype", "input_precision", "allow_tf32", "max_num_imprecise_acc")
_FILLED = {"tl.zeros": 1, "tl.full": 2, "tl.zeros_like": 1}
"""Calls that make a tensor -> the position of its dtype."""

FactKind = Literal["access", "cache_policy", "loop", "accumulator", "dot", "grid"]


class SourceFact(FrozenStruct, frozen=True):
    """One thing in the source that a rule may hold."""

    form: str
    """Two facts are the same where their normal forms are."""
    text: str
    """As it is written."""
    place: str
    """file:line"""


class Tunable(FrozenStruct, frozen=True):
    """A value of a tunable."""

    name: str
    where: str
    """launch, default, constant, configuration or loop."""
    fact: SourceFact
    of: str = ""
    """The kernel or the host function that has it; empty: the module."""

    @property
    def value(self) -> float | None:
        """The number that it is; None for an expression."""
        try:
            found = ast.literal_eval(self.fact.text)
        except (ValueError, SyntaxError):
            return None
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


FactsByKind = dict[FactKind, list[SourceFact]]


# --- kernels ----------------------------------------------------------------------------------------------------------


def kernel_facts(tree: SourceTree, kernel: Function, renamed: Mapping[str, str]) -> tuple[FactsByKind, list[Tunable]]:
    """What a kernel, with the helper functions that it calls, does; and the tunables of its loops.

    Args:
        tree: the version.
        kernel: a function of it.
        renamed: parameter -> its name in the other version.
    """
    facts: FactsByKind = {"access": [], "cache_policy": [], "loop": [], "accumulator": [], "dot": []}
    tunables: list[Tunable] = []
    for node, scope in _walk(Scope(tree, kernel.module, kernel, renamed=renamed), (kernel.name,)):
        match node:
            case ast.Call():
                for kind, fact in _of_call(node, scope):
                    facts[kind].append(fact)
            case ast.For(iter=iterated):
                facts["loop"].append(_loop(node, iterated, scope))
                tunables += _loop_tunables(iterated, scope)
            case ast.While(test=test):
                facts["loop"].append(
                    SourceFact(form=f"while {scope.of(test)}", text=f"while {_text(test)}", place=_at(scope, node))
                )
            case _:
                pass
    return facts, tunables


def _walk(scope: Scope, entered: tuple[str, ...]) -> Iterator[tuple[ast.AST, Scope]]:
    """The nodes of a kernel in order; behind a call of a helper those of the helper."""
    assert scope.function is not None
    for node in scope.function.nodes:
        yield node, scope
        helper = scope.helper(node) if isinstance(node, ast.Call) else None
        if helper is not None and isinstance(node, ast.Call) and helper.name not in entered:
            yield from _walk(scope.entered(helper, node), (*entered, helper.name))
    yield from _accumulators(scope)


def _accumulators(scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
    """Names that are filled once and changed later, each as a pair of what fills it and its dtype."""
    assert scope.function is not None
    for bindings in scope.function.bindings.values():
        for _, node in bindings if len(bindings) > 1 else []:
            if isinstance(node, ast.Call) and (kind := _dtype(node, scope)) is not None:
                yield ast.Call(func=ast.Name(id=_MARK), args=[node, kind], keywords=[], lineno=node.lineno), scope


_MARK = "<accumulator>"
"""Calls of this name stand for what makes an accumulator, with its dtype."""


def _dtype(node: ast.Call, scope: Scope) -> ast.expr | None:
    """The dtype of a tensor that a call makes."""
    place = _FILLED.get(scope.of(node.func))
    if place is None:
        return None
    named = next((each.value for each in node.keywords if each.arg == "dtype"), None)
    return named if named is not None or len(node.args) <= place else node.args[place]


def _of_call(node: ast.Call, scope: Scope) -> Iterator[tuple[FactKind, SourceFact]]:
    """The facts of one call."""
    if isinstance(node.func, ast.Name) and node.func.id == _MARK:
        yield "accumulator", SourceFact(form=scope.of(node.args[1]), text=_text(node.args[1]), place=_at(scope, node))
        return
    name = scope.of(node.func)
    if name in _POINTER_CALLS:
        yield from _touched(node, name, _arguments(node, _POINTER_CALLS[name]), scope)
    elif isinstance(node.func, ast.Attribute) and node.func.attr in _DESCRIPTOR_METHODS and node.args:
        given: dict[str, ast.expr] = {"descriptor": node.func.value, "offsets": node.args[0]}
        named = {each.arg: each.value for each in node.keywords if each.arg in _POLICIES}
        yield from _touched(node, node.func.attr, given | {str(key): value for key, value in named.items()}, scope)
    elif name in _DOTS:
        yield "dot", SourceFact(form=name, text=_text(node), place=_at(scope, node))
        types = [each for each in node.keywords if each.arg in _DOT_TYPES]
        for each in sorted(types, key=lambda each: str(each.arg)):
            text = f"{each.arg}={_text(each.value)}"
            yield (
                "accumulator",
                SourceFact(form=f"{each.arg}={scope.of(each.value)}", text=text, place=_at(scope, node)),
            )


def _arguments(node: ast.Call, parameters: tuple[str, ...]) -> dict[str, ast.expr]:
    given = dict(zip(parameters, node.args, strict=False))
    return given | {each.arg: each.value for each in node.keywords if each.arg is not None}


def _touched(
    node: ast.Call, name: str, given: dict[str, ast.expr], scope: Scope
) -> Iterator[tuple[FactKind, SourceFact]]:
    """Where a call touches memory, and what it asks of the caches there."""
    places = {key: scope.of(value) for key, value in sorted(given.items()) if key not in (*_NO_PLACE, *_POLICIES)}
    form = f"{name}({', '.join(f'{key}={value}' for key, value in places.items())})"
    yield "access", SourceFact(form=form, text=_text(node), place=_at(scope, node))
    asked = [f"{key}={_text(given[key])}" for key in _POLICIES if key in given and not _is_default(given[key])]
    yield "cache_policy", SourceFact(form=", ".join(asked), text=", ".join(asked) or "none", place=_at(scope, node))


def _is_default(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value in ("", False)


def _loop(node: ast.For, iterated: ast.expr, scope: Scope) -> SourceFact:
    called = scope.of(iterated.func) if isinstance(iterated, ast.Call) else ""
    unrolled = "static " if called == "tl.static_range" else ""
    return SourceFact(
        form=f"{unrolled}for {scope.bounds(iterated)}",
        text=f"for {_text(node.target)} in {_text(iterated)}",
        place=_at(scope, node),
    )


def _loop_tunables(iterated: ast.expr, scope: Scope) -> Iterator[Tunable]:
    if isinstance(iterated, ast.Call):
        for each in iterated.keywords:
            if each.arg in _LOOP_TUNABLES:
                yield _tunable(each.arg, "loop", each.value, scope)


# --- host code --------------------------------------------------------------------------------------------------------


class SourceLaunch(FrozenStruct, frozen=True):
    """A launch of a kernel."""

    kernel: str
    function: str
    """The host function that launches it."""
    grid: SourceFact


def kernels_named(tree: SourceTree) -> set[str]:
    """The kernels that host code names; all others are helpers of kernels, or are not used."""
    found: set[str] = set()
    for module in tree.modules:
        kernels = [function.node for function in module.functions if function.is_kernel]
        inside = {node for kernel in kernels for node in ast.walk(kernel)}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name | ast.Attribute) and node not in inside:
                found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return found & set(tree.kernels)


def source_launches(
    tree: SourceTree, renamed: Mapping[str, Mapping[str, str]]
) -> tuple[list[SourceLaunch], list[Tunable]]:
    """Every launch in host code, and the tunables that it is given.

    Args:
        tree: the version.
        renamed: host function -> parameter -> its name in the other version.
    """
    launches: list[SourceLaunch] = []
    tunables: list[Tunable] = []
    for function in tree.functions:
        scope = Scope(tree, function.module, function, renamed=renamed.get(function.name))
        for node in function.nodes if not function.is_kernel else ():
            match node:
                case ast.Call(func=ast.Subscript(value=value, slice=grid)):
                    for kernel in _kernels_named(value, scope):
                        launches.append(SourceLaunch(kernel=kernel, function=function.name, grid=_grid(grid, scope)))
                        tunables += _given(node, tree.kernels[kernel], scope)
                case _:
                    pass
    return launches, tunables


def _kernels_named(value: ast.expr, scope: Scope) -> list[str]:
    """The kernels that an expression may be."""
    names = [node.id for node in ast.walk(value) if isinstance(node, ast.Name)]
    found = [name for name in names if name in scope.tree.kernels]
    if not found and scope.function is not None:
        nodes = [node for name in names for _, node in scope.function.bindings.get(name, [])]
        found = [each.id for node in nodes for each in ast.walk(node) if isinstance(each, ast.Name)]
    return list(dict.fromkeys(name for name in found if name in scope.tree.kernels))


def _grid(node: ast.expr, scope: Scope) -> SourceFact:
    """A grid; one of fewer dimensions is the same as with ones behind."""
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    while len(parts) > 1 and isinstance(parts[-1], ast.Constant) and parts[-1].value == 1:
        parts = parts[:-1]
    form = scope.of(ast.Tuple(elts=parts)) if isinstance(node, ast.Tuple) else scope.of(node)
    return SourceFact(form=form, text=_text(_meant(node, scope)), place=_at(scope, node))


def _meant(node: ast.expr, scope: Scope) -> ast.AST:
    """What a local name is bound to, where it is bound once: for readers."""
    match node:
        case ast.Name(id=name) if scope.function is not None and len(scope.function.bindings.get(name, [])) == 1:
            return scope.function.bindings[name][0][1]
        case _:
            return node


def _given(node: ast.Call, kernel: Function, scope: Scope) -> Iterator[Tunable]:
    """The tunables of one launch: compile-time constants of the kernel, and Triton's options."""
    constants = kernel.constexprs()
    for name, value in zip(kernel.parameters, node.args, strict=False):
        if isinstance(value, ast.Starred):
            break
        if name in constants:
            yield _tunable(name, "launch", value, scope, kernel.name)
    for each in node.keywords:
        if each.arg is not None and (each.arg in constants or is_tunable(each.arg)):
            yield _tunable(each.arg, "launch", each.value, scope, kernel.name)


def other_tunables(tree: SourceTree) -> list[Tunable]:
    """The tunables of defaults, of constants and of tables of configurations."""
    found: list[Tunable] = []
    for function in tree.functions:
        scope = Scope(tree, function.module, function)
        for name, value in function.defaults().items():
            found.append(_tunable(name, "default", value, scope, function.name))
        if not function.is_kernel:
            found += [each for node in function.nodes for each in _in_host(node, scope, function.name)]
    for module in tree.modules:
        scope = Scope(tree, module, None)
        found += [each for node in own_nodes(module.tree.body) for each in _in_host(node, scope)]
        for function in module.functions:
            decorating = [part for node in function.node.decorator_list for part in ast.walk(node)]
            found += [each for part in decorating for each in _in_host(part, scope, function.name)]
    return found


def _in_host(node: ast.AST, scope: Scope, of: str = "") -> Iterator[Tunable]:
    """The tunables of one node of host code, or of what decorates a kernel."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if is_tunable(name):
            yield _tunable(name, "constant", _unwrapped(value), scope, of)
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if is_tunable(name):
            yield _tunable(name, "constant", _unwrapped(value), scope, of)
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and is_tunable(key.value):
                    yield _tunable(key.value, "configuration", value, scope, of)
        case ast.Call(func=func, keywords=keywords) if _text(func).rpartition(".")[2] in ("Config", "dict"):
            for each in keywords:
                if each.arg is not None and is_tunable(each.arg):
                    yield _tunable(each.arg, "configuration", each.value, scope, of)
        case _:
            pass


def _unwrapped(value: ast.expr) -> ast.expr:
    """A constant without ``tl.constexpr`` around it."""
    match value:
        case ast.Call(func=func, args=[inner]) if _text(func).rpartition(".")[2] == "constexpr":
            return inner
        case _:
            return value


def _tunable(name: str, where: str, value: ast.expr, scope: Scope, of: str = "") -> Tunable:
    form = scope.of(value)
    text = _text(value) if not _is_number(form) else form
    return Tunable(name=name, where=where, fact=SourceFact(form=form, text=text, place=_at(scope, value)), of=of)


def _is_number(form: str) -> bool:
    try:
        float(form)
    except ValueError:
        return False
    return True


def _text(node: ast.AST) -> str:
    return ast.unparse(node)


def _at(scope: Scope, node: ast.AST) -> str:
    return scope.module.place(node)
