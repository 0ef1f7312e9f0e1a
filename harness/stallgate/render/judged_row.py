"""A judged case on a first screen, of a run, a sweep or a loop: its time, its targets, what holds it back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from stallgate.formatting import HeldTo, held_to
from stallgate.judge.headroom import headroom, value_and_bound
from stallgate.model import FrozenStruct, Status, Verdict

_LEAST_SCALE = 2.0
"""Points or per cent that half of a bar shows at least: smaller distances are small."""


class JudgedTarget(FrozenStruct, frozen=True):
    """A target on a case, with its distance."""

    title: str
    metric: str
    mark: str
    status: Status
    told: HeldTo
    """Empty parts where there is no value or no bound."""
    of: str
    """Whose speed a fraction is of, or ''."""
    distance: str
    """In words; empty where it is not known."""
    size: float
    """The distance as a number: points of a share, else per cent of the bound."""
    met: bool
    why: str
    """The verdict's sentence."""


def judged_target(verdict: Verdict, *, title: str, mark: str, of: str, why: str) -> JudgedTarget:
    """A target with its distance, from the verdict on it; what else is said of it differs from page to page."""
    room, (value, bound) = headroom(verdict), value_and_bound(verdict)
    told = HeldTo(value, "", bound)
    if verdict.comparison is not None and bound:
        told = held_to(value, verdict.comparison, bound, met=verdict.status == "pass")
    return JudgedTarget(
        title=title,
        metric=verdict.metric or "",
        mark=mark,
        status=verdict.status,
        told=told,
        of=of if bound else "",
        distance=room.words if room is not None else "",
        size=room.size if room is not None else 0.0,
        met=room is not None and room.met,
        why=why,
    )


class JudgedRow(FrozenStruct, frozen=True):
    """A case on the first screen."""

    name: str
    workload: str
    case: str
    time: str
    spread: str
    change: str
    limit: str
    waits: str
    memory: str
    targets: list[JudgedTarget]
    style: Literal["pass", "fail", "open", "plain"]
    targetless: str = ""
    """Why none of its targets is judged, a sentence without full stop; '' where they are, or nothing is asked."""


def bar_scale(rows: Sequence[JudgedRow]) -> float:
    """What half of a bar shows, the same for all bars of a screen: the first of 2, 5, 10 … with room for all."""
    longest = max((target.size for row in rows for target in row.targets), default=0.0)
    if longest <= _LEAST_SCALE:
        return _LEAST_SCALE
    power = 10.0 ** math.floor(math.log10(longest))
    return next(power * step for step in (1, 2, 5, 10) if longest <= power * step)
