"""What was read of the folders under ``reports/``, kept in one file so that only what changed is read again.

The store is a cache, ``reports/.store.sqlite``: it has nothing that the folders do not have, and may be removed at any
time. Without it, with one that is damaged, or where it cannot be written, the folders are read and say the same.
Several processes may use it at once: each writes what it has read in short transactions.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from stallgate import __version__
from stallgate.model import FrozenStruct
from stallgate.runs.folder import RECORDED

STORE_FILE = ".store.sqlite"

_FORMAT = 1
"""Of the file's tables. What is kept in them is versioned by each source."""

_TABLES = """
DROP TABLE IF EXISTS marks;
DROP TABLE IF EXISTS parts;
CREATE TABLE marks (source TEXT, folder BLOB, mark TEXT, parts TEXT, PRIMARY KEY (source, folder)) WITHOUT ROWID;
CREATE TABLE parts (
    source TEXT, part TEXT, folder BLOB, content BLOB, PRIMARY KEY (source, part, folder)
) WITHOUT ROWID;
"""

_AT_ONCE = 200
"""Folders that are read before they are kept: whoever is interrupted loses no more."""

_SETTLED_S = 2.0
"""A file that changed less than this before it was read may change again without a new time."""

_WAIT_S = 20.0
"""How long another process may hold the file."""

KeptParts = dict[str, bytes]
"""Name -> what is kept under it."""


class Source(FrozenStruct, frozen=True):
    """Something that is read of each folder, and kept."""

    name: str
    files: tuple[str, ...]
    """A folder that lacks the first is passed over; one in which any of them changed is read again."""
    read: Callable[[Path], KeptParts]
    """Folder -> the parts to keep, every part on its own."""
    version: str
    """Whatever else the parts depend on: kept parts of another version are not used."""


def shape_of(*kinds: object) -> str:
    """A digest of the shapes of some structs, for the version of a source that keeps them."""
    schemas, components = msgspec.json.schema_components(kinds)
    return hashlib.sha256(msgspec.json.encode([schemas, components], order="deterministic")).hexdigest()[:16]


class Store:
    """The folders under ``reports/`` as they are now, and what is known of them."""

    def __init__(self, reports: Path) -> None:
        """Lists the folders; no file in them is opened."""
        self._reports = reports
        self._files = dict(_listed(reports))
        self._marks: dict[Source, dict[str, str]] = {}

    def folders(self, holding: str) -> list[Path]:
        """The folders with a file of this name, by name; without recordings and links."""
        return [self._reports / folder for folder, files in self._files.items() if holding in files]

    def files(self, folder: Path) -> frozenset[str]:
        """The names of all files in a folder."""
        return self._files.get(folder.name, frozenset())

    def parts(self, source: Source, wanted: Iterable[str]) -> dict[Path, KeptParts]:
        """Folder -> the wanted parts of a source that it has, of every folder with the source's first file."""
        names = list(dict.fromkeys(wanted))
        marks = self._marks.get(source)
        if marks is None:
            marks = {name: self._mark(source, name) for name, files in self._files.items() if source.files[0] in files}
            self._marks[source] = marks
        if not marks:
            return {}
        kept = self._kept(source, marks, names)
        stale = [name for name in marks if name not in kept]
        for start in range(0, len(stale), _AT_ONCE):
            read = {name: source.read(self._reports / name) for name in stale[start : start + _AT_ONCE]}
            self._keep(source, {name: (marks[name], parts) for name, parts in read.items()})
            kept |= {name: {part: parts[part] for part in names if part in parts} for name, parts in read.items()}
        return {self._reports / name: kept[name] for name in marks}

    def _mark(self, source: Source, name: str) -> str:
        """What changes whenever one of a source's files does; empty where that cannot be relied on yet."""
        now = time.time_ns()
        place, there = f"{self._reports}/{name}", self._files[name]
        found = [_stamp(f"{place}/{file}") for file in source.files if file in there]
        newest = max(changed for _, changed in found)
        stamps = ",".join(stamp for stamp, _ in found)
        return f"{__version__} {source.version} {stamps}" if newest < now - _SETTLED_S * 1e9 else ""

    def _kept(self, source: Source, marks: Mapping[str, str], wanted: Sequence[str]) -> dict[str, KeptParts]:
        """Folder -> its wanted parts, of the folders that did not change since they were kept."""
        try:
            with _opened(self._reports / STORE_FILE) as file:
                known = _known(file, source)
                found: dict[str, KeptParts] = {
                    name: {} for name, mark in marks.items() if _is_same(known.get(name), mark)
                }
                for part in wanted:
                    for name, content in _contents(file, source, part):
                        if name in found:
                            found[name][part] = content
        except sqlite3.Error:
            return {}
        self._forget(source, known.keys() - marks.keys())
        there = {names: names.intersection(wanted) for names in {mark.parts for mark in known.values()}}
        return {name: parts for name, parts in found.items() if there[known[name].parts] <= parts.keys()}

    def _keep(self, source: Source, read: Mapping[str, tuple[str, KeptParts]]) -> None:
        """Keeps what was read, if there is a place for it."""
        with suppress(sqlite3.Error), _opened(self._reports / STORE_FILE) as file, _transaction(file):
            for name, (mark, parts) in read.items():
                folder = os.fsencode(name)
                _remove_parts(file, source, name)
                rows = (
                    (source.name, part, folder, _seal(_head(source, part), folder, content) + content)
                    for part, content in parts.items()
                )
                file.executemany("REPLACE INTO parts VALUES (?, ?, ?, ?)", rows)
                file.execute("REPLACE INTO marks VALUES (?, ?, ?, ?)", (source.name, folder, mark, "\n".join(parts)))

    def _forget(self, source: Source, gone: Collection[str]) -> None:
        """Removes what is known of folders that are there no more."""
        if gone:
            with suppress(sqlite3.Error), _opened(self._reports / STORE_FILE) as file, _transaction(file):
                for name in gone:
                    _remove_parts(file, source, name)
                    file.execute("DELETE FROM marks WHERE source = ? AND folder = ?", (source.name, os.fsencode(name)))


