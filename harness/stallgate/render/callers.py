"""Who called a library's lines: the lines of a variant's own code that are charged with their samples.

An ncu report names the innermost line of inlined code. Its caller follows from the code: of the lines that call the
library's function, in functions that the kernel reaches and in which warps were sampled, there is often one alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from stallgate.model import Detail, FrozenStruct, HotLine
from stallgate.project.source_tree import Function, SourceTree

TRITON_LIBRARY = "triton/language/standard.py"

CALLED_AS = {
    "_log2": ("sort_impl", "sort", "topk", "bitonic_merge", "flip"),
    "_is_power_of_two": ("sort_impl", "sort", "topk", "bitonic_merge", "flip"),
    "zeros": ("zeros", "zeros_like"),
    "_argmax_combine": ("softmax", "max", "argmax", "sort_impl", "sort", "topk"),
    "_argmax_combine_tie_break_left": ("softmax", "max", "argmax", "sort_impl", "sort", "topk"),
    "_argmax_combine_tie_break_fast": ("softmax", "max", "argmax", "sort_impl", "sort", "topk"),
    "_elementwise_max": ("softmax", "max", "argmax", "sort_impl", "sort", "topk"),
    "max": ("softmax", "max", "argmax", "sort_impl", "sort", "topk"),
    "_argmin_combine": ("min", "argmin", "sort_impl", "sort", "topk"),
    "_argmin_combine_tie_break_left": ("min", "argmin", "sort_impl", "sort", "topk"),
    "_argmin_combine_tie_break_fast": ("min", "argmin", "sort_impl", "sort", "topk"),
    "_elementwise_min": ("min", "argmin", "sort_impl", "sort", "topk"),
    "min": ("min", "argmin", "sort_impl", "sort", "topk"),
    "_sum_combine": ("softmax", "sum", "cumsum"),
    "sum": ("softmax", "sum"),
    "_xor_combine": ("xor_sum", "sort_impl", "sort", "topk", "bitonic_merge", "flip"),
    "xor_sum": ("xor_sum", "sort_impl", "sort", "topk", "bitonic_merge", "flip"),
    "_or_combine": ("reduce_or",),
    "_prod_combine": ("cumprod",),
    "_indicator": ("sort_impl", "sort", "topk", "bitonic_merge"),
    "_compare_and_swap": ("sort_impl", "sort", "topk", "bitonic_merge"),
    "_bitonic_merge_hypercube": ("sort_impl", "sort", "topk", "bitonic_merge"),
    "_bitonic_merge": ("bitonic_merge",),
    "sort_impl": ("sort_impl", "sort", "topk"),
    "flip": ("flip", "sort_impl", "sort", "topk", "bitonic_merge"),
}
"""Function of Triton's standard library -> the names under which kernels reach it, where these are not its own alone.
"""

MOST_KEPT = 40
"""So many of a kernel's own lines are kept at most: with as many, some that have samples are not known."""


class CodePlace(FrozenStruct, frozen=True):
    """A line of one of the variant's files."""

    file: str
    line: int


def callers(sources: Mapping[str, str], detail: Detail) -> dict[HotLine, CodePlace]:
    """Line of a library -> the line of the variant that called it; without those whose caller is not known.

    Args:
        sources: file name, as hot lines have it -> its text when it was measured.
        detail: of one kernel.
    """
    libraries = [line for line in detail.lines if line.library and line.function]
    if not libraries:
        return {}
    functions: dict[str, list[Function]] = {}
    for function in SourceTree(sources).functions:
        if function.is_kernel:
            functions.setdefault(function.name, []).append(function)
    sampled = _sampled(_reached(functions, detail.kernel), detail)
    found: dict[HotLine, CodePlace] = {}
    for line in libraries:
        names = _called_as(line)
        places = {place for function in sampled for place in _calls(function, names - functions.keys())}
        if len(places) == 1:
            found[line] = places.pop()
    return found


def _called_as(line: HotLine) -> set[str]:
    own = (line.function,)
    return set(CALLED_AS.get(line.function, own) if line.file == TRITON_LIBRARY else own)


def _reached(functions: Mapping[str, list[Function]], kernel: str) -> list[Function]:
    """The functions that a kernel is made of: itself, and what it names, directly or not."""
    names, seen = [kernel], {kernel}
    found: list[Function] = []
    while names:
        for function in functions.get(names.pop(), []):
            found.append(function)
            named = {name for node in function.nodes for name in _names(node)} & functions.keys() - seen
            names += sorted(named)
            seen |= named
    return found


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr


def _sampled(reached: Iterable[Function], detail: Detail) -> list[Function]:
    """Those with samples on a line of their own; all of them where not every such line was kept."""
    own = {(line.file, line.line) for line in detail.lines if not line.library}
    if len(own) >= MOST_KEPT:
        return list(reached)
    return [each for each in reached if any((each.module.path, number) in own for number in each.lines)]


def _calls(function: Function, names: set[str]) -> Iterator[CodePlace]:
    for node in function.nodes:
        if isinstance(node, ast.Call) and names.intersection(_names(node.func)):
            yield CodePlace(function.module.path, node.lineno)
