"""Answers that fit: so many characters, whatever a run holds, and how to get the rest."""

from __future__ import annotations

import json
from typing import Any

from stallgate.formatting import shortened

DIGEST_CHARACTERS = 4_000
"""Most characters of a digest: below 1,500 tokens, of which a digit may be one."""

SECTION_CHARACTERS = 24_000
"""Most characters of a section that was asked for: 8,000 tokens."""

_FOR_PAGING = 90
"""Characters of the keys that say where a page lies."""

_TRIMS = ((2000, 100), (500, 40), (200, 15), (80, 5), (30, 2))
"""Longest text and most parts of what is too large as it is, tried in turn."""


def as_answer(value: object) -> str:
    """JSON in few characters."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def fitted(answer: dict[str, Any], items: str, offset: int, most: int) -> str:
    """An answer as JSON of at most so many characters.

    Args:
        answer: the whole answer.
        items: the key of its list, which is cut at an item and goes on at ``next_offset``.
        offset: the first item that is wanted.
        most: characters.
    """
    everything = answer.get(items, [])
    rows = everything[offset:]
    fixed = _trimmed_to({key: value for key, value in answer.items() if key != items}, most // 2)
    room = most - len(as_answer(fixed)) - len(items) - _FOR_PAGING
    count = _how_many(rows, room)
    if rows and not count:
        rows, count = [_trimmed_to(rows[0], room), *rows[1:]], 1
    page = fixed | ({items: rows[:count]} if items in answer else {})
    if count < len(everything):
        page["showing"] = (
            f"{offset + 1} to {offset + count} of {len(everything)}" if count else f"0 of {len(everything)}"
        )
    if count < len(rows):
        page["next_offset"] = offset + count
    return as_answer(page)


def _how_many(rows: list[Any], room: int) -> int:
    """How many of the rows fit."""
    for count, row in enumerate(rows):
        room -= len(as_answer(row)) + 1
        if room < 0:
            return count
    return len(rows)


def _trimmed_to(value: Any, most: int) -> Any:
    """A value in at most so many characters: as it is, or with shorter texts and fewer parts, and ``trimmed``."""
    if len(as_answer(value)) <= most:
        return value
    for longest, parts in _TRIMS:
        found = _trimmed(value, longest, parts)
        if isinstance(found, dict):
            found["trimmed"] = True
        if len(as_answer(found)) <= most:
            return found
    return {"trimmed": True, "begins": shortened(as_answer(value), max(most // 3, 1))}


def _trimmed(value: Any, longest: int, parts: int) -> Any:
    match value:
        case str():
            return shortened(value, longest)
        case list():
            return [_trimmed(each, longest, parts) for each in value[:parts]]
        case dict():
            return {
                shortened(key, longest): _trimmed(each, longest, parts) for key, each in list(value.items())[:parts]
            }
        case _:
            return value
