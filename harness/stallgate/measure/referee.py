"""The parent's side of the referee: the process that makes inputs and compares outputs, and runs no variant's code."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from stallgate.measure.process import POLL_S, Spawned

REFEREE_ENTRY = Path(__file__).resolve().parents[1] / "child" / "referee" / "__main__.py"

Reply = dict[str, Any]


class RefereeFailed(Exception):
    """The referee ended, or took too long; the message says which."""


class RefereeProcess:
    """A running referee, asked one thing at a time."""

    def __init__(self, python: str, plan: Path, environment: Mapping[str, str], log: Path, timeout_s: float) -> None:
        """Starts it.

        Args:
            python: the interpreter that has torch.
            plan: the child's plan.
            environment: its environment, whole.
            log: takes what it prints.
            timeout_s: seconds that an answer may take.
        """
        self._spawned = Spawned([python, str(REFEREE_ENTRY), str(plan)], environment, log, grace_s=0)
        self._log = log
        self._timeout_s = timeout_s
        self._lines: list[bytes] = []
        self._is_ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spawned.end()

    def ask(self, what: str, **arguments: object) -> Reply:
        """Its answer to a request; the first waits until it is ready.

        Raises:
            RefereeFailed: it has none.
        """
        if not self._is_ready:
            greeting = self._answer()
            if "unable" in greeting:
                raise RefereeFailed(greeting["unable"])
            self._is_ready = True
        self._spawned.channel.send({"do": what, "with": arguments})
        return self._answer()

    def dismiss(self) -> None:
        """Ends it without waiting: the driver takes its memory back while ncu still writes the report."""
        self._spawned.process.kill()

    def _answer(self) -> Reply:
        """The next message.

        Raises:
            RefereeFailed: none comes.
        """
        begin = time.monotonic()
        while not self._lines:
            try:
                self._spawned.channel.receive(POLL_S)
            except EOFError:
                self._spawned.end()
                how = self._spawned.how_it_ended
                raise RefereeFailed(f"the referee exited with {how}; see {self._log}") from None
            self._lines += self._spawned.channel.lines()
            if time.monotonic() - begin > self._timeout_s:
                raise RefereeFailed(f"the referee did not answer within {self._timeout_s:g} s")
        answer: Reply = msgspec.json.decode(self._lines.pop(0), type=dict[str, Any])
        return answer
