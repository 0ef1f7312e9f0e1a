"""What is dear to make and the same for every test is made once a session, by the worker that needs it first."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from filelock import FileLock

Made = TypeVar("Made")


class Shared:
    """What the worker processes of a session have in common, by name; nobody may change it.

    pytest-xdist's groups would bring the tests of one thing into one worker, but pytest 9.2 and xdist 3.8 together
    pass them over in silence; and a worker with a large group is what all others wait for.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, Any] = {}

    def get(self, name: str, make: Callable[[Path], Made]) -> Made:
        """What ``make`` gave for an empty folder of its own: at the first call in any worker, and once.

        What it gives is pickled. If it raises, nothing is kept, and who asks next tries again.
        """
        if name not in self._held:
            self._held[name] = self._made(name, make)
        held: Made = self._held[name]
        return held

    def _made(self, name: str, make: Callable[[Path], Made]) -> Made:
        folder, kept = self._folder / name, self._folder / f"{name}.pickle"
        with FileLock(self._folder / f"{name}.lock"):
            if not kept.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                kept.write_bytes(pickle.dumps(make(folder)))
            made: Made = pickle.loads(kept.read_bytes())
        return made


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """What is made once for all workers; it lies beside their temporary folders."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return Shared(folder)
