"""A reading beside its target: who reads a missed one knows which of the two numbers is what is wanted."""

from __future__ import annotations

import re
from html import unescape
from typing import get_args

import pytest

from stallgate.formatting import held_to
from stallgate.judge.suggestion import TargetAnswer, TargetCheck
from stallgate.model import Status, Verdict
from stallgate.render.judged_row import JudgedRow, judged_target
from stallgate.render.loop_words import target_text
from stallgate.render.sweep_words import check_text
from stallgate.render.template import template
from stallgate.runs.journal import LoopTarget

MET, MISSED = "0.985 ≥ 0.97", "0.958, wanted ≥ 0.97"


@pytest.mark.parametrize(
    ("value", "bound", "met", "said"),
    [
        ("0.985", "0.97", True, MET),
        ("0.958", "0.97", False, MISSED),
        ("0.970", "0.97", False, "0.970, wanted ≥ 0.97"),
        ("", "0.97", False, "wanted ≥ 0.97"),
    ],
)
def test_a_sign_alone_stands_only_where_it_holds(value: str, bound: str, met: bool, said: str) -> None:
    assert str(held_to(value, "at_least", bound, met=met)) == said


def in_a_loop(value: float, status: str) -> str:
    return target_text(LoopTarget("s", "m", "w", status, value, "", "at_least", 0.97, ""))


def in_a_sweep(value: float, answer: TargetAnswer) -> str:
    return check_text(TargetCheck("w", "m", "", answer, "at_least", 0.97, value))


def on_a_card(value: float, status: Status) -> str:
    """As pages of runs, sweeps and loops draw it."""
    verdict = Verdict(
        status=status,
        reason="",
        sentence="",
        stage="s",
        problem="p",
        variant="v",
        configuration="default",
        workload="w",
        metric="m",
        unit="",
        comparison="at_least",
        bound=0.97,
        value=value,
    )
    target = judged_target(verdict, title="M", mark="", of="of the roof's speed", why="")
    row = JudgedRow("v", "w", "c", "", "", "", "", "", "", [target], "plain")
    card = str(template("macros.html.j2").module.card(row, 2.0))  # type: ignore[attr-defined]
    return " ".join(re.sub(r"<[^>]*>", "", unescape(card)).split())


def test_a_met_target_is_told_alike_everywhere() -> None:
    told = (in_a_loop(0.985, "pass"), in_a_sweep(0.985, "met"), on_a_card(0.985, "pass"))
    assert [MET in each for each in told] == [True] * 3, told


@pytest.mark.parametrize("status", [each for each in get_args(Status) if each != "pass"])
def test_any_other_is_told_with_what_is_wanted(status: Status) -> None:
    """Also an excused or waived one: its number does not meet the bound."""
    told = (in_a_loop(0.958, status), on_a_card(0.958, status))
    assert [MISSED in each for each in told] == [True] * 2, told


@pytest.mark.parametrize("answer", [each for each in get_args(TargetAnswer) if each != "met"])
def test_a_sweep_tells_it_alike(answer: TargetAnswer) -> None:
    assert MISSED in in_a_sweep(0.958, answer)


def test_the_bound_has_the_unit_of_the_reading() -> None:
    check = TargetCheck("w", "stall", "%", "missed", "below", 20.0, 25.0)
    assert check_text(check).startswith("✗ stall 25.0 %, wanted < 20 % (missed by 5")
