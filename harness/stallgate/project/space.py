"""The space of a variant: which configurations a sweep tries, from problem.toml, a stage or ``@triton.autotune``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from math import isfinite, prod
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import asdict

from stallgate.errors import BadArgument, BrokenFile
from stallgate.model import FrozenStruct, GpuSpec, Stage, TunableSpace, Variant
from stallgate.project.catalogue import formula_value, names_in
from stallgate.project.decode import convert
from stallgate.project.own_files import own_sources
from stallgate.project.tunables import CannotRead, autotuned_configurations, is_taken, keyword_defaults

Tunables = dict[str, int | float | str | bool]

_MOST_VALUES = 1000
"""Most values of one tunable."""

CARD_NUMBERS = sorted(name for name, kind in GpuSpec.__annotations__.items() if str(kind).startswith(("int", "float")))
"""What constraints may name of a GPU's data sheet."""

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_COMPARISON = re.compile("(<=|>=|==|!=|<|>)")


# --- problem.toml -----------------------------------------------------------------------------------------------------


class _Range(FrozenStruct, frozen=True, rename={"first": "from", "last": "to"}):
    """Numbers from the first to the last, the last included where it is reached."""

    first: int | float
    last: int | float
    step: int | float | None = None
    times: int | float | None = None

    def __post_init__(self) -> None:
        if (self.step is None) == (self.times is None):
            raise ValueError("a range has `from`, `to` and one of `step` and `times`")
        if not all(isfinite(number) for number in (self.first, self.last, self.step or 0, self.times or 0)):
            raise ValueError("a range is of finite numbers")
        if self.step is not None and self.step <= 0:
            raise ValueError("`step` has to be above 0")
        if self.times is not None and (self.times <= 1 or self.first <= 0):
            raise ValueError("`times` has to be above 1, and `from` above 0")

    def numbers(self) -> list[int | float]:
        """All of them, at most one more than a tunable may have."""
        found: list[int | float] = []
        number = self.first
        while number <= self.last and len(found) <= _MOST_VALUES:
            found.append(number)
            number = number + self.step if self.step is not None else number * (self.times or 2)
        return found


def read_space(key: str, table: dict[str, object]) -> TunableSpace:
    """The space of a table ``sweep``.

    Args:
        key: its file and place, for messages.
        table: tunable -> a list of values, or a range; and ``constraints``.

    Raises:
        BrokenFile: a value, a range or a constraint is not what it should be.
    """
    constraints = convert(table.get("constraints", []), list[str], key, "constraints")
    tunables = {name: _values(f"{key}.{name}", each) for name, each in table.items() if name != "constraints"}
    if not tunables:
        raise BrokenFile(f"{key}: it names no tunable", "num_warps = [4, 8]")
    for number, constraint in enumerate(constraints):
        _check_constraint(f"{key}.constraints[{number}]", constraint, tunables)
    return TunableSpace(tunables=tunables, constraints=constraints)


def _values(key: str, written: object) -> list[int | float | str | bool]:
    """The values of a tunable, each once."""
    if isinstance(written, dict):
        found: list[int | float | str | bool] = [*convert(written, _Range, key).numbers()]
    else:
        found = convert(written, list[int | float | str | bool], key)
    if not found or any(isinstance(each, float) and not isfinite(each) for each in found):
        raise BrokenFile(f"{key}: it has no values, or one that is no finite number", "num_warps = [4, 8]")
    if len(found) > _MOST_VALUES:
        raise BrokenFile(f"{key}: it has more than {_MOST_VALUES} values", "use a larger step")
    return [value for number, value in enumerate(found) if not _is_among(value, found[:number])]


def _is_among(value: object, others: list[int | float | str | bool]) -> bool:
    """Whether a value is among others; ``True`` is not 1."""
    return any(type(value) is type(other) and value == other for other in others)


def _check_constraint(key: str, constraint: str, tunables: dict[str, list[int | float | str | bool]]) -> None:
    try:
        names = [name for side in _sides(constraint)[0] for name in names_in(side)]
    except ValueError as error:
        raise BrokenFile(
            f"{key}: {error}", "a constraint compares two sides of arithmetic: BLOCK_M * BLOCK_K <= 16384"
        ) from None
    for name in names:
        if name not in tunables and name not in CARD_NUMBERS:
            known = ", ".join([*tunables, *CARD_NUMBERS])
            raise BrokenFile(f"{key}: '{name}' is neither a tunable nor a number of a GPU", f"known: {known}")
        if any(isinstance(value, str) for value in tunables.get(name, [])):
            raise BrokenFile(f"{key}: the values of '{name}' are texts", "constrain tunables that are numbers")


def _sides(constraint: str) -> tuple[list[str], list[str]]:
    """The arithmetic of a constraint, and the comparisons between.

    Raises:
        ValueError: it compares nothing.
    """
    parts = _COMPARISON.split(constraint)
    if len(parts) < 3:
        raise ValueError(f"`{constraint[:80]}` compares nothing")
    return [part.strip() for part in parts[::2]], parts[1::2]


# --- which space ------------------------------------------------------------------------------------------------------


def space_of(root: Path, variant: Variant, stage: Stage | None) -> TunableSpace:
    """What a sweep of a variant tries: what problem.toml says, else the stage, else the code's own autotuner.

    Raises:
        BadArgument: nothing says what to try, or the variant does not take it.
    """
    declared = variant.sweep or _of_stage(stage) or _of_decorator(root, variant)
    if declared is None:
        hint = f"add [variants.{variant.name}.sweep] to problem.toml: num_warps = [4, 8]"
        raise BadArgument(f"nothing says which configurations of {variant.name} to try", hint)
    _check_taken(root, variant, declared)
    return declared


