"""Which commit a tree is at."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

VARIABLE = "STALLGATE_COMMIT"
"""Names the commit of a tree that was copied from elsewhere; ``+`` at its end says that it was changed since."""


def commit_of(root: Path) -> tuple[str | None, bool]:
    """The commit of a tree, and whether the tree differs from it; None where nobody knows.

    Whoever names it is believed before git: the git folder of a copy can be older than its files.
    """
    told = os.environ.get(VARIABLE, "")
    if told:
        return told.removesuffix("+"), told.endswith("+")
    head = _git(root, "rev-parse", "HEAD")
    if head is None:
        return None, False
    return head, bool(_git(root, "status", "--porcelain", "--", "kernels", "harness", "metrics"))


def _git(root: Path, *words: str) -> str | None:
    try:
        answer = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
