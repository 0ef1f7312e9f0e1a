"""An ncu report, taken apart into its blocks."""

from __future__ import annotations

import struct


def taken_apart(report: bytes) -> tuple[bytes, list[tuple[bytes, int]]]:
    """The head of a report, and its blocks with the number of launches in each.

    A block stands behind the length of its own head, which is a protobuf message.
    """
    end = begin = 8 + struct.unpack_from("<I", report, 4)[0]
    blocks = []
    while begin < len(report):
        length = struct.unpack_from("<I", report, begin)[0]
        fields = _numbers(report[begin + 4 : begin + 4 + length])
        after = begin + 4 + length + fields.get(5, 0)
        blocks.append((report[begin:after], fields.get(2, 0)))
        begin = after
    return report[:end], blocks


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
