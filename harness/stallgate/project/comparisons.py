"""Conditions on readings: comparisons of arithmetic over their names, as rules of stages and of advice write them.

``memory_dependency_stall >= 20 or waves < 1``; ``and`` binds closer than ``or``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from stallgate.project.catalogue import formula_value, names_in

_SIGN = re.compile(r">=|<=|>|<")
_COMPARES: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

ValueOf = Callable[[str], float | None]
"""A reading by its name; None where it is missing."""


class _Comparison(NamedTuple):
    left: str
    sign: str
    right: str

    def holds(self, value_of: ValueOf) -> bool | None:
        """Whether it holds; None where a reading is missing or a divisor is 0."""

        def needed(name: str) -> float:
            value = value_of(name)
            if value is None:
                raise LookupError(name)
            return value

        try:
            return _COMPARES[self.sign](formula_value(self.left, needed), formula_value(self.right, needed))
        except (LookupError, ZeroDivisionError):
            return None


class Condition(NamedTuple):
    """Alternatives, each of comparisons that have to hold together."""

    alternatives: tuple[tuple[_Comparison, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the readings, each once."""
        sides = [side for part in self.alternatives for each in part for side in (each.left, each.right)]
        return tuple(dict.fromkeys(name for side in sides for name in names_in(side)))

    def holds(self, value_of: ValueOf) -> bool | None:
        """Whether it holds; None where that cannot be told. Without alternatives it never holds."""
        results = [_all(part, value_of) for part in self.alternatives]
        if True in results:
            return True
        return None if None in results else False


def _all(comparisons: tuple[_Comparison, ...], value_of: ValueOf) -> bool | None:
    results = [each.holds(value_of) for each in comparisons]
    if False in results:
        return False
    return None if None in results else True


@cache
def parse_condition(text: str) -> Condition:
    """A condition from its text; the empty text never holds.

    Raises:
        ValueError: it is no comparison of two expressions.
    """
    parts = [part.split(" and ") for part in text.split(" or ")] if text.strip() else []
    return Condition(tuple(tuple(_comparison(each) for each in part) for part in parts))


def _comparison(text: str) -> _Comparison:
    sides = _SIGN.split(text)
    if len(sides) != 2 or not all(side.strip() for side in sides):
        raise ValueError(f"`{text.strip()[:80]}` is not two expressions with one of >= <= > < between them")
    for side in sides:
        names_in(side.strip())
    return _Comparison(sides[0].strip(), _SIGN.findall(text)[0], sides[1].strip())
