"""Without the extra, nothing of the engine is imported; and ``--on`` says what to install."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stallgate.cli.group import COMMANDS
from tests.conftest import ROOT

_HIDDEN = "import sys; sys.modules.update(dask=None, distributed=None); "
"""As if they were not installed."""


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _HIDDEN + code, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "harness")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_command_is_there_without_the_engine() -> None:
    files = ["import_" if name == "import" else name for name in COMMANDS]
    done = python(
        "import importlib\nfor name in sys.argv[1:]: importlib.import_module(f'stallgate.cli.{name}')", *files
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words", [("profile",), ("doctor",), ("sweep", "cumprod/blocked_scan"), ("bench",), ("check",)]
)
def test_on_says_what_to_install(words: tuple[str, ...]) -> None:
    done = python("from stallgate.cli import main; sys.exit(main())", *words, "--on", "local")
    assert done.returncode == 2, done.stderr
    assert "--on needs Dask distributed, which is not installed" in " ".join(done.stderr.split())
    assert "pip install 'stallgate[fleet]'" in " ".join(done.stderr.split())
