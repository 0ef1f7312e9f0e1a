"""The processes of this machine that a test looks for."""

from __future__ import annotations

from pathlib import Path


def processes_in(folder: Path) -> list[list[str]]:
    """The command lines that have a folder on them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(str(folder) in word for word in words):
            found.append(words)
    return found
