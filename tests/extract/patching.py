"""Reports as other programs leave them, made of a recorded one: other names, other ranges, more launches.

A text is replaced by one of the same length, so that the report's form stays whole.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import zstandard

from stallgate.runs.folder import load
from stallgate.runs.report_blocks import taken_apart


def recorded_report(recording: Path) -> bytes:
    """The recorded report of a recording, not packed."""
    return unpacked_report(recording / str(load(recording).attempts[0].report))


def unpacked_report(path: Path) -> bytes:
    """A report that is packed by zstd, not packed."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())


def patched(content: bytes, changes: dict[str, str]) -> bytes:
    """A report in which texts are replaced."""
    for old, new in changes.items():
        before, after = old.encode(), new.encode()
        assert len(before) == len(after), (old, new)
        assert before in content, old
        content = content.replace(before, after)
    return content


def launches_of(report: bytes, numbers: list[int], change: Callable[[int, bytes], bytes] | None = None) -> bytes:
    """A report of some of another's launches, in any order and as often as wanted.

    Args:
        report: the other one.
        numbers: which of its launches; the first has to be among them, because the names of metrics are beside it.
        change: what a launch becomes, by its place and its bytes.
    """
    head, blocks = taken_apart(report)
    launches = [block.content for block in blocks if block.launches]
    change = change or (lambda _, content: content)
    made = [change(place, launches[number]) for place, number in enumerate(numbers)]
    return head + b"".join([*(block.content for block in blocks if not block.launches), *made])


def repeated(report: bytes, count: int, change: Callable[[int, bytes], bytes] | None = None) -> bytes:
    """A report of so many launches, which are those of another one again and again."""
    _, blocks = taken_apart(report)
    known = sum(block.launches for block in blocks)
    return launches_of(report, list(islice(cycle(range(known)), count)), change)
