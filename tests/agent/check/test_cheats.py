"""Cheats that were seen in public: each layer refuses those that it can see, for what they do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stallgate.agent.answer import read_answer
from stallgate.agent.form.form import objections_to_form
from stallgate.measure.child_plan import child_plan
from stallgate.measure.outcomes import Finished
from stallgate.measure.plan import Request, plan_cases
from stallgate.project.load import load_project
from tests.agent.check.cheating import CATALOGUE, CHEATS, Cheat, cheated_project
from tests.child.talk import talk
from tests.conftest import ROOT
from tests.shared import Shared


def seen_by(layer: str) -> list[str]:
    return [name for name, cheat in CATALOGUE.items() if getattr(cheat, layer)]


SPOILING = [name for name in CATALOGUE if name.startswith("patches_")]
"""They change their process for those that come after: they come last, and the worst of them last of all."""

BY_VALUES = [name for name in seen_by("values") if name not in SPOILING and name != "overwrites_results"]
RIGHT = ["calls_torch", "calls_torch_renamed", "replay_fingerprint"]
"""Their results are right, and it takes their text or a GPU to see what they are."""


def test_every_cheat_has_a_layer_and_a_file() -> None:
    assert {path.stem for path in CHEATS.glob("*.py")} == set(CATALOGUE)
    for name, cheat in CATALOGUE.items():
        assert cheat.source or cheat.values or cheat.process or cheat.counters, name


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_form_refuses_what_its_text_shows(name: str) -> None:
    codes = {each.code for each in objections_to_form(read_answer((CHEATS / f"{name}.py").read_text()))}
    if CATALOGUE[name].source:
        assert codes & CATALOGUE[name].source
    else:
        assert not codes, "its text is that of an honest answer: other layers have to see it"


@pytest.fixture(scope="session")
def outcomes(shared: Shared) -> dict[str, Finished]:
    """What the child and the referee say of each cheat, whatever its text shows."""
    return shared.get("answer-cheats", _measured)


def _measured(folder: Path) -> dict[str, Finished]:
    alone = ["works_in_thread"]
    others = [*RIGHT, *(name for name in BY_VALUES if name not in alone), "patches_comparison", "patches_allocator"]
    return {**_in_one_child(folder / "others", others), **_in_one_child(folder / "alone", alone)}


def _in_one_child(root: Path, names: list[str]) -> dict[str, Finished]:
    """One after the other in one process. A thread that one leaves would meet the next in Triton's interpreter, which
    is not made for two: that cheat has a process of its own.
    """
    project = load_project(cheated_project(root, names))
    cases = [case for case in plan_cases(project, Request(workloads=["hand"])) if case.variant in names]
    (root / "plan.json").write_bytes(child_plan(project, cases, ["0", "1"], "cpu", 20.0))
    return {name.split("/")[1]: found for name, found in talk(root, root / "plan.json").finished.items()}


@pytest.mark.parametrize("name", [*BY_VALUES, "patches_comparison", "patches_allocator"])
def test_the_referee_refuses_wrong_results(outcomes: dict[str, Finished], name: str) -> None:
    assert outcomes[name].outcome == "wrong_result", outcomes[name].reason
    assert CATALOGUE[name].values in outcomes[name].reason


@pytest.mark.parametrize("name", RIGHT)
def test_what_computes_rightly_is_left_to_the_other_layers(outcomes: dict[str, Finished], name: str) -> None:
    assert outcomes[name].outcome == "profiled"
    assert CATALOGUE[name].source
    assert CATALOGUE[name].counters


def test_the_docs_have_the_same_table() -> None:
    text = (ROOT / "docs" / "untrusted-code.md").read_text()
    table = text.partition("## Cheats")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE))
    assert set(rows) == set(CATALOGUE)
    for name, row in rows.items():
        assert layers_of(CATALOGUE[name]) == set(re.findall(r"\*(\w+)\*", row)), name


def layers_of(cheat: Cheat) -> set[str]:
    return {layer for layer in ("source", "values", "process", "counters") if getattr(cheat, layer)}
