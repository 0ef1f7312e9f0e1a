"""Arithmetic that torch does on what is surely a tensor: what cannot be told by syntax is left to the counters."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from stallgate.agent.form.allowed import words
from stallgate.agent.form.syntax import AnswerCode
from stallgate.agent.objection import Objection
from stallgate.project.source_tree import FunctionNode

_MAKERS = words(
    """
    empty empty_like empty_strided zeros zeros_like ones ones_like full full_like tensor rand randn
    reshape transpose permute squeeze unsqueeze movedim flatten narrow broadcast_to as_strided
    """,
    "torch.",
)
_METHODS = words(
    """
    contiguous view reshape transpose permute squeeze unsqueeze movedim flatten expand clone detach float half
    double bfloat16 new_empty new_zeros new_full new_ones zero_ fill_ copy_
    """
)
"""Methods that only tensors have and that give a tensor."""

_EVIDENCE = words("unbind stride numel element_size data_ptr is_contiguous device is_cuda is_floating_point ndim")
"""Attributes that, of all that an answer deals with, tensors alone have; with `_METHODS`, what tells a parameter."""

_SEQUENCES = frozenset({"unbind", "split", "chunk"})
"""Methods of tensors that give several: what is computed on the whole, or on one of them, is torch's."""

_HOPS = 20
"""Names in a row that are followed from a tensor."""

_REDUCTIONS = frozenset({"functools.reduce", "itertools.accumulate", "math.prod", "math.fsum", "math.sumprod"})
_NUMBERS = frozenset({"abs", "pow", "round", "sum", "max", "min", "divmod", "sorted"})
_CACHES = frozenset({"functools.cache", "functools.lru_cache"})


def tensor_arithmetic(code: AnswerCode) -> Iterator[Objection]:
    """Operators and Python's functions of numbers on tensors, outside of kernels."""
    for function in _functions(code):
        known = sure_tensors(code, function)
        for node in _own_nodes(code, function):
            for operand in _operands(code, node):
                if _is_tensor(code, operand, known):
                    text = f"`{ast.unparse(node)[:60]}` computes on a tensor with torch"
                    yield code.object_to(node, "tensor_arithmetic", text, "compute it in a kernel")
                    break


def cached_tensors(code: AnswerCode) -> Iterator[Objection]:
    """Functions that keep what they made of a tensor: the next call with it would do nothing."""
    for function in _functions(code):
        called = [each.func if isinstance(each, ast.Call) else each for each in function.decorator_list]
        if not any(code.path(each) in _CACHES for each in called):
            continue
        known, uses = sure_tensors(code, function), _attributes(function)
        surest = _METHODS | {"stride", "numel", "data_ptr"}
        given = (each for each in _parameters(function) if each.annotation or uses.get(each.arg, set()) & surest)
        if any(each.arg in known for each in given):
            text = f"{function.name} is cached by its tensors: a later call with the same ones would do no work"
            yield code.object_to(function, "cached_tensor", text, "cache what depends on shapes, dtypes and devices")


def _functions(code: AnswerCode) -> Iterator[FunctionNode]:
    for node in code.host_nodes():
        if isinstance(node, FunctionNode) and not code.is_kernel(node):
            yield node


def _own_nodes(code: AnswerCode, function: FunctionNode) -> Iterator[ast.AST]:
    """The pieces of a function's body, without those of functions in it that have objections of their own."""
    for statement in function.body:
        for node in code.host_nodes(statement):
            owner = next((each for each in code.within(node) if isinstance(each, FunctionNode)), None)
            if owner is function:
                yield node


