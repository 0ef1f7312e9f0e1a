"""Identifies an ncu report by its content, however it was compressed, and keeps a copy of it in a run."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from stallgate.extract.unpacking import MOST_UNPACKED, CannotUnpack, packings_of, unpacked
from stallgate.project.digests import file_digest

_MOST_BYTES = MOST_UNPACKED

_SUFFIXES = (".ncu-rep", ".ncu-repz", ".nsight-cuprof-report", ".gz", ".xz", ".bz2", ".zst")
"""Endings that say how a report is written, not what it is of."""


def content_digest(path: Path) -> str:
    """SHA-256 of the decompressed report: the same however a copy was compressed.

    A file that cannot be unpacked completely, or that unpacks to more than 4 GiB, is not a report and is hashed as is.
    """
    try:
        return _unpacked_digest(path)
    except CannotUnpack:
        return file_digest(path)


def stored_digest(path: Path) -> str:
    """SHA-256 of the file that ``store_report`` makes of a report.

    Raises:
        CannotUnpack: it is packed in another way than ncu's own, and cannot be unpacked.
    """
    return file_digest(path) if _is_as_ncu_writes(path) else _unpacked_digest(path)


def store_report(path: Path, kept: Path) -> None:
    """Copies a report; one that is packed in another way than ncu's own is unpacked."""
    if _is_as_ncu_writes(path):
        shutil.copyfile(path, kept)
        return
    with kept.open("wb") as file:
        file.writelines(unpacked(path))


def stored_suffix(path: Path) -> str:
    """The suffix of a stored report by its content: NVIDIA's library goes by it."""
    return ".ncu-repz" if packings_of(path) == ["zstd"] else ".ncu-rep"


def report_name(path: Path) -> str:
    """A report's name without its endings, in any case: ``step.ncu-rep.gz`` and ``step.NCU-REP`` are both ``step``."""
    name = path.name
    while (suffix := Path(name).suffix).lower() in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _is_as_ncu_writes(path: Path) -> bool:
    return packings_of(path) in ([], ["zstd"])


def _unpacked_digest(path: Path) -> str:
    digest = hashlib.sha256()
    for piece in unpacked(path, _MOST_BYTES):
        digest.update(piece)
    return digest.hexdigest()
