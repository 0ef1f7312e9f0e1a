"""A process with its own group, watched through the events that it writes, and ended whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from stallgate.model import FrozenStruct

Event = dict[str, Any]

POLL_S = 0.05
GRACE_S = 10.0
"""How long ncu may take to write its report after it was told to end."""


class Ended(FrozenStruct, frozen=True):
    """How a process ended."""

    exit_status: int | None
    """None where it was ended from here."""
    timed_out: bool
    interrupted: bool
    """By the user: Ctrl-C, or a SIGTERM to stallgate."""
    seconds: float


class Tail:
    """Reads the lines that were added to a file of events since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> list[Event]:
        """Events since the last look; a half-written last line waits for its end."""
        if not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        return [event for event in map(_event, whole.splitlines()) if event is not None]


def _event(line: bytes) -> Event | None:
    """The event of a line; None for a line that a process did not live to write whole, which says nothing."""
    with suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict) and "event" in event:
            return event
    return None


def watch(
    command: list[str],
    environment: Mapping[str, str],
    log: Path,
    events: Path,
    timeout_s: float,
    on_event: Callable[[Event], None],
) -> Ended:
    """Runs a command until it ends, no event comes for ``timeout_s``, or the user interrupts.

    Its whole process group is gone when this returns.

    Args:
        command: what to run.
        environment: its environment, whole.
        log: takes its standard output and standard error.
        events: the file of events that it, or a child of it, writes.
        timeout_s: seconds without an event after which it is ended.
        on_event: called for each event, in order.
    """
    tail = Tail(events)
    begin = last = time.monotonic()
    timed_out = interrupted = False
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                time.sleep(POLL_S)
                new = tail.new()
                for event in new:
                    on_event(event)
                last = time.monotonic() if new else last
                timed_out = time.monotonic() - last > timeout_s
                if timed_out:
                    break
        except KeyboardInterrupt:
            interrupted = True
        finally:
            ended_here = process.poll() is None
            _end(process)
    for event in tail.new():
        on_event(event)
    return Ended(
        exit_status=None if ended_here else process.returncode,
        timed_out=timed_out,
        interrupted=interrupted,
        seconds=time.monotonic() - begin,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Lets the leader write what it has, then ends everything in its group."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
