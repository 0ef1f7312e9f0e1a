"""Which measurement an ncu report is, however it was packed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import zstandard

from stallgate.project.digests import file_digest

_MAGIC = b"\x28\xb5\x2f\xfd"
"""The first bytes of what zstd compressed."""

_MOST_BYTES = 4 * 2**30
"""Of a report, decompressed: no real one comes near."""

_LARGEST_WINDOW = 2**27
"""Bytes of memory that decompressing may take; stallgate's own recordings take as much."""

_CHUNK = 2**10
"""Bytes that are unpacked at once: a block of a bomb is 32,000 times as large unpacked."""


def content_digest(path: Path) -> str:
    """SHA-256 of the report in a file: a copy that was compressed, or compressed in another way, has the same.

    What zstd cannot unpack whole, or only to more than 4 GiB, has the digest of its bytes: it is no report.
    """
    with path.open("rb") as file:
        packed = file.read(len(_MAGIC)) == _MAGIC
        file.seek(0)
        found = _unpacked_digest(file) if packed else None
    return found if found is not None else file_digest(path)


def _unpacked_digest(file: IO[bytes]) -> str | None:
    digest, length = hashlib.sha256(), 0
    try:
        for piece in _unpacked(file):
            length += len(piece)
            if length > _MOST_BYTES:
                return None
            digest.update(piece)
    except (zstandard.ZstdError, EOFError):
        return None
    return digest.hexdigest()


def _unpacked(file: IO[bytes]) -> Iterator[bytes]:
    """What zstd packed, frame after frame.

    Raises:
        ZstdError: it is damaged.
        EOFError: it was cut short.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
    frame = decompressor.decompressobj()
    while chunk := file.read(_CHUNK):
        while chunk:
            if frame.eof:
                frame = decompressor.decompressobj()
            yield frame.decompress(chunk)
            chunk = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise EOFError