def _of_stage(stage: Stage | None) -> TunableSpace | None:
    if stage is None or not stage.autotune:
        return None
    key = f"stage {stage.name}: autotune"
    return TunableSpace({name: _values(f"{key}.{name}", each) for name, each in stage.autotune.items()}, [], "stage")


def _of_decorator(root: Path, variant: Variant) -> TunableSpace | None:
    """The configurations of the first ``@triton.autotune`` in a variant's files.

    Raises:
        BadArgument: they are computed in a way that the syntax tree does not tell.
    """
    try:
        found = (autotuned_configurations(source) for source in own_sources(root, variant.entry).values())
        listed = next(filter(None, found), [])
    except CannotRead as error:
        hint = f"write the space into [variants.{variant.name}.sweep] of problem.toml"
        raise BadArgument(f"cannot read what @triton.autotune of {variant.path} lists: {error}", hint) from None
    if not listed:
        return None
    names = dict.fromkeys(name for each in listed for name in each)
    tunables: dict[str, list[int | float | str | bool]] = {name: [] for name in names}
    for each in listed:
        for name, value in each.items():
            if not _is_among(value, tunables[name]):
                tunables[name].append(value)
    return TunableSpace(tunables=tunables, source="decorator", listed=listed)


def _check_taken(root: Path, variant: Variant, space: TunableSpace) -> None:
    """Refuses tunables that no function of a variant's files takes; of an installed package nobody knows."""
    sources = own_sources(root, variant.entry).values()
    for name in space.tunables:
        if any(sources) and not any(is_taken(source, name) for source in sources):
            raise BadArgument(
                f"{variant.name} takes no tunable '{name}', which {_ORIGINS[space.source]} lists",
                f"give ModelNew a keyword {name}, or declare the space in [variants.{variant.name}.sweep]",
            )


_ORIGINS: dict[Literal["problem.toml", "stage", "decorator"], str] = {
    "problem.toml": "problem.toml",
    "stage": "the stage's autotune",
    "decorator": "@triton.autotune",
}


def default_tunables(root: Path, variant: Variant, space: TunableSpace) -> Tunables:
    """The values that the tunables of a space have by default: those that the problem's file passes always, else those
    that the code itself gives them, as far as its text says.
    """
    found: dict[str, Any] = {}
    for source in own_sources(root, variant.entry).values():
        found = {**keyword_defaults(source, [*space.tunables]), **found}
    found |= variant.entry.keywords
    return {name: found[name] for name in space.tunables if name in found}


# --- configurations ---------------------------------------------------------------------------------------------------


def space_size(space: TunableSpace) -> int:
    """The number of configurations, those that a constraint excludes included."""
    return len(space.listed) or prod(len(values) for values in space.tunables.values())


def all_configurations(space: TunableSpace) -> Iterator[Tunables]:
    """Every configuration, the last tunable changing fastest."""
    if space.listed:
        yield from space.listed
        return
    for values in product(*space.tunables.values()):
        yield dict(zip(space.tunables, values, strict=True))


def broken_constraint(space: TunableSpace, tunables: Tunables, card: GpuSpec | None) -> str | None:
    """Why a configuration is excluded: the first constraint that it breaks, with the numbers; None if it breaks none.

    A constraint on a number that the GPU's data sheet does not have excludes nothing.
    """
    numbers = {**_numbers(asdict(card) if card is not None else {}), **_numbers(tunables)}
    for constraint in space.constraints:
        sides, signs = _sides(constraint)
        if not all(name in numbers for side in sides for name in names_in(side)):
            continue
        try:
            values = [formula_value(side, numbers.__getitem__) for side in sides]
        except ZeroDivisionError:
            return f"{constraint}: it divides by 0"
        compared = zip(pairwise(values), signs, strict=True)
        if not all(_COMPARISONS[sign](left, right) for (left, right), sign in compared):
            return f"{constraint}: not with {' and '.join(f'{value:g}' for value in values)}"
    return None


def unknown_numbers(space: TunableSpace, card: GpuSpec) -> list[str]:
    """The numbers that constraints compare with and that a GPU's data sheet leaves out."""
    names = [name for constraint in space.constraints for side in _sides(constraint)[0] for name in names_in(side)]
    known = {**_numbers(asdict(card)), **space.tunables}
    return [name for name in dict.fromkeys(names) if name in CARD_NUMBERS and name not in known]


def _numbers(facts: dict[str, object] | Tunables) -> dict[str, float]:
    return {name: float(value) for name, value in facts.items() if isinstance(value, (int, float))}


_LONGEST_NAME = 80


def configuration_names(configurations: list[Tunables]) -> list[str]:
    """Names for configurations, of the characters that a case's name may have; each is different.

    The same tunables have the same name in every sweep, unless two of a sweep are alike but for their letters' case.
    """
    names: list[str] = []
    for tunables in configurations:
        name = _name(tunables)
        while name in names:
            name += "_"
        names.append(name)
    return names


def _name(tunables: Tunables) -> str:
    parts = [f"{name.lower()}{_shown(value)}" for name, value in tunables.items()]
    text = re.sub(r"[^a-z0-9_.-]", "_", "-".join(parts))
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 9]}-{abs(hash_of(parts)):08x}"


def hash_of(parts: list[str]) -> int:
    """A number of 32 bits that is the same in every process."""
    number = 0
    for character in "\n".join(parts):
        number = (number * 31 + ord(character)) % 2**32
    return number


def _shown(value: object) -> str:
    return f"_{value}".lower() if isinstance(value, (bool, str)) else f"{value}"