def _operands(code: AnswerCode, node: ast.AST) -> list[ast.expr]:
    """What a piece computes on."""
    match node:
        case ast.BinOp(left=left, right=right, op=op) if not isinstance(op, ast.MatMult):
            return [left, right]
        case ast.AugAssign(target=target, value=value, op=op) if not isinstance(op, ast.MatMult):
            return [target, value]
        case ast.UnaryOp(op=ast.USub() | ast.Invert(), operand=operand):
            return [operand]
        case ast.Compare(left=left, ops=ops, comparators=others):
            compared = [left, *others]
            alone = all(isinstance(op, ast.Is | ast.IsNot | ast.In | ast.NotIn) for op in ops)
            return [] if alone or any(_is_none(each) for each in compared) else compared
        case ast.Call(func=ast.Name(id=name), args=args) if name in _NUMBERS:
            return list(args)
        case ast.Call(func=func, args=args) if code.path(func) in _REDUCTIONS:
            return list(args)
        case _:
            return []


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


# --- what is surely a tensor ------------------------------------------------------------------------------------------


def sure_tensors(code: AnswerCode, function: FunctionNode) -> set[str]:
    """Names of a function that are tensors wherever they are used."""
    bound: dict[str, list[ast.expr | None]] = {}
    for node in ast.walk(function):
        for name, value in _bindings(node):
            bound.setdefault(name, []).append(value)
    parameters = _names(function)
    uses = _attributes(function)
    known = {each.arg for each in _parameters(function) if _is_tensor_parameter(code, each, uses.get(each.arg, set()))}
    known |= {name for name in bound if name not in parameters}
    for _ in range(_HOPS):
        left = {name for name in known if _all(code, bound.get(name, []), known)}
        if left == known:
            return known
        known = left
    return set()


def _all(code: AnswerCode, values: list[ast.expr | None], known: set[str]) -> bool:
    return all(value is not None and _is_tensor(code, value, known) for value in values)


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """Names that a piece binds, each with its value where that is known."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            yield name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, value
        case ast.Assign(targets=[ast.Tuple(elts=elts)], value=ast.Call(func=ast.Attribute(attr=attr)) as value) if (
            attr in _SEQUENCES and all(isinstance(each, ast.Name) for each in elts)
        ):
            yield from ((each.id, value) for each in elts if isinstance(each, ast.Name))
        case ast.Assign(targets=targets):
            yield from (
                (each.id, None) for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)
            )
        case ast.For(target=target) | ast.comprehension(target=target):
            yield from ((each.id, None) for each in ast.walk(target) if isinstance(each, ast.Name))
        case ast.withitem(optional_vars=ast.Name(id=name)):
            yield name, None
        case _:
            pass


def _parameters(function: FunctionNode) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _names(function: FunctionNode) -> set[str]:
    return {each.arg for each in _parameters(function)}


def _attributes(function: FunctionNode) -> dict[str, set[str]]:
    """Name -> its attributes that a function uses."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.setdefault(node.value.id, set()).add(node.attr)
    return found


def _is_tensor_parameter(code: AnswerCode, parameter: ast.arg, used: set[str]) -> bool:
    if parameter.annotation is not None:
        return code.path(parameter.annotation) == "torch.Tensor"
    return bool(used & (_METHODS | _EVIDENCE)) and parameter.arg not in ("self", "cls")


def _is_tensor(code: AnswerCode, node: ast.expr, known: set[str]) -> bool:
    match node:
        case ast.Name(id=name):
            return name in known
        case ast.Call(func=ast.Attribute(attr=name, value=value) as func) if (
            name in _SEQUENCES and not code.path(func) and _is_tensor(code, value, known)
        ):
            return True
        case ast.Call(func=ast.Attribute(attr=name)) if name in _METHODS and not code.path(node.func):
            return True
        case ast.Call(func=func) if code.path(func) in _MAKERS:
            return True
        case ast.Subscript(value=value) | ast.Attribute(value=value, attr="T" | "mT"):
            return _is_tensor(code, value, known)
        case ast.BinOp(left=left, right=right):
            return _is_tensor(code, left, known) or _is_tensor(code, right, known)
        case ast.UnaryOp(op=ast.USub() | ast.Invert(), operand=operand):
            return _is_tensor(code, operand, known)
        case ast.IfExp(body=body, orelse=orelse):
            return _is_tensor(code, body, known) and _is_tensor(code, orelse, known)
        case _:
            return False
