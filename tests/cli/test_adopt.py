"""Adoption as a new user does it: the wheel in a fresh environment, a repository that knows nothing of stallgate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stallgate.project.documents import document_titles
from tests.conftest import ROOT
from tests.shared import Shared

SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "docs", "metrics", "harness")
"""What a wheel is built from; a copy of it, because a build leaves files beside its sources."""

KERNEL = ("--kernel", "mykernels.softmax:softmax", "--reference", "torch.softmax", "--input", "float32[8192,4096]")
MOST_LINES = 30
"""Lines of their own that a repository has after adopting stallgate."""


class Installed(NamedTuple):
    """The wheel, and an environment that it is installed into."""

    wheel: Path
    environment: Path

    def stallgate(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The installed command, without a GPU or ncu, and without this repository's source."""
        usual = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CUDA_VISIBLE_DEVICES")
        }
        return subprocess.run(
            [self.environment / "bin" / "stallgate", *arguments],
            cwd=folder,
            env={**usual, "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def answer(self, folder: Path, *arguments: str, status: int = 0) -> dict[str, Any]:
        """The object that a command prints with ``--json``."""
        done = self.stallgate(folder, *arguments, "--json")
        assert done.returncode == status, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="session")
def installed(shared: Shared) -> Installed:
    return shared.get("installed", _install)


def _install(folder: Path) -> Installed:
    sources = folder / "sources"
    sources.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.png")
            shutil.copytree(ROOT / name, sources / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, sources / name)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(sources))
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    _pip("install", "--no-deps", "--no-index", "--no-compile", "--target", str(packages), str(wheel))
    # torch, pandas and the like are those of the tests' own environment: to install them again would take minutes.
    (packages / "heavy.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _write_command(environment)
    return Installed(wheel, environment)


def _pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _write_command(environment: Path) -> None:
    """The command of the wheel's entry point; pip puts it elsewhere where ``--target`` is used."""
    command = environment / "bin" / "stallgate"
    command.write_text(f"#!{environment}/bin/python\nfrom stallgate.cli import main\nmain()\n")
    command.chmod(0o755)


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
