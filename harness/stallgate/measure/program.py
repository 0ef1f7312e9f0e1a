"""Any program under ncu: it writes where stallgate writes, is limited in time, and ended with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from stallgate.measure.process import Ended, ProcessGroup


class ForeignProgram(ProcessGroup):
    """A running ncu with a program that knows nothing of stallgate."""

    asked_by = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, command: list[str], environment: Mapping[str, str], mark: str, grace_s: float) -> None:
        """Starts it, without anything to read on its standard input.

        Args:
            command: what to run.
            environment: its environment, whole.
            mark: a variable of the environment with its value, which nobody else's processes have.
            grace_s: seconds that it may take to exit after each signal, so that ncu can write its report.
        """
        self.grace_s = grace_s
        self._mark = mark
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=_passed_on(sys.stdout),
            stderr=_passed_on(sys.stderr),
            env=dict(environment),
            start_new_session=True,
        )

    def send(self, number: signal.Signals) -> None:
        """Sends ncu a signal. SIGINT goes to the program as well, as Ctrl-C does."""
        if number == signal.SIGINT:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
        else:
            super().send(number)

    def end(self) -> None:
        """Ends the group, and what the program started in groups of its own."""
        try:
            super().end()
        finally:
            _end_marked(self._mark.encode())


def _passed_on(stream: TextIO | None) -> int | None:
    """Where a program's output goes: to the same place as stallgate's own; nowhere if that was closed."""
    return None if stream is not None else subprocess.DEVNULL


def _end_marked(mark: bytes) -> None:
    """Ends every process whose environment has a variable with this value."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGKILL)


def run_limited(program: ForeignProgram, timeout_s: float) -> Ended:
    """Waits until ncu ends, the time is up, or the user interrupts; then ends what is left of it.

    A second interrupt ends it at once.
    """
    begun = time.monotonic()
    timed_out = interrupted = ended_here = False
    try:
        with program:
            try:
                program.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                timed_out = True
            except KeyboardInterrupt:
                interrupted = True
            ended_here = program.process.poll() is None
    except KeyboardInterrupt:
        interrupted = ended_here = True
    return Ended(
        exit_status=None if ended_here else program.process.returncode,
        timed_out=timed_out,
        interrupted=interrupted,
        seconds=time.monotonic() - begun,
    )
