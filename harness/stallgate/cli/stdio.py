"""Standard output and error that never end the program: a closed pipe or a narrow encoding costs words, no verdict."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Sink(io.FileIO):
    """A file descriptor that takes what is written even where it cannot be passed on.

    A reader that went away (``stallgate gate | true``) changes nothing of what was found, so the command goes on and
    ends with its own status. Whatever else went wrong, such as a full disk, is kept in ``fault``.
    """

    fault: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes, or drops; says how much as if all were well."""
        if self.fault is None:
            try:
                return super().write(data)
            except BrokenPipeError:
                pass
            except OSError as error:
                self.fault = error
        return memoryview(data).nbytes


def install() -> Sink | None:
    """Puts forgiving streams in the place of standard output and error; a stream that was closed stays closed.

    Returns:
        what takes standard output.
    """
    sinks: dict[str, Sink] = {}
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None:
            sinks[name] = Sink(stream.fileno(), "w", closefd=False)
            setattr(sys, name, _text(sinks[name], stream.encoding))
    return sinks.get("stdout")


def _text(sink: Sink, encoding: str) -> io.TextIOWrapper:
    """The stream on a sink: what its encoding does not have becomes a question mark."""
    return io.TextIOWrapper(io.BufferedWriter(sink), encoding=encoding, errors="replace", line_buffering=True)


def unwritten(sink: Sink | None) -> OSError | None:
    """Why something could not be written, now that everything was; None where all was, or nobody wanted it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    return sink.fault if sink is not None else None
