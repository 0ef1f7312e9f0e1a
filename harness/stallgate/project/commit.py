"""The commit of a tree."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
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


# --- commits for a reader ---------------------------------------------------------------------------------------------

_HASH = re.compile(r"[0-9a-f]{7,64}")

_REMOTE = re.compile(r"(?:(?:https?|ssh|git)://)?(?:[^@/]*@)?([\w.-]+)(?::\d+/|[:/])([\w./~-]+?)(?:\.git)?/?")
"""A remote's address: its host and the path of the repository. What is before the ``@`` may be a password."""

_FORGES = {
    "github.com": "https://github.com/{path}/commit/",
    "gitlab.com": "https://gitlab.com/{path}/-/commit/",
    "codeberg.org": "https://codeberg.org/{path}/commit/",
    "bitbucket.org": "https://bitbucket.org/{path}/commits/",
}


def subjects_of(root: Path, commits: Iterable[str]) -> dict[str, str]:
    """Commit -> the first line of its message, for those that the tree's repository has."""
    known = [commit for commit in dict.fromkeys(commits) if _HASH.fullmatch(commit)]
    if not known:
        return {}
    log = _git(root, "log", "--no-walk", "--ignore-missing", "--format=%H %s", *known, "--")
    lines = [line.partition(" ") for line in (log or "").splitlines()]
    return {commit: subject for commit, _, subject in lines}


def forge_of(root: Path) -> str:
    """The address that a commit's page begins with, if the tree's remote is a known forge; else empty."""
    remote = _git(root, "remote", "get-url", "origin")
    return commit_address(remote or "")


def commit_address(remote: str) -> str:
    """What the pages of a remote's commits begin with; empty where its forge is not known."""
    found = _REMOTE.fullmatch(remote)
    return _FORGES[found[1]].format(path=found[2]) if found is not None and found[1] in _FORGES else ""
