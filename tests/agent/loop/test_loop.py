"""The loop with a scripted judge: what it keeps, skips, repairs, refuses to try again, and why it ends."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stallgate.agent.loop import loop as loop_module
from stallgate.agent.loop.answerer import Answered
from stallgate.agent.loop.loop import Looper, next_loop_step, try_seed
from stallgate.agent.loop.replay import check_replay
from stallgate.agent.loop.tried import evidence_of, merged_evidence
from stallgate.errors import BadArgument, BrokenFile, Interrupted
from stallgate.runs.journal import Journal, KeptObjection, LoopStop, load_journal, save_journal
from stallgate.runs.ladder import ladder
from tests.agent.loop.scripted import (
    START_CODE,
    ScriptedAnswerer,
    ScriptedWorkshop,
    Watched,
    begin,
    code,
    drawn_answers,
    listed_answers,
    looped,
)


def outcomes(journal: Journal) -> list[tuple[str, str | None]]:
    return [(each.name, each.outcome) for each in journal.tries()]


def stop_of(journal: Journal) -> str:
    assert journal.stop is not None
    return journal.stop.code


# --- the best is kept -------------------------------------------------------------------------------------------------


def test_each_round_goes_on_from_the_best_not_from_the_last(tmp_path: Path) -> None:
    answers = {(1, 1, 1): code(80), (2, 1, 1): code(95), (3, 1, 1): code(60), (4, 1, 1): code(70)}
    found = looped(tmp_path, begin(tmp_path, rounds=4), listed_answers(answers))
    assert [each.base for each in found.rounds] == ["start", "1.1", "1.1", "3.1"]
    assert [each.name for each in found.versions] == ["start", "1.1", "3.1"]
    assert [each.reading.times["w"].median for each in found.versions if each.reading] == [100, 80, 60]
    assert stop_of(found) == "rounds_used"


def test_of_a_wide_round_the_greatest_gain_is_kept(tmp_path: Path) -> None:
    answers = {(1, 1, 1): code(80), (1, 2, 1): code(50), (1, 3, 1): code(70)}
    found = looped(tmp_path, begin(tmp_path, rounds=1, width=3), listed_answers(answers))
    assert outcomes(found) == [("1.1", "accepted"), ("1.2", "accepted"), ("1.3", "accepted")]
    assert found.best.name == "1.2"


def test_of_equal_gains_the_one_that_meets_the_stage_is_kept(tmp_path: Path) -> None:
    answers = {(1, 1, 1): code(50), (1, 2, 1): code(50.2, meets=["one"])}
    found = looped(tmp_path, begin(tmp_path, rounds=1, width=2), listed_answers(answers))
    assert found.best.name == "1.2"
    assert stop_of(found) == "stages_met"


# --- stages -----------------------------------------------------------------------------------------------------------


def test_a_stage_that_is_met_is_skipped(tmp_path: Path) -> None:
    start = code(100, meets=["one"])
    answers = {(1, 1, 1): code(80, meets=["one", "two"])}
    found = looped(tmp_path, begin(tmp_path, stages=["one", "two", "three"], start=start), listed_answers(answers))
    assert found.rounds[0].stage == "two"
    assert [each.state for each in ladder(found)] == ["skipped", "met", "no_gain"]
    assert stop_of(found) == "no_gain"


def test_stages_are_gone_through_in_order_and_never_back(tmp_path: Path) -> None:
    answers = {(2, 1, 1): code(80, meets=["one"]), (3, 1, 1): code(60, meets=["two"])}
    found = looped(tmp_path, begin(tmp_path, stages=["one", "two"], rounds=3), listed_answers(answers))
    assert [each.stage for each in found.rounds] == ["one", "one", "two"]
    assert [each.state for each in ladder(found)] == ["met", "met"]
    assert stop_of(found) == "rounds_used", "the best no longer meets the first"


def test_nothing_is_asked_where_every_stage_is_met(tmp_path: Path) -> None:
    answerer = listed_answers({})
    found = looped(tmp_path, begin(tmp_path, start=code(100, meets=["one"])), answerer)
    assert (stop_of(found), answerer.asked) == ("stages_met", [])
    assert [each.state for each in ladder(found)] == ["skipped"]


# --- why it ends ------------------------------------------------------------------------------------------------------


def test_it_ends_at_the_roof(tmp_path: Path) -> None:
    found = looped(tmp_path, begin(tmp_path, stages=["one", "two"]), listed_answers({(1, 1, 1): code(10, roof=10)}))
    assert stop_of(found) == "roof_reached"
    assert len(found.rounds) == 1
    assert [each.state for each in ladder(found)] == ["roof_reached", "waiting"]


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_a_stage_ends_after_rounds_without_a_gain(tmp_path: Path, patience: int) -> None:
    found = looped(tmp_path, begin(tmp_path, rounds=9, patience=patience), listed_answers({(1, 1, 1): code(80)}))
    assert len(found.rounds) == 1 + patience
    assert stop_of(found) == "no_gain"
    assert found.stop is not None
    assert "Not met: one." in found.stop.sentence


# --- failures cost a round --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["empty", "failed", "timed_out", "too_long"])
def test_an_answerer_that_fails_costs_its_round(tmp_path: Path, outcome: str) -> None:
    failed = Answered(outcome, b"", "Traceback\nno luck", 1, 0.0)  # type: ignore[arg-type]
    answerer = ScriptedAnswerer(lambda number, *_: failed if number == 1 else code(50, meets=["one"]))
    found = looped(tmp_path, begin(tmp_path), answerer)
    assert outcomes(found) == [("1.1", "no_answer"), ("2.1", "accepted")]
    first = next(found.tries())
    assert first.objections[0].code == f"answerer_{outcome}"
    assert first.objections[0].hint == "no luck"


@pytest.mark.parametrize("fault", ["WRONG", "SHAPELESS", "RULED_OUT"])
def test_a_failure_is_repaired_once_with_its_reasons(tmp_path: Path, fault: str) -> None:
    workshop = ScriptedWorkshop(tmp_path)
    answers = listed_answers({(1, 1, 1): code(80, fault), (1, 1, 2): code(80), (2, 1, 1): code(70, fault)})
    found = Looper(tmp_path, begin(tmp_path, rounds=2), workshop, answers, Watched()).run()
    assert outcomes(found)[:2] == [("1.1", "refused"), ("1.1 repair", "accepted")]
    assert found.best.name == "1.1 repair"
    repair = workshop.wishes[1]
    assert [each.text for each in repair.refused] == [each.text for each in next(found.tries()).objections]
    assert repair.answer == code(80, fault)
    assert answers.asked == [(1, 1, 1), (1, 1, 2), (2, 1, 1), (2, 1, 2)], "a repair that fails is not repaired"


def test_a_slow_answer_is_no_failure_to_repair(tmp_path: Path) -> None:
    answers = listed_answers({(1, 1, 1): code(99)})
    found = looped(tmp_path, begin(tmp_path, rounds=1), answers)
    assert outcomes(found) == [("1.1", "refused")]
    assert answers.asked == [(1, 1, 1)]


def test_what_fails_when_it_is_profiled_is_refused_after_all(tmp_path: Path) -> None:
    answers = {(1, 1, 1): code(50, "FORGED"), (1, 2, 1): code(80), (1, 1, 2): code(70)}
    found = looped(tmp_path, begin(tmp_path, rounds=1, width=2), listed_answers(answers))
    assert outcomes(found) == [("1.1", "refused"), ("1.2", "accepted"), ("1.1 repair", "accepted")]
    assert found.best.name == "1.1 repair"
    check_replay(tmp_path, found)


def test_a_start_that_cannot_be_measured_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="cannot be the start: its results were wrong"):
        looped(tmp_path, begin(tmp_path, start=code(100, "FORGED")), listed_answers({}))


# --- never twice ------------------------------------------------------------------------------------------------------


def test_the_same_source_is_never_judged_twice(tmp_path: Path) -> None:
    workshop = ScriptedWorkshop(tmp_path)
    wrong = code(50, "WRONG")
    dressed = f'"""Another text."""\n# and a remark\n{wrong.replace(" = ", "=")}'
    answers = {(1, 1, 1): wrong, (1, 1, 2): dressed, (2, 1, 1): f"Here:\n```python\n{wrong}```\n", (2, 1, 2): code(90)}
    found = Looper(tmp_path, begin(tmp_path, rounds=2), workshop, listed_answers(answers), Watched()).run()
    assert outcomes(found) == [
        ("1.1", "refused"),
        ("1.1 repair", "repeated"),
        ("2.1", "repeated"),
        ("2.1 repair", "accepted"),
    ]
    assert workshop.checked == [wrong, code(90)]
    repeated = list(found.tries())[2]
    assert repeated.repeats == "1.1"
    assert [each.text for each in repeated.objections] == [
        "The same code was refused before, as 1.1.",
        "It is wrong on 1 of 3 inputs.",
    ]


def test_the_code_that_was_shown_is_no_answer(tmp_path: Path) -> None:
    found = looped(tmp_path, begin(tmp_path, rounds=1), listed_answers({}))
    assert outcomes(found) == [("1.1", "repeated"), ("1.1 repair", "repeated")]
    assert next(found.tries()).repeats == "start"


def test_what_only_a_stage_refused_may_be_tried_in_another(tmp_path: Path) -> None:
    ruled = code(60, "RULED_OUT")
    answers = {(1, 1, 1): ruled, (1, 1, 2): code(97), (2, 1, 1): ruled, (2, 1, 2): code(80), (3, 1, 1): ruled}
    found = looped(tmp_path, begin(tmp_path, rounds=3), listed_answers(answers))
    names = dict(outcomes(found))
    assert (names["1.1"], names["2.1"], names["3.1"]) == ("refused", "refused", "refused")
    assert found.rounds[2].base == "2.1 repair"
    found = looped(
        tmp_path / "b", begin(tmp_path / "b", rounds=1, width=2), listed_answers({(1, 1, 1): ruled, (1, 2, 1): ruled})
    )
    assert dict(outcomes(found))["1.2"] == "repeated"


# --- evidence ---------------------------------------------------------------------------------------------------------


def with_evidence(folder: Path, earlier: Journal, place: Path, **limits: int) -> Journal:
    journal = begin(folder, **limits)
    journal = replace(journal, evidence=merged_evidence(evidence_of(place, earlier, journal)))
    save_journal(folder, journal)
    return journal


def test_what_an_earlier_loop_found_wrong_is_not_judged_again(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    answers = {(1, 1, 1): code(50, "WRONG"), (1, 1, 2): code(99), (2, 1, 1): code(80)}
    earlier = looped(one, begin(one, rounds=2), listed_answers(answers))
    journal = with_evidence(two, earlier, one, rounds=3)
    again = {(1, 1, 1): code(50, "WRONG"), (1, 1, 2): code(80), (2, 1, 1): code(79.5)}
    workshop = ScriptedWorkshop(two)
    found = Looper(two, journal, workshop, listed_answers(again), Watched()).run()
    assert outcomes(found)[:3] == [("1.1", "repeated"), ("1.1 repair", "accepted"), ("2.1", "refused")]
    assert next(found.tries()).repeats == "one 1.1"
    told = [(each.name, each.outcome) for each in workshop.wishes[0].tried]
    assert told == [("one 1.1", "refused"), ("one 1.1 repair", "refused"), ("one 2.1", "accepted")]
    assert evidence_of(two, found, found)[: len(journal.evidence)] == journal.evidence, "evidence is passed on"


def test_evidence_has_to_be_of_the_same_problem_and_reference(tmp_path: Path) -> None:
    journal = begin(tmp_path)
    with pytest.raises(BadArgument, match="a loop on q, not p"):
        evidence_of(tmp_path, replace(journal, problem="q"), journal)
    with pytest.raises(BadArgument, match="reference of p has changed"):
        evidence_of(tmp_path, replace(journal, digests={"the reference": "other"}), journal)


def test_a_prompt_tells_what_was_tried_with_its_effect(tmp_path: Path) -> None:
    workshop = ScriptedWorkshop(tmp_path)
    start = "import triton\n\n\nROOF = 10\n\n\ndef run(x, *, num_warps=4):\n    return x\n"
    better = start.replace("num_warps=4", "num_warps=8") + "\n\nMODE = 1\nTIME = 80\n"
    found = Looper(
        tmp_path, begin(tmp_path, start=start, rounds=2), workshop, listed_answers({(1, 1, 1): better}), Watched()
    ).run()
    assert found.best.name == "1.1"
    (told,) = workshop.wishes[1].tried
    assert "num_warps raised: 4 -> 8" in told.change
    assert told.effect == "20 % less time"


# --- killed and resumed -----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


class Fuse:
    """Kills after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def burn(self, *_: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


def killed_after(folder: Path, steps: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Goes on with the loop of a folder, and kills it before or after some step; whether it lived to its end."""
    fuse = Fuse(steps)
    answers = drawn_answers(seed)
    answerer = ScriptedAnswerer(lambda *place: (fuse.burn(), answers.answer(*place))[1])

    def save(place: Path, journal: Journal) -> None:
        fuse.burn()
        save_journal(place, journal)
        fuse.burn()

    with monkeypatch.context() as patch:
        patch.setattr(loop_module, "save_journal", save)
        try:
            Looper(folder, load_journal(folder), ScriptedWorkshop(folder, fuse.burn), answerer, Watched()).run()
        except Killed:
            return False
    return True


def timeless(journal: Journal) -> Journal:
    return replace(journal, rounds=[replace(each, begun="") for each in journal.rounds], name="")


@settings(
    max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_a_loop_that_is_killed_anywhere_ends_as_if_it_was_not(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, seed: int, data: st.DataObject
) -> None:
    limits = {name: data.draw(st.integers(1, 3), label=name) for name in ("rounds", "width", "patience")}
    whole, parts = (tmp_path_factory.mktemp(name) for name in ("whole", "parts"))
    expected = looped(whole, begin(whole, stages=["one", "two"], seed=seed, **limits), drawn_answers(seed))
    begin(parts, stages=["one", "two"], seed=seed, **limits)
    for _ in range(200):
        if killed_after(parts, data.draw(st.integers(0, 25), label="steps"), seed, monkeypatch):
            break
        if data.draw(st.integers(0, 9), label="look") == 0:
            check_replay(parts, load_journal(parts))
    else:
        killed_after(parts, 10**6, seed, monkeypatch)
    assert timeless(load_journal(parts)) == timeless(expected)
    check_replay(whole, expected)


def test_ctrl_c_leaves_a_whole_journal(tmp_path: Path) -> None:
    def answer(number: int, *_: int) -> str:
        if number == 2:
            raise KeyboardInterrupt
        return code(80)

    with pytest.raises(Interrupted, match="is whole"):
        looped(tmp_path, begin(tmp_path), ScriptedAnswerer(answer))
    found = load_journal(tmp_path)
    assert [each.name for each in found.versions] == ["start", "1.1"]
    assert next_loop_step(found) == loop_module.AskAnswerer(found.rounds[1].tries)
    assert stop_of(looped(tmp_path, found, listed_answers({(2, 1, 1): code(50, meets=["one"])}))) == "stages_met"


def test_seeds_differ_and_stay() -> None:
    seeds = [try_seed(s, r, k, repair=b) for s in range(3) for r in range(5) for k in range(5) for b in (False, True)]
    assert len(set(seeds)) == len(seeds)
    assert try_seed(1, 2, 3) == try_seed(1, 2, 3)


# --- replayed ---------------------------------------------------------------------------------------------------------


def test_a_replay_finds_what_does_not_follow(tmp_path: Path) -> None:
    answers = {(1, 1, 1): code(80), (1, 2, 1): code(60), (2, 1, 1): code(50, "WRONG")}
    found = looped(tmp_path, begin(tmp_path, rounds=2, width=2), listed_answers(answers))
    check_replay(tmp_path, found)
    first = found.rounds[0]
    other_best = replace(found, rounds=[replace(first, best="1.1"), *found.rounds[1:]])
    with pytest.raises(BrokenFile, match="round 1 does not follow"):
        check_replay(tmp_path, other_best)
    with pytest.raises(BrokenFile, match="does not follow"):
        check_replay(tmp_path, replace(found, stop=LoopStop("stages_met", "Every stage is met.")))
    one = replace(found.rounds[1].tries[0], objections=[KeptObjection("form", "other", "Another reason.")])
    check_replay(
        tmp_path, replace(found, rounds=[first, replace(found.rounds[1], tries=[one, *found.rounds[1].tries[1:]])])
    )


def test_a_replay_finds_files_that_were_changed(tmp_path: Path) -> None:
    found = looped(tmp_path, begin(tmp_path, rounds=1), listed_answers({(1, 1, 1): code(80)}))
    (tmp_path / "rounds/001/1/answer.txt").write_text(code(70))
    with pytest.raises(BrokenFile, match=r"round 1 does not follow|is not what the journal says"):
        check_replay(tmp_path, found)
    (tmp_path / "rounds/001/prompt.md").unlink()
    with pytest.raises(BrokenFile, match="is missing"):
        check_replay(tmp_path, found)


@pytest.mark.parametrize("seed", range(12))
def test_loops_drawn_at_random_keep_the_promises(tmp_path: Path, seed: int) -> None:
    """Whatever is answered: the best is never slower, no source is judged twice, and no round follows the end."""
    rng = random.Random(seed)
    limits = {name: rng.randint(1, 4) for name in ("rounds", "width", "patience")}
    workshop = ScriptedWorkshop(tmp_path)
    journal = begin(tmp_path, stages=["one", "two"], seed=seed, **limits)
    found = Looper(tmp_path, journal, workshop, drawn_answers(seed), Watched()).run()
    times = [each.reading.times["w"].median for each in found.versions if each.reading]
    assert all(after <= before * 1.005 for before, after in pairwise(times))
    judged = [each for each in found.tries() if each.outcome in ("accepted", "refused")]
    again = [each.digest for each in judged if any(o.part != "stage" for o in each.objections) or not each.objections]
    assert len(set(again)) == len(again)
    for stage in found.stages:
        assert sum(each.stage == stage for each in found.rounds) <= limits["rounds"]
    assert isinstance(next_loop_step(replace(found, stop=None)), LoopStop)
    assert all(each.outcome for each in found.tries())
    assert START_CODE not in workshop.checked
