"""The line to the parent: an inherited stream socket, one JSON object per line in each direction."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

PARENT_GONE = 4
"""Exit status after the parent has ended."""


class ParentChannel:
    """One end of the line. Nothing that the child starts inherits it."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        self._lines = self._socket.makefile("rb")
        self._asked = 0

    def tell(self, event: str, **facts: object) -> None:
        """Sends an event; it has left this process when this returns."""
        self.send({"event": event, **facts})

    def ask(self, event: str, **facts: object) -> dict[str, Any]:
        """Sends an event and waits for its answer; other answers are ignored."""
        self._asked += 1
        self.tell(event, id=self._asked, **facts)
        while (answer := self.receive()) is not None:
            if answer.get("id") == self._asked:
                return answer
        os._exit(PARENT_GONE)

    def send(self, message: dict[str, object]) -> None:
        self._socket.sendall(json.dumps(message).encode("ascii") + b"\n")

    def receive(self) -> dict[str, Any] | None:
        """The next message; None once the other end is closed."""
        line = self._lines.readline()
        message: dict[str, Any] | None = json.loads(line) if line else None
        return message


def printable(text: str) -> str:
    """A text that every JSON reader takes: a lone surrogate, which an exception's text can hold, becomes ``?``."""
    return text.encode("utf-8", "replace").decode("utf-8")


def first_line(error: BaseException) -> str:
    """The first line of an exception's text that is not blank, at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return printable(lines[0][:300]) if lines else "without a message"
