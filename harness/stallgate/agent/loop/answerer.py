"""Runs the answerer: any program that reads a prompt on standard input and writes an answer on standard output.

Each run has a process group of its own, which is gone when the answer is taken. Nothing that an answerer does ends the
loop: it may fail, hang, print nothing or print without end.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from stallgate.errors import BadArgument
from stallgate.formatting import as_text
from stallgate.model import FrozenStruct
from stallgate.runs.journal import AnswererOutcome

_CHUNK = 65_536
_COMPLAINT = 2_000
"""Bytes of standard error that are kept: the last ones."""

_LINGER_S = 1.0
"""How long what an ended answerer started may hold its output open."""


class AnswererQuestion(FrozenStruct, frozen=True):
    """A prompt for one run of the answerer."""

    prompt: Path
    """The file that is its standard input."""
    variables: dict[str, str]
    """Added to its environment."""


class Answered(NamedTuple):
    """What one run of the answerer gave."""

    outcome: AnswererOutcome
    text: bytes
    """Standard output, as far as it was read."""
    complaint: str
    """The end of standard error."""
    status: int | None
    """None where it was ended from here."""
    seconds: float


class ProgramAnswerer:
    """An answerer that is a program."""

    def __init__(self, command: Sequence[str], timeout_s: float, most_bytes: int) -> None:
        """Finds it.

        Raises:
            BadArgument: there is no such program.
        """
        if not command:
            raise BadArgument("--command is empty", "name a program that reads a prompt and writes an answer")
        if shutil.which(command[0]) is None:
            raise BadArgument(
                f"--command: there is no program {as_text(command[0])}",
                "give its path, or a name that is found in PATH; for a pipeline use sh -c '…'",
            )
        self._command = list(command)
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes

    def ask(self, questions: Sequence[AnswererQuestion]) -> Iterator[Answered]:
        """The answers to some prompts, in their order; all runs go on at one time."""
        runs: list[_AnswererProcess] = []
        try:
            for question in questions:
                runs.append(_AnswererProcess(self._command, question, self._timeout_s, self._most_bytes))  # noqa: PERF401
            _attend(runs)
            for run in runs:
                yield run.answered()
        finally:
            for run in runs:
                run.end()


def _attend(runs: Sequence[_AnswererProcess]) -> None:
    """Reads what the runs print until each is over."""
    with selectors.DefaultSelector() as selector:
        for run in runs:
            run.register(selector)
        while any(not run.is_over for run in runs):
            waits = [run.seconds_left for run in runs if not run.is_over]
            for key, _ in selector.select(min([0.1, *waits])):
                key.data(key.fileobj)
            for run in runs:
                run.look(selector)


class _AnswererProcess:
    """One run of the answerer."""

    def __init__(self, command: list[str], question: AnswererQuestion, timeout_s: float, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._timeout_s = timeout_s
        self._out = bytearray()
        self._err = bytearray()
        self._open: list[IO[bytes]] = []
        self._verdict: AnswererOutcome | None = None
        self._ended: float | None = None
        self._begun = time.monotonic()
        self.is_over = False
        with question.prompt.open("rb") as prompt:
            self._process = self._started(command, prompt, {**os.environ, **question.variables})

    def _started(
        self, command: list[str], prompt: IO[bytes], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command,
                stdin=prompt,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise BadArgument(
                f"--command: {as_text(command[0])} cannot be started: {error.strerror}", "name a program that can be"
            ) from None

    @property
    def seconds_left(self) -> float:
        """Until something has to be done about it."""
        end = self._begun + self._timeout_s if self._ended is None else self._ended + _LINGER_S
        return max(0.0, end - time.monotonic())

    def register(self, selector: selectors.BaseSelector) -> None:
        """Has its output read."""
        for stream, keep in ((self._process.stdout, self._keep_answer), (self._process.stderr, self._keep_complaint)):
            assert stream is not None
            self._open.append(stream)
            selector.register(stream, selectors.EVENT_READ, keep)

    def _keep_answer(self, stream: IO[bytes]) -> None:
        self._out += self._read(stream)
        if len(self._out) > self._most_bytes and self._verdict is None:
            self._verdict = "too_long"

    def _keep_complaint(self, stream: IO[bytes]) -> None:
        self._err += self._read(stream)
        del self._err[:-_COMPLAINT]

    def _read(self, stream: IO[bytes]) -> bytes:
        found = os.read(stream.fileno(), _CHUNK)
        if not found:
            self._open.remove(stream)
        return found

    def look(self, selector: selectors.BaseSelector) -> None:
        """Ends it where it is done, took too long or printed too much; lets go of what is read to its end."""
        for key in [key for key in selector.get_map().values() if self._is_mine(key) and key.fileobj not in self._open]:
            selector.unregister(key.fileobj)
        if self.is_over:
            return
        if self._ended is None and self._process.poll() is not None:
            self._ended = time.monotonic()
        if self._ended is None and self._verdict is None and self.seconds_left == 0:
            self._verdict = "timed_out"
        lingers = self._ended is not None and self.seconds_left == 0
        if self._verdict is not None or lingers or (self._ended is not None and not self._open):
            self._finish(selector)

    def _finish(self, selector: selectors.BaseSelector) -> None:
        for stream in self._open:
            selector.unregister(stream)
        self._open = []
        self.end()
        self.is_over = True

    def _is_mine(self, key: selectors.SelectorKey) -> bool:
        return key.fileobj in (self._process.stdout, self._process.stderr)

    def end(self) -> None:
        """Ends everything in its group."""
        if self._ended is None:
            self._ended = time.monotonic()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def answered(self) -> Answered:
        """What it gave."""
        status = self._process.returncode if self._verdict is None else None
        text = bytes(self._out[: self._most_bytes])
        return Answered(
            outcome=self._verdict or _outcome_of(status, text),
            text=text,
            complaint=self._err.decode(errors="replace"),
            status=status,
            seconds=(self._ended or time.monotonic()) - self._begun,
        )


def _outcome_of(status: int | None, text: bytes) -> AnswererOutcome:
    if status != 0:
        return "failed"
    return "answered" if text.strip() else "empty"
