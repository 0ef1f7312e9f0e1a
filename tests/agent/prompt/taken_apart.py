"""Takes a prompt apart again, as a program that gets it would: headings, lists and fenced blocks of Markdown."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from stallgate.model import FrozenStruct

_FENCE = re.compile(r"(`{3,}|~{3,})(.*)")


class Block(NamedTuple):
    """A fenced block."""

    language: str
    text: str
    before: str
    """The last line of text before it."""


class Section(FrozenStruct, frozen=True):
    """What stands under a heading."""

    title: str
    prose: list[str]
    """Lines outside of fenced blocks, without empty ones."""
    blocks: list[Block]

    @property
    def words(self) -> str:
        return "\n".join(self.prose)

    @property
    def json_blocks(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """The name in the line before -> what the block has."""
        found: dict[str, Any] = {}
        for block in self.blocks:
            if block.language == "json":
                named = re.search(r"`(.+)`", block.before)
                found[named[1] if named and block.before.startswith("On ") else ""] = json.loads(block.text)
        return found


def taken_apart(text: str) -> list[Section]:
    """The sections of a prompt in their order.

    Raises:
        AssertionError: text before the first heading, or a block that does not end.
    """
    sections: list[tuple[str, list[str], list[Block]]] = []
    fence: str | None = None
    language, inside, before = "", list[str](), ""
    for line in text.split("\n"):
        opened = _FENCE.fullmatch(line)
        if fence is not None:
            if opened and opened[1].startswith(fence) and not opened[2].strip():
                sections[-1][2].append(Block(language, "\n".join(inside), before))
                fence = None
            else:
                inside.append(line)
        elif opened and "`" not in opened[2]:
            fence, language, inside = opened[1], opened[2], []
        elif line.startswith("## "):
            sections.append((line[3:], [], []))
        elif line.strip():
            assert sections, f"text before the first heading: {line}"
            assert not re.match(r"#{1,6}(\s|$)", line), f"a heading that is none of the prompt's: {line}"
            sections[-1][1].append(line)
            before = line
    assert fence is None, "a fenced block does not end"
    return [Section(title=title, prose=prose, blocks=blocks) for title, prose, blocks in sections]


TITLES = (
    "Role and aim",
    "Target GPU",
    "Stage",
    "What is computed",
    "Current code",
    "NCU metrics",
    "Distance from the roof",
    "What has been tried",
    "Advice",
    "Task",
    "Output rules",
)
"""The parts of a prompt without a budget, in their order."""


def by_title(text: str) -> dict[str, Section]:
    """Title -> section; no title is there twice."""
    sections = taken_apart(text)
    found = {section.title: section for section in sections}
    assert len(found) == len(sections)
    return found
