"""Files of rules: what is refused, with file and key, and what a project's own do."""

from __future__ import annotations

from pathlib import Path

import pytest

from stallgate.errors import BrokenFile
from stallgate.project.advice import read_advice_rules
from stallgate.project.catalogue import is_measured
from stallgate.project.load import Project
from tests.conftest import ROOT

RULE = """
title = "Slow"
parent = "speed_of_light"
when = ["duration > 1"]
says = "It takes {duration}."
tries = "Less."
disproved_by = "Nothing."
never_for = "Anything."
explains = "0.5"
source = "made up"
"""


def own(root: Path, text: str, name: str = "mine") -> Path:
    path = root / "metrics" / "advice" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return root


def test_a_projects_rule_is_added_and_replaces_a_shipped_one(tmp_path: Path, repository: Project) -> None:
    own(own(tmp_path, RULE), RULE, "sector_use")
    rules = read_advice_rules(tmp_path, repository.catalogue)
    assert rules["mine"].title == rules["sector_use"].title == "Slow"
    assert rules["barrier_waits"].title != "Slow"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"duration > 1"', '"duration"', r"mine.toml: when\[0\]: `duration` is not two expressions"),
        ('"duration > 1"', '"duration > 1", "durations < 3"', r"when\[1\]: no metric or fact is named 'durations'"),
        ('["duration > 1"]', "[]", "when: it is empty"),
        ('"0.5"', '"0.5 +"', "explains: it cannot be"),
        ("{duration}", "{speed}", "says: no metric or fact is named 'speed'"),
        ('"speed_of_light"', '"speed_of_sound"', "parent: no rule or level is named 'speed_of_sound'"),
        ('"speed_of_light"', '"mine"', "parent: the rule is above itself"),
        ('tries = "Less."', 'tries = " "', "tries: it is empty"),
        ('tries = "Less."', 'tries = "Less."\nyields_to = ["nobody"]', "yields_to: no rule is named 'nobody'"),
        ('tries = "Less."', "", "missing required field `tries`"),
        ('title = "Slow"', 'title = "Slow"\nname = "x"', "name: its place already gives the name"),
    ],
)
def test_what_is_refused(tmp_path: Path, repository: Project, old: str, new: str, words: str) -> None:
    assert old in RULE
    with pytest.raises(BrokenFile, match=words):
        read_advice_rules(own(tmp_path, RULE.replace(old, new)), repository.catalogue)


def test_metrics_that_only_rules_read_cost_nothing_unless_wanted(repository: Project) -> None:
    metrics = repository.catalogue.metrics
    added = ["memory_throughput", "issue_active", "async_copies", "local_loads", "atomic_sectors", "multiprocessors"]
    assert all(metrics[name].collect == "wanted" and is_measured(metrics[name]) for name in added)


def test_the_document_lists_every_rule() -> None:
    text = (ROOT / "docs" / "advice.md").read_text()
    for path in (ROOT / "metrics" / "advice").glob("*.toml"):
        assert f"| `{path.stem}` |" in text
