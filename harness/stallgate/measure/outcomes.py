"""What a child's events, and the way its process ended, say of each case."""

from __future__ import annotations

from collections.abc import Callable

from stallgate.measure.ncu import Complaints
from stallgate.measure.process import Ended, Event
from stallgate.model import Case, FrozenStruct, Outcome


class Told(FrozenStruct, frozen=True):
    """What is known of one case."""

    outcome: Outcome
    reason: str
    run_ms: float | None = None
    edge_case_fault: str = ""


class Story:
    """Takes a child's events one by one."""

    def __init__(self, cases: list[Case], on_step: Callable[[str, str], None]) -> None:
        self._cases = {case.name: case for case in cases}
        self._on_step = on_step
        self.outcomes: dict[Case, Told] = {}
        self.at_work: Case | None = None
        self.step = "start"
        self.environment: Event | None = None
        self.unable: str | None = None
        """Why this interpreter measures nothing at all."""

    def hear(self, event: Event) -> None:
        """Takes an event; an unknown one says nothing."""
        match event["event"]:
            case "environment":
                self.environment = event
            case "unable":
                self.unable = event["reason"]
            case "case":
                self.at_work = self._cases[event["name"]]
            case "step":
                self.step = event["step"]
                self._on_step(event["name"], self.step)
            case "outcome":
                self.outcomes[self._cases[event["name"]]] = Told(
                    outcome=event["outcome"],
                    reason=event["reason"],
                    run_ms=event.get("run_ms"),
                    edge_case_fault=event.get("edge_case_fault", ""),
                )
                self.at_work = None

    def conclude(self, ended: Ended, said: Complaints, timeout_s: float) -> None:
        """Gives the case that was at work when the process ended its outcome; after an interrupt it has none."""
        if self.at_work is None or ended.interrupted:
            return
        if ended.timed_out:
            told = Told(outcome="timed_out", reason=f"no end of step '{self.step}' within {timeout_s:g} s")
        else:
            cause = f": {said.errors[0]}" if said.errors else ""
            told = Told(
                outcome="crashed",
                reason=f"its process ended with status {ended.exit_status} in step '{self.step}'{cause}",
            )
        self.outcomes[self.at_work] = told
        self.at_work = None
