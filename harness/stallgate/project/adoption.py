"""What a user says of a kernel to ``stallgate init``, checked as far as that goes without importing anything."""

from __future__ import annotations

import ast
import datetime
import math
import re
from importlib.util import find_spec
from pathlib import Path

from stallgate.errors import BadArgument, BrokenFile, UnknownName
from stallgate.formatting import as_text, is_text, shortened
from stallgate.model import LABEL_PART, EntryPoint, FrozenStruct
from stallgate.project.decode import parse_toml
from stallgate.project.definitions import (
    Definition,
    Parameters,
    find_definition,
    is_kernel,
    names_defined,
    parameters_of,
)
from stallgate.project.entries import read_entry
from stallgate.project.inputs import BadInput, tensor_input
from stallgate.project.paths import slug

_ALONG_A_DIMENSION = {
    *("softmax", "log_softmax", "softmin", "logsumexp", "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"),
    *("sum", "mean", "prod", "amax", "amin", "argmax", "argmin"),
}
"""Functions of torch that work along ``dim``; a kernel for rows works along the last one."""

_OVER_A_SHAPE = {"layer_norm", "rms_norm"}
"""Functions of torch that need ``normalized_shape``."""

_ARITHMETIC = {
    *("matmul", "mm", "bmm", "addmm", "baddbmm", "linear", "einsum"),
    *("conv1d", "conv2d", "conv3d", "scaled_dot_product_attention"),
}
"""Functions of torch that are limited by arithmetic rather than by memory."""

_ARITHMETIC_STAGE = "tensor_core"
_STREAMING_STAGE = "streaming"


class Wish(FrozenStruct, frozen=True, kw_only=True):
    """What the user asked for."""

    kernel: str
    reference: str
    inputs: list[str]
    keywords: list[str] = []
    """``name=value`` of the reference's."""
    name: str | None = None
    stage: str | None = None
    flops: int | None = None


class AdoptedKernel(FrozenStruct, frozen=True, kw_only=True):
    """A problem that can be written."""

    name: str
    stage: str
    kernel: str
    variant: str
    kernel_keywords: dict[str, object]
    reference: str
    baseline: str
    """The variant that the reference is shown as."""
    keywords: dict[str, object]
    """Of the reference."""
    inputs: list[object]
    flops: int
    is_arithmetic: bool
    is_assumed: bool
    """Whether ``keywords`` were not given: the reference needs them."""
    notes: list[str]
    """What the user should know."""


class _Fault(FrozenStruct, frozen=True):
    """Something that is missing or does not fit."""

    message: str
    hint: str


def examine_wish(root: Path, wish: Wish, *, force: bool) -> AdoptedKernel:
    """The problem that a wish describes.

    Args:
        root: the project's.
        wish: what the user asked for.
        force: what the repository lacks is noted instead of refused.

    Raises:
        BadArgument: an argument is invalid, or the repository lacks what it names.
    """
    _refuse_other_encodings(wish)
    inputs = [_input(text) for text in wish.inputs]
    given = dict(_keyword(text) for text in wish.keywords)
    function = _last_name(wish.reference)
    of_torch = re.match(r"torch[.:]", wish.reference) is not None
    needed = _needed_keywords(function, inputs) if of_torch else {}
    assumed = {key: value for key, value in needed.items() if key not in given}
    taken, faults = _checked(root, wish, given | assumed)
    if faults and not force:
        raise BadArgument("; ".join(fault.message for fault in faults), faults[0].hint)
    is_arithmetic = function in _ARITHMETIC
    baseline = "torch" if of_torch else "reference"
    return AdoptedKernel(
        name=_problem_name(wish.name, function),
        stage=wish.stage or (_ARITHMETIC_STAGE if is_arithmetic else _STREAMING_STAGE),
        kernel=wish.kernel,
        variant=_variant_name(wish.kernel, baseline),
        kernel_keywords=taken,
        reference=wish.reference,
        baseline=baseline,
        keywords=given | assumed,
        inputs=inputs,
        flops=wish.flops if wish.flops is not None else _flops(function, inputs),
        is_arithmetic=is_arithmetic,
        is_assumed=bool(assumed),
        notes=[fault.message for fault in faults] + _assumptions(wish.reference, assumed),
    )


