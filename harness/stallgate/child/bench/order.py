"""The order of a row's contenders: one that is being compiled ahead is taken when its code is there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

OVER = "over"
"""The line by which whoever started the compilers says that no more will be compiled. It is no name of a case."""

_PATIENCE_S = 30.0
"""Seconds without news from the compilers, after which nothing is waited for any more."""

_PAUSE_S = 0.02


class ContenderOrder:
    """Takes contenders in the order in which their code is there: to compile it here as well is lost time.

    The compilers note a name of a case a line.
    """

    def __init__(self, planned: dict[str, Any] | None, patience_s: float = _PATIENCE_S) -> None:
        """Reads nothing yet.

        Args:
            planned: ``notes``, the path of the notes, and ``names`` of the cases that are compiled; None: none are.
            patience_s: seconds without news, after which nothing is waited for.
        """
        self._notes = Path(planned["notes"]) if planned is not None else None
        self._awaited: set[str] = set(planned["names"]) if planned is not None else set()
        self._patience_s = patience_s

    def take(self, left: list[dict[str, Any]]) -> dict[str, Any]:
        """Removes the first contender whose code is there, or that nobody compiles, and returns it.

        It waits for one while compilers are at work.

        Args:
            left: the contenders of a row that are left; not empty.
        """
        heard_at = time.monotonic()
        while True:
            if self._hear():
                heard_at = time.monotonic()
            found = next((each for each in left if each.get("name") not in self._awaited), None)
            if found is not None:
                left.remove(found)
                return found
            if time.monotonic() - heard_at > self._patience_s:
                self._awaited.clear()
            time.sleep(_PAUSE_S)

    def _hear(self) -> bool:
        """Reads the notes; whether there was anything new that is waited for."""
        if not self._awaited or self._notes is None or not self._notes.is_file():
            return False
        noted = set(self._notes.read_text(encoding="utf-8").splitlines())
        there = self._awaited if OVER in noted else self._awaited & noted
        self._awaited = self._awaited - there
        return bool(there)
