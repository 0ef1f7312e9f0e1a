"""``stallgate … --json`` as a process of the MCP server: a command that crashes does not take the server with it.

A command that nobody waits for any more is asked to end (SIGTERM, after which it writes down what it measured), and
killed if it does not.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import anyio
from anyio.abc import Process

from stallgate.agent.mcp.tools import CommandWords
from stallgate.model import FrozenStruct

_GRACE_S = 15.0
"""Seconds that a command gets to write down what it measured."""

_BEAT_S = 2.0
"""How often a caller hears that a command still runs."""

_MOST_AT_ONCE = 4
"""Commands that run at once; further ones wait."""

_MEASURING = {"profile", "check", "doctor"}
"""Commands that run the variants' interpreter, or look at it."""

Tell = Callable[[float, str], Awaitable[None]]
"""Hears how many seconds a command has taken, and what it does."""


class ToolAnswer(FrozenStruct, frozen=True):
    """What a command printed under ``--json``."""

    status: int
    facts: dict[str, Any]


class CommandRunner:
    """Runs command lines of stallgate in one folder."""

    def __init__(self, folder: Path, root: Path | None, python: str | None) -> None:
        """Takes the working directory, and what ``--root`` and ``--python`` are given, if anything."""
        self._folder = folder
        self._root = [f"--root={root}"] if root is not None else []
        self._python = [f"--python={python}"] if python is not None else []
        self._running: set[Process] = set()
        self._free = anyio.CapacityLimiter(_MOST_AT_ONCE)

    async def ask(self, line: CommandWords, tell: Tell) -> ToolAnswer:
        """Runs a command to its end; ends it if the caller is cancelled.

        Args:
            line: the command. None of its arguments by place is taken for an option.
            tell: hears every now and then that it still runs.
        """
        fixed = [*self._root, *(self._python if line.words[0] in _MEASURING else [])]
        command = [sys.executable, "-P", "-m", "stallgate", *line.words, "--json", *fixed, "--", *line.places]
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(line.standard_input)
            given.seek(0)
            async with self._free:
                status = await self._run(command, (given, out, err), lambda seconds: tell(seconds, line.words[0]))
            return _read(status, out, err)

    async def _run(
        self,
        command: list[str],
        streams: tuple[IO[bytes], IO[bytes], IO[bytes]],
        tell: Callable[[float], Awaitable[None]],
    ) -> int:
        given, out, err = streams
        process = await anyio.open_process(
            command, cwd=self._folder, env=_environment(), stdin=given, stdout=out, stderr=err
        )
        self._running.add(process)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_beat, tell)
                await process.wait()
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await _stop(process)
            self._running.discard(process)
        return process.returncode or 0

    async def stop(self) -> None:
        """Ends every command that runs."""
        async with anyio.create_task_group() as group:
            for process in self._running:
                group.start_soon(_stop, process)


async def _beat(tell: Callable[[float], Awaitable[None]]) -> None:
    begun = anyio.current_time()
    while True:
        await anyio.sleep(_BEAT_S)
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # nobody is there to hear it
            await tell(anyio.current_time() - begun)


async def _stop(process: Process) -> None:
    for end in (process.terminate, process.kill):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                end()
            with anyio.move_on_after(_GRACE_S):
                await process.wait()


def _environment() -> dict[str, str]:
    """The environment without what makes ``stallgate gate`` write to the page of a job."""
    return {name: value for name, value in os.environ.items() if name != "GITHUB_ACTIONS"}


def _read(status: int, out: IO[bytes], err: IO[bytes]) -> ToolAnswer:
    """The answer of a command; one that printed no object has failed in a way that it did not foresee."""
    out.seek(0)
    try:
        facts = json.loads(out.read())
    except ValueError:
        facts = None
    if isinstance(facts, dict):
        return ToolAnswer(status, facts)
    err.seek(0)
    lines = err.read().decode(errors="replace").strip().splitlines()
    message = f"stallgate printed no result: {lines[-1] if lines else f'it ended with status {status}'}"
    error = {"code": "bug", "message": message, "hint": "run the command in a terminal"}
    return ToolAnswer(status or 70, {"error": error})
