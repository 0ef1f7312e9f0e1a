"""The part on what is computed: the reference, its workloads and dtypes, the tolerance, and what else is tried."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from stallgate.agent.prompt.ground import Ground
from stallgate.agent.prompt.part import Part, ShorterForm, bullets, code_span, fenced, inline, paragraphs, plain_lines
from stallgate.errors import BrokenFile
from stallgate.formatting import listed, scaled
from stallgate.model import EntryPoint, Tolerance, Workload
from stallgate.project.decode import LARGEST_SOURCE, read_bounded
from stallgate.project.paths import inside

_MOST_OTHERS = 1
"""Workloads that are told beside those of the stage; of more, the number is."""


def problem_part(ground: Ground) -> Part:
    """What the code has to compute."""
    head = f"{code_span(ground.problem.name)}: {inline(ground.problem.title)}."
    reference = _reference(ground)
    mine = _workloads(ground, ground.workloads)
    others = _others(ground)
    right = _what_is_right(ground)
    whole = paragraphs(head, reference, "Workloads of this stage:", bullets(mine), others, right)
    return Part(
        name="problem",
        title="What is computed",
        text=whole,
        shorter=[
            ShorterForm(
                text=paragraphs(head, reference, "Workloads of this stage:", bullets(mine), right),
                usefulness=25,
                loses="the workloads that the stage does not judge",
            )
        ]
        * bool(others),
    )


# --- the reference ----------------------------------------------------------------------------------------------------


def _reference(ground: Ground) -> str:
    """The reference's own source, as far as the computation needs it, and how it is called."""
    entry = ground.problem.reference
    text = _text(ground.project.root, entry)
    if text is None:
        named = code_span(entry.written or f"{entry.module}:{entry.attribute}")
        return f"The reference is {named}, an installed function. {_called(ground)}"
    names = [entry.attribute.partition(".")[0]] if entry.attribute else ["Model", "get_init_inputs"]
    shown, is_all = _needed_source(text, names)
    cut = "" if is_all else ", the part that computes"
    return paragraphs(f"The reference (from {code_span(entry.path)}{cut}). {_called(ground)}", fenced(shown, "python"))


def _called(ground: Ground) -> str:
    """How reference and answer are called."""
    entry = ground.problem.reference
    keywords = ", ".join(f"{name}={value!r}" for name, value in entry.keywords.items())
    if not ground.is_module_reference:
        passed = f", with {code_span(keywords)}" if keywords else ""
        return f"It is called with a workload's inputs{passed}; `ModelNew` gets the same inputs in `forward`."
    return "`ModelNew` is built with what `get_init_inputs` gives; `forward` gets the inputs."


def _text(root: Path, entry: EntryPoint) -> str | None:
    if not entry.path:
        return None
    try:
        return read_bounded(inside(root, entry.path), LARGEST_SOURCE).decode("utf-8", "replace")
    except (OSError, BrokenFile):
        return None


def _needed_source(text: str, names: list[str]) -> tuple[str, bool]:
    """Some definitions of a file with everything of the file that they use, in its order; and whether that is all.

    The whole text where it cannot be parsed, or has none of them.
    """
    text = plain_lines(text)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return text, True
    bound = [(node, _bound(node)) for node in tree.body]
    needed, pending = set[int](), [name for name in names if any(name in found for _, found in bound)]
    if not pending:
        return text, True
    while pending:
        name = pending.pop()
        for place, (node, found) in enumerate(bound):
            if name in found and place not in needed:
                needed.add(place)
                pending += sorted({each.id for each in ast.walk(node) if isinstance(each, ast.Name)})
    parts = [_segment(text, bound[place][0]) for place in sorted(needed)]
    return _joined(parts), len(needed) == len(tree.body)


def _joined(parts: list[str]) -> str:
    """Statements below each other, with an empty line between two of which one has several lines."""
    text = parts[0]
    for before, part in pairwise(parts):
        text += ("\n\n" if "\n" in before or "\n" in part else "\n") + part
    return text


def _segment(text: str, node: ast.stmt) -> str:
    """The lines of a statement, from its first decorator on."""
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    return "\n".join(text.split("\n")[first - 1 : node.end_lineno])


