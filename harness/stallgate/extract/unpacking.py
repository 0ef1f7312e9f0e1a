"""Unpacks files compressed by zstd, gzip, xz or bzip2, within bounds. The content tells which, not the name."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Protocol

import zstandard

MOST_UNPACKED = 4 * 2**30
"""Most bytes that are unpacked."""

LARGEST_REPORT = 2 * 2**30
"""Most bytes of an unpacked report that is read; real ones are far smaller."""

_LARGEST_WINDOW = 2**27
"""Most bytes of memory for decompressing: what stallgate's own recordings take."""

_MOST_LAYERS = 3
"""A packed file may be packed again, for instance a ``.ncu-repz`` by gzip."""

_CHUNK = 2**10
"""Compressed bytes read at once: a malicious block can grow 32,000 times."""

_LONGEST_MAGIC = 6


class CannotUnpack(Exception):
    """A packed file is damaged, was cut short, or is too large."""


class _Unpacker(Protocol):
    """One compressed stream, as the libraries have it."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _zstd() -> _Unpacker:
    return zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompressobj()


def _gzip() -> _Unpacker:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


def _xz() -> _Unpacker:
    return lzma.LZMADecompressor(memlimit=2 * _LARGEST_WINDOW)


_PACKINGS: dict[bytes, tuple[str, Callable[[], _Unpacker]]] = {
    b"\x28\xb5\x2f\xfd": ("zstd", _zstd),
    b"\x1f\x8b": ("gzip", _gzip),
    b"\xfd7zXZ\0": ("xz", _xz),
    b"BZh": ("bzip2", bz2.BZ2Decompressor),
}
"""First bytes of a packed file -> what packed it."""

_FAULTS = (zstandard.ZstdError, zlib.error, lzma.LZMAError, OSError, EOFError)


def packings_of(path: Path) -> list[str]:
    """What a file is packed by, outermost first; empty where it is not packed, as far as it can be unpacked."""
    with path.open("rb") as file:
        found: list[str] = []
        chunks: Iterator[bytes] = iter(partial(file.read, _CHUNK), b"")
        try:
            while (layer := _layer(chunks))[0] and len(found) < _MOST_LAYERS:
                found.append(layer[0])
                chunks = layer[1]
        except CannotUnpack:
            pass
        return found


def unpacked(path: Path, most: int = MOST_UNPACKED) -> Iterator[bytes]:
    """The content of a file without its packings, piece by piece.

    Raises:
        CannotUnpack: it is damaged, was cut short, or unpacks to more than ``most`` bytes.
    """
    with path.open("rb") as file:
        chunks: Iterator[bytes] = iter(partial(file.read, _CHUNK), b"")
        for _ in range(_MOST_LAYERS):
            name, chunks = _layer(chunks, most)
            if not name:
                break
        yield from chunks


def head_of(path: Path, length: int) -> bytes:
    """The first bytes of a file's content without its packings.

    Raises:
        CannotUnpack: they cannot be unpacked.
    """
    head = b""
    for piece in unpacked(path):
        head += piece[: length - len(head)]
        if len(head) == length:
            break
    return head


def _layer(chunks: Iterator[bytes], most: int = MOST_UNPACKED) -> tuple[str, Iterator[bytes]]:
    """What a stream is packed by, and its content; an empty name and the stream itself where it is not packed."""
    head = b""
    while len(head) < _LONGEST_MAGIC and (chunk := next(chunks, b"")):
        head += chunk
    chunks = chain([head], chunks) if head else chunks
    for magic, (name, new) in _PACKINGS.items():
        if head.startswith(magic):
            return name, _unpacked(chunks, name, new, most)
    return "", chunks


def _unpacked(chunks: Iterable[bytes], name: str, new: Callable[[], _Unpacker], most: int) -> Iterator[bytes]:
    """The content of a packed stream in small pieces; several streams behind each other are one."""
    length = 0
    try:
        for piece in _pieces(chunks, new):
            length += len(piece)
            if length > most:
                raise CannotUnpack(f"it unpacks to more than {most / 2**30:g} GiB")
            yield from (piece[start : start + _CHUNK] for start in range(0, len(piece), _CHUNK))
    except EOFError:
        raise CannotUnpack(f"it was cut short: {name} cannot unpack it to its end") from None
    except _FAULTS as error:
        raise CannotUnpack(f"{name} cannot unpack it: {error}") from None


def _pieces(chunks: Iterable[bytes], new: Callable[[], _Unpacker]) -> Iterator[bytes]:
    unpacker = new()
    for chunk in chunks:
        rest = chunk
        while rest:
            if unpacker.eof:
                unpacker = new()
            yield unpacker.decompress(rest)
            rest = unpacker.unused_data if unpacker.eof else b""
    if not unpacker.eof:
        raise EOFError
