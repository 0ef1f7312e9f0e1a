"""Which measurement a report is: what is in it counts, not how it is packed."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import stallgate.extract.content
from stallgate.extract.content import content_digest
from stallgate.project.digests import file_digest

_PACKED = (b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh")
CONTENTS = st.binary(max_size=10_000).filter(lambda content: not content.startswith(_PACKED))
"""No report begins as files of zstd, gzip, xz and bzip2 do."""


@settings(deadline=None, max_examples=30)
@given(content=CONTENTS, level=st.integers(1, 19), frames=st.integers(1, 4), checksum=st.booleans())
def test_packing_does_not_change_the_digest(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, level: int, frames: int, checksum: bool
) -> None:
    folder = tmp_path_factory.mktemp("content")
    packer = zstandard.ZstdCompressor(level=level, write_checksum=checksum)
    size = max(1, -(-len(content) // frames))
    pieces = [content[start : start + size] for start in range(0, len(content), size)] or [b""]
    (folder / "plain").write_bytes(content)
    (folder / "packed").write_bytes(b"".join(packer.compress(piece) for piece in pieces))
    assert content_digest(folder / "plain") == content_digest(folder / "packed")


def test_another_content_has_another_digest(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(zstandard.compress(name.encode() * 100))
    assert content_digest(tmp_path / "a") != content_digest(tmp_path / "b")


def test_what_cannot_be_unpacked_counts_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "cut"
    path.write_bytes(zstandard.compress(bytes(range(256)) * 100)[:-20])
    assert content_digest(path) == file_digest(path)


def test_unpacking_ends_at_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stallgate.extract.content, "_MOST_BYTES", 2**20)
    path = tmp_path / "bomb"
    path.write_bytes(zstandard.compress(bytes(2**24)))
    assert content_digest(path) == file_digest(path)
