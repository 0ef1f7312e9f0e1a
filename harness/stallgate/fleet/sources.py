"""The files of a project on their way to a worker: packed once, named by their digest."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

from stallgate.errors import BrokenFile
from stallgate.model import FrozenStruct
from stallgate.project.files import project_files

_LARGEST_SENT = 256 * 2**20
"""Bytes of a project's files; every worker gets them."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every packed file: the same files have the same digest."""


class Sources(FrozenStruct, frozen=True):
    """A project's files."""

    digest: str
    archive: bytes


def pack_sources(root: Path) -> Sources:
    """The files that a project's code may load.

    Raises:
        BrokenFile: they are too large to be sent to every worker.
    """
    packed, size = io.BytesIO(), 0
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in project_files(root):
            content = path.read_bytes()
            size += len(content)
            if size > _LARGEST_SENT:
                raise BrokenFile(
                    f"the project is too large to be sent to every worker: over {_LARGEST_SENT // 2**20} MiB",
                    "move data out of the project's folder",
                )
            archive.writestr(zipfile.ZipInfo(path.relative_to(root).as_posix(), _EPOCH), content)
    content = packed.getvalue()
    return Sources(hashlib.sha256(content).hexdigest()[:16], content)


def unpack(sources: Sources, folder: str) -> Path:
    """The root of a project in a worker's folder; it is unpacked there if it is not."""
    root = place_of(sources.digest, folder)
    if not root.is_dir():
        part = root.with_name(f"{root.name}.part")
        with zipfile.ZipFile(io.BytesIO(sources.archive)) as archive:
            archive.extractall(part)
        part.rename(root)
    return root


def place_of(digest: str, folder: str) -> Path:
    """Where sources are unpacked in a worker's folder."""
    return Path(folder) / f"sources-{digest}"
