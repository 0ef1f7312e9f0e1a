"""Runs ``stallgate … --json`` and reads the object that it prints; each command once per session."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GRACE_S = 15
"""Seconds that an interrupted command gets to write down what it measured."""


@dataclass(frozen=True)
class CommandAnswer:
    """What a command printed under ``--json``."""

    status: int
    facts: dict[str, Any]

    @property
    def code(self) -> str:
        """The stable code of its error; '' if it did its work."""
        return str(self._error.get("code", ""))

    @property
    def message(self) -> str:
        """The message of its error; '' if it did its work."""
        return str(self._error.get("message", ""))

    @property
    def hint(self) -> str:
        """What to do about its error."""
        return str(self._error.get("hint", ""))

    @property
    def _error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.facts.get("error") or {}
        return error


Ask = Callable[[Sequence[str]], CommandAnswer]
"""Runs a command line, given without ``stallgate`` and ``--json``."""


@dataclass(frozen=True)
class CommandLine:
    """The command line in a project."""

    cwd: Path
    root: Path | None = None
    """For ``--root``; None: the nearest project at or above ``cwd``."""

    def __call__(self, arguments: Sequence[str]) -> CommandAnswer:
        """Runs a command to its end."""
        command = [sys.executable, "-P", "-m", "stallgate", *arguments, "--json"]
        command += ["--root", str(self.root)] if self.root is not None else []
        progress = None if sys.stderr.isatty() else subprocess.PIPE  # a terminal shows the bar of a long measurement
        with subprocess.Popen(
            command, cwd=self.cwd, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=progress
        ) as process:
            try:
                out, err = process.communicate()
            except BaseException:
                _stop(process)
                raise
        return _read(process.returncode, out, err or b"")


def _environment() -> dict[str, str]:
    """The environment without what makes ``stallgate gate`` write to the page of a job: pytest reports by itself."""
    return {name: value for name, value in os.environ.items() if name != "GITHUB_ACTIONS"}


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Waits for a command that Ctrl-C interrupts as well; then ends it."""
    for end in (process.terminate, process.kill):
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
        end()  # does nothing to a process that has ended


def _read(status: int, out: bytes, err: bytes) -> CommandAnswer:
    """The answer of a command; one that printed no object has failed in a way that it did not foresee."""
    try:
        facts = json.loads(out)
    except ValueError:
        facts = None
    if isinstance(facts, dict):
        return CommandAnswer(status, facts)
    last = (err.decode(errors="replace").strip().splitlines() or [f"it ended with status {status}"])[-1]
    message = f"`stallgate` printed no result: {last}"
    return CommandAnswer(
        status or 70, {"error": {"code": "bug", "message": message, "hint": "run the command by hand"}}
    )


@dataclass(frozen=True)
class Remembered:
    """Runs each command once, also where several processes (pytest-xdist's workers) ask for it."""

    folder: Path
    """Where answers are kept; the processes share it."""
    ask: Ask

    def __call__(self, arguments: Sequence[str]) -> CommandAnswer:
        """The answer of a command; the first to ask runs it, and the others wait."""
        key = hashlib.sha256(json.dumps(list(arguments)).encode()).hexdigest()[:32]
        path = self.folder / f"{key}.json"
        with _locked(self.folder / "lock"):
            if not path.is_file():
                answer = self.ask(arguments)
                path.write_text(json.dumps([answer.status, answer.facts]))
            return CommandAnswer(*json.loads(path.read_text()))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
