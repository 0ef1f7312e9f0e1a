"""The child's work: every case of a plan, one after the other, each to its outcome."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from stallgate.child.channel import ParentChannel, printable
from stallgate.child.parent_watchdog import end_with_parent

UNABLE = 1
"""Exit status where this interpreter cannot measure at all."""

DEVICE_LOST = 3
"""Exit status after a fault that left the device unusable to this process."""


def main(plan_path: Path, channel: int, lifeline: int) -> int:
    """Measures a plan; the exit status is 0 if every case has an outcome.

    torch and triton are imported here, not above, so that their absence can be reported as an event.

    Args:
        plan_path: the plan, a JSON file.
        channel: descriptor of the socket to the parent.
        lifeline: descriptor of a pipe that the parent holds open as long as it lives.
    """
    plan = json.loads(plan_path.read_text(encoding="utf-8"))
    end_with_parent(lifeline)
    parent = ParentChannel(channel)
    try:
        from stallgate.child.cases import Surroundings, outcome
        from stallgate.child.device import CannotMeasure, open_device
    except ImportError as error:
        parent.tell("unable", reason=f"{sys.executable} cannot import {error.name}")
        return UNABLE
    try:
        device = open_device(plan["device"])
    except CannotMeasure as error:
        parent.tell("unable", reason=f"{sys.executable}: {error}")
        return UNABLE
    parent.tell("environment", **device.describe())
    around = Surroundings.of(plan, device, parent)
    for case in plan["cases"]:
        parent.tell("case", case=case["name"])
        facts = outcome(plan, case, around)
        parent.tell("outcome", case=case["name"], **{**facts, "reason": printable(str(facts["reason"]))})
        if not device.usable():
            parent.tell("lost")
            return DEVICE_LOST
    parent.tell("end")
    return 0
