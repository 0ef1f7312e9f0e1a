"""The documents that come with stallgate: ``docs/`` in a source checkout, ``stallgate/documents/`` in the wheel."""

from __future__ import annotations

from pathlib import Path

import stallgate
from stallgate.errors import UnknownName

_PACKAGE = Path(stallgate.__file__).resolve().parent
_INDEX = "README"
"""The list of all documents, for readers of the folder."""


def document_titles() -> dict[str, str]:
    """Name of a document -> its title."""
    paths = sorted(_folder().glob("*.md"))
    titles = {path.stem: _title(path) for path in paths if path.stem != _INDEX}
    return {name: title for name, title in titles.items() if title}


def document_text(name: str) -> str:
    """A document's Markdown.

    Args:
        name: with or without ``.md``.

    Raises:
        UnknownName: there is none of this name.
    """
    known = document_titles()
    short = name.removesuffix(".md")
    if short not in known:
        raise UnknownName("document", name, known)
    return (_folder() / f"{short}.md").read_text(encoding="utf-8")


def _folder() -> Path:
    checkout = _PACKAGE.parents[1] / "docs"
    return checkout if _PACKAGE.parent.name == "harness" and checkout.is_dir() else _PACKAGE / "documents"


def _title(path: Path) -> str:
    """The first heading; empty for a document that only says where another is now."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix("# ").strip() for line in lines if line.startswith("# ")), "")
