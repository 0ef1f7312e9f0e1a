"""NVIDIA's results beside an advice: which are quoted, and which are contradicted."""

from __future__ import annotations

from typing import Any

from stallgate.advise.theirs import contradictions, results_on
from stallgate.model import AdviceRule, Case, Detail, RuleResult
from stallgate.project.advice import read_advice_rules
from stallgate.project.load import Project
from tests.conftest import ROOT


def rule(repository: Project, name: str) -> AdviceRule:
    return read_advice_rules(ROOT, repository.catalogue)[name]


def result(**changes: Any) -> RuleResult:
    known = {"rule": "CPIStall", "section": "WarpStateStats", "title": "Barrier Stalls", "message": "On average …"}
    return RuleResult(**{**known, "kind": "optimisation", "speedup": 30.0, "scope": "whole", **changes})


def details(*results: RuleResult) -> list[Detail]:
    return [Detail(case=Case("p", "v", "default", "w"), kernel="k", samples=0, advice=list(results), lines=[])]


def test_results_on_other_causes_notes_and_repetitions_are_left_out(repository: Project) -> None:
    mine, other = result(), result(title="Long Scoreboard Stalls")
    note, again = result(kind="note"), result(speedup=None, scope=None)
    assert results_on(rule(repository, "barrier_waits"), details(mine, other, note, mine, again)) == [mine]


def test_an_estimate_beyond_the_roof_is_contradicted(repository: Project) -> None:
    (said,) = contradictions(rule(repository, "barrier_waits"), details(result()), above_roof=0.05, gain=0.05)
    assert said == "NVIDIA's rule estimates 30.0 % for 'Barrier Stalls', and only 5.0 % of the time is above the roof"


def test_estimates_that_are_far_apart_are_told(repository: Project) -> None:
    asked = rule(repository, "barrier_waits")
    (low,) = contradictions(asked, details(result()), above_roof=None, gain=0.1)
    (high,) = contradictions(asked, details(result()), above_roof=None, gain=0.7)
    assert low.endswith("the cause explains at most 10.0 %")
    assert high.endswith("the cause explains up to 70.0 %")
    assert contradictions(asked, details(result()), above_roof=None, gain=0.25) == []


def test_a_local_estimate_is_no_speed_up_and_not_contradicted(repository: Project) -> None:
    asked = rule(repository, "barrier_waits")
    assert contradictions(asked, details(result(scope="part")), above_roof=0.01, gain=0.01) == []


def test_at_the_roof_every_global_estimate_is_contradicted(repository: Project) -> None:
    other = result(rule="TheoreticalOccupancy", title="Theoretical Occupancy")
    asked = rule(repository, "at_the_roof")
    assert len(contradictions(asked, details(result(), other), above_roof=0.01, gain=0.01)) == 2