def _bound(node: ast.stmt) -> set[str]:
    """The names that a statement of a module binds."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {(each.asname or each.name).partition(".")[0] for each in names}
        case _:
            return {
                each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
            }


# --- workloads --------------------------------------------------------------------------------------------------------


def _workloads(ground: Ground, names: Iterable[str]) -> list[str]:
    return [_in_words(ground.problem.workloads[name]) for name in names if name in ground.problem.workloads]


def _in_words(load: Workload) -> str:
    """A workload with its arguments, and what it needs."""
    needs = [f"{scaled(load.bytes, 'byte')} to be moved"] if load.bytes else []
    needs += [f"{scaled(load.flops, 'FLOP')} to be done"] if load.flops else []
    own = [f"tolerance {_tolerances(load.tolerance)}"] * bool(load.tolerance)
    more = f" ({'; '.join([*needs, *own])})" if needs or own else ""
    return f"{code_span(load.name)}: {inline(load.called_with) or 'no arguments'}{more}"


def _others(ground: Ground) -> str:
    """The problem's other workloads, on which the answer has to be right as well."""
    left = [load for name, load in ground.problem.workloads.items() if name not in ground.workloads]
    if not left:
        return ""
    told = "; ".join(f"{code_span(load.name)} {inline(load.called_with)}" for load in left[:_MOST_OTHERS])
    more = f"; and {len(left) - _MOST_OTHERS} more" if len(left) > _MOST_OTHERS else ""
    return f"The code has to be right on others too: {told}{more}. Dtypes of all: {', '.join(_dtypes(ground))}."


_DTYPE = re.compile(r"\b(?:bfloat16|float\d+\w*|u?int\d+|bool|complex\d+)\b")


def _dtypes(ground: Ground) -> list[str]:
    """The types of all workloads' inputs, each once."""
    written = " ".join(load.called_with for load in ground.problem.workloads.values())
    return list(dict.fromkeys(_DTYPE.findall(written))) or ["not known"]


# --- right or wrong ---------------------------------------------------------------------------------------------------


def _what_is_right(ground: Ground) -> str:
    problem = ground.problem
    special = "" if problem.specials == "strict" else ", where an infinity and a NaN stand for each other"
    lines = [
        f"Tolerance: {_tolerance(ground)}.",
        _drawn(ground),
        "Inputs are tried in small and odd sizes too, where they can be made so, and with special values: zeros, "
        f"infinities and NaN{special}.",
        "The whole output is compared; inputs have to stay unchanged"
        + (
            f" but for input {listed([str(place) for place in problem.mutates])}, which a call changes."
            if problem.mutates
            else "."
        ),
    ]
    if any(load.direction == "backward" for load in problem.workloads.values()):
        lines.append("Workloads with `backward` compare the gradients of the inputs.")
    return paragraphs("What counts as right:", bullets(lines))


def _tolerance(ground: Ground) -> str:
    """How far an output may be off: as it is written, as the run applied it, or by dtype."""
    if ground.problem.tolerance:
        return _tolerances(ground.problem.tolerance)
    applied = {
        ground.name_of(result): " and ".join(dict.fromkeys(worst.rule for worst in result.worst))
        for result in ground.cases
        if result.worst
    }
    if applied:
        told = "; ".join(f"{inline(rule)} on {code_span(name)}" for name, rule in applied.items())
        return f"{told}; other shapes and dtypes have their own"
    if _defines(ground, "tolerance"):
        return "for each element, as the function `tolerance` of the reference's file computes it of shape and dtype"
    return (
        "by the output's dtype: rtol 1e-3 of float16, 1.6e-2 of bfloat16, 1.3e-6 of float32, 1e-7 of float64, beside "
        "it an absolute error and one in norm of the order of the dtype's spacing; integers are exact"
    )


def _tolerances(found: list[Tolerance]) -> str:
    return " and ".join(_of_output(each) for each in found)


def _of_output(found: Tolerance) -> str:
    if found.exact:
        return "exact"
    if found.norm is not None:
        return f"norm {found.norm:g}"
    bounds = [f"rtol {found.rtol:g}"] * (found.rtol is not None) + [f"atol {found.atol:g}"] * (found.atol is not None)
    return ", ".join(bounds)


def _drawn(ground: Ground) -> str:
    """That nobody knows all workloads beforehand."""
    entry = ground.problem.draw
    if entry is None and not _defines(ground, "draw"):
        return (
            "Unseen data is drawn for each check, with another seed. The problem draws no shapes; keep the code right "
            "for any."
        )
    return (
        "Unseen shapes, dtypes and data are drawn at random for each check: code that is right on this list alone is "
        f"refused.{_about_draw(ground)}"
    )


def _about_draw(ground: Ground) -> str:
    """What ``draw`` says of itself."""
    entry = ground.problem.draw or ground.problem.reference
    name = entry.attribute if ground.problem.draw is not None else "draw"
    node = _function(_text(ground.project.root, entry), name)
    said = ast.get_docstring(node) if node is not None else None
    return f" Drawn are: {inline(said.partition(_BETWEEN_PARAGRAPHS)[0])}" if said else ""


_BETWEEN_PARAGRAPHS = "\n\nArgs:"


def _defines(ground: Ground, name: str) -> bool:
    """Whether the reference's file defines a function."""
    entry = ground.problem.reference
    return not entry.attribute and _function(_text(ground.project.root, entry), name) is not None


def _function(text: str | None, name: str) -> ast.FunctionDef | None:
    try:
        body = ast.parse(text or "").body
    except (SyntaxError, ValueError, RecursionError):
        return None
    return next((node for node in body if isinstance(node, ast.FunctionDef) and node.name == name), None)
