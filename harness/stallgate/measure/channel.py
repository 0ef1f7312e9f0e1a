"""The parent's end of the line to a process that it starts: a socket that the process inherits, and its life line."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Mapping
from contextlib import suppress

LONGEST_LINE = 1 << 20
"""Bytes of a message; what goes on for longer is no message of ours."""


class Channel:
    """A stream of lines in both directions.

    The other process inherits the two descriptors in ``inherited``: the socket, and the reading end of a pipe that
    nobody writes to. The pipe closes with this process, however it ends, and the other one ends with it.
    """

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._their_lifeline, self._our_lifeline = os.pipe()
        self._held = b""
        self.inherited = (self._theirs.fileno(), self._their_lifeline)

    def started(self) -> None:
        """Lets go of the other process's ends, which it holds by now."""
        self._theirs.close()
        os.close(self._their_lifeline)

    def close(self) -> None:
        """Closes the line; the other process ends."""
        self._ours.close()
        with suppress(OSError):
            os.close(self._our_lifeline)

    def send(self, message: Mapping[str, object]) -> None:
        """Sends a message; a process that is gone does not miss it."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._ours.sendall(json.dumps(message).encode() + b"\n")

    def lines(self, timeout_s: float) -> list[bytes] | None:
        """The lines that have come, waiting for the first so long; None once the other end is closed.

        A line that is longer than ``LONGEST_LINE`` comes in pieces.
        """
        if not select.select([self._ours], [], [], timeout_s)[0]:
            return []
        try:
            received = self._ours.recv(1 << 16)
        except ConnectionResetError:
            received = b""
        if not received:
            return None
        *whole, self._held = (self._held + received).split(b"\n")
        if len(self._held) > LONGEST_LINE:
            whole, self._held = [*whole, self._held], b""
        return whole
