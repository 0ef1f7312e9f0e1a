"""Files that ``stallgate init`` writes or extends: what is in them, what will be, and what to say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from stallgate.errors import BrokenFile
from stallgate.model import FrozenStruct
from stallgate.project.decode import LARGEST_SOURCE, read_bounded
from stallgate.project.layout import relative


class WrittenFile(FrozenStruct, frozen=True):
    """What happened to a file."""

    path: str
    """Relative to the project's root."""
    change: Literal["written", "extended", "updated", "kept"]
    """updated: the part that stallgate had written before was replaced."""
    lines: int = 0
    """How many were added."""
    reason: str = ""
    """Why the file was kept."""


class FileChange(FrozenStruct, frozen=True):
    """A file that is to be written."""

    path: Path
    before: str | None
    after: str
    reason: str = ""
    """Why nothing is changed."""
    is_update: bool = False
    """Whether a part that stallgate had written before is replaced."""

    def report(self, root: Path) -> WrittenFile:
        """What happened to the file once it is written."""
        shown = relative(root, self.path)
        if self.before == self.after:
            return WrittenFile(path=shown, change="kept", reason=self.reason)
        before = self.before or ""
        lines = self.after.count("\n") - before.count("\n")
        if self.is_update:
            return WrittenFile(path=shown, change="updated", lines=lines)
        return WrittenFile(path=shown, change="extended" if before else "written", lines=lines)


def apply_changes(root: Path, changes: list[FileChange]) -> list[WrittenFile]:
    """Writes the files that change, and says what happened to each."""
    for change in changes:
        if change.before != change.after:
            change.path.parent.mkdir(parents=True, exist_ok=True)
            change.path.write_text(change.after, encoding="utf-8", newline="")
    return [change.report(root) for change in changes]


def existing_text(path: Path) -> str | None:
    """The text of a file; None where there is none.

    Raises:
        BrokenFile: it is not UTF-8.
    """
    try:
        return read_bounded(path, LARGEST_SOURCE).decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise BrokenFile(f"{path.name}: cannot be read: {error}", "save it as UTF-8 text") from None


def joined_text(before: str, added: str, *, blank: bool = True) -> str:
    """A text and what is added to it, on a line of its own, with the text's own line ends."""
    ends = line_ends(before)
    kept = before.rstrip("\r\n") + ends * (2 if blank else 1) if before.strip() else ""
    return kept + added.replace("\n", ends)


def line_ends(text: str) -> str:
    """How the lines of a text end."""
    return "\r\n" if "\r\n" in text else "\n"
