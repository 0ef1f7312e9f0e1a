"""The referee's work: inputs out, outputs back, each compared with what the reference says."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stallgate.child.channel import ParentChannel, first_line
from stallgate.child.parent_watchdog import end_with_parent
from stallgate.child.work import UNABLE

_Answer = dict[str, object]


def main(plan_path: Path, channel: int, lifeline: int) -> int:
    """Answers requests until the parent closes the line.

    torch is imported here, not above, so that its absence can be reported.
    """
    plan = json.loads(plan_path.read_text(encoding="utf-8"))  # before any variant could change it
    end_with_parent(lifeline)
    line = ParentChannel(channel)
    try:
        from stallgate.child.referee.judging import Referee
    except ImportError as error:
        line.send({"unable": f"{sys.executable} cannot import {error.name}"})
        return UNABLE
    referee = Referee(plan, _usable(plan["device"]))
    _answer(referee.prepare, {})  # a failure shows again when it is asked for
    line.send({"ready": True})
    while (request := line.receive()) is not None:
        line.send(_answer(getattr(referee, request["do"]), request["with"]))
    return 0


def _usable(device: str) -> str:
    """The device, or the CPU where a second process cannot use it: a GPU in exclusive mode, for one."""
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError):  # torch asserts that it was built with CUDA
        traceback.print_exc()
        return "cpu"
    return device


def _answer(work: Callable[..., _Answer | None], arguments: dict[str, Any]) -> _Answer:
    """The answer to a request. Whatever the reference raises costs the case, never the referee."""
    import torch

    try:
        return work(**arguments) or {}
    except torch.OutOfMemoryError as error:
        return {
            "refused": "skipped",
            "reason": f"GPU memory has no room for a second copy of its tensors: {first_line(error)}",
        }
    except (Exception, SystemExit) as error:  # noqa: BLE001  (a reference's code can raise anything)
        traceback.print_exc()
        return {"refused": "crashed", "reason": f"the reference: {type(error).__name__}: {first_line(error)}"}
