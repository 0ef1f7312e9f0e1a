"""A place that several machines share: a folder, or whatever else fsspec has a file system for.

It is the one module that imports fsspec, and does so when it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

from stallgate.errors import BadArgument, RemoteRefused

_PARTS = "parts"
"""The folder of what is being written: nobody looks for anything there."""


class Remote:
    """Files in flat folders, each of them whole or not there."""

    def __init__(self, address: str) -> None:
        """Finds the file system of an address; nothing is asked of it yet.

        Raises:
            BadArgument: fsspec is missing, or knows no such file system.
        """
        self.shown = re.sub(r"//[^/]*@", "//", address)
        """The address without what may be a password."""
        self._files, self._root = _file_system(address, self.shown)

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, in order; none where there is no folder.

        Raises:
            RemoteRefused: they cannot be listed.
        """
        with self._asked():
            self._files.invalidate_cache()
            try:
                found = self._files.ls(f"{self._root}/{folder}", detail=False)
            except FileNotFoundError:
                return []
            return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)

    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
            RemoteRefused: it cannot be read.
        """
        with self._asked():
            content: bytes = self._files.cat_file(f"{self._root}/{path}")
            return content

    def write(self, path: str, content: bytes) -> None:
        """Writes a file under another name first, so that nobody ever finds a part of it.

        Raises:
            RemoteRefused: it cannot be written.
        """
        part, target = f"{self._root}/{_PARTS}/{uuid4().hex}", f"{self._root}/{path}"
        with self._asked():
            for place in (part, target):
                self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(part, content)
            self._files.mv(part, target)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  (every file system has errors of its own)
            words = " ".join(str(error).split())[:300] or type(error).__name__
            raise RemoteRefused(
                f"{self.shown}: {words}", "check the address, and whether this machine may read and write there"
            ) from None


def _file_system(address: str, shown: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    if find_spec("fsspec") is None:
        raise BadArgument("fsspec is not installed, and runs are shared by it", 'pip install "stallgate[remote]"')
    if not address.strip():
        raise BadArgument("the address is empty", "name a folder, or a URL such as s3://bucket/folder")
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise BadArgument(f"{shown}: {error}", "install the package that it names, beside stallgate") from None
    except Exception as error:  # noqa: BLE001  (every file system has errors of its own)
        raise BadArgument(
            f"{shown}: {error}",
            "name a folder, or a URL of a file system that fsspec knows, such as s3://bucket/folder",
        ) from None
    return files, str(root).rstrip("/")
