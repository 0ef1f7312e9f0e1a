"""Worker processes that share a list of work: forked from one that has imported what they need.

To import torch takes seconds, and the more of them do it at once, the longer. A worker that dies costs the item that it
was at, and is replaced.
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import signal
import struct
from collections.abc import Callable
from types import FrameType

_NUMBER = struct.Struct("<i")
_PR_SET_PDEATHSIG = 1
_GRACE_S = 10
"""Seconds from the request to give an item up to the end of the worker, where code does not hear the request."""


class TookTooLong(BaseException):
    """Raised in a worker whose item is over its time. No ``except Exception`` of a variant's code catches it."""


class Workers:
    """Runs a function on the numbers from 0 up to a count, each in one of several processes."""

    def __init__(self, count: int, run: Callable[[int], None], lost: Callable[[int], None], limit_s: int) -> None:
        """Starts nothing yet.

        Args:
            count: of items.
            run: does one, in a worker.
            lost: told of the number of an item whose worker died, in this process.
            limit_s: seconds that an item may take before ``TookTooLong`` is raised within it.
        """
        self._count = count
        self._run = run
        self._lost = lost
        self._limit_s = limit_s
        self._queue = _queue_of(count)
        self._at_work = mmap.mmap(-1, _NUMBER.size * max(1, count))
        self._pids: dict[int, int] = {}

    def work(self, processes: int) -> None:
        """Does all of it; returns when each number is done or lost."""
        for slot in range(min(processes, self._count)):
            self._start(slot)
        while self._pids:
            pid, status = os.wait()
            slot = self._pids.pop(pid)
            if status != 0:
                self._bury(slot)

    def _bury(self, slot: int) -> None:
        """The item of a dead worker is lost; another takes its place."""
        number = self._item_of(slot)
        if number is not None:
            self._set_item(slot, None)
            self._lost(number)
            self._start(slot)

    def _start(self, slot: int) -> None:
        pid = os.fork()
        if pid:
            self._pids[pid] = slot
            return
        status = 1
        try:
            self._serve(slot)
            status = 0
        finally:
            os._exit(status)

    def _serve(self, slot: int) -> None:
        """A worker: takes numbers until there is none."""
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGALRM, _over)
        while (number := self._next()) is not None:
            self._set_item(slot, number)
            faulthandler.dump_traceback_later(self._limit_s + _GRACE_S, exit=True)
            signal.alarm(self._limit_s)
            try:
                self._run(number)
            finally:
                signal.alarm(0)
                faulthandler.cancel_dump_traceback_later()
            self._set_item(slot, None)

    def _next(self) -> int | None:
        """The next number; None once there is none."""
        part = os.read(self._queue, _NUMBER.size)
        return int(_NUMBER.unpack(part)[0]) if part else None

    def _item_of(self, slot: int) -> int | None:
        number = int(_NUMBER.unpack_from(self._at_work, slot * _NUMBER.size)[0])
        return number - 1 if number else None

    def _set_item(self, slot: int, number: int | None) -> None:
        _NUMBER.pack_into(self._at_work, slot * _NUMBER.size, 0 if number is None else number + 1)


def _queue_of(count: int) -> int:
    """A pipe that holds the numbers up to a count, or as many as it can: 16,384.

    A read takes a whole number, whoever else reads. Of a file in memory that does not hold: Linux locks no place there.
    """
    reader, feed = os.pipe()
    os.set_blocking(feed, False)
    os.write(feed, b"".join(_NUMBER.pack(number) for number in range(count)))
    os.close(feed)
    return reader


def _over(_: int, __: FrameType | None) -> None:
    raise TookTooLong
