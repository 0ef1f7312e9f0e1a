"""The budget of a prompt: what goes first, what never goes, and an estimate that errs upwards."""

from __future__ import annotations

import re
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stallgate.agent.prompt.budget import Dropped, fit
from stallgate.agent.prompt.part import Part, ShorterForm
from stallgate.agent.prompt.prompt import Prompt, prompt_of
from stallgate.agent.tokens import estimated_tokens
from stallgate.errors import BadArgument
from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.project.load import Project, load_project
from tests.agent.prompt.taken_apart import TITLES, by_title
from tests.conftest import ROOT, Stallgate
from tests.recordings import committed

STAYS = {"Role and aim", "Target GPU", "Stage", "What is computed", "Current code", "Task", "Output rules"}


@cache
def read() -> tuple[Project, JudgedRun]:
    project = load_project(ROOT)
    return project, evaluate(project, committed("rmsnorm").folder, [])


def prompt(budget: int | None = None) -> Prompt:
    project, result = read()
    return prompt_of(project, "rmsnorm/naive", budget=budget, gpu="rtx_4090", run=result)


@cache
def least() -> int:
    """The smallest budget that there is a prompt for, as the error says it."""
    with pytest.raises(BadArgument) as refused:
        prompt(1)
    found = re.search(r"--budget (\d+) or more", refused.value.hint)
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_a_prompt_keeps_to_its_budget_and_says_what_it_leaves_out(share: float) -> None:
    whole = prompt()
    budget = round(least() + share * (whole.tokens - least()))
    found = prompt(budget)
    assert found.tokens <= budget
    assert found.tokens == estimated_tokens(found.text)
    parts = by_title(found.text)
    assert set(parts) >= STAYS
    assert [title for title in TITLES if title in parts] == list(parts)
    assert bool(found.dropped) == (share < 1)
    for dropped in found.dropped:
        assert dropped.loses in parts["Role and aim"].words
    gone = {part.name for part in whole.parts} - {part.name for part in found.parts}
    assert gone == {dropped.part for dropped in found.dropped if dropped.is_whole}


def test_the_code_and_the_rules_of_the_output_stay_as_they_are() -> None:
    whole, small = (by_title(prompt(budget).text) for budget in (None, least()))
    for title in ("Current code", "Task", "Output rules"):
        assert small[title] == whole[title]
    assert "roof_fraction" in small["Stage"].words


def test_advice_and_attempts_go_before_the_metrics() -> None:
    whole = prompt()
    found = prompt(whole.tokens - 1)
    assert {dropped.part for dropped in found.dropped} <= {"advice", "tried"}
    metrics = next(dropped for dropped in prompt(least()).dropped if dropped.part == "ncu_metrics")
    assert metrics.is_whole


def test_a_budget_too_small_is_one_error_with_the_number(stallgate: Stallgate) -> None:
    done = stallgate("prompt", "cumprod/blocked_scan", "--budget", "50")
    assert done.returncode == 2
    words = " ".join(done.stderr.split())
    found = re.search(r"--budget 50 is too small: .* takes about (\d+) tokens", words)
    assert found is not None
    enough = stallgate("prompt", "cumprod/blocked_scan", "--budget", found[1])
    assert enough.returncode == 0
    assert "left out for the budget: " in enough.stderr
    assert stallgate("prompt", "cumprod/blocked_scan", "--budget", str(int(found[1]) - 1)).returncode == 2


# --- the rule, on parts drawn at random -------------------------------------------------------------------------------

FORMS = st.lists(st.integers(0, 30), min_size=0, max_size=3)


@given(st.lists(st.tuples(st.integers(1, 60), FORMS), min_size=1, max_size=6), st.integers(1, 400))
def test_no_more_is_left_out_than_is_needed(drawn: list[tuple[int, list[int]]], budget: int) -> None:
    """Words stand for tokens. Whatever is restored alone would be too much."""
    parts = [part_of(place, words, forms) for place, (words, forms) in enumerate(drawn)]
    try:
        found = fit(parts, budget, render)
    except BadArgument:
        shortest = [part.shorter[-1].text if part.shorter else part.text for part in parts]
        assert estimated_tokens("".join(shortest)) > budget
        return
    assert estimated_tokens(render(found.parts, found.dropped)) <= budget
    for dropped in found.dropped:
        part = next(part for part in parts if part.name == dropped.part)
        levels = [part.text, *(form.text for form in part.shorter)]
        level = 1 + [form.loses for form in part.shorter].index(dropped.loses)
        longer = {each.name: each.text for each in found.parts} | {part.name: levels[level - 1]}
        kept = [Part(each.name, each.title, longer[each.name]) for each in parts if longer.get(each.name)]
        assert estimated_tokens(render(kept, [])) > budget


def part_of(place: int, words: int, forms: list[int]) -> Part:
    name = f"p{place}"
    lengths = sorted((min(length, words - 1) for length in forms), reverse=True)
    shorter = [
        ShorterForm(text="w " * length, usefulness=10 * level + place, loses=f"{name}-{level}")
        for level, length in enumerate(lengths)
    ]
    return Part(name=name, title=name, text="w " * words, shorter=shorter)


def render(parts: object, dropped: object) -> str:
    assert isinstance(parts, list)
    return "".join(part.text for part in parts)


def test_nothing_is_dropped_without_a_budget() -> None:
    part = part_of(0, 50, [0])
    assert fit([part], None, render).dropped == []
    assert fit([part], 10, render).dropped == [Dropped(part="p0", loses="p0-0", is_whole=True)]


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("word", 1), ("two words", 2), ("multiplication", 2), ("12345", 5), ("camelCase", 2), ("a\n    b", 3),
     ("):", 2), ("(((", 2), ("日", 3), ("é", 2), ("  x", 2), ("\ud800", 3)],
)  # fmt: skip
def test_tokens_are_counted_upwards(text: str, tokens: int) -> None:
    assert estimated_tokens(text) == tokens


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(first: str, second: str) -> None:
    assert estimated_tokens(first + "\n" + second) >= estimated_tokens(first)
    assert estimated_tokens(first) <= 3 * len(first) + sum(len(each.encode("utf-8", "surrogatepass")) for each in first)
