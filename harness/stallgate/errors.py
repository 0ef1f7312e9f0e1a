"""Everything that stallgate refuses to do, as one tree.

::

    StallgateError                  message, hint, exit status
    ├── UserFault              (2)  the user's files or arguments are wrong
    │   ├── UnknownName             no such problem, variant, workload, stage, metric, chip or run
    │   ├── BrokenFile              a file that is not what it should be, or cannot be read or written
    │   │   └── OtherFormat         a file of a format that this stallgate does not read
    │   ├── BadArgument             an argument that cannot be
    │   ├── GithubRefused           GitHub refused a comment, or cannot be reached
    │   └── RemoteRefused           a place that runs are pushed to or pulled from refused, or cannot be reached
    └── NotMeasured            (3)  no measurement that a verdict could be based on
        ├── NoDevice                no CUDA device, and no replay allowed
        ├── NoProfiler              Nsight Compute is missing or does not start
        ├── CountersBlocked         the driver denies hardware counters to this user
        ├── NoRecording             no recording to replay
        ├── NoRun                   no run to judge or draw
        ├── DamagedReport           an ncu report that is not the one that was written
        └── Interrupted             the user ended the command

A missed target is a verdict, never an exception. Only the command line prints these and exits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


class StallgateError(Exception):
    """A refusal: one sentence that says what is wrong, and one that says what to do next."""

    status = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def code(self) -> str:
        """The stable name of this kind of refusal: ``broken_file`` of BrokenFile."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()


class UserFault(StallgateError):
    """The user's files or arguments are wrong."""

    status = 2


class UnknownName(UserFault):
    """An unknown name; the hint lists the nearest known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        short = name[:_LONGEST_NAME]
        super().__init__(f"no {kind} is named '{short}'", _nearest(kind, short, sorted(set(known))))


_LONGEST_NAME = 200
"""Characters of an unknown name that are shown, and compared with the known ones."""


def _nearest(kind: str, name: str, known: list[str]) -> str:
    """What a user may have meant."""
    from difflib import get_close_matches  # rarely needed, and --help is to answer at once

    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(known)}" if known else f"there is no {kind} at all"


class BrokenFile(UserFault):
    """A file that is not what it should be, or cannot be read or written."""


class OtherFormat(BrokenFile):
    """A file that an older or a newer stallgate wrote, in a format that this one does not read."""


class BadArgument(UserFault):
    """An argument that cannot be."""


class RemoteRefused(UserFault):
    """A place that runs are pushed to or pulled from refused, or cannot be reached."""


class GithubRefused(UserFault):
    """GitHub refused a comment, or cannot be reached."""

    def __init__(self, message: str, hint: str = "", *, answer: int = 0) -> None:
        super().__init__(message, hint)
        self.answer = answer
        """The HTTP status of a refusal; 0 where there is none."""


class NotMeasured(StallgateError):
    """No measurement that a verdict could be based on."""

    status = 3


class NoDevice(NotMeasured):
    """No CUDA device, and no replay allowed."""


class NoProfiler(NotMeasured):
    """Nsight Compute is missing or does not start."""


class CountersBlocked(NotMeasured):
    """The driver denies hardware counters to this user (ERR_NVGPUCTRPERM)."""


class NoRecording(NotMeasured):
    """No recording to replay."""


class NoRun(NotMeasured):
    """No run to judge or draw."""


class DamagedReport(NotMeasured):
    """An ncu report that is not the one that was written."""


class Interrupted(NotMeasured):
    """The user ended the command."""
