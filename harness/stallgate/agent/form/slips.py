"""Slips that cost a round: what Triton will surely refuse, or do otherwise than it reads.

Only what is surely wrong is said. A load without a mask is not: whether it needs one depends on the grid.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterator
from difflib import get_close_matches

from stallgate.agent.form.kernel_names import KernelNames
from stallgate.agent.form.launches import launched_kernels
from stallgate.agent.form.syntax import TL, AnswerCode
from stallgate.agent.objection import Objection
from stallgate.project.source_tree import FunctionNode

_MOST_WARPS = 32
"""Of one program on an NVIDIA GPU: 1024 threads."""


def slips(code: AnswerCode, tl_names: Collection[str]) -> Iterator[Objection]:
    """All slips of an answer; about names of Triton only where they are known."""
    names = frozenset(tl_names)
    for kernel in code.kernels.values():
        facts = KernelNames(code, kernel)
        for rule in (_indexed, _redefined, _bad_ranges, _branches, _foreign, _shapes):
            yield from rule(facts)
        if names:
            yield from _syntax(facts, names)
            yield from _methods(facts, names)
    if names:
        yield from _unknown_names(code, names)
    yield from _launches(code)


# --- indexing ---------------------------------------------------------------------------------------------------------


def _indexed(facts: KernelNames) -> Iterator[Objection]:
    """``x[i]`` of a tensor or a pointer. ``t[:, None]`` is fine, and so is a tuple's or a shape's element."""
    for node in facts.nodes:
        if not isinstance(node, ast.Subscript) or _only_adds_dimensions(node.slice):
            continue
        value = node.value
        is_pointer = isinstance(value, ast.Name) and value.id in facts.pointers
        is_argument = isinstance(value, ast.Name) and value.id in facts.plain_parameters
        if is_pointer or facts.is_tensor(value) or (is_argument and facts.is_tensor(node.slice)):
            text = f"`{ast.unparse(node)[:60]}` indexes a {'pointer' if is_pointer else 'tensor'} in a kernel"
            hint = "load with tl.load(pointer + offsets) and store with tl.store; [:, None] alone is an index"
            yield facts.code.object_to(node, "index_in_kernel", text, hint)


def _only_adds_dimensions(index: ast.expr) -> bool:
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return all(_is_whole(each) for each in parts)


def _is_whole(part: ast.expr) -> bool:
    match part:
        case ast.Slice(lower=None, upper=None, step=None) | ast.Constant(value=None):
            return True
        case _:
            return False


def _shapes(facts: KernelNames) -> Iterator[Objection]:
    """Sizes of a pointer, which has none."""
    for node in facts.nodes:
        if isinstance(node, ast.Attribute) and node.attr in ("shape", "size", "stride", "device"):
            owner = node.value
            if isinstance(owner, ast.Name) and owner.id in facts.pointers and not facts.is_rebound(owner.id):
                text = f"{owner.id} is a pointer in the kernel and has no .{node.attr}"
                yield facts.code.object_to(node, "shape_in_kernel", text, "give sizes and strides to the kernel")


# --- constants --------------------------------------------------------------------------------------------------------


def _redefined(facts: KernelNames) -> Iterator[Objection]:
    """Compile-time constants that change."""
    hint = "give the new value a name of its own: NAME: tl.constexpr = …"
    constants = set(facts.constexprs)
    times = Counter(_assigned(node) for node in facts.nodes)
    for node in facts.nodes:
        name = _assigned(node)
        if not name:
            continue
        is_constant = isinstance(node, ast.AnnAssign) and "constexpr" in ast.unparse(node.annotation)
        around = list(_around(facts, node))
        if (
            is_constant
            and name in constants
            and not any(isinstance(each, ast.If | ast.For | ast.While) for each in around)
        ):
            text = f"{name} is a tl.constexpr already and cannot be defined again"
            yield facts.code.object_to(node, "constexpr_redefined", text, hint)
        elif not is_constant and name in constants and _is_carried(facts, around):
            text = f"{name} is a tl.constexpr and cannot change in a loop that runs on the GPU"
            yield facts.code.object_to(node, "constexpr_redefined", text, hint)
        elif (
            not is_constant
            and name in constants
            and not around
            and times[name] == 1
            and _sizes_later(facts, node, name)
        ):
            text = f"{name} is no tl.constexpr any more after this line, but a size needs one"
            yield facts.code.object_to(node, "constexpr_redefined", text, hint)
        if is_constant:
            constants.add(name)


def _assigned(node: ast.AST) -> str:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name)):
            return name
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return name
        case _:
            return ""


def _around(facts: KernelNames, node: ast.AST) -> Iterator[ast.AST]:
    """The statements of the kernel that a statement stands in."""
    for each in facts.code.within(node):
        if each is facts.kernel:
            return
        yield each


def _is_carried(facts: KernelNames, around: list[ast.AST]) -> bool:
    """Whether a statement is directly in a loop that runs on the GPU."""
    return bool(around) and facts.is_runtime_loop(around[0]) and not any(isinstance(each, ast.If) for each in around)


def _sizes_later(facts: KernelNames, node: ast.AST, name: str) -> bool:
    """Whether a `tl.arange` after a statement takes a name as its bound, which is not defined again in between."""
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        return False
    later = [each for each in facts.nodes if isinstance(each, ast.Call) and each.lineno > getattr(node, "lineno", 0)]
    used = [each for each in later if facts.code.path(each.func) == f"{TL}.arange"]
    return any(isinstance(arg, ast.Name) and arg.id == name for each in used for arg in each.args)


# --- sizes ------------------------------------------------------------------------------------------------------------


def _bad_ranges(facts: KernelNames) -> Iterator[Objection]:
    """`tl.arange` whose size is known and no power of two."""
    for node in facts.nodes:
        if isinstance(node, ast.Call) and facts.code.path(node.func) == f"{TL}.arange" and len(node.args) == 2:
            start, end = (_number(each) for each in node.args)
            if start is not None and end is not None and not _is_power(end - start):
                text = f"`{ast.unparse(node)[:60]}` has {end - start} elements, which is no power of two"
                yield facts.code.object_to(node, "not_a_power_of_two", text, "take the next power of two, and a mask")


def _number(node: ast.AST) -> int | None:
    """The integer that an expression of numbers is."""
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() as op, right=right):
            first, second = _number(left), _number(right)
            if first is None or second is None:
                return None
            return {ast.Add: first + second, ast.Sub: first - second}.get(type(op), first * second)
        case _:
            return None


def _is_power(size: int) -> bool:
    return size > 0 and size & (size - 1) == 0


# --- branches ---------------------------------------------------------------------------------------------------------


def _branches(facts: KernelNames) -> Iterator[Objection]:
    """``if``, ``while`` and ``… if … else …`` on a block, which has many answers."""
    for node in facts.nodes:
        if isinstance(node, ast.If | ast.While | ast.IfExp) and facts.is_block(node.test):
            text = f"`{ast.unparse(node.test)[:60]}` is a block, and a branch needs one answer"
            yield facts.code.object_to(node, "branch_on_block", text, "use tl.where, or a mask")


# --- what kernels do not know -----------------------------------------------------------------------------------------


def _foreign(facts: KernelNames) -> Iterator[Objection]:
    """Anything of torch in a kernel."""
    for node in facts.nodes:
        if isinstance(node, ast.Name) and facts.code.imported.get(node.id, "").partition(".")[0] == "torch":
            whole: ast.AST = node
            while isinstance(above := facts.code.parents.get(whole), ast.Attribute):
                whole = above
            text = f"{ast.unparse(whole)[:60]} is torch's, and a kernel knows only triton.language"
            yield facts.code.object_to(node, "torch_in_kernel", text, "use tl's functions and dtypes in kernels")


_REFUSED = (
    *(ast.Break, ast.Continue, ast.Try, ast.With, ast.Raise, ast.Lambda, ast.Yield, ast.Delete, ast.Global),
    *(ast.Nonlocal, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Dict, ast.Set, ast.NamedExpr, ast.Match),
    *(ast.ClassDef, ast.Import, ast.ImportFrom, ast.Await),
)
"""Syntax that versions of Triton differ in."""


def _syntax(facts: KernelNames, names: frozenset[str]) -> Iterator[Objection]:
    """Statements and expressions that the installed Triton cannot compile."""
    if not any(name.startswith("visit_") for name in names):
        return
    for node in facts.nodes:
        if not isinstance(node, _REFUSED) or f"visit_{type(node).__name__}" in names:
            continue
        branches = (each for each in _around(facts, node) if isinstance(each, ast.If))
        if not any(_is_constant(facts, each.test) for each in branches):
            text = f"the installed Triton cannot compile `{ast.unparse(node).splitlines()[0][:40]}` in a kernel"
            yield facts.code.object_to(node, "unsupported_syntax", text, "use masks, tl.where and while conditions")


def _is_constant(facts: KernelNames, test: ast.expr) -> bool:
    """Whether a condition may be decided by the compiler, so that a branch is not compiled."""
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    return not names & facts.plain_parameters and not names & facts.tensors


def _methods(facts: KernelNames, names: frozenset[str]) -> Iterator[Objection]:
    """Methods that tensors of the installed Triton do not have."""
    known = {name.removeprefix("tensor.") for name in names if name.startswith("tensor.")}
    for node in facts.nodes if known else ():
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=name)) if name not in known and facts.is_tensor(value):
                text = f".{name[:40]}() is no method of a tensor in the installed Triton"
                yield facts.code.object_to(node, "unknown_triton_name", text, _nearest(name, known))
            case _:
                pass


def _unknown_names(code: AnswerCode, names: frozenset[str]) -> Iterator[Objection]:
    """Names of ``triton.language`` that the installed Triton does not have."""
    modules = {name.rpartition(".")[0] for name in names if "." in name} - {"tensor"}
    for node in ast.walk(code.tree):
        for path in _paths(code, node):
            written = path.removeprefix(f"{TL}.")
            above, _, name = written.rpartition(".")
            if path.startswith(f"{TL}.") and (not above or above in modules) and written not in names:
                known = {other.removeprefix(f"{above}.") if above else other for other in names}
                text = f"tl.{written[:60]} does not exist in the installed Triton"
                yield code.object_to(node, "unknown_triton_name", text, _nearest(name, known))


def _paths(code: AnswerCode, node: ast.AST) -> list[str]:
    """What a piece names of what is imported."""
    match node:
        case ast.Attribute():
            return [code.path(node)]
        case ast.ImportFrom(module=str(module), names=names):
            return [f"{module}.{each.name}" for each in names]
        case _:
            return []


def _nearest(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, [each for each in known if "." not in each and not each.startswith("_")], n=3)
    return f"near are {', '.join(close)}" if close else "see Triton's reference"


# --- launches ---------------------------------------------------------------------------------------------------------


def _launches(code: AnswerCode) -> Iterator[Objection]:
    """Calls of kernels in host code, and options of Triton that cannot be."""
    for node in code.host_nodes():
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in code.kernels and _in_function(code, node):
            text = f"{node.func.id} is called without a grid"
            yield code.object_to(node, "launch_without_grid", text, f"write {node.func.id}[grid](…)")
        kernels = launched_kernels(code, node)
        if kernels or code.path(node.func).endswith(".Config"):
            yield from _options(code, node)
        by_name = node.func if isinstance(node.func, ast.Name) else getattr(node.func, "value", None)
        if len(kernels) == 1 and isinstance(by_name, ast.Name):
            yield from _arguments(code, node, code.kernels[kernels[0]])


def _in_function(code: AnswerCode, node: ast.AST) -> bool:
    return any(isinstance(each, FunctionNode) for each in code.within(node))


def _options(code: AnswerCode, node: ast.Call) -> Iterator[Objection]:
    for keyword in node.keywords:
        value = _number(keyword.value)
        if keyword.arg == "num_warps" and value is not None and not (_is_power(value) and value <= _MOST_WARPS):
            text = f"num_warps is {value}, and has to be 1, 2, 4, 8, 16 or 32"
            yield code.object_to(keyword.value, "not_a_power_of_two", text, "choose one of them")


def _arguments(code: AnswerCode, node: ast.Call, kernel: ast.FunctionDef) -> Iterator[Objection]:
    """A launch with too many or too few arguments, where all of them can be seen; and sizes that cannot be."""
    facts = KernelNames(code, kernel)
    places = [*kernel.args.posonlyargs, *kernel.args.args]
    unknown = any(isinstance(each, ast.Starred) for each in node.args) or any(
        each.arg is None for each in node.keywords
    )
    if unknown or kernel.args.vararg is not None:
        return
    given = {place.arg: value for place, value in zip(places, node.args, strict=False)}
    given |= {each.arg: each.value for each in node.keywords if each.arg is not None}
    if len(node.args) > len(places):
        text = f"{kernel.name} takes {len(places)} arguments, not {len(node.args)}"
        yield code.object_to(node, "launch_arguments", text, "give it what its definition names")
    defaults = len(kernel.args.defaults)
    required = {place.arg for place in places[: len(places) - defaults]}
    missing = sorted(required - set(given)) if len(kernel.decorator_list) == 1 else []
    if missing:
        text = f"{kernel.name} is launched without {', '.join(missing)[:80]}"
        yield code.object_to(node, "launch_arguments", text, "give it what its definition names")
    yield from _sizes(code, facts, given)


def _sizes(code: AnswerCode, facts: KernelNames, given: dict[str, ast.expr]) -> Iterator[Objection]:
    """Constants of a launch that a `tl.arange` of the kernel takes as its size."""
    for node in facts.nodes:
        match node:
            case ast.Call(args=[ast.Constant(value=0), ast.Name(id=name)]) if (
                name in given and name in facts.constexprs
            ):
                value = _number(given[name])
                plain = not facts.is_rebound(name) and not any(
                    True for each in _around(facts, node) if isinstance(each, ast.If)
                )
                if (
                    facts.code.path(node.func) == f"{TL}.arange"
                    and value is not None
                    and plain
                    and not _is_power(value)
                ):
                    text = f"{name} is {value}, and the kernel's tl.arange needs a power of two"
                    yield code.object_to(
                        given[name], "not_a_power_of_two", text, "take the next power of two, and a mask"
                    )
            case _:
                pass