def _checked(root: Path, wish: Wish, keywords: dict[str, object]) -> tuple[dict[str, object], list[_Fault]]:
    """The reference's keywords that the kernel takes as well, and everything that the repository lacks."""
    entry, faults = _found_entry(root, "--kernel", wish.kernel)
    definition, undefined = _found_definition(root, "--kernel", entry)
    taken, unfit = _kernel_keywords(definition, len(wish.inputs), keywords)
    reference, missing = _found_entry(root, "--reference", wish.reference)
    if reference is not None and reference.attribute:
        missing += _found_definition(root, "--reference", reference)[1]
    return taken, [*faults, *undefined, *unfit, *missing]


def _assumptions(reference: str, assumed: dict[str, object]) -> list[str]:
    return [f"{reference} needs `{key}`: {key} = {value} is assumed" for key, value in assumed.items()]


# --- arguments --------------------------------------------------------------------------------------------------------


def _refuse_other_encodings(wish: Wish) -> None:
    """Refuses what cannot be written into a file of UTF-8."""
    for text in (wish.kernel, wish.reference, *wish.inputs, *wish.keywords):
        if not is_text(text):
            raise BadArgument(f"{as_text(text)} is not UTF-8", "rename the file, or write the argument as UTF-8")


def _input(text: str) -> object:
    """An input: the text that describes a tensor, or a plain value."""
    plain = _plain_value(text)
    if plain is not None and not isinstance(plain, str):
        return plain
    try:
        tensor_input(text)
    except BadInput as error:
        raise BadArgument(f"--input: {error}", error.hint) from None
    return " ".join(text.split())


