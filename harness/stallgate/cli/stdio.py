"""Standard output and error that never end the program: a closed pipe or an encoding costs text, not the verdict."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Sink(io.FileIO):
    """A file descriptor that accepts every write, also where it cannot be passed on.

    A reader that went away (``stallgate gate | true``) changes nothing about the result, so the command goes on and
    ends with its own status. Any other fault, such as a full disk, is kept in ``fault``.
    """

    fault: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes or drops the data; returns its length either way."""
        if self.fault is None:
            try:
                return super().write(data)
            except BrokenPipeError:
                pass
            except OSError as error:
                self.fault = error
        return memoryview(data).nbytes


def install() -> Sink | None:
    """Replaces standard output and error by streams on sinks; a stream that was closed stays closed.

    Returns:
        the sink of standard output.
    """
    sinks: dict[str, Sink] = {}
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None:
            sinks[name] = Sink(stream.fileno(), "w", closefd=False)
            setattr(sys, name, _text_stream(sinks[name], stream.encoding))
    _bound_terminal_size()
    return sinks.get("stdout")


def reserve_stdout() -> tuple[io.TextIOWrapper | None, Sink | None]:
    """Separates standard output from everything that prints: what does so later, child processes too, goes to stderr.

    Returns:
        a stream on what was standard output, and its sink; None where standard output was closed.
    """
    if sys.stdout is None:
        return None, None
    number = sys.stdout.fileno()
    kept = Sink(os.dup(number), "w")
    if sys.stderr is not None:
        os.dup2(sys.stderr.fileno(), number)
    else:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), number)
    return _text_stream(kept, sys.stdout.encoding), kept


def _text_stream(sink: Sink, encoding: str) -> io.TextIOWrapper:
    """A text stream on a sink; a character that its encoding lacks becomes a question mark."""
    return io.TextIOWrapper(io.BufferedWriter(sink), encoding=encoding, errors="replace", line_buffering=True)


_SMALLEST, _LARGEST = 20, 1000
"""Smallest and largest terminal size, in columns or lines, that text is laid out for."""


def _bound_terminal_size() -> None:
    """Limits ``COLUMNS`` and ``LINES`` to sizes that a terminal can have; removes a value that is not a number."""
    for name in ("COLUMNS", "LINES"):
        value = os.environ.get(name, "")
        if value.isascii() and value.isdigit() and len(value) < 10 and int(value) > 0:
            os.environ[name] = str(min(max(int(value), _SMALLEST), _LARGEST))
        else:
            os.environ.pop(name, None)


def unwritten(sink: Sink | None) -> OSError | None:
    """Flushes both streams; returns the fault that kept standard output from being written, or None."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    return sink.fault if sink is not None else None
