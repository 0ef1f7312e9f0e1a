"""The child's work: every case of a plan, one after the other, each to its outcome."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from stallgate.child.events import Events
from stallgate.child.parent_watchdog import hold

UNABLE = 1
"""Exit status where this interpreter cannot measure at all."""

DEVICE_LOST = 3
"""Exit status after a fault that left the device unusable to this process."""


def main(plan_path: Path) -> int:
    """Measures a plan; the exit status is 0 where every case came to an outcome.

    torch and triton are imported here, not above, so that their absence is told as an event.
    """
    plan = json.loads(plan_path.read_text(encoding="utf-8"))
    if plan.get("leash") is not None:
        hold(Path(plan["leash"]))
    events = Events(Path(plan["events"]))
    try:
        from stallgate.child.cases import outcome
        from stallgate.child.device import Unable, open_device
    except ImportError as error:
        events.tell("unable", reason=f"{sys.executable} cannot import {error.name}")
        return UNABLE
    try:
        device = open_device(plan["device"])
    except Unable as error:
        events.tell("unable", reason=f"{sys.executable}: {error}")
        return UNABLE
    events.tell("environment", **device.describe())
    for case in plan["cases"]:
        events.tell("case", name=case["name"])
        events.tell("outcome", name=case["name"], **outcome(plan, case, device, events))
        if not device.usable():
            events.tell("lost")
            return DEVICE_LOST
    events.tell("end")
    return 0
