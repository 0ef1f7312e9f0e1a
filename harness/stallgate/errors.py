"""Everything that stallgate refuses to do, as one tree.

::

    StallgateError                  message, hint, exit status
    ├── UserFault              (2)  the user's files or arguments are wrong
    │   ├── UnknownName             no such problem, variant, workload, stage, metric, chip or run
    │   ├── BrokenFile              a file that cannot be read as what it should be
    │   └── BadArgument             an argument outside of what is possible
    └── NotMeasured            (3)  nothing that a verdict could stand on
        ├── NoDevice                no CUDA device, and none can be stood in for
        ├── NoProfiler              Nsight Compute is not there or does not start
        ├── CountersBlocked         the driver denies hardware counters to this user
        ├── NoRecording             nothing recorded that could be replayed
        ├── NoRun                   no run to judge or draw
        └── DamagedReport           an ncu report that is not what was written

A missed target is a verdict, never an exception. Only the command line prints these and exits.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class StallgateError(Exception):
    """A refusal: one sentence that says what is wrong and one that says what to do next."""

    status = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserFault(StallgateError):
    """The user's files or arguments are wrong."""

    status = 2


class UnknownName(UserFault):
    """A name that nothing bears; the hint lists the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(set(known))
        near = get_close_matches(name, names, n=3, cutoff=0.5)
        if near:
            hint = f"did you mean {' or '.join(near)}?"
        else:
            hint = f"known: {', '.join(names)}" if names else f"there is no {kind} at all"
        super().__init__(f"no {kind} is named '{name}'", hint)


class BrokenFile(UserFault):
    """A file that cannot be read as what it should be."""


class BadArgument(UserFault):
    """An argument outside of what is possible."""


class NotMeasured(StallgateError):
    """Nothing was measured that a verdict could stand on."""

    status = 3


class NoDevice(NotMeasured):
    """No CUDA device."""


class NoProfiler(NotMeasured):
    """Nsight Compute is not there or does not start."""


class CountersBlocked(NotMeasured):
    """The driver denies hardware counters to this user (ERR_NVGPUCTRPERM)."""


class NoRecording(NotMeasured):
    """Nothing recorded that could be replayed."""


class NoRun(NotMeasured):
    """No run to judge or draw."""


class DamagedReport(NotMeasured):
    """An ncu report that is not what was written."""
