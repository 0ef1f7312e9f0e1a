"""What a file is that is offered as an ncu report, by its content; neither its name nor its suffix counts."""

from __future__ import annotations

import re
from pathlib import Path

from stallgate.errors import BadArgument, BrokenFile, DamagedReport
from stallgate.extract.unpacking import LARGEST_REPORT, CannotUnpack, head_of, packings_of, unpacked
from stallgate.formatting import as_text
from stallgate.runs.report_blocks import count_launches

_REPORT = b"NVR\0"
"""The first bytes of every ncu report since 2019."""

_HEAD = 4096
"""Bytes that tell what a file is."""

_WRITE_ONE = "a report is the file that `ncu --export FILE.ncu-rep …` writes"
_UNPACK = "unpack it, and import the reports in it"

_MAGIC: list[tuple[bytes, str, str]] = [
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer", "get the file itself with `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer", "get the file itself with `git annex get`"),
    (b"SQLite format 3\0", "an SQLite database, as Nsight Systems exports it", _WRITE_ONE),
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"PK\x05\x06", "an empty zip archive", _WRITE_ONE),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\x04\x22\x4d\x18", "a file compressed by lz4", "unpack it first"),
    (b"\x7fELF", "a program", _WRITE_ONE),
    (b"%PDF", "a PDF", _WRITE_ONE),
    (b"\x89PNG", "a picture", _WRITE_ONE),
]
"""First bytes of a file, what it is, and what to do."""

_TEXTS: list[tuple[re.Pattern[str], str, str]] = [
    (re.compile(r"\A\S*\.git/annex/objects/"), "a git-annex pointer", "get the file itself with `git annex get`"),
    (
        re.compile(r"\A\s*<(!doctype html|html)", re.I),
        "a web page",
        "download the file itself, not the page that shows it",
    ),
    (re.compile(r"^==(PROF|ERROR|WARNING)==", re.M), "what ncu printed", _WRITE_ONE),
    (re.compile(r'\A\s*"?ID"?,"?Process ID"?,', re.I), "a CSV table that ncu printed", _WRITE_ONE),
    (re.compile(r"\A\s*[\[{]"), "JSON", _WRITE_ONE),
    (re.compile(r"\A[^\n,;\t]+([,;\t])(?:[^\n]*)\n[^\n]*\1"), "a CSV table", _WRITE_ONE),
]
"""The beginning of a text, what it is, and what to do. The first that fits counts."""

_OF_SYSTEMS = (".nsys-rep", ".qdrep", ".qdstrm")
"""Suffixes of Nsight Systems."""

_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def check_is_report(path: Path) -> None:
    """Refuses what is no ncu report, and a report that is not whole.

    Raises:
        BadArgument: there is no such file.
        BrokenFile: it is something else.
        DamagedReport: it is a report that was cut short, or that holds no launch.
    """
    _check_is_file(path)
    packed = packings_of(path)
    by = f", compressed by {' and '.join(packed)}" if packed else ""
    try:
        head = head_of(path, _HEAD)
    except CannotUnpack as error:
        raise _damaged(path, str(error)) from None
    if not head.startswith(_REPORT):
        what, hint = _seems_to_be(path, head)
        raise BrokenFile(f"{as_text(path)} is no ncu report: {what}{by}", hint)
    _check_is_whole(path)


def _check_is_file(path: Path) -> None:
    """Refuses what is not there, and what is no regular file."""
    if path.is_dir():
        names = f"{as_text(path)}/*.ncu-rep"
        raise BrokenFile(f"{as_text(path)} is no ncu report: it is a folder", f"name the reports in it, as in {names}")
    if path.is_symlink() and not path.exists():
        target = as_text(path.readlink())
        hint = "get it with `git annex get`" if ".git/annex/" in target else "give the path of an ncu report"
        raise BadArgument(f"{as_text(path)} does not exist: it is a link to {target}, which is not there", hint)
    if not path.exists():
        raise BadArgument(f"{as_text(path)} does not exist", "give the path of an ncu report")
    if not path.is_file():
        raise BrokenFile(f"{as_text(path)} is no ncu report: it is not a regular file", "copy it into a file first")


def _seems_to_be(path: Path, head: bytes) -> tuple[str, str]:
    """What a file is that is no report, and what to do."""
    if not head:
        return "it is empty", "make it again, or copy it again"
    if path.suffix.lower() in _OF_SYSTEMS:
        return "it seems to be a report of Nsight Systems", _WRITE_ONE
    if head[257:262] == b"ustar":
        return "it seems to be a tar archive", _UNPACK
    for magic, what, hint in _MAGIC:
        if head.startswith(magic):
            return f"it seems to be {what}", hint
    text = _as_words(head)
    if text is not None:
        found = ((what, hint) for pattern, what, hint in _TEXTS if pattern.search(text))
        what, hint = next(found, ("text", _WRITE_ONE))
        return f"it seems to be {what}", hint
    if not head.strip(b"\0"):
        return "it begins with zeros", "make it again, or copy it again"
    return "it does not begin as ncu's reports do", _WRITE_ONE


def _as_words(head: bytes) -> str | None:
    """The beginning of a text; None where it is no text."""
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    for cut in range(4):  # the last character may be incomplete
        try:
            text = head[: len(head) - cut].decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if _CONTROLS.search(text) else text
    return None


def _check_is_whole(path: Path) -> None:
    """Refuses a report that was cut short, and one without launches."""
    try:
        launches = count_launches(unpacked(path, LARGEST_REPORT))
    except (ValueError, CannotUnpack) as error:
        raise _damaged(path, str(error)) from None
    if launches == 0:
        raise DamagedReport(
            f"the ncu report {as_text(path)} holds no launch: ncu profiled no kernel",
            "profile again; what ncu prints says why it profiled none",
        )


def _damaged(path: Path, why: str) -> DamagedReport:
    return DamagedReport(f"the ncu report {as_text(path)} is damaged: {why}", "make it again, or copy it again")
