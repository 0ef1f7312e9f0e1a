"""The drawing child's work: every request of a plan, one after the other, each to its arguments or its refusal."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

from stallgate.child.channel import ParentChannel, first_line
from stallgate.child.parent_watchdog import end_with_parent
from stallgate.child.work import UNABLE


def main(plan_path: Path, channel: int, lifeline: int) -> int:
    """Answers the requests of a plan; the exit status is 0 if each has its answer.

    torch is imported here, not above, so that its absence can be reported.
    """
    plan = json.loads(plan_path.read_text(encoding="utf-8"))
    end_with_parent(lifeline)
    parent = ParentChannel(channel)
    try:
        from stallgate.child.draw.arguments import Drawer
    except ImportError as error:
        parent.tell("unable", reason=f"{sys.executable} cannot import {error.name}")
        return UNABLE
    drawer = Drawer(plan)
    for request in plan["requests"]:
        parent.tell("drawn", name=request["name"], **_answer(drawer, request))
    parent.tell("end")
    return 0


def _answer(drawer: Any, request: dict[str, Any]) -> dict[str, object]:
    """What a request leads to. What a reference raises is the answer to it and does not end the others."""
    try:
        answer: dict[str, object] = drawer.answer(request)
        json.dumps(answer)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (a reference's code can raise anything)
        traceback.print_exc()
        return {"fault": f"{type(error).__name__}: {first_line(error)}"}
    return answer
