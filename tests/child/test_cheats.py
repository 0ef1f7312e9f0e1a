"""Planted cheats, as far as Triton's interpreter can show them: each is refused for what it does, the honest pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stallgate.measure.plan import Request, plan_cases
from stallgate.measure.profile import CHILD, child_plan
from stallgate.project.load import load_project
from tests.child.cheating import HONEST, WRONG, cheating
from tests.shared import Shared

UNSHOWN = ("calls_torch", "racing")
"""Right where programs run one after the other and nobody sees the launches: for these it takes a GPU."""


@pytest.fixture(scope="session")
def outcomes(shared: Shared) -> dict[str, Any]:
    """What the child says of each file, run on the CPU as ncu would run it."""
    return shared.get("cheats", _measured)


def _measured(folder: Path) -> dict[str, Any]:
    root = cheating(folder)
    project, events = load_project(root), root / "events"
    plan = child_plan(project, plan_cases(project, Request(workloads=["hand"])), ["0", "1"], events, "cpu")
    (root / "plan.json").write_bytes(plan)
    subprocess.run(
        [sys.executable, str(CHILD), str(root / "plan.json")],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        timeout=120,
        check=True,
    )
    told = [json.loads(line) for line in events.read_text().splitlines()]
    return {event["name"].split("/")[1]: event for event in told if event["event"] == "outcome"}


@pytest.mark.parametrize("name", [*HONEST, *UNSHOWN])
def test_what_is_right_is_measured(outcomes: dict[str, Any], name: str) -> None:
    assert (outcomes[name]["outcome"], outcomes[name]["reason"]) == ("profiled", "")


@pytest.mark.parametrize("name", WRONG)
def test_a_cheat_is_wrong_for_what_it_does(outcomes: dict[str, Any], name: str) -> None:
    assert outcomes[name]["outcome"] == "wrong_result"
    assert WRONG[name] in outcomes[name]["reason"]