def _keyword(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip().isidentifier():
        raise BadArgument(f"--with: '{shortened(text, 60)}' is not a keyword with its value", "as in --with dim=-1")
    plain = _plain_value(value)
    return key.strip(), plain if plain is not None else value.strip()


def _plain_value(text: str) -> object:
    """The number, truth value, list or quoted text that a text is; None for any other text."""
    try:
        tables = parse_toml(f"value = {text}", "")
    except BrokenFile:
        return None
    value = tables["value"]
    if isinstance(value, float) and not math.isfinite(value):
        raise BadArgument(f"{text.strip()} is not a finite number", "give a finite number")
    if set(tables) != {"value"} or isinstance(value, (dict, datetime.date, datetime.time)):
        return None
    return value


def _problem_name(given: str | None, function: str) -> str:
    name = given if given is not None else slug(function).replace(".", "_")
    if not re.fullmatch(LABEL_PART, name) or not name.strip("."):
        raise BadArgument(f"--name: '{name}' is not a valid name", "use lower-case letters, digits, _ . and -")
    return name


def _variant_name(kernel: str, baseline: str) -> str:
    """A name for the kernel: the function's, or that of the module whose ``ModelNew`` it is."""
    module, _, attribute = kernel.partition(":")
    last = attribute.rpartition(".")[2]
    if last in ("", "ModelNew"):
        last = Path(module).stem if "/" in module or module.endswith(".py") else module.rpartition(".")[2]
    name = slug(last).replace(".", "_")
    return f"{name}_kernel" if name in (baseline, "copy") else name


def _last_name(entry: str) -> str:
    """The name of the callable of an entry."""
    return re.split(r"[.:/]", entry.removesuffix(".py"))[-1]


# --- what torch's functions need --------------------------------------------------------------------------------------


def _needed_keywords(function: str, inputs: list[object]) -> dict[str, object]:
    """Keywords without which a function of torch does not work by rows."""
    if function in _ALONG_A_DIMENSION:
        return {"dim": -1}
    shapes = _shapes(inputs)
    if function in _OVER_A_SHAPE and shapes and shapes[0]:
        return {"normalized_shape": [shapes[0][-1]]}
    return {}


def _flops(function: str, inputs: list[object]) -> int:
    """Operations of a product of two matrices, or of batches of them; 0 where they are not known."""
    shapes = _shapes(inputs)
    if len(shapes) < 2 or len(shapes[0]) < 2 or len(shapes[1]) < 2:
        return 0
    left, right = shapes[0], shapes[1]
    if function == "linear":
        return 2 * math.prod(left) * right[-2]
    if function in ("mm", "matmul", "bmm"):
        batches = left[:-2] if len(left) >= len(right) else right[:-2]
        return 2 * math.prod(batches) * left[-2] * left[-1] * right[-1]
    return 0


def _shapes(inputs: list[object]) -> list[list[int]]:
    """The shapes of those inputs that are tensors."""
    found = [tensor_input(each)["shape"] for each in inputs if isinstance(each, str)]
    return [shape for shape in found if isinstance(shape, list)]


# --- what the repository has ------------------------------------------------------------------------------------------


def _found_entry(root: Path, option: str, written: str) -> tuple[EntryPoint | None, list[_Fault]]:
    """The entry that an option names, or what is wrong with it."""
    try:
        entry = read_entry(root, root, written, option)
    except BrokenFile as error:
        return None, [_Fault(error.message, error.hint)]
    if entry.path or entry.module.partition(".")[0] in ("torch", "stallgate") or _is_installed(entry.module):
        return entry, []
    return entry, [
        _Fault(
            f"{option}: there is no module {entry.module} below the project's root or its src/, and none is installed",
            "name another root with --root; or add --force if only the interpreter that measures has it",
        )
    ]


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _found_definition(root: Path, option: str, entry: EntryPoint | None) -> tuple[Definition | None, list[_Fault]]:
    """The definition of an entry's callable in a file of the project, or what is wrong with it."""
    if entry is None or not entry.path:
        return None, []
    file, name = root / entry.path, entry.attribute or "ModelNew"
    try:
        found = find_definition(root, file, name)
        known = names_defined(file)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # deeply nested code raises the last two
        return None, [_Fault(f"{option}: {entry.path} is not valid Python: {error}", "correct it")]
    if found is None:
        hint = UnknownName("function", name, known).hint
        without = "" if entry.attribute else ", which is used where no function is named"
        return None, [_Fault(f"{option}: {entry.path} does not define {name}{without}", hint)]
    if found.node is not None and is_kernel(found.node):
        hint = "name the function that launches it"
        return None, [_Fault(f"{option}: {name} is a Triton kernel, which cannot be called with tensors alone", hint)]
    return found, []


def _kernel_keywords(
    definition: Definition | None, inputs: int, keywords: dict[str, object]
) -> tuple[dict[str, object], list[_Fault]]:
    """The reference's keywords that a kernel's function takes as well, or what does not fit its parameters."""
    node = definition.node if definition is not None else None
    if not isinstance(node, ast.FunctionDef):
        return {}, []
    takes = parameters_of(node)
    free = [name for name in takes.keywords if name not in takes.places[:inputs]]
    taken = {key: value for key, value in keywords.items() if key in free}
    return taken, _unfit(node.name, takes, inputs, taken)


def _unfit(name: str, takes: Parameters, inputs: int, taken: dict[str, object]) -> list[_Fault]:
    if inputs > len(takes.places) and not takes.has_rest:
        message = f"{name} takes {len(takes.places)} arguments by place, and {inputs} inputs are given"
        return [_Fault(message, "give one --input for each argument, in order")]
    missing = [each for each in takes.required if each not in (*takes.places[:inputs], *taken)]
    if missing:
        message = f"{name} has no value for {', '.join(missing)}"
        hint = "add --input for an argument by place, --with NAME=VALUE for a keyword of the reference"
        return [_Fault(message, hint)]
    return []
