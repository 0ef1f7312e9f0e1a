"""Names that become parts of paths.

Names come from runs, measuring children, ncu reports and project files, and may be anything. ``slug`` reduces it to
characters that are safe in a path, and ``inside`` refuses a path that leads out of its root.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Container, Hashable
from pathlib import Path

from stallgate.errors import BrokenFile
from stallgate.formatting import as_text

_UNSAFE = re.compile(r"[^a-z0-9_.]+")
_LONGEST_SLUG = 60
_UNNAMED = "unnamed"


def slug(text: str) -> str:
    """A text as one part of a path or of a label: lower case, everything unsafe a dash, at most 60 characters.

    It is never empty and neither begins nor ends with a dot or a dash. A text that is cut short ends with its digest.
    """
    whole = _UNSAFE.sub("-", text.lower()).strip("-.")
    if len(whole) <= _LONGEST_SLUG:
        return whole or _UNNAMED
    return f"{whole[: _LONGEST_SLUG - 9].rstrip('-.')}-{_digest(text)}"


def distinct_slug(text: str, taken: Container[str] = ()) -> str:
    """A unique slug: it ends with the text's digest unless only spaces and capitals were replaced.

    Args:
        text: any text.
        taken: slugs that stand for something else.
    """
    short = slug(text)
    if short == "-".join(text.lower().split()) and short not in taken:
        return short
    return f"{short[: _LONGEST_SLUG - 9].rstrip('-.')}-{_digest(text)}"


class Slugs:
    """The slugs of several texts that stand beside each other: no two texts share one."""

    def __init__(self) -> None:
        self._slugs: dict[Hashable, str] = {}
        self._taken: set[str] = set()
        self._last: Counter[str] = Counter()

    def of(self, text: str, key: Hashable = None) -> str:
        """The slug of a text, always the same; with ``-2``, ``-3`` … if another text had it first.

        Args:
            text: what the slug is made of.
            key: what the slug stands for, where different things may have the same text.
        """
        named = text if key is None else key
        if named not in self._slugs:
            self._slugs[named] = self._new(slug(text))
            self._taken.add(self._slugs[named])
        return self._slugs[named]

    def _new(self, name: str) -> str:
        found = name
        while found in self._taken:
            self._last[name] += 1
            found = f"{name}-{self._last[name] + 1}"
        return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


def inside(root: Path, *parts: str) -> Path:
    """The path of these parts below a root, which may itself be a link.

    Raises:
        BrokenFile: with every link followed, it is the root itself or lies elsewhere.
    """
    path = root.joinpath(*parts)
    try:
        real, base = path.resolve(), root.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # too long; links in a circle; a NUL
        raise BrokenFile(f"{as_text(path)} cannot be a path: {error}", "give it another name") from None
    if real == base or not real.is_relative_to(base):
        raise BrokenFile(
            f"{as_text(path)} leads out of {as_text(root)}",
            "nothing outside is read or written: rename it, or remove the link",
        )
    return path
