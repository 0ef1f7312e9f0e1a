"""A run's folder as one packed file, named by what is in it.

What can be drawn again, pages and pictures, is left out. A run is identified by its ``run.json`` and ``sweep.json``,
which hold the SHA-256 of every ncu report: judging or drawing it again leaves it the same run.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import zstandard

from stallgate.errors import BrokenFile
from stallgate.model import FrozenStruct
from stallgate.project.digests import file_digest
from stallgate.project.paths import inside
from stallgate.runs.folder import SWEEP_FILE, load
from stallgate.runs.sweep import load_sweep

_DIGITS = 32
"""Hexadecimal digits of a digest that names keep."""

_NAME = re.compile(rf"([A-Za-z0-9_][A-Za-z0-9_.-]*)\+([0-9a-f]{{{_DIGITS}}})\+([0-9a-f]{{{_DIGITS}}})\.tar\.zst")

_DRAWN = {".html", ".png"}

_LARGEST = 8 << 30
"""Most bytes that are unpacked."""

_LEVEL = 10
"""Of zstd."""


class ArchiveName(FrozenStruct, frozen=True):
    """What the name of a packed run says."""

    run: str
    identity: str
    """A digest of the run."""
    digest: str
    """A digest of the packed file."""

    @property
    def file(self) -> str:
        return f"{self.run}+{self.identity}+{self.digest}.tar.zst"

    @classmethod
    def read(cls, file: str) -> Self | None:
        """What a file's name says; None where it is not that of a packed run."""
        found = _NAME.fullmatch(file)
        return cls(*found.groups()) if found is not None else None


def identity_of(folder: Path) -> str:
    """A digest of a run that only another measurement changes.

    Raises:
        OSError: its files cannot be read.
    """
    found = [f"{name} {file_digest(folder / name)}\n" for name in ("run.json", SWEEP_FILE) if (folder / name).is_file()]
    return hashlib.sha256("".join(found).encode()).hexdigest()[:_DIGITS]


def pack_run(folder: Path) -> tuple[ArchiveName, bytes]:
    """A run's folder as one file; the same folder always gives the same bytes.

    Raises:
        OSError: a file of it cannot be read.
    """
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _kept(folder):
            content = path.read_bytes()
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    content = zstandard.ZstdCompressor(level=_LEVEL).compress(written.getvalue())
    return ArchiveName(run=folder.name, identity=identity_of(folder), digest=digest_in_name(content)), content


def _kept(folder: Path) -> Iterator[Path]:
    """The files of a run that are packed: no links, nothing drawn, nothing that is being written."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not path.is_symlink() and not hidden and path.suffix not in _DRAWN:
            yield path


def unpack_run(name: ArchiveName, content: bytes, folder: Path) -> None:
    """Unpacks a run into an empty folder, and checks that it is the run that was packed.

    Raises:
        BrokenFile: it is not.
        OtherFormat: a newer stallgate measured it.
    """
    if digest_in_name(content) != name.digest:
        raise BrokenFile(f"{name.file} is not what was pushed: its digest differs", _AGAIN)
    try:
        _extract(content, folder)
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise BrokenFile(f"{name.file}: {error}", _AGAIN) from None
    _check(name, folder)


_AGAIN = "remove it there, and push the run again from where it was measured"


def _extract(content: bytes, folder: Path) -> None:
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content))
    left = _LARGEST
    with tarfile.open(fileobj=reader, mode="r|") as archive:
        for entry in archive:
            left -= entry.size
            if not entry.isfile() or left < 0:
                raise tarfile.TarError(f"{entry.name} is not a file of a run, or too large")
            target = inside(folder, entry.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            file = archive.extractfile(entry)
            target.write_bytes(file.read() if file is not None else b"")


def _check(name: ArchiveName, folder: Path) -> None:
    """Holds a run that was unpacked against its name, and its ncu reports against ``run.json``."""
    if identity_of(folder) != name.identity:
        raise BrokenFile(f"{name.file} holds another run than its name says", _AGAIN)
    if not (folder / "run.json").is_file():
        load_sweep(folder)
        return
    for attempt in load(folder).attempts:
        report = folder / attempt.report if attempt.report is not None else folder
        if report.is_file() and attempt.sha256 not in (None, file_digest(report)):  # some keep no ncu reports
            raise BrokenFile(f"{name.file}: {attempt.report} is not the ncu report that was measured", _AGAIN)


def digest_in_name(content: bytes) -> str:
    """The digest of a file's content that its name keeps."""
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
