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


class ChildChannel:
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
        if self._our_lifeline >= 0:
            os.close(self._our_lifeline)
            self._our_lifeline = -1

    def send(self, message: Mapping[str, object]) -> None:
        """Sends a message; a process that is gone does not miss it."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._ours.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout_s: float) -> bool:
        """Takes what has come, waiting for it so long; whether anything has.

        Raises:
            EOFError: the other end is closed.
        """
        if not select.select([self._ours], [], [], timeout_s)[0]:
            return False
        try:
            received = self._ours.recv(1 << 16)
        except ConnectionResetError:
            received = b""
        if not received:
            raise EOFError
        self._held += received
        return True

    def lines(self) -> list[bytes]:
        """The lines that are whole by now, each once. One that is longer than ``LONGEST_LINE`` comes in pieces."""
        *whole, self._held = self._held.split(b"\n")
        if len(self._held) > LONGEST_LINE:
            whole, self._held = [*whole, self._held], b""
        return whole
