"""What tiles tell each other, as tests prepare it: codes, carries, and the words in which they are told."""

from __future__ import annotations

import math

import numpy as np

CARRIES, CODES = 0, 1
"""Which of the two arrays of words of a sequence: first what comes after its tiles, then their codes."""

NO_ZERO, SOME_ZERO = 2.0**1000, 2.0**1001
"""Codes that are no factors: of a tile without and with zeros."""

COLUMNS = 4


class Tiles:
    """A column of tiles: each tells its code and, where that is no factor, once it has its carry, what comes after."""

    def __init__(self, codes: list[float], after: float = 1.0, *, is_double: bool = False) -> None:
        self.codes = codes
        self.after = after
        """What a tile finds by itself, but where a 0, a NaN or an infinity leaves it no choice."""
        self.is_double = is_double

    def is_teller(self, carry: float, code: float) -> bool:
        near = (2.0**-430, 2.0**430) if self.is_double else (2.0**-900, 2.0**900)
        is_far = 0 < abs(carry) < math.inf and not near[0] <= abs(carry) <= near[1]
        return not abs(code) < NO_ZERO or (code == 0 and math.isinf(carry)) or is_far

    def next(self, carry: float, code: float) -> float:
        if (carry == 0 or math.isnan(carry)) and not math.isnan(code):
            return carry * math.copysign(1.0, code)
        if math.isinf(carry) and 0 < abs(code) <= NO_ZERO:
            return math.copysign(1.0, code) * carry
        return carry * code if abs(code) < NO_ZERO and not math.isinf(carry) else self.after

    def carries(self) -> list[float]:
        carry, found = 1.0, []
        for code in self.codes:
            carry = self.next(carry, code)
            found.append(carry)
        return found


def word(number: float) -> int:
    """As a tile tells it: the last two bits say that it is there."""
    return (int(np.float64(number).view(np.int64)) & ~3) | 1


USUAL = [2.0 ** ((7 * k) % 5 - 2) * (1 + k / 64) * (-1) ** (k // 3) for k in range(21)]


def planted(*codes: float) -> list[float]:
    """Usual codes with others among them, from the third on."""
    return USUAL[:3] + list(codes) + USUAL[3 + len(codes) :]


DATA = {
    "factors": Tiles(USUAL),
    "a zero": Tiles(planted(0.0)),
    "a negative zero": Tiles(planted(-0.0, 2.0, -SOME_ZERO, -0.0)),
    "a zero, then what is no factor": Tiles(planted(0.0, SOME_ZERO, NO_ZERO, 0.0, SOME_ZERO)),
    "a zero, then NaN": Tiles(planted(0.0, 1.0, math.nan, SOME_ZERO), after=math.nan),
    "tiles that come back": Tiles(planted(NO_ZERO, 2.0, SOME_ZERO, -NO_ZERO, 0.5, math.nan), after=3.0),
    "one that sinks to 0": Tiles(planted(NO_ZERO, SOME_ZERO, -NO_ZERO, 1.0), after=0.0),
    "infinity": Tiles(planted(math.nan, -2.0, -NO_ZERO, NO_ZERO, 3.0), after=math.inf),
    "infinity, then zeros": Tiles(planted(math.nan, -2.0, 0.0, 1.0), after=math.inf),
    "NaN": Tiles(planted(math.nan, NO_ZERO, 1.0, SOME_ZERO, 0.0), after=math.nan),
    "at the end of a window": Tiles([*USUAL[:7], NO_ZERO, SOME_ZERO, *USUAL[9:15], -NO_ZERO, *USUAL[16:]], after=5.0),
}
