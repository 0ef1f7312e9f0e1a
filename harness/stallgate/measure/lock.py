"""One profile at a time on a GPU: two would share its counters and its bandwidth."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def gpu_lock(uuid: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Holds the lock of a GPU; waits for whoever holds it.

    Args:
        uuid: the GPU's.
        on_wait: called once if there is somebody to wait for.
    """
    descriptor = open_lock(Path(tempfile.gettempdir()) / f"stallgate-{uuid}.lock")
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """A descriptor for a lock file that another user may have made: reading it is enough to lock it."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
