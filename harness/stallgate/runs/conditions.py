"""What a case was measured under: numbers of other conditions are not held against each other."""

from __future__ import annotations

from stallgate.model import CaseResult, FrozenStruct, Run

TITLES = {"gpu": "GPU", "clock_control": "clock control", "cache_control": "cache control"}
"""The conditions, and how a reader knows them."""


class Conditions(FrozenStruct, frozen=True):
    """The GPU by its driver's name, and how clocks and caches were controlled; None where that is not known."""

    gpu: str | None
    clock_control: str | None
    cache_control: str | None


def conditions(run: Run, result: CaseResult) -> Conditions:
    """The conditions of a case, as far as they are known; the GPU is the attempt's, of which a run has several."""
    environments = (attempt.environment for attempt in run.attempts if attempt.name == result.attempt)
    return Conditions(
        gpu=getattr(next(environments, None), "gpu", None),
        clock_control=getattr(run.settings, "clock_control", None),
        cache_control=getattr(run.settings, "cache_control", None),
    )
