"""Planted cheats, as far as Triton's interpreter can show them: each is refused for what it does, the honest pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from stallgate.measure.child_plan import child_plan
from stallgate.measure.outcomes import Finished
from stallgate.measure.plan import Request, plan_cases
from stallgate.project.load import load_project
from tests.child.cheating import HONEST, WRONG, cheating
from tests.child.talk import talk
from tests.shared import Shared

UNSHOWN = ("calls_torch", "racing")
"""Right where programs run one after the other and nobody sees the launches: for these it takes a GPU."""


@pytest.fixture(scope="session")
def outcomes(shared: Shared) -> dict[str, Finished]:
    """What the child says of each file, run on the CPU as ncu would run it."""
    return shared.get("cheats", _measured)


def _measured(folder: Path) -> dict[str, Finished]:
    root = cheating(folder)
    project = load_project(root)
    plan = child_plan(project, plan_cases(project, Request(workloads=["hand"])), ["0", "1"], "cpu")
    (root / "plan.json").write_bytes(plan)
    return {name.split("/")[1]: found for name, found in talk(root, root / "plan.json").finished.items()}


@pytest.mark.parametrize("name", [*HONEST, *UNSHOWN])
def test_what_is_right_is_measured(outcomes: dict[str, Finished], name: str) -> None:
    assert (outcomes[name].outcome, outcomes[name].reason) == ("profiled", "")


@pytest.mark.parametrize("name", WRONG)
def test_a_cheat_is_wrong_for_what_it_does(outcomes: dict[str, Finished], name: str) -> None:
    assert outcomes[name].outcome == "wrong_result"
    assert WRONG[name] in outcomes[name].reason
