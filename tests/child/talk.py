"""The measuring child and the referee, talking as they do under ncu, but on the CPU and without it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stallgate.measure.attempt import CHILD_ENTRY
from stallgate.measure.conversation import EventLog, converse
from stallgate.measure.ncu import Complaints
from stallgate.measure.outcomes import Finished, Outcomes
from stallgate.measure.process import Ended, Spawned
from stallgate.measure.referee import RefereeProcess
from stallgate.model import Case

GPU = "none"
"""What the child calls a CPU."""

QUIET = Complaints(errors=[], counters_blocked=False)


class Talk(NamedTuple):
    """What was said and what became of it."""

    finished: dict[str, Finished]
    """By the case's name."""
    said: list[dict[str, Any]]
    ended: Ended
    unable: str | None


def talk(folder: Path, plan: Path, *, timeout_s: float = 120.0, variables: Mapping[str, str] | None = None) -> Talk:
    """Runs a child for a plan, to its end.

    Args:
        folder: takes the logs.
        plan: the plan, for the device ``cpu``.
        timeout_s: seconds that a step may take.
        variables: what to add to the child's environment.
    """
    told = json.loads(plan.read_text())
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", **(variables or {})}
    environment.pop("PYTHONPATH", None)
    cases = [(Case(*case["name"].split("/")), case["role"]) for case in told["cases"]]
    samples = max((len(case["labels"]) for case in told["cases"]), default=0)
    with RefereeProcess(sys.executable, plan, environment, folder / "referee.log", timeout_s) as referee:
        outcomes = Outcomes(cases, samples, GPU, referee, lambda *_: None)
        child = Spawned([sys.executable, str(CHILD_ENTRY), str(plan)], environment, folder / "child.log", 10.0)
        ended, failed = converse(child, outcomes, timeout_s, EventLog(folder / "events"), lambda: None)
    outcomes.conclude(ended, QUIET, timeout_s, failed)
    said = [json.loads(line) for line in (folder / "events").read_text().splitlines()]
    finished = {case.name: found for case, found in outcomes.finished.items()}
    return Talk(finished, said, ended, outcomes.unable)
