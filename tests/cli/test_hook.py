"""The pre-push hook: what is pushed to the gated branch is judged, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


class Repository:
    """The tree as a git repository with the hook and a remote."""

    def __init__(self, tree: Path, remote: Path) -> None:
        self.tree = tree
        subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True)
        python = tree / ".venv/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT / "harness"}" exec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        (tree / ".gitignore").write_text("/.venv/\n")
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("remote", "add", "origin", str(remote))
        self.git("config", "core.hooksPath", str(ROOT / ".githooks"))

    def git(self, *arguments: str, status: int = 0) -> str:
        identity = ["-c", "user.name=A Tester", "-c", "user.email=tester@example.com", "-c", "commit.gpgSign=false"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.tree,
            env={**environment, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "A change")


@pytest.fixture
def repository_of_git(tree: Path, tmp_path: Path) -> Repository:
    found = Repository(tree, tmp_path / "remote.git")
    found.commit()
    return found


def test_the_gated_branch_takes_what_passes(repository_of_git: Repository) -> None:
    variant = repository_of_git.tree / "kernels/cumprod/blocked_scan.py"
    text = variant.read_text()
    variant.write_text(text + "\n# not committed\n")
    said = repository_of_git.git("push", "origin", "main")
    assert "PASS" in said  # the commit is judged, not the working tree

    repository_of_git.commit()
    assert "stallgate" not in repository_of_git.git("push", "origin", "main:wip")

    said = repository_of_git.git("push", "origin", "main", status=1)
    assert "square: variant blocked_scan changed since it was measured" in " ".join(said.split())
    assert "main is not pushed" in said
    pushed = repository_of_git.git("rev-parse", "main~1").strip()
    assert repository_of_git.git("rev-parse", "origin/main").strip() == pushed
    assert repository_of_git.git("worktree", "list").count("\n") == 1
    repository_of_git.git("push", "origin", ":wip")
