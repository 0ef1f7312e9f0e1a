"""The commit of a tree."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from stallgate.formatting import as_text

_VARIABLE = "STALLGATE_COMMIT"
"""Names the commit of a tree that was copied from elsewhere; a ``+`` at the end means local changes."""


def commit_of(root: Path) -> tuple[str | None, bool]:
    """The commit of a tree, None if unknown, and whether the tree differs from it.

    The environment variable takes precedence over git: the git folder of a copy can be older than its files.
    """
    given = as_text(os.environ.get(_VARIABLE, ""))
    if given:
        return given.removesuffix("+"), given.endswith("+")
    head = _git(root, "rev-parse", "HEAD")
    if head is None:
        return None, False
    return head, bool(_git(root, "status", "--porcelain", "--", "kernels", "harness", "metrics"))


def _git(root: Path, *words: str) -> str | None:
    try:
        answer = subprocess.run(["git", *words], cwd=root, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.decode(errors="replace").strip() if answer.returncode == 0 else None
