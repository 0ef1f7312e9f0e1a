"""The two small languages of a stage's held rules: which changes a rule is about, and on what readings it allows them.

A change is a subject and a verb: ``num_stages raised``, ``BLOCK* changed``, ``access added``, ``accumulator changed to
*float16``. A condition compares arithmetic over metrics: ``memory_dependency_stall >= 20 or waves < 1``; ``and`` binds
closer than ``or``. A name is the reading of the version that is replaced; ``after.<name>`` that of the new version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from fnmatch import fnmatchcase
from typing import NamedTuple, get_args

from stallgate.errors import UnknownName
from stallgate.project.catalogue import formula_value, names_in
from stallgate.project.code_changes import ChangeKind, CodeChange, Verb
from stallgate.project.source_tree import is_tunable

LAUNCH_FACTS = ("grid_size", "block_size", "registers", "shared_memory")
"""Metrics that say how a kernel was launched: a change of one of them is a change of the variant."""

_KINDS = tuple(kind for kind in get_args(ChangeKind) if kind not in ("tunable", "launch"))
_ANYTHING, SEVERAL = "anything", "several"
_AFTER = "after."

PATTERN_HELP = (
    f"a subject and a verb: the subject is {', '.join((*_KINDS, *LAUNCH_FACTS, _ANYTHING, SEVERAL))} or a tunable, the "
    f'verb {", ".join(get_args(Verb))}; such as "num_stages raised"'
)

_PATTERN = re.compile(rf"(?P<subject>[\w*?]+) (?P<verb>{'|'.join(get_args(Verb))})(?: to (?P<value>\S+))?")

_WILD = re.compile(r"[*?]")


# --- which changes ----------------------------------------------------------------------------------------------------


class ChangePattern(NamedTuple):
    """The changes that a rule is about. The verb ``changed`` stands for every verb."""

    subject: str
    verb: Verb
    value: str | None
    """What it has to be afterwards, with ``*`` and ``?``; None for anything."""

    def matches(self, change: CodeChange) -> bool:
        """Whether a change is one of them."""
        if self.verb not in ("changed", change.verb):
            return False
        if self.value is not None and not fnmatchcase(change.after, self.value):
            return False
        if self.subject in _KINDS:
            return change.kind == self.subject
        named = change.kind in ("tunable", "launch") and fnmatchcase(change.subject, self.subject)
        return named or self.subject == _ANYTHING


def parse_pattern(text: str, tunables: Collection[str] = ()) -> ChangePattern:
    """A pattern from its text.

    Args:
        text: such as ``num_stages raised``.
        tunables: names that are no other subject, such as those of the stage's autotune space.

    Raises:
        ValueError: it is no subject with a verb, or nothing is known by the subject's name.
    """
    found = _PATTERN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"it cannot be `{text[:80]}`")
    subject = found["subject"]
    known = (*_KINDS, *LAUNCH_FACTS, _ANYTHING, SEVERAL, *tunables)
    if subject not in known and not is_tunable(subject) and not _WILD.search(subject):
        unknown = UnknownName("subject of changes", subject, known)
        raise ValueError(f"{unknown.message}; {unknown.hint}")
    verb = next(verb for verb in get_args(Verb) if verb == found["verb"])
    return ChangePattern(subject=subject, verb=verb, value=found["value"])


# --- on what readings -------------------------------------------------------------------------------------------------

_SIGN = re.compile(r">=|<=|>|<")


class _Comparison(NamedTuple):
    left: str
    sign: str
    right: str

    def holds(self, value_of: Callable[[str], float]) -> bool:
        left, right = (formula_value(side, value_of) for side in (self.left, self.right))
        return {">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right}[self.sign]


class Condition(NamedTuple):
    """A condition on readings: alternatives, each of comparisons that have to hold together."""

    alternatives: tuple[tuple[_Comparison, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the readings, each once."""
        sides = [side for part in self.alternatives for each in part for side in (each.left, each.right)]
        return tuple(dict.fromkeys(name for side in sides for name in names_in(side)))

    def holds(self, values: dict[str, float | None]) -> bool | None:
        """Whether it holds; None where that cannot be told, because readings are missing.

        Without alternatives it never holds.
        """
        results = [_all(part, values) for part in self.alternatives]
        if True in results:
            return True
        return None if None in results else False


def _all(comparisons: tuple[_Comparison, ...], values: dict[str, float | None]) -> bool | None:
    results = [_one(each, values) for each in comparisons]
    if False in results:
        return False
    return None if None in results else True


def _one(comparison: _Comparison, values: dict[str, float | None]) -> bool | None:
    def value_of(name: str) -> float:
        value = values.get(name)
        if value is None:
            raise LookupError(name)
        return value

    try:
        return comparison.holds(value_of)
    except (LookupError, ZeroDivisionError):
        return None


def parse_condition(text: str) -> Condition:
    """A condition from its text; the empty text never holds.

    Raises:
        ValueError: it is no comparison of two formulas.
    """
    parts = [part.split(" and ") for part in text.split(" or ")] if text.strip() else []
    return Condition(tuple(tuple(_comparison(each) for each in part) for part in parts))


def _comparison(text: str) -> _Comparison:
    sides = _SIGN.split(text)
    if len(sides) != 2 or not all(side.strip() for side in sides):
        raise ValueError(f"`{text.strip()[:80]}` is not two sides with one of >= <= > < between them")
    for side in sides:
        names_in(side.strip())
    signs = _SIGN.findall(text)
    return _Comparison(sides[0].strip(), signs[0], sides[1].strip())


def bare_name(name: str) -> str:
    """The metric of a name in a condition, which may be of the new version."""
    return name.removeprefix(_AFTER)


def is_after(name: str) -> bool:
    """Whether a name in a condition is a reading of the new version."""
    return name.startswith(_AFTER)
