"""Ends this process when its parent ends: an orphaned measurement would disturb the next one."""

from __future__ import annotations

import os
import threading

from stallgate.child.channel import PARENT_GONE


def end_with_parent(descriptor: int) -> None:
    """Ends this process as soon as the other end of a pipe is closed, which no death of the parent can prevent."""
    os.set_inheritable(descriptor, False)
    threading.Thread(target=_wait, args=(descriptor,), daemon=True).start()


def _wait(descriptor: int) -> None:
    os.read(descriptor, 1)
    os._exit(PARENT_GONE)
