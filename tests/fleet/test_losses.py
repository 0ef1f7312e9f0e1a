"""Who is blamed for a lost worker."""

from __future__ import annotations

from stallgate.fleet.engine import LastStep
from stallgate.fleet.losses import Losses

NAMES = ["p/roof/default/w", "p/one/default/w", "p/two/default/w"]


def lost(case: str, host: str, step: str = "check") -> LastStep:
    return LastStep(worker=f"tcp://{host}", place=f"{host}, GPU-1", case=case, step=step)


def test_a_case_is_given_up_with_the_second_worker_and_both_are_named() -> None:
    losses = Losses()
    assert losses.blame(NAMES, [lost(NAMES[1], "a")]) == {}
    found = losses.blame(NAMES, [lost(NAMES[1], "b", "sample 2 of 5")])
    reason = "its worker was lost 2 times: on a, GPU-1 in step 'check'; then on b, GPU-1 in step 'sample 2 of 5'"
    assert found == {NAMES[1]: reason}


def test_two_cases_that_lost_one_worker_each_go_on() -> None:
    assert Losses().blame(NAMES, [lost(NAMES[1], "a"), lost(NAMES[2], "b")]) == {}


def test_nobody_is_blamed_for_a_task_that_only_waited() -> None:
    losses = Losses()
    for _ in range(5):
        assert losses.blame(NAMES, []) == {}


def test_before_the_first_case_the_first_case_is_blamed() -> None:
    found = Losses().blame(NAMES, [lost("", "a", "start"), lost("", "b", "start")])
    assert list(found) == [NAMES[0]]
