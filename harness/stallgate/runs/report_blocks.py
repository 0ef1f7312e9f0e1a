"""An ncu report as the blocks that it is made of, so that launches can be left out."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from stallgate.model import Case


class ReportBlock(NamedTuple):
    """A part of an ncu report; each launch is in a block of its own, and so is a range that was replayed as a whole."""

    content: bytes
    launches: int


def taken_apart(report: bytes) -> tuple[bytes, list[ReportBlock]]:
    """The head of a report, and its blocks.

    A block stands behind the length of its own head, which is a protobuf message.

    Raises:
        ValueError: the bytes are not such a report.
    """
    try:
        end = begin = 8 + struct.unpack_from("<I", report, 4)[0]
        blocks = []
        while begin < len(report):
            length = struct.unpack_from("<I", report, begin)[0]
            fields = _numbers(report[begin + 4 : begin + 4 + length])
            after = begin + 4 + length + fields.get(5, 0)
            blocks.append(ReportBlock(report[begin:after], _results(fields)))
            begin = after
    except (struct.error, IndexError):
        raise ValueError("it does not have the form of an ncu report") from None
    if begin != len(report):
        raise ValueError("the last block of the ncu report was cut short")
    return report[:end], blocks


def count_launches(pieces: Iterable[bytes]) -> int:
    """The launches of a report, by the heads of its blocks. Ranges and graphs replayed as a whole count as one each.

    Args:
        pieces: the bytes of an unpacked report, from the first to the last.

    Raises:
        ValueError: the report was cut short, or its blocks do not lie behind each other.
    """
    stream, launches = _Stream(pieces), 0
    stream.take(4)
    stream.skip(stream.length())
    while not stream.is_at_end():
        fields = _fields(stream.take(stream.length()))
        stream.skip(fields.get(5, 0))
        launches += _results(fields)
    return launches


_RESULTS = (2, 7, 8, 9, 10)
"""Fields of a block's head that count results: launches, replayed ranges, command lists, CUDA graphs, and others."""


def _results(fields: dict[int, int]) -> int:
    return sum(fields.get(number, 0) for number in _RESULTS)


_LONGEST_HEAD = 2**24
"""Most bytes of a block's head; real ones have some dozens."""


def _fields(head: bytes) -> dict[int, int]:
    try:
        fields = _numbers(head)
    except IndexError:
        fields = {}
    if not fields:
        raise ValueError("one of its blocks is damaged")
    return fields


class _Stream:
    """Bytes that come in pieces.

    Taking more than there is raises ValueError.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._piece = b""

    def is_at_end(self) -> bool:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return True
            self._piece = piece
        return False

    def length(self) -> int:
        return int(struct.unpack("<I", self.take(4))[0])

    def take(self, count: int) -> bytes:
        if count > _LONGEST_HEAD:
            raise ValueError("one of its blocks is damaged")
        return b"".join(self._next(count))

    def skip(self, count: int) -> None:
        for _ in self._next(count):
            pass

    def _next(self, count: int) -> Iterator[bytes]:
        left = count
        while left:
            if self.is_at_end():
                raise ValueError("it was cut short")
            part, self._piece = self._piece[:left], self._piece[left:]
            left -= len(part)
            yield part


def cases_in(block: ReportBlock, cases: Iterable[Case]) -> list[Case]:
    """Those of some cases that a block has launches of."""
    return [case for case in cases if case.label("").encode() in block.content]


def only(report: bytes, kept: Collection[Case]) -> bytes:
    """A report without the launches of other cases than some.

    The first launch stays in any case: the names of all metrics are beside it.

    Raises:
        ValueError: the report cannot be taken apart.
    """
    head, blocks = taken_apart(report)
    first = next((block for block in blocks if block.launches), None)
    return head + b"".join(
        block.content for block in blocks if not block.launches or block is first or cases_in(block, kept)
    )


def _numbers(message: bytes) -> dict[int, int]:
    """The integers of a protobuf message, by field."""
    found, at = {}, 0
    while at < len(message):
        key, at = _varint(message, at)
        value, at = _varint(message, at)
        if key & 7 == 0:
            found[key >> 3] = value
        else:
            at += value
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (message[at] & 127) << shift
        if message[at] < 128:
            return value, at + 1
        at, shift = at + 1, shift + 7
