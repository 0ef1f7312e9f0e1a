"""Adoption as a new user does it: the wheel in a fresh environment, a repository that knows nothing of stallgate."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from stallgate.project.documents import document_titles
from tests.conftest import ROOT
from tests.installed import Installed, installed

__all__ = ["installed"]

SOFTMAX = ("--kernel", "mykernels.softmax:softmax", "--reference", "torch.softmax", "--input")
KERNEL = (*SOFTMAX, "float32[8192,4096]")
FEW_ROWS = (*SOFTMAX, "float32[16,4096]")
"""The kernel has a program a row, and the interpreter takes one after the other."""

MOST_LINES = 30
"""Lines of their own that a repository has after adopting stallgate."""


@pytest.fixture
def repository_of_theirs(tmp_path: Path) -> Path:
    """A copy of the example: a package with a softmax in two modules, and its own test."""
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    return shutil.copytree(ROOT / "examples" / "their-repo", tmp_path / "their-repo", ignore=ignored)


def lines_of_their_own(root: Path) -> int:
    """Lines of the files that adopting wrote."""
    written = [root / "stallgate.toml", root / ".gitignore"]
    return sum(len(path.read_text().splitlines()) for path in written)


def test_the_wheel_has_what_its_commands_need(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    modules = {path.relative_to(ROOT / "harness").as_posix() for path in (ROOT / "harness").rglob("*.py")}
    assert modules <= names
    assert {f"stallgate/documents/{name}.md" for name in document_titles()} <= names
    templates = [path.relative_to(ROOT / "harness") for path in (ROOT / "harness").glob("stallgate/*/templates/*")]
    assert {path.as_posix() for path in templates} <= names
    yardsticks = [path.relative_to(ROOT / "metrics") for path in (ROOT / "metrics").rglob("*.toml")]
    assert {f"stallgate/yardsticks/{path.as_posix()}" for path in yardsticks} <= names
    assert not [name for name in names if "baselines" in name.split("/")]


def test_the_installed_package_is_the_wheels(installed: Installed, tmp_path: Path) -> None:
    python = installed.environment / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import stallgate; print(stallgate.__file__)"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()).is_relative_to(installed.environment)


def test_their_repository_has_nothing_of_stallgate_and_its_test_passes(repository_of_theirs: Path) -> None:
    files = [path for path in repository_of_theirs.rglob("*") if path.is_file() and path.name != "README.md"]
    assert files
    assert not [path for path in files if "stallgate" in path.read_text()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=repository_of_theirs,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_a_repository_adopts_a_kernel_with_one_command(installed: Installed, repository_of_theirs: Path) -> None:
    root = repository_of_theirs
    written = installed.stallgate(root, "init", *KERNEL)
    assert written.returncode == 0, written.stderr
    assert lines_of_their_own(root) <= MOST_LINES
    assert "dim = -1 is assumed" in written.stdout
    planned = installed.answer(root, "plan")
    assert set(planned["cases"]) == {f"softmax/{name}/default/main" for name in ("softmax", "torch", "copy")}


def test_an_adopted_kernel_is_right_in_the_interpreter(installed: Installed, repository_of_theirs: Path) -> None:
    root = repository_of_theirs
    installed.answer(root, "init", *FEW_ROWS)
    found = {each["variant"]: each["answer"] for each in installed.answer(root, "check")["variants"]}
    assert found == dict.fromkeys(("softmax", "torch", "copy"), "right")
    kernel = root / "src" / "mykernels" / "rows.py"
    kernel.write_text(kernel.read_text().replace("x - tl.max(x, axis=0)", "x"))  # overflows
    checked = installed.answer(root, "check", "softmax/softmax", "softmax/torch", status=1)["variants"]
    found = {each["variant"]: each["answer"] for each in checked}
    assert (found["softmax"], found["torch"]) == ("wrong", "right")


def test_an_adopted_repository_is_examined_without_a_gpu(installed: Installed, repository_of_theirs: Path) -> None:
    root = repository_of_theirs
    installed.answer(root, "init", *KERNEL)
    examined = installed.answer(root, "doctor", status=3)
    assert examined["able"] is False
    assert {"GPU", "ncu", "torch"} <= {found["name"] for found in examined["findings"]}
    rows = installed.answer(root, "metrics")["metrics"]
    judged_by = {row["metric"]: row["judged_by"] for row in rows}
    assert "streaming" in judged_by["roof_fraction"]


def test_pyproject_can_hold_the_problem(installed: Installed, repository_of_theirs: Path) -> None:
    root = repository_of_theirs
    before = (root / "pyproject.toml").read_text()
    installed.answer(root, "init", *KERNEL, "--pyproject")
    assert not (root / "stallgate.toml").exists()
    text = (root / "pyproject.toml").read_text()
    assert text.startswith(before.rstrip("\n"))
    assert set(tomllib.loads(text)["tool"]["stallgate"]["problems"]) == {"softmax"}
    assert len(installed.answer(root, "plan")["cases"]) == 3


def test_commands_that_need_no_problem_work_anywhere(installed: Installed, tmp_path: Path) -> None:
    assert installed.answer(tmp_path, "metrics")["metrics"]
    assert installed.answer(tmp_path, "doctor", status=3)["findings"]
    assert installed.answer(tmp_path, "docs")["documents"].keys() == document_titles().keys()
    assert installed.answer(tmp_path, "docs", "files")["text"] == (ROOT / "docs" / "files.md").read_text()
    recorded = next((ROOT / "reports" / "recorded").glob("*/*/ncu/*.ncu-rep*"))
    imported = installed.answer(tmp_path, "import", str(recorded))
    assert imported["kind"] == "imported"
    drawn = installed.answer(tmp_path, "report")
    assert Path(drawn["files"][0]).is_file()
    assert Path(drawn["files"][0]).is_relative_to(tmp_path / "reports")


def test_a_command_that_needs_a_problem_names_init(installed: Installed, tmp_path: Path) -> None:
    refused = installed.answer(tmp_path, "plan", status=2)
    assert "stallgate init" in refused["error"]["hint"]
