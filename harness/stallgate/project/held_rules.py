"""The changes that a stage's held rules are about, and the readings that their conditions name.

A change is a subject and a verb: ``num_stages raised``, ``BLOCK* changed``, ``access added``, ``accumulator changed to
*float16``. In a condition (`comparisons.py`) a name is the reading of the version that is replaced; ``after.<name>``
that of the new version.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import NamedTuple, get_args

from stallgate.errors import UnknownName
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


def bare_name(name: str) -> str:
    """The metric of a name in a condition, which may be of the new version."""
    return name.removeprefix(_AFTER)


def name_after(metric: str) -> str:
    """The name of a metric's reading of the new version."""
    return f"{_AFTER}{metric}"


def is_after(name: str) -> bool:
    """Whether a name in a condition is a reading of the new version."""
    return name.startswith(_AFTER)
