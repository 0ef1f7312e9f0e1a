"""What is surely known of the names in a kernel: which are tensors, which are pointers, which are constants."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from stallgate.agent.form.allowed import words
from stallgate.agent.form.syntax import TL, AnswerCode

_TENSORS = words(
    """
    arange program_id num_programs load zeros full zeros_like dot dot_scaled sum max min argmax argmin
    xor_sum where cumsum cumprod associative_scan exp exp2 log log2 sqrt rsqrt sin cos sigmoid softmax
    reshape view trans permute broadcast_to expand_dims ravel flip sort rand randn randint atomic_add
    atomic_max atomic_min atomic_cas atomic_xchg atomic_and atomic_or atomic_xor fma join interleave
    gather histogram
    """,
    f"{TL}.",
)
"""Functions of Triton that give a tensor, whatever they are given."""

_BLOCKS = frozenset({f"{TL}.arange"})
_MEMORY = words(
    """
    load store atomic_add atomic_max atomic_min atomic_cas atomic_xchg atomic_and atomic_or atomic_xor
    """,
    f"{TL}.",
)
_TENSOR_METHODS = frozenset({"to", "reshape", "view", "trans", "sum", "max", "min", "broadcast_to", "expand_dims"})
_HOPS = 20
"""Names in a row that are followed from a tensor."""

_RUNTIME_LOOPS = frozenset({f"{TL}.range"})


class KernelNames:
    """What is surely known of one kernel."""

    def __init__(self, code: AnswerCode, kernel: ast.FunctionDef) -> None:
        self.code = code
        self.kernel = kernel
        given = kernel.args
        self.parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        constants = (
            each for each in self.parameters if each.annotation and "constexpr" in ast.unparse(each.annotation)
        )
        self.constexprs = {each.arg for each in constants}
        self.nodes = [node for statement in kernel.body for node in ast.walk(statement)]
        self._bound = self._bindings()
        self.pointers = self._pointers()
        self.tensors: set[str] = self._sure(set(self.loop_variables()), self.is_tensor)
        self.blocks: set[str] = self._sure(set(), self.is_block)

    @property
    def plain_parameters(self) -> set[str]:
        """The parameters that are known when the kernel runs, not when it is compiled."""
        return {each.arg for each in self.parameters} - self.constexprs

    def is_rebound(self, name: str) -> bool:
        return name in self._bound

    def loop_variables(self) -> Iterator[str]:
        """Variables of loops that run on the GPU."""
        for node in self.nodes:
            match node:
                case ast.For(target=ast.Name(id=name)) if self.is_runtime_loop(node) and len(self._bound[name]) == 1:
                    yield name
                case _:
                    pass

    def is_runtime_loop(self, node: ast.AST) -> bool:
        """Whether a loop runs on the GPU and is not unrolled by the compiler."""
        match node:
            case ast.While():
                return True
            case ast.For(iter=ast.Call(func=ast.Name(id="range"))):
                return True
            case ast.For(iter=ast.Call(func=func)):
                return self.code.path(func) in _RUNTIME_LOOPS
            case _:
                return False

    # --- expressions ---

    def is_tensor(self, node: ast.AST, known: set[str] | None = None) -> bool:
        """Whether an expression is surely a tensor, of one element or more."""
        names = self.tensors if known is None else known
        return self._made_of(node, names, _TENSORS)

    def is_block(self, node: ast.AST, known: set[str] | None = None) -> bool:
        """Whether an expression surely is a tensor that has as many elements as a `tl.arange`."""
        names = self.blocks if known is None else known
        return self._made_of(node, names, _BLOCKS)

    def _made_of(self, node: ast.AST, names: set[str], makers: frozenset[str]) -> bool:
        recur = self.is_block if makers is _BLOCKS else self.is_tensor
        match node:
            case ast.Name(id=name):
                return name in names
            case ast.BinOp(left=left, right=right):
                return recur(left, names) or recur(right, names)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if not isinstance(op, ast.Is | ast.IsNot):
                return recur(left, names) or recur(right, names)
            case ast.UnaryOp(op=ast.USub() | ast.Invert(), operand=operand):
                return recur(operand, names)
            case ast.Call(func=func, args=args) if path := self.code.path(func):
                return path in makers or (
                    path in _MEMORY and makers is _BLOCKS and bool(args) and recur(args[0], names)
                )
            case ast.Call(func=ast.Attribute(value=value, attr="to")):
                return recur(value, names)
            case ast.Call(func=ast.Attribute(value=value, attr=name)):
                return makers is _TENSORS and name in _TENSOR_METHODS and recur(value, names)
            case ast.Subscript(value=value):
                return recur(value, names)
            case _:
                return False

    # --- names ---

    def _bindings(self) -> dict[str, list[ast.AST | None]]:
        """Name -> what it is bound to in the body; None where that is not one expression."""
        found: dict[str, list[ast.AST | None]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.setdefault(node.id, []).append(self._value(node))
        return found

    def _value(self, name: ast.Name) -> ast.AST | None:
        match self.code.parents.get(name):
            case ast.Assign(targets=[target], value=value) if target is name:
                return value
            case ast.AnnAssign(value=ast.expr() as value):
                return value
            case ast.AugAssign(op=op, value=value):
                return ast.BinOp(left=ast.Name(id=name.id), op=op, right=value)
            case _:
                return None

    def _sure(self, start: set[str], is_sure: Callable[[ast.AST, set[str]], bool]) -> set[str]:
        """The names all of whose values are sure."""
        candidates = {name: values for name, values in self._bound.items() if name not in self.plain_parameters}
        known = start | set(candidates)
        for _ in range(_HOPS):
            left = {
                name
                for name in known
                if name in start or all(value is not None and is_sure(value, known) for value in candidates[name])
            }
            if left == known:
                return known
            known = left
        return set(start)

    def _pointers(self) -> set[str]:
        """Parameters that memory is read from or written to at."""
        found = set()
        for node in self.nodes:
            if isinstance(node, ast.Call) and self.code.path(node.func) in _MEMORY and node.args:
                place = node.args[0]
                while isinstance(place, ast.BinOp) and isinstance(place.op, ast.Add):
                    place = place.left
                if isinstance(place, ast.Name) and place.id in self.plain_parameters:
                    found.add(place.id)
        return found
