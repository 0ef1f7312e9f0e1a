"""Identifies an ncu report by its content, however it was compressed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import zstandard

from stallgate.project.digests import file_digest

_MAGIC = b"\x28\xb5\x2f\xfd"
"""The first bytes of a file compressed by zstd."""

_MOST_BYTES = 4 * 2**30
"""Most bytes of a decompressed report; real ones are far smaller."""

_LARGEST_WINDOW = 2**27
"""Most bytes of memory for decompressing: what stallgate's own recordings take."""

_CHUNK = 2**10
"""Compressed bytes read at once: a malicious block can grow 32,000 times."""


def content_digest(path: Path) -> str:
    """SHA-256 of the decompressed report: the same however a copy was compressed.

    A file that zstd cannot unpack completely, or that unpacks to more than 4 GiB, is not a report and is hashed as is.
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
    """The decompressed content, piece by piece.

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
