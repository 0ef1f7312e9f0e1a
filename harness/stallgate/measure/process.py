"""A process with a group of its own, heard through its channel, limited in time, and ended whole."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from stallgate.measure.channel import ChildChannel
from stallgate.model import FrozenStruct

POLL_S = 0.05
"""How often a silent process is looked at; a line is heard at once."""


class Ended(FrozenStruct, frozen=True):
    """How a process ended."""

    exit_status: int | None
    """None where it was ended from here."""
    timed_out: bool
    interrupted: bool
    """By the user: Ctrl-C, or a SIGTERM to stallgate."""
    seconds: float


class ProcessGroup:
    """A running process; its whole group is gone when the ``with`` block ends."""

    process: subprocess.Popen[bytes]
    grace_s: float
    asked_by: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    """The signals that ask it to end, one after the other; each has its grace."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def how_it_ended(self) -> str:
        """Its exit status in words."""
        return in_words(self.process.returncode)

    def end(self) -> None:
        """Lets the leader write what it has, then ends everything in its group."""
        try:
            self._ask()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _ask(self) -> None:
        """Asks the leader to end, by one signal after the other, until it has."""
        for number in self.asked_by:
            if self.process.poll() is None:
                self.send(number)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(self.grace_s)

    def send(self, number: signal.Signals) -> None:
        """Sends the leader a signal."""
        self.process.send_signal(number)


class Spawned(ProcessGroup):
    """A running process that is heard through its channel."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path, grace_s: float) -> None:
        """Starts it.

        Args:
            command: what to run; the numbers of the channel's descriptors are added to it.
            environment: its environment, whole.
            log: takes its standard output and standard error.
            grace_s: seconds that it may take to exit after it was asked to, so that ncu can write its report.
        """
        self.channel = ChildChannel()
        self.begun = time.monotonic()
        self.grace_s = grace_s
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, *map(str, self.channel.inherited)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                pass_fds=self.channel.inherited,
                start_new_session=True,
            )
        self.channel.started()

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self.begun

    def end(self) -> None:
        """The same; then nobody hears it any more."""
        super().end()
        self.channel.close()


def in_words(exit_status: int | None) -> str:
    """``status 1``, or ``signal 9``."""
    return f"signal {-exit_status}" if exit_status is not None and exit_status < 0 else f"status {exit_status}"


def watch(spawned: Spawned, timeout_s: float, hear: Callable[[bytes], bool]) -> Ended:
    """Hears a process until it ends, makes no progress for ``timeout_s``, or the user interrupts; then ends its group.

    Args:
        spawned: the process.
        timeout_s: seconds without progress after which it is ended.
        hear: takes each line, in order, and says whether it is progress. The time that it takes does not count.
    """
    timed_out = interrupted = False
    with spawned:
        try:
            timed_out = not _hear_to_the_end(spawned, timeout_s, hear)
        except KeyboardInterrupt:
            interrupted = True
        ended_here = spawned.process.poll() is None
    return Ended(
        exit_status=None if ended_here else spawned.process.returncode,
        timed_out=timed_out,
        interrupted=interrupted,
        seconds=spawned.seconds,
    )


def _hear_to_the_end(spawned: Spawned, timeout_s: float, hear: Callable[[bytes], bool]) -> bool:
    """Whether the process ended by itself, heard to its last line; False after too long without progress."""
    last = time.monotonic()
    while True:
        has_ended = spawned.process.poll() is not None
        try:
            received = spawned.channel.receive(0 if has_ended else POLL_S)
        except EOFError:  # it closed its end, and may go on
            received = False
            time.sleep(0 if has_ended else POLL_S)
        for line in spawned.channel.lines():
            if hear(line):
                last = time.monotonic()
        if has_ended and not received:
            return True
        if time.monotonic() - last > timeout_s:
            return False