class _Mark(NamedTuple):
    """The mark of a folder when it was read, and the names of its parts."""

    mark: object
    parts: frozenset[str]


def _is_same(known: _Mark | None, mark: str) -> bool:
    return bool(mark) and known is not None and known.mark == mark


# --- folders ----------------------------------------------------------------------------------------------------------


def _listed(reports: Path) -> Iterator[tuple[str, frozenset[str]]]:
    """Folders by name, each with the names of its files."""
    try:
        with os.scandir(reports) as found:
            names = sorted(each.name for each in found if each.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in names:
        if name == RECORDED or name.startswith("."):
            continue
        try:
            with os.scandir(reports / name) as found:
                yield name, frozenset(each.name for each in found)
        except OSError:  # it is gone, or nobody may look into it
            continue


def _stamp(path: str) -> tuple[str, int]:
    """Times and size of a file, and when it last changed in any way, in ns; a file that is gone has just changed."""
    try:
        found = os.stat(path)  # noqa: PTH116  (of ten thousand files, a Path for each takes as long again)
    except OSError:
        return "-", time.time_ns()
    changed = max(found.st_mtime_ns, found.st_ctime_ns)
    return f"{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_size}", changed


# --- the file ---------------------------------------------------------------------------------------------------------


_NO_PLACE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
}
"""What says nothing about the file's content; after any other error it is not what was written."""


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, made where there is none, and anew where it is of another format; removed where it is damaged.

    Raises:
        sqlite3.Error: it is damaged, can be neither read nor made, or another process holds it for too long.
    """
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)) as file:
            _make_tables(file)
            yield file
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _NO_PLACE:
            for each in (path, path.with_name(f"{path.name}-journal")):
                with suppress(OSError):
                    each.unlink()
        raise


def _make_tables(file: sqlite3.Connection) -> None:
    if _format(file) == _FORMAT:
        return
    with _transaction(file):
        if _format(file) != _FORMAT:  # no other process was quicker
            for statement in filter(str.strip, _TABLES.split(";")):
                file.execute(statement)
            file.execute(f"PRAGMA user_version = {_FORMAT}")


def _format(file: sqlite3.Connection) -> int:
    (found,) = file.execute("PRAGMA user_version").fetchone()
    return int(found)


@contextmanager
def _transaction(file: sqlite3.Connection) -> Iterator[None]:
    file.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):  # where the file is damaged, the first error says so
            file.execute("ROLLBACK")
        raise
    file.execute("COMMIT")


def _known(file: sqlite3.Connection, source: Source) -> dict[str, _Mark]:
    rows = file.execute("SELECT folder, mark, parts FROM marks WHERE source = ?", (source.name,)).fetchall()
    names = {
        parts: frozenset(str(parts).split("\n")) for parts in {row[2] for row in rows}
    }  # most folders have the same
    return {os.fsdecode(_bytes(folder)): _Mark(mark, names[parts]) for folder, mark, parts in rows}


def _contents(file: sqlite3.Connection, source: Source, part: str) -> Iterator[tuple[str, bytes]]:
    """Folder and content of each row of a part.

    Raises:
        sqlite3.DatabaseError: one is not what was written.
    """
    head = _head(source, part)
    rows = file.execute("SELECT folder, content FROM parts WHERE source = ? AND part = ?", (source.name, part))
    for folder, sealed in rows:
        content = _bytes(sealed)[_SEAL:]
        if sealed[:_SEAL] != _seal(head, _bytes(folder), content):
            raise sqlite3.DatabaseError("a part is damaged")
        yield os.fsdecode(folder), content


def _remove_parts(file: sqlite3.Connection, source: Source, name: str) -> None:
    key = (source.name, os.fsencode(name))
    found = file.execute("SELECT parts FROM marks WHERE source = ? AND folder = ?", key).fetchone()
    rows = [(source.name, part, key[1]) for part in str(found[0]).split("\n")] if found is not None else []
    file.executemany("DELETE FROM parts WHERE source = ? AND part = ? AND folder = ?", rows)


_SEAL = 4
"""Bytes before each content that tell whether it is what was written, and where: SQLite does not check its pages."""


def _head(source: Source, part: str) -> int:
    """What the seals of a part begin with."""
    return zlib.crc32(f"{source.name}\n{part}".encode())


def _seal(head: int, folder: bytes, content: bytes) -> bytes:
    return zlib.crc32(content, zlib.crc32(folder, head)).to_bytes(_SEAL, "big")


def _bytes(value: object) -> bytes:
    """A value that was written as bytes.

    Raises:
        sqlite3.DatabaseError: it is of another type.
    """
    if not isinstance(value, bytes):
        raise sqlite3.DatabaseError("a row is damaged")
    return value
