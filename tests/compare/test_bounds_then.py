"""A stage that asks for something else than when a run was judged says so, also where the direction was turned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stallgate.compare.bounds_then import changed_bounds
from stallgate.project.load import Project
from tests.judge.judging import target, with_stage

STALL = "memory_dependency_stall"


def judged_then(folder: Path, *asked: tuple[str, float]) -> Path:
    """The folder of a run that was held to these bounds."""
    terms: dict[str, Any] = {"status": "pass", "reason": "met", "stage": "memory_access", "metric": STALL}
    verdicts = [{**terms, "comparison": comparison, "bound": bound} for comparison, bound in asked]
    (folder / "verdicts.json").write_text(json.dumps({"exit_status": 0, "verdicts": verdicts}))
    return folder


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        ([("below", 20.0)], {"below": 20.0}, ""),
        ([("below", 25.0)], {"below": 20.0}, "below 25 % then, below 20 % now"),
        ([("above", 20.0)], {"below": 20.0}, "above 20 % then, below 20 % now"),
        ([("at_least", 2.0), ("below", 20.0)], {"below": 20.0}, ""),
        ([("above", 2.0), ("below", 25.0)], {"below": 20.0}, "below 25 % then, below 20 % now"),
        ([], {"below": 20.0}, ""),
    ],
)
def test_a_bound_that_changed_is_told(
    repository: Project, tmp_path: Path, then: list[tuple[str, float]], now: dict[str, float], words: str
) -> None:
    project = with_stage(repository, target(STALL, **now))
    found = changed_bounds(project, judged_then(tmp_path, *then), ["memory_access"])
    assert len(found) == bool(words)
    assert words in "".join(found)


def test_another_target_of_the_metric_is_no_other_bound(repository: Project, tmp_path: Path) -> None:
    project = with_stage(repository, target(STALL, above=2), target(STALL, below=20))
    assert changed_bounds(project, judged_then(tmp_path, ("below", 20.0)), ["memory_access"]) == []
