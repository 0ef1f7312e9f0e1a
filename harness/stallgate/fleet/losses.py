"""Workers that were lost, and what is blamed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the engine is not imported unless a command asks for it
    from stallgate.fleet.engine import LastStep

MOST_LOSSES = 2
"""Workers that a case may be lost with before it counts as crashed."""


class Losses:
    """Counts the workers that were lost at each case."""

    def __init__(self) -> None:
        self._lost: dict[str, list[str]] = {}

    def blame(self, names: list[str], steps: list[LastStep]) -> dict[str, str]:
        """The cases of a task that are given up, and why: each of them was at work as two workers were lost.

        A worker that was lost before it came to a case is the first case's. A task that only waited for a worker that
        was lost has no step, and nobody is blamed.

        Args:
            names: those of the task's cases, or of its contenders.
            steps: what each of the workers was at that the task was lost with.
        """
        for step in steps:
            name = step.case if step.case in names else names[0]
            self._lost.setdefault(name, []).append(f"{step.place} in step '{step.step}'")
        return {
            name: f"its worker was lost {len(lost)} times: on {'; then on '.join(lost)}"
            for name in names
            if len(lost := self._lost.get(name, [])) >= MOST_LOSSES
        }
