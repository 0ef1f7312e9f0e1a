"""Whether an answer is accepted, in the terminal: every reason why not, with its line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stallgate.formatting import percent, scaled, spaced
from stallgate.render.terminal_text import hang, out, styled

_PARTS = {"form": "form", "stage": "stage's rules", "right": "right", "better": "better"}
_STATES = {
    "passed": ("passed", "green"),
    "refused": ("REFUSED", "bold red"),
    "not_judged": ("not judged", "yellow"),
    "not_done": ("not done", "dim"),
}


class ShownObjection(Protocol):
    """As ``agent/objection.py`` has it."""

    @property
    def part(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def hint(self) -> str: ...
    @property
    def line(self) -> int | None: ...


class ShownStep(Protocol):
    """As ``agent/check/check.py`` has it."""

    @property
    def part(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def why(self) -> str: ...


class ShownGain(Protocol):
    """As ``agent/check/better.py`` has it."""

    @property
    def workload(self) -> str: ...
    @property
    def before_us(self) -> float: ...
    @property
    def after_us(self) -> float: ...
    @property
    def gain(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


class ShownAnswer(Protocol):
    """As ``agent/check/check.py`` has it."""

    @property
    def accepted(self) -> bool: ...
    @property
    def problem(self) -> str: ...
    @property
    def against(self) -> str: ...
    @property
    def stage(self) -> str | None: ...
    @property
    def objections(self) -> Sequence[ShownObjection]: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def steps(self) -> Sequence[ShownStep]: ...
    @property
    def gains(self) -> Sequence[ShownGain]: ...
    @property
    def run(self) -> str | None: ...
    @property
    def exit_status(self) -> int: ...


def show_checked_answer(found: ShownAnswer, file: str) -> None:
    """The answer to an answer, then each step, each objection with its line, and what else has to be known.

    Args:
        found: the report.
        file: what the answer was read from.
    """
    word, style = _verdict(found)
    stage = f", stage {found.stage}" if found.stage is not None else ""
    hang(out, styled(f"{word:<12}", style), f"{file}: an answer to {found.problem}/{found.against}{stage}", 12)
    for step in found.steps:
        state, style = _STATES[step.state]
        head = styled(f"  {_PARTS[step.part]:<15}") + styled(state, style)
        hang(out, head, f": {step.why}", 17) if step.why else out.print(head)
    for objection in found.objections:
        _objection(objection, file)
    for gain in found.gains:
        _gain(gain)
    for note in found.notes:
        hang(out, styled("note: ", "dim"), note, 6, "dim")
    if found.run is not None:
        out.print(styled(found.run), soft_wrap=True)


def _verdict(found: ShownAnswer) -> tuple[str, str]:
    if found.accepted:
        return "accepted", "bold green"
    return ("REFUSED", "bold red") if found.exit_status == 1 else ("not judged", "yellow")


def _objection(objection: ShownObjection, file: str) -> None:
    place = f"{file}:{objection.line}: " if objection.line is not None else ""
    hang(out, styled(""), f"{place}{objection.text} ({spaced(objection.code)})", 4, "red")
    if objection.hint:
        hang(out, styled("    "), objection.hint, 4, "dim")


def _gain(gain: ShownGain) -> None:
    before, after = (scaled(1e3 * each, "ns") for each in (gain.before_us, gain.after_us))
    faster = f"{percent(gain.gain)} less time" if gain.gain >= 0 else f"{percent(-gain.gain)} more time"
    between = f"half of the rounds between {percent(gain.low)} and {percent(gain.high)}"
    hang(out, styled(f"  {gain.workload}: "), f"{before} before, {after} now: {faster}, {between}", 4)
