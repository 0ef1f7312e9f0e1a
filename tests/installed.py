"""The wheel of this checkout in an environment of its own, as a user has it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.shared import Shared

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "docs", "metrics", "harness")
"""What a wheel is built from; a copy of it, because a build leaves files beside its sources."""


class Installed(NamedTuple):
    """The wheel, and an environment that it is installed into."""

    wheel: Path
    environment: Path
    packages: Path
    """The folder of the environment's packages."""

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
    return Installed(wheel, environment, packages)


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
