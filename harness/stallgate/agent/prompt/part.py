"""A part of a prompt, and how text that is not ours is put into it so that it stays text.

A prompt is Markdown: a heading of its own for each part, lists, and fenced blocks. Everything that the project, a run
or an answer brings, such as code, names, titles and reasons, goes through ``fenced``, ``inline`` or ``code_span``.
"""

from __future__ import annotations

import re

from stallgate.formatting import as_text, without_controls
from stallgate.model import FrozenStruct

_BACKTICKS = re.compile("`+")
_SHORTEST_FENCE = 3
_FORM_FEEDS = re.compile("^\f+", re.MULTILINE)
"""Between parts of a program: Python takes them for nothing there."""


class ShorterForm(FrozenStruct, frozen=True):
    """A part in fewer words, or nothing of it."""

    text: str
    """Empty: the part is left out."""
    usefulness: int
    """What is lost by it: of all shorter forms, those that lose least are taken first."""
    loses: str
    """What is not said any more, in words, such as ``all advice but the first``."""


class Part(FrozenStruct, frozen=True):
    """One part of a prompt."""

    name: str
    """Stable, such as ``ncu_metrics``."""
    title: str
    text: str
    """Markdown without a heading; it ends without a line break."""
    shorter: list[ShorterForm] = []
    """Ever shorter, each more of a loss than the one before. Empty: it stays whole."""


def rendered_part(part: Part) -> str:
    """A part under its heading."""
    return f"## {part.title}\n\n{part.text}\n"


def fenced(text: str, language: str) -> str:
    """A text as a fenced block, with a fence longer than any row of backticks in it.

    Line ends become newlines, and control characters but tabs U+FFFD.
    """
    body = plain_lines(text).rstrip("\n")
    longest = max((len(found) for found in _BACKTICKS.findall(body)), default=0)
    fence = "`" * max(_SHORTEST_FENCE, longest + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def plain_lines(text: str) -> str:
    """A text with newlines as the only line ends and without control characters; it has the same lines as before."""
    ends = text.replace("\r\n", "\n").replace("\r", "\n")
    return without_controls(as_text(_FORM_FEEDS.sub("", ends)))


def inline(text: object) -> str:
    """A text that is not ours as a part of a line, after words of ours or in a list: it has no line breaks."""
    return " ".join(without_controls(as_text(str(text)).replace("\t", " ")).split())


def code_span(text: object) -> str:
    """A name in a line, between as many backticks as it takes."""
    words = inline(text)
    longest = max((len(found) for found in _BACKTICKS.findall(words)), default=0)
    ticks = "`" * (longest + 1)
    room = " " if not words or words.startswith("`") or words.endswith("`") else ""
    return f"{ticks}{room}{words}{room}{ticks}"


def bullets(lines: list[str]) -> str:
    """Lines as a list; what would begin a heading, a fence or a list within it is text."""
    return "\n".join(f"- {_as_words(line)}" for line in lines)


_BEGINS_A_BLOCK = re.compile(r"#|>|<|\||=|```|~~~|---|___|[-+*](?:\s|$)|[0-9]+[.)](?:\s|$)")
"""What is more than text at the beginning of a line."""


def _as_words(line: str) -> str:
    return f"\\{line}" if _BEGINS_A_BLOCK.match(line) else line


def paragraphs(*texts: str) -> str:
    """Those that say something, with an empty line between."""
    return "\n\n".join(text for text in texts if text)
