"""Inputs that no call had before, for every round: whoever keeps results has to do its work again."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

from stallgate.child.bench.pool import Pool

_BUDGET_S = 20.0
"""Seconds of a row that making inputs may take: a file of the project may make them on the host."""

_COMPARED = 3
"""Rounds of a contender whose outputs are compared, beside its last: it cannot know which."""


class Renewal:
    """New values in the memory of a pool's inputs, before each round; nothing, where that is not asked for."""

    def __init__(self, pool: Pool, *, is_on: bool) -> None:
        self.is_on = is_on
        self._pool = pool
        self._seeds = random.SystemRandom()  # code that is timed cannot know what comes
        self._each_s = 0.0
        self.keeps_form = True
        """Whether inputs of another seed fit where those of a graph are; a size or a number may depend on the seed."""
        if is_on:
            begun = time.monotonic()
            self.keeps_form = self.renew([0]) and pool.is_of_one_form
            self._each_s = time.monotonic() - begun

    def affordable(self, most: int, least: int, each: int = 1) -> int:
        """How many rounds, or inputs a round, are made in time.

        Args:
            most: as many as are wanted.
            least: as many as there have to be.
            each: inputs of a round, or rounds of an input.
        """
        if not self.is_on:
            return most
        return min(most, max(least, int(_BUDGET_S / max(self._each_s * each, 1e-6))))

    def compared(self, rounds: int) -> set[int]:
        """Which of a contender's rounds have their outputs compared: the last, and some at random."""
        others = self._seeds.sample(range(rounds - 1), min(_COMPARED, rounds - 1)) if self.is_on else []
        return {rounds - 1, *others}

    def renew(self, places: Iterable[int]) -> bool:
        """Renews the inputs that a round uses. Returns whether all of them kept their form."""
        if not self.is_on:
            return True
        kept = [self._pool.renew(place, self._seeds.randrange(1, 2**31)) for place in places]
        return all(kept)
