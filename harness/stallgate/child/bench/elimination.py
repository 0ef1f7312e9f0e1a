"""Who is stopped early, where there are many contenders and only the best are wanted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any, Protocol, TypeVar

KEPT_ROLES = ("roof", "copy", "peer")
"""Whoever has one of these is what the others are held against, and is never stopped."""


class Timed(Protocol):
    """A contender, as far as its chances depend on it."""

    spec: dict[str, Any]
    samples_us: list[float]
    call_us: float


_Contender = TypeVar("_Contender", bound=Timed)


class Elimination:
    """Stops the hopeless at rungs: after so many rounds, whose fastest sample is above so many times the best median.

    The fastest sample, not the median: a contender whose times are noisy has the benefit of the doubt. Roofs, copies
    and whoever has no tunables, the default, stay: the others are held against them.
    """

    def __init__(self, plan: dict[str, Any] | None) -> None:
        """Starts the clock.

        Args:
            plan: ``rungs``, as pairs of rounds and factor, and ``seconds`` or None. None: nobody is stopped.
        """
        self.is_on = plan is not None
        self._factors: dict[int, float] = dict(plan["rungs"]) if plan is not None else {}
        self._seconds: float | None = plan["seconds"] if plan is not None else None
        self._begun = time.monotonic()

    def is_over(self, number: int, least: int) -> bool:
        """Whether the time for rounds is up before round ``number``; the least number is always taken."""
        return self._seconds is not None and number >= least and time.monotonic() - self._begun > self._seconds

    def hopeless(self, number: int, entrants: Sequence[_Contender]) -> list[tuple[_Contender, str]]:
        """Whoever is stopped before round ``number``, and why."""
        factor = self._factors.get(number)
        rivals = [entrant for entrant in entrants if entrant.spec["role"] not in KEPT_ROLES]
        if factor is None or not rivals:
            return []
        best = min(median(_times(entrant)) for entrant in rivals)
        slow = [each for each in rivals if min(_times(each)) > factor * best and each.spec["tunables"]]
        return [(each, _reason(each, best)) for each in slow]


def _times(entrant: Timed) -> list[float]:
    """Its samples; before the first round, its warm call."""
    return entrant.samples_us or [entrant.call_us]


def _reason(entrant: Timed, best: float) -> str:
    took, count = median(_times(entrant)), len(entrant.samples_us)
    after = f"after {count} rounds" if count else "after a warm call"
    return f"stopped {after}: {took:.4g} us, {took / best:.3g} times the best"
