"""One process of the measuring child, heard to its end, with the referee that it talks to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stallgate.measure.outcomes import Outcomes
from stallgate.measure.process import Ended, Spawned, watch
from stallgate.measure.referee import RefereeFailed, RefereeProcess
from stallgate.model import Case, FrozenStruct, Role

MOST_UNREADABLE = 100
"""Lines without a message that the log of events keeps."""

MOST_BYTES = 100 * 2**20
"""Of messages in the log: no plan says as much."""


class EventLog:
    """What a child said and when, for whoever has to find out what went wrong; nothing reads it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._room = MOST_UNREADABLE
        self._bytes_left = MOST_BYTES

    def note(self, seconds: float, line: bytes, *, is_message: bool) -> None:
        """Writes a line down, with the seconds since the process began."""
        if is_message:
            self._bytes_left -= len(line)
            if self._bytes_left < 0:
                return
            self._file.write(f'{{"at": {seconds:.3f}, "said": {line.decode("utf-8")}}}\n')
        elif self._room > 0:
            self._room -= 1
            said = line[:200].decode("utf-8", "replace")
            self._file.write(json.dumps({"at": round(seconds, 3), "unreadable": said}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class ChildProcess(FrozenStruct, frozen=True):
    """A child that is to be started with a referee beside it, and where its files stand."""

    command: list[str]
    python: str
    """The interpreter that runs the referee."""
    environment: dict[str, str]
    """Of both, whole."""
    folder: Path
    name: str
    """The beginning of its files' names: ``<name>.plan.json`` is there already."""
    timeout_s: float
    """Seconds that a step may take."""
    grace_s: float
    """Seconds that it may take to exit after it was asked to."""

    def file(self, suffix: str) -> Path:
        return self.folder / f"{self.name}{suffix}"


class Heard(NamedTuple):
    """A child that was heard to its end."""

    outcomes: Outcomes
    ended: Ended
    referee_failed: str
    """Why the referee failed; empty where it did not."""


def run_beside_referee(
    process: ChildProcess,
    cases: list[tuple[Case, Role]],
    samples: int,
    gpu: str,
    on_step: Callable[[str, str], None],
    on_line: Callable[[Outcomes], None],
) -> Heard:
    """Runs a child and its referee to the end of both.

    Args:
        process: the child.
        cases: those of its plan, in its order.
        samples: profiled calls of each.
        gpu: the GPU's name by its driver; ``none`` for the CPU.
        on_step: called with a case's name and the step that it has come to.
        on_line: called with what is known, after everything that the child says.
    """
    plan, timeout_s = process.file(".plan.json"), process.timeout_s
    log = process.file(".referee.log")
    with RefereeProcess(process.python, plan, process.environment, log, timeout_s) as referee:
        outcomes = Outcomes(cases, samples, gpu, referee, on_step)
        child = Spawned(process.command, process.environment, process.file(".log"), process.grace_s)
        events = EventLog(process.file(".events.jsonl"))
        ended, failed = converse(child, outcomes, timeout_s, events, lambda: on_line(outcomes))
    return Heard(outcomes, ended, failed)


def converse(
    child: Spawned, outcomes: Outcomes, timeout_s: float, log: EventLog, on_line: Callable[[], None]
) -> tuple[Ended, str]:
    """Hears a child to its end.

    Args:
        child: the child, or ncu around it.
        outcomes: takes what it says.
        timeout_s: seconds that a step may take.
        log: keeps what it says.
        on_line: called after each line.

    Returns:
        how it ended, and why the referee failed; empty where it did not.
    """

    def hear(line: bytes) -> bool:
        is_message = outcomes.hear(line, child.channel.send)
        log.note(child.seconds, line, is_message=is_message)
        on_line()
        return is_message

    try:
        return watch(child, timeout_s, hear), ""
    except RefereeFailed as error:
        ended = Ended(exit_status=None, timed_out=False, interrupted=False, seconds=child.seconds)
        return ended, str(error)
    finally:
        log.close()
